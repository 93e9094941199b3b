//! Lines that are not too long.

/// Breaks lines at blanks where they get longer than `limit` characters; breaks that are there
/// stay. The blanks at a new break are dropped.
pub(super) fn wrap(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 32);
    let (mut column, mut blanks, mut word) = (0, String::new(), String::new());
    for c in text.chars() {
        let (blank, letters) = (blanks.chars().count(), word.chars().count());
        if c == '\n' {
            if !word.is_empty() || column + blank <= limit {
                out.push_str(&blanks);
            }
            out.push_str(&word);
            out.push(c);
            blanks.clear();
            word.clear();
            column = 0;
        } else if c.is_whitespace() && c != '\u{a0}' {
            if blanks.is_empty() || !word.is_empty() {
                column += blank + letters;
                out.push_str(&blanks);
                out.push_str(&word);
                blanks.clear();
                word.clear();
            }
            blanks.push(c);
        } else {
            word.push(c);
            if column + blank + letters + 1 > limit && letters + 1 < limit {
                out.push('\n');
                column = 0;
                blanks.clear();
            }
        }
    }
    if !word.is_empty() || column + blanks.chars().count() <= limit {
        out.push_str(&blanks);
    }
    out + &word
}

/// Puts blanks in front of every line, empty ones too.
pub(super) fn indent(text: &str, blanks: usize) -> String {
    let pad = " ".repeat(blanks);
    format!("{pad}{}", text.replace('\n', &format!("\n{pad}")))
}

/// Fills lines anew, as far as they are no lists, code or paragraphs of their own.
pub(super) fn fill(text: &str, limit: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let flush = |line: &mut String, lines: &mut Vec<String>| {
        if !line.is_empty() {
            lines.push(std::mem::take(line));
        }
    };
    for source in text.split('\n') {
        if source.starts_with("    ") {
            flush(&mut line, &mut lines);
            lines.push(source.to_owned());
            continue;
        }
        if source.trim().is_empty() && !lines.is_empty() {
            flush(&mut line, &mut lines);
            lines.push(String::new());
            continue;
        }
        if line.ends_with(':') || is_bullet(source.trim()) || source.trim().is_empty() {
            flush(&mut line, &mut lines);
        }
        for word in source.split_whitespace() {
            if !line.is_empty() && line.len() + 1 + word.len() > limit {
                flush(&mut line, &mut lines);
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    flush(&mut line, &mut lines);
    lines
}

/// `- `, `* `, `1. `, `1 `.
fn is_bullet(line: &str) -> bool {
    let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = match digits.len() < line.len() {
        true => digits.strip_prefix('.').unwrap_or(digits),
        false => match line.strip_prefix(['-', '*']) {
            Some(rest) => rest,
            None => return false,
        },
    };
    rest.starts_with(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_lines() {
        assert_eq!(wrap("aaa bbb ccc", 7), "aaa bbb\nccc");
        assert_eq!(wrap("aaa  bbb\nccc", 20), "aaa  bbb\nccc");
        assert_eq!(wrap("a toolongforit b", 5), "a\ntoolongforit\nb");
        assert_eq!(indent("a\nb", 2), "  a\n  b");
    }

    #[test]
    fn fills_lines() {
        assert_eq!(fill("a b\nc\n\n- d\n- e\n    code", 40), ["a b c", "- d", "- e", "    code"]);
        assert_eq!(fill("aaa bbb ccc", 7), ["aaa bbb", "ccc"]);
    }
}

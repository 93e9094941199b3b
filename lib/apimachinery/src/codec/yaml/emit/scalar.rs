//! Strings: plain, quoted or as a block, whichever keeps them what they are.

use super::resolve::needs_quotes;
use super::{Emitter, WIDTH};

/// How a string is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// Writes a string; as a key it stays on its line.
pub(super) fn write(emitter: &mut Emitter, text: &str, indent: usize, is_key: bool) {
    match style(text, is_key) {
        Style::Plain => plain(emitter, text, indent, !is_key),
        Style::Single => single(emitter, text, indent, !is_key),
        Style::Double => double(emitter, text, indent, !is_key),
        Style::Literal => literal(emitter, text, indent),
    }
}

fn style(text: &str, is_key: bool) -> Style {
    let wanted = match text {
        _ if text.contains('\n') => Style::Literal,
        _ if needs_quotes(text) => Style::Double,
        _ => Style::Plain,
    };
    let allowed = Allowed::by(text);
    match wanted {
        Style::Literal if allowed.literal && !is_key => Style::Literal,
        Style::Plain if allowed.plain => Style::Plain,
        Style::Plain if allowed.single => Style::Single,
        _ => Style::Double,
    }
}

/// The styles that a text can have.
struct Allowed {
    plain: bool,
    single: bool,
    literal: bool,
}

impl Allowed {
    fn by(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let is = |i: usize, test: fn(char) -> bool| chars.get(i).is_some_and(|c| test(*c));
        let space = |c: char| c == ' ';
        let edge = is(0, |c| c == ' ' || is_break(c)) || chars.last().is_some_and(|c| *c == ' ' || is_break(*c));
        let pairs = || chars.windows(2);
        let break_space = pairs().any(|p| is_break(p[0]) && p[1] == ' ');
        let space_break = pairs().any(|p| p[0] == ' ' && is_break(p[1]));
        let special = chars.iter().any(|c| !is_printable(*c)) || space_break;
        let breaks = chars.iter().any(|c| is_break(*c));
        Self {
            plain: !edge && !breaks && !special && !has_indicators(&chars),
            single: !break_space && !special,
            literal: !special && !chars.last().is_some_and(|c| space(*c)),
        }
    }
}

/// Whether something in a plain text would be taken for YAML's own signs.
fn has_indicators(chars: &[char]) -> bool {
    let blank = |i: usize| chars.get(i).is_none_or(|c| matches!(c, ' ' | '\t') || is_break(*c));
    if chars.starts_with(&['-', '-', '-']) || chars.starts_with(&['.', '.', '.']) {
        return true;
    }
    let first = match chars.first() {
        Some(c) if "#,[]{}&*!|>'\"%@`".contains(*c) => true,
        Some('?' | ':' | '-') => blank(1),
        _ => false,
    };
    let later = (1..chars.len()).any(|i| match chars[i] {
        ':' => blank(i + 1),
        '#' => blank(i - 1),
        _ => false,
    });
    first || later
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Whether the blank at a place becomes a line break.
fn folds(emitter: &Emitter, chars: &[char], i: usize, after_space: bool) -> bool {
    !after_space && emitter.column > WIDTH && i > 0 && i + 1 < chars.len()
}

fn plain(emitter: &mut Emitter, text: &str, indent: usize, may_fold: bool) {
    let chars: Vec<char> = text.chars().collect();
    let mut after_space = false;
    for (i, c) in chars.iter().enumerate() {
        match *c == ' ' && may_fold && folds(emitter, &chars, i, after_space) && chars[i + 1] != ' ' {
            true => emitter.line(indent),
            false => emitter.put_char(*c),
        }
        after_space = *c == ' ';
    }
}

fn single(emitter: &mut Emitter, text: &str, indent: usize, may_fold: bool) {
    let chars: Vec<char> = text.chars().collect();
    emitter.put("'");
    let mut after_space = false;
    for (i, c) in chars.iter().enumerate() {
        match *c == ' ' && may_fold && folds(emitter, &chars, i, after_space) && chars[i + 1] != ' ' {
            true => emitter.line(indent),
            false if *c == '\'' => emitter.put("''"),
            false => emitter.put_char(*c),
        }
        after_space = *c == ' ';
    }
    emitter.put("'");
}

fn double(emitter: &mut Emitter, text: &str, indent: usize, may_fold: bool) {
    let chars: Vec<char> = text.chars().collect();
    emitter.put("\"");
    let mut after_space = false;
    for (i, c) in chars.iter().enumerate() {
        if *c == ' ' && may_fold && folds(emitter, &chars, i, after_space) {
            emitter.line(indent);
            if chars[i + 1] == ' ' {
                emitter.put("\\");
            }
        } else if !is_printable(*c) || is_break(*c) || matches!(c, '"' | '\\') {
            emitter.put(&escape(*c));
        } else {
            emitter.put_char(*c);
        }
        after_space = *c == ' ';
    }
    emitter.put("\"");
}

fn escape(c: char) -> String {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            let code = u32::from(c);
            return match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            };
        }
    };
    format!("\\{short}")
}

fn literal(emitter: &mut Emitter, text: &str, indent: usize) {
    emitter.put("|");
    if text.starts_with([' ', '\n']) {
        emitter.put("2");
    }
    let end: Vec<char> = text.chars().rev().take(2).collect();
    match end.as_slice() {
        ['\n'] | ['\n', '\n'] => emitter.put("+"),
        ['\n', ..] => {}
        _ => emitter.put("-"),
    }
    emitter.out.push('\n');
    for line in text.split_inclusive('\n') {
        if line != "\n" {
            emitter.out.extend(std::iter::repeat_n(' ', indent));
        }
        emitter.out.push_str(line);
    }
    emitter.column = text.rsplit('\n').next().unwrap_or_default().chars().count() + indent;
}

#[cfg(test)]
mod tests {
    use super::super::to_string;
    use serde_json::json;

    #[test]
    fn chooses_the_style_of_upstream() {
        for (text, want) in [
            ("a b", "a b"),
            ("a: b", "'a: b'"),
            ("a:b", "a:b"),
            ("a #b", "'a #b'"),
            ("*x", "'*x'"),
            ("- x", "'- x'"),
            ("-x", "-x"),
            ("it's", "it's"),
            ("'q'", "'''q'''"),
            ("true", "\"true\""),
            ("8080", "\"8080\""),
            (" x", "' x'"),
            ("x ", "'x '"),
            ("a\tb", "\"a\\tb\""),
            ("a\u{1b}b", "\"a\\eb\""),
            ("\u{1f600}", "\"\\U0001F600\""),
            ("é", "é"),
            ("a\nb", "|-\n  a\n  b"),
            ("a\nb\n", "|\n  a\n  b"),
            ("a\n\n", "|+\n  a\n"),
            (" a\nb\n", "|2\n   a\n  b"),
            ("a \nb", "\"a \\nb\""),
            ("{a}", "'{a}'"),
            ("a{b,c}", "a{b,c}"),
            ("", "\"\""),
        ] {
            assert_eq!(to_string(&json!({"k": text})), format!("k: {want}\n"), "{text:?}");
        }
    }

    #[test]
    fn folds_long_lines() {
        let words = vec!["word"; 20].join(" ");
        let folded = "k: word word word word word word word word word word word word word word word word\n  word word word word\n";
        assert_eq!(to_string(&json!({"k": words})), folded);
    }
}

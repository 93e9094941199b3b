//! Go's regular expressions in Rust's dialect: the same engine design, with other readings of a few
//! classes.
//!
//! Upstream: Go's `regexp/syntax`.

use regex::{Error, Regex, RegexBuilder};
use std::fmt::Write;

/// Largest compiled pattern, in bytes.
const MAX_SIZE: usize = 1 << 20;

/// Compiles a pattern as Go reads it, bounded in size; matching is linear in the text.
pub fn pattern(source: &str) -> Result<Regex, Error> {
    RegexBuilder::new(&translate(source)).size_limit(MAX_SIZE).dfa_size_limit(MAX_SIZE).build()
}

/// What is wrong with a pattern in the words of Go, as far as they differ by kinds that both know.
pub fn why_no_pattern(source: &str, error: &Error) -> String {
    let told = error.to_string();
    let kind = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
    let (what, part) = match kind {
        "unclosed group" => ("missing closing )", source),
        "unopened group" => ("unexpected )", source),
        "unclosed character class" => ("missing closing ]", &source[open_class(source)..]),
        "repetition operator missing expression" => ("missing argument to repetition operator", dangling(source)),
        _ if source.ends_with('\\') && kind.starts_with("incomplete escape sequence") => {
            ("trailing backslash at end of expression", "")
        }
        other => return format!("error parsing regexp: {other}: `{source}`"),
    };
    format!("error parsing regexp: {what}: `{part}`")
}

/// Where the class starts that is never closed.
fn open_class(source: &str) -> usize {
    let mut open = None;
    let mut chars = source.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (c, open) {
            ('\\', _) => drop(chars.next()),
            ('[', None) => {
                open = Some(at);
                chars.next_if(|(_, next)| *next == '^');
                // A bracket that closes at once is a member.
                chars.next_if(|(_, next)| *next == ']');
            }
            (']', Some(_)) => open = None,
            _ => {}
        }
    }
    open.unwrap_or_default()
}

/// The first repetition of nothing.
fn dangling(source: &str) -> &str {
    let mut before = None;
    let mut chars = source.char_indices();
    while let Some((at, c)) = chars.next() {
        if matches!(c, '*' | '+' | '?') && matches!(before, None | Some('(' | '|')) {
            let is_lazy = source[at + 1..].starts_with('?');
            return &source[at..at + 1 + usize::from(is_lazy)];
        }
        if c == '\\' {
            chars.next();
        }
        before = Some(c);
    }
    source
}

/// Makes `\d` and its like ASCII, and `[`, `&&`, `--`, `~~` inside of classes literal.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match (c, in_class) {
            ('\\', _) => escape(chars.next(), in_class, &mut out),
            ('[', false) => {
                in_class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // A bracket that closes at once is a member.
                if chars.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            ('[', true) if chars.peek() == Some(&':') => {
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            ('[', true) => out.push_str("\\["),
            (']', true) => {
                in_class = false;
                out.push(']');
            }
            ('&' | '~', true) => {
                out.push('\\');
                out.push(c);
            }
            ('-', true) if chars.peek() == Some(&'-') => out.push_str("\\-"),
            (c, _) => out.push(c),
        }
    }
    out
}

fn escape(escaped: Option<char>, in_class: bool, out: &mut String) {
    match escaped {
        Some('d') => out.push_str("[0-9]"),
        Some('D') => out.push_str("[^0-9]"),
        Some('w') => out.push_str("[0-9A-Za-z_]"),
        Some('W') => out.push_str("[^0-9A-Za-z_]"),
        Some('s') => out.push_str("[\\t\\n\\x0C\\r ]"),
        Some('S') => out.push_str("[^\\t\\n\\x0C\\r ]"),
        Some('b' | 'B') if !in_class => {
            let _ = write!(out, "(?-u:\\{})", escaped.unwrap_or_default());
        }
        // Punctuation may always be escaped in Go.
        Some(c) if c.is_ascii_punctuation() => {
            out.push('\\');
            out.push(c);
        }
        Some(c) => {
            out.push('\\');
            out.push(c);
        }
        None => out.push('\\'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_patterns_as_go_does() {
        for (source, text, want) in [
            ("^a+$", "aaa", true),
            ("b", "abc", true),
            (r"^\d+$", "12", true),
            (r"^\d+$", "١", false),
            (r"^[\w-]+$", "a_b-c", true),
            (r"^[\w-]+$", "é", false),
            (r"^[a[]+$", "[a", true),
            (r"^[]a]+$", "]a", true),
            (r"^[a&&b]+$", "a&b", true),
            (r"^[[:alpha:]]+$", "xyz", true),
            (r"^[^\s]+$", "a b", false),
            (r"\bfoo\b", "a foo b", true),
            (r"^(https?)://[^\s/$.?#].[^\s]*$", "https://example.com", true),
        ] {
            assert_eq!(pattern(source).expect(source).is_match(text), want, "{source} on {text}");
        }
        for (source, want) in [
            ("a(", "missing closing ): `a(`"),
            ("a)", "unexpected ): `a)`"),
            ("a[b]c[^]d", "missing closing ]: `[^]d`"),
            ("*a", "missing argument to repetition operator: `*`"),
            ("a|+?", "missing argument to repetition operator: `+?`"),
            ("a\\", "trailing backslash at end of expression: ``"),
        ] {
            let error = pattern(source).expect_err(source);
            assert_eq!(why_no_pattern(source, &error), format!("error parsing regexp: {want}"));
        }
        assert!(pattern("(").is_err() && pattern("a{1,100000}{1,100000}").is_err() && pattern("\\").is_err());
    }
}

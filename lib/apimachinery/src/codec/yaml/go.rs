//! What is YAML to Go's reader, and what it says of a text that is none: the words of its scanner and of its grammar,
//! with the line where it has one, as scripts and people look for those words.
//!
//! Upstream: `go.yaml.in/yaml/v2` (`readerc.go`, `scannerc.go`, `parserc.go`), after libyaml.

mod grammar;
mod input;
mod scalars;
mod scanner;

use grammar::{Event, Grammar};
use std::collections::HashSet;

/// Deepest nesting that Go's reader takes, of brackets and of indentation.
const MAX_DEPTH: usize = 10_000;

/// Why a text is no YAML. Lines are counted from 0; nothing is said of the first one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Bytes that are no characters, or none of a text.
    #[error("{0}")]
    Bytes(&'static str),
    /// What begins no token, or does not end as one.
    #[error("{}{problem}", place(if *.line == 0 { 0 } else { .line + 1 }))]
    Token {
        /// Where the scanner stands.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// Nested deeper than is read.
    #[error("{}exceeded max depth of {MAX_DEPTH}", place(if *.line == 0 { 0 } else { .line + 1 }))]
    Depth {
        /// Where the scanner stands.
        line: usize,
    },
    /// A token that does not fit here.
    #[error("{}{problem}", place(*.line))]
    Grammar {
        /// Where the token begins, which is told as if lines were counted from 1.
        line: usize,
        /// What is missing.
        problem: &'static str,
    },
    /// An alias of nothing.
    #[error("unknown anchor '{0}' referenced")]
    UnknownAnchor(String),
    /// An alias of what it is a part of.
    #[error("anchor '{0}' value contains itself")]
    Endless(String),
}

fn place(line: usize) -> String {
    if line == 0 { String::new() } else { format!("line {line}: ") }
}

/// Where the first document of a text ends; or why it is none.
pub(super) fn first_document(bytes: &[u8]) -> Result<usize, Fault> {
    let mut grammar = Grammar::new(bytes);
    let mut anchors = HashSet::new();
    // The anchors of what is open, innermost last.
    let mut open: Vec<Option<String>> = Vec::new();
    let mut endless = None;
    let end = loop {
        match grammar.next()? {
            Event::Alias(name) => {
                if !anchors.contains(&name) {
                    return Err(Fault::UnknownAnchor(name));
                }
                if endless.is_none() && open.iter().flatten().any(|anchor| *anchor == name) {
                    endless = Some(name);
                }
            }
            Event::Scalar(anchor) => anchors.extend(anchor),
            Event::Begin(anchor) => {
                anchors.extend(anchor.clone());
                open.push(anchor);
            }
            Event::End => {
                open.pop();
            }
            Event::DocumentEnd(end) => break end,
        }
    };
    endless.map_or(Ok(end), |name| Err(Fault::Endless(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        first_document(text.as_bytes()).map_or_else(|fault| fault.to_string(), |end| text[end..].to_owned())
    }

    #[test]
    fn speaks_as_go_does() {
        for (text, want) in [
            ("a: b: c", "mapping values are not allowed in this context"),
            ("x: 1\na: b: c\n", "line 2: mapping values are not allowed in this context"),
            ("a:\n  b: 1\n c: 2\n", "line 2: did not find expected key"),
            ("a: 1\n- b\n", "line 1: did not find expected key"),
            ("- a\nb: 1\n", "line 1: did not find expected '-' indicator"),
            ("- - a\n  - b\n -c\n", "line 2: did not find expected '-' indicator"),
            ("a: 1\nb\n", "line 3: could not find expected ':'"),
            ("a: 1\n\tb: 2\n", "line 2: found a tab character that violates indentation"),
            ("a:\t\n\tb: c\n", "line 2: found character that cannot start any token"),
            ("a: b\n\t- x\n", "line 2: found a tab character that violates indentation"),
            ("@a: b\n", "found character that cannot start any token"),
            ("a: [\n", "line 1: did not find expected node content"),
            ("x:\na: [1, 2\n", "line 2: did not find expected ',' or ']'"),
            ("x:\na: {b: 1\n", "line 2: did not find expected ',' or '}'"),
            ("x:\na: ]\n", "line 1: did not find expected node content"),
            ("x:\na: [b}\n", "line 1: did not find expected ',' or ']'"),
            ("x:\na: [b,,c]\n", "line 1: did not find expected node content"),
            ("x:\na: \"b\" c\n", "line 1: did not find expected key"),
            ("x:\na: \"b\n", "line 3: found unexpected end of stream"),
            ("a: \"x\n... y\"\n", "line 2: found unexpected document indicator"),
            ("x:\na: \"\\q\"\n", "line 2: found unknown escape character"),
            ("x:\na: \"\\xzz\"\n", "line 2: did not find expected hexdecimal number"),
            ("x:\na: \"\\ud800\"\n", "line 2: found invalid Unicode character escape code"),
            ("x:\na: *\n", "line 2: did not find expected alphabetic or numeric character"),
            ("a: *b\n", "unknown anchor 'b' referenced"),
            ("a: &a [*a]\n", "anchor 'a' value contains itself"),
            ("x:\na: &b &c d\n", "line 1: did not find expected key"),
            ("x:\na: !<b c\n", "line 2: did not find the expected '>'"),
            ("x:\na: !b!c d\n", "line 1: found undefined tag handle"),
            ("x:\na: |x\n", "line 2: did not find expected comment or line break"),
            ("x:\na: |0\n", "line 2: found an indentation indicator equal to 0"),
            ("x:\na: |\n\tb\n", "line 3: found a tab character where an indentation space is expected"),
            ("%YAML 1.2\n---\na: 1\n", "found incompatible YAML document"),
            ("%YAML 1.1\na: 1\n", "line 1: did not find expected <document start>"),
            ("%YAML x\n", "did not find expected version number"),
            ("%FOO\n", "found unknown directive name"),
            ("%TAG x\n", "did not find expected '!'"),
            ("...\n", "did not find expected node content"),
            ("a: \u{1}", "control characters are not allowed"),
        ] {
            assert_eq!(told(text), want, "{text:?}");
        }
        for (bytes, want) in [
            (&b"a: \xff"[..], "invalid leading UTF-8 octet"),
            (b"a: \xe2\x82", "incomplete UTF-8 octet sequence"),
            (b"a: \xe2aa", "invalid trailing UTF-8 octet"),
            (b"a: \xc0\x80", "invalid length of a UTF-8 sequence"),
            (b"a: \xed\xa0\x80", "invalid Unicode character"),
        ] {
            assert_eq!(first_document(bytes), Err(Fault::Bytes(want)));
        }
        let deep = "exceeded max depth of 10000";
        assert_eq!(told(&"[".repeat(20_000)), deep);
        assert_eq!(told(&"- ".repeat(20_000)), deep);
    }

    #[test]
    fn what_is_well_formed_ends_somewhere() {
        for (text, rest) in [
            ("", ""),
            ("a: 1\n", ""),
            ("? a\n: b\n? c\n", ""),
            ("a: &b {c: d, e, ? f: g, h: [i: j, k]}\nl: *b\nm:\n- n\n-\n- - o\n", ""),
            ("a: |+2 # b\n    c\n\nd: >-\n  e\n  f\ng: !!str 'h''i'\nj: \"k\\\n  l \\\"\\u00e9\"\n", ""),
            ("%YAML 1.1\n%TAG ! tag:example.com:\n--- !a\nb: !<c> d\ne: !f%20g h\n", ""),
            ("# a\n\u{feff}b: c # d\n", ""),
            ("a: 1\n... b\n", "... b\n"),
            ("a: 1\n---\nb: 1\n", "---\nb: 1\n"),
            ("[a]\nb = \"c\"\n", "b = \"c\"\n"),
            ("{\"a\": 1}{\"b\": 2}", "{\"b\": 2}"),
        ] {
            assert_eq!(told(text), rest, "{text:?}");
        }
    }
}

//! Property names that are no identifiers, and how expressions write them.
//!
//! Upstream: `apiserver/pkg/cel/escaping.go`.

use std::borrow::Cow;

/// Words that the language reserves; as properties they are written `__word__`.
const RESERVED: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Whether a word may not be an identifier.
pub(crate) fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

/// Whether a text may name a variable.
pub fn is_identifier(text: &str) -> bool {
    let is_first = |c: char| c == '_' || c.is_ascii_alphabetic();
    text.starts_with(is_first) && text.chars().all(|c| is_first(c) || c.is_ascii_digit()) && !is_reserved(text)
}

/// How expressions write a property; `None` if they cannot.
pub fn escape(property: &str) -> Option<String> {
    if is_reserved(property) {
        return Some(format!("__{property}__"));
    }
    let mut written = property.replace("__", "__underscores__");
    for (sequence, meant) in &SEQUENCES[1..] {
        written = written.replace(meant, sequence);
    }
    is_identifier(&written).then_some(written)
}

/// The property that an identifier stands for.
pub(crate) fn unescape(identifier: &str) -> Cow<'_, str> {
    if !identifier.contains("__") {
        return Cow::Borrowed(identifier);
    }
    let inner = identifier.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    if let Some(word) = inner.filter(|word| is_reserved(word)) {
        return Cow::Borrowed(word);
    }
    let mut out = String::with_capacity(identifier.len());
    let mut rest = identifier;
    while let Some(start) = rest.find("__") {
        out.push_str(&rest[..start]);
        let tail = &rest[start..];
        let known = SEQUENCES.iter().find(|(written, _)| tail.starts_with(written));
        let (written, meant) = known.copied().unwrap_or(("__", "__"));
        out.push_str(meant);
        rest = &tail[written.len()..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

const SEQUENCES: &[(&str, &str)] =
    &[("__underscores__", "__"), ("__dot__", "."), ("__dash__", "-"), ("__slash__", "/")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers() {
        for (text, want) in
            [("a_1", true), ("_", true), ("1a", false), ("a-b", false), ("namespace", false), ("", false)]
        {
            assert_eq!(is_identifier(text), want, "{text}");
        }
    }

    #[test]
    fn unescapes() {
        for (written, meant) in [
            ("plain", "plain"),
            ("__namespace__", "namespace"),
            ("a__dot__b__dash__c__slash__d", "a.b-c/d"),
            ("x__underscores__y", "x__y"),
            ("__other__", "__other__"),
            ("__", "__"),
        ] {
            assert_eq!(unescape(written), meant, "{written}");
        }
        for (property, written) in [
            ("plain", Some("plain")),
            ("namespace", Some("__namespace__")),
            ("a.b-c/d", Some("a__dot__b__dash__c__slash__d")),
            ("x__y", Some("x__underscores__y")),
            ("$ref", None),
        ] {
            assert_eq!(escape(property).as_deref(), written, "{property}");
        }
    }
}

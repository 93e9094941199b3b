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
    }
}

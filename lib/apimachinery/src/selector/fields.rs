//! Parsing field selectors.

use super::{FieldSelector, FieldTerm, SelectorError};

pub(super) fn parse(text: &str) -> Result<FieldSelector, SelectorError> {
    let mut parts = terms(text);
    parts.retain(|part| !part.is_empty());
    let read = |part: &&str| term(text, part);
    parts.iter().map(read).collect::<Result<_, _>>().map(|terms| FieldSelector { terms }).map_err(|error| {
        // Upstream reads them in the order of their texts, which shows in what is complained of only.
        parts.sort_unstable();
        parts.iter().find_map(|part| read(part).err()).unwrap_or(error)
    })
}

/// Splits at commas that no backslash escapes.
fn terms(text: &str) -> Vec<&str> {
    let (mut terms, mut start) = (Vec::new(), 0);
    for (at, letter) in unescaped(text) {
        if letter == b',' {
            terms.push(&text[start..at]);
            start = at + 1;
        }
    }
    terms.push(&text[start..]);
    terms
}

/// The bytes that are neither a backslash nor escaped by one, with their positions.
fn unescaped(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let mut escaped = false;
    text.bytes().enumerate().filter(move |(_, byte)| {
        let plain = !escaped && *byte != b'\\';
        escaped = !escaped && *byte == b'\\';
        plain
    })
}

fn term(selector: &str, term: &str) -> Result<FieldTerm, SelectorError> {
    let rest_at = |at: usize, sign: &str| term.get(at..).is_some_and(|rest| rest.starts_with(sign));
    let found = unescaped(term).find_map(|(at, _)| {
        [("!=", true), ("==", false), ("=", false)].into_iter().find(|(sign, _)| rest_at(at, sign)).map(|f| (at, f))
    });
    let Some((at, (sign, negated))) = found else {
        return Err(SelectorError(format!("invalid selector: '{selector}'; can't understand '{term}'")));
    };
    let value = unescape(&term[at + sign.len()..])?;
    Ok(FieldTerm { field: term[..at].to_owned(), value, negated })
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let wrong = |what: String| Err(SelectorError(format!("invalid field selector: {what}")));
    let mut plain = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                Some(other) => return wrong(format!("invalid escape sequence: \\{other}")),
                None => return wrong("invalid escape sequence: \\".into()),
            },
            ',' | '=' => return wrong(format!("unescaped character in value: {}", u32::from(letter))),
            letter => plain.push(letter),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_refuses() {
        let t = |field: &str, value: &str, negated| FieldTerm { field: field.into(), value: value.into(), negated };
        for (text, want) in [
            ("", vec![]),
            ("metadata.name=a", vec![t("metadata.name", "a", false)]),
            ("a==b,c!=d", vec![t("a", "b", false), t("c", "d", true)]),
            ("a=,", vec![t("a", "", false)]),
            ("b=>,b==b,a=c", vec![t("b", ">", false), t("b", "b", false), t("a", "c", false)]),
            (r"a=x\,y\=z\\", vec![t("a", r"x,y=z\", false)]),
        ] {
            assert_eq!(parse(text).map(|s| s.terms), Ok(want), "{text}");
        }
        for (text, want) in [
            ("a", "invalid selector: 'a'; can't understand 'a'"),
            ("b,a=1,a", "invalid selector: 'b,a=1,a'; can't understand 'a'"),
            ("a=b=c", "invalid field selector: unescaped character in value: 61"),
            (r"a=\b", r"invalid field selector: invalid escape sequence: \b"),
            (r"a=\", r"invalid field selector: invalid escape sequence: \"),
            ("é", "invalid selector: 'é'; can't understand 'é'"),
        ] {
            assert_eq!(parse(text).map_err(|e| e.0), Err(want.to_owned()), "{text}");
        }
    }

    #[test]
    fn matches_every_term() {
        let selector = parse("status.phase!=Failed,spec.nodeName=n1").expect("valid");
        let fields = |phase: &'static str, node: &'static str| {
            move |field: &str| Some(if field == "spec.nodeName" { node } else { phase })
        };
        assert!(selector.matches(fields("Running", "n1")));
        assert!(!selector.matches(fields("Failed", "n1")) && !selector.matches(fields("Running", "")));
        assert!(parse("a=").expect("valid").matches(|_| None));
    }
}

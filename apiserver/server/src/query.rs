//! The query of a request, parsed once.

use std::borrow::Cow;

/// Decoded key and value pairs in order.
#[derive(Clone, Debug, Default)]
pub struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Parses the part of a URI after its question mark. Go leaves out pairs that it cannot read.
    pub fn parse(query: &'a str) -> Self {
        let readable = query.split('&').filter(|pair| is_readable(pair));
        Self { pairs: readable.flat_map(|pair| form_urlencoded::parse(pair.as_bytes())).collect() }
    }

    /// The first value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| &**v)
    }

    /// The first value of a key; empty if absent.
    pub fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    /// All values of a key.
    pub fn all<'s>(&'s self, key: &'s str) -> impl Iterator<Item = &'s str> {
        self.pairs.iter().filter(move |(k, _)| k == key).map(|(_, v)| &**v)
    }

    /// A boolean as upstream converts it: present and neither `false` nor `0`.
    pub fn flag(&self, key: &str) -> bool {
        self.bool(key).unwrap_or(false)
    }

    /// A boolean, or `None` if the key is absent.
    pub fn bool(&self, key: &str) -> Option<bool> {
        self.get(key).map(|v| !(v.eq_ignore_ascii_case("false") || v == "0"))
    }

    /// An integer, `None` if absent; the error is upstream's text.
    pub fn int(&self, key: &str) -> Result<Option<i64>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| parse_error("ParseInt", text)),
        }
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

/// Whether a pair is none of two by another separator, and has escapes of two digits only.
fn is_readable(pair: &str) -> bool {
    !pair.contains(';') && has_whole_escapes(pair)
}

/// Whether each `%` has its two digits.
pub(crate) fn has_whole_escapes(text: &str) -> bool {
    let is_escape = |rest: &str| rest.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    text.split('%').skip(1).all(is_escape)
}

/// Go's words for a number that is none.
pub fn parse_error(function: &str, text: &str) -> String {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let why = match !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        true if !text.starts_with('-') || function == "ParseInt" => "value out of range",
        _ => "invalid syntax",
    };
    format!("strconv.{function}: parsing {}: {why}", apimachinery::go::quoted(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_values() {
        let query = Query::parse("a=1&b=x%20y&b=z+z&c&d=false&e=0&limit=abc&huge=99999999999999999999");
        assert_eq!(query.get("a"), Some("1"));
        assert_eq!(query.all("b").collect::<Vec<_>>(), ["x y", "z z"]);
        assert!(query.flag("c") && query.flag("a"));
        assert!(!query.flag("d") && !query.flag("e") && !query.flag("missing"));
        assert_eq!(query.int("a"), Ok(Some(1)));
        assert_eq!(query.int("missing"), Ok(None));
        assert_eq!(query.int("c"), Err("strconv.ParseInt: parsing \"\": invalid syntax".into()));
        assert_eq!(query.int("limit"), Err("strconv.ParseInt: parsing \"abc\": invalid syntax".into()));
        assert_eq!(
            query.int("huge"),
            Err("strconv.ParseInt: parsing \"99999999999999999999\": value out of range".into())
        );
    }

    #[test]
    fn leaves_out_what_go_does_not_read() {
        for (text, want) in [
            ("a=1;b=2&c=3", vec!["c"]),
            ("a=%zz&b=%4&%=1&c=%20", vec!["c"]),
            ("a%3Db=1&%C3%A9=2", vec!["a=b", "é"]),
            ("&&", vec![]),
        ] {
            let query = Query::parse(text);
            assert_eq!(query.pairs.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), want, "{text}");
        }
    }
}

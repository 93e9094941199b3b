//! What a text says it is: its kind and version, which upstream reads before anything else of it.
//!
//! Upstream: `apimachinery/pkg/runtime/serializer/json/meta.go` (`Interpret`), which uses Go's `encoding/json`.

use super::reader::{Reader, Token};
use super::text;
use crate::codec::{DecodeError, TYPE_META};
use crate::{Map, Value};

/// The kind and version that an object gives itself; empty where it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// `kind`.
    pub kind: String,
    /// `apiVersion`.
    pub api_version: String,
}

/// Reads the head of a text. What is no JSON is told first, then what is no object, then what is no text in it.
///
/// Names have no case here, and of several the last one counts, as Go has it.
pub fn head(bytes: &[u8]) -> Result<Head, DecodeError> {
    let text = text(bytes)?;
    let mut reader = Reader::new(&text);
    let token = reader.peek()?;
    if token != Token::Object {
        reader.pass(0)?;
        reader.end()?;
        return if token == Token::Null { Ok(Head::default()) } else { Err(no_object(token)) };
    }
    let mut found = Found::default();
    reader.open(b'{')?;
    while let Some(key) = reader.key()? {
        let token = reader.peek()?;
        let value = match token {
            _ if name(&key).is_none() => {
                reader.pass(1)?;
                continue;
            }
            // Only that it is no text is told of it.
            Token::Object | Token::Array => {
                reader.pass(1)?;
                if token == Token::Array { Value::Array(Vec::new()) } else { Value::Object(Map::new()) }
            }
            _ => reader.any(1)?,
        };
        found.member(&key, token, value);
    }
    reader.end()?;
    found.head()
}

/// The head of a tree, whose members Go would have sorted.
pub fn head_of(tree: &Value) -> Result<Head, DecodeError> {
    let Value::Object(members) = tree else {
        let token = token(tree);
        return if token == Token::Null { Ok(Head::default()) } else { Err(no_object(token)) };
    };
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by_key(|(key, _)| *key);
    let mut found = Found::default();
    for (key, value) in members {
        if name(key).is_some() {
            found.member(key, token(value), value.clone());
        }
    }
    found.head()
}

#[derive(Default)]
struct Found {
    head: Head,
    wrong: Option<DecodeError>,
}

impl Found {
    fn member(&mut self, key: &str, token: Token, value: Value) {
        let Some(name) = name(key) else { return };
        match (name, value) {
            ("kind", Value::String(text)) => self.head.kind = text,
            (_, Value::String(text)) => self.head.api_version = text,
            (_, Value::Null) => {}
            _ => {
                let found = token.describe();
                let message = format!("json: cannot unmarshal {found} into Go struct field .{name} of type string");
                self.wrong.get_or_insert(mismatch(message, found, "string"));
            }
        }
    }

    fn head(self) -> Result<Head, DecodeError> {
        self.wrong.map_or(Ok(self.head), Err)
    }
}

fn name(key: &str) -> Option<&'static str> {
    ["apiVersion", "kind"].into_iter().find(|name| key.eq_ignore_ascii_case(name))
}

fn no_object(token: Token) -> DecodeError {
    let found = token.describe();
    mismatch(format!("json: cannot unmarshal {found} into Go value of type {TYPE_META}"), found, TYPE_META)
}

fn mismatch(message: String, found: &str, wanted: &str) -> DecodeError {
    DecodeError::Mismatch { message, found: found.to_owned(), wanted: wanted.to_owned() }
}

fn token(value: &Value) -> Token {
    match value {
        Value::Null => Token::Null,
        Value::Bool(_) => Token::Bool,
        Value::Number(_) => Token::Number,
        Value::String(_) => Token::String,
        Value::Array(_) => Token::Array,
        Value::Object(_) => Token::Object,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, String), String> {
        head(text.as_bytes()).map(|head| (head.kind, head.api_version)).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_as_go_does() {
        for (text, kind, version) in [
            (r#"{"kind":"Pod","apiVersion":"v1"}"#, "Pod", "v1"),
            (r#"{"Kind":"Pod","APIVERSION":"v1","spec":{"kind":5}}"#, "Pod", "v1"),
            (r#"{"kind":"Pod","kind":null}"#, "Pod", ""),
            (r#"{"kind":"A","Kind":"B"}"#, "B", ""),
            ("null", "", ""),
            (" {} ", "", ""),
        ] {
            assert_eq!(read(text), Ok((kind.to_owned(), version.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_told_first() {
        for (text, want) in [
            (r#"{"kind":5,"x":tru}"#, "invalid character '}' in literal true (expecting 'e')".to_owned()),
            (r#"{"kind":5}x"#, "invalid character 'x' after top-level value".to_owned()),
            (
                r#"{"kind":{},"apiVersion":[]}"#,
                "json: cannot unmarshal object into Go struct field .kind of type string".to_owned(),
            ),
            (r#"{"Kind":1.5}"#, "json: cannot unmarshal number into Go struct field .kind of type string".to_owned()),
            ("[1]", format!("json: cannot unmarshal array into Go value of type {TYPE_META}")),
            ("[1", "unexpected end of JSON input".to_owned()),
        ] {
            assert_eq!(read(text), Err(want), "{text}");
        }
    }

    #[test]
    fn trees_have_heads_too() {
        let tree = serde_json::json!({"kind": 1, "apiVersion": true, "Kind": "x"});
        let want = "json: cannot unmarshal bool into Go struct field .apiVersion of type string";
        assert_eq!(head_of(&tree).map_err(|error| error.to_string()), Err(want.to_owned()));
        assert_eq!(head_of(&Value::Null).ok(), Some(Head::default()));
        assert!(head_of(&serde_json::json!([])).is_err());
    }
}

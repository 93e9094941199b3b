//! Continue tokens, in upstream's form, so that they outlive a change of the server.
//!
//! Upstream: `apiserver/pkg/storage/continue.go`.

use crate::StorageError;
use apimachinery::codec::json;
use apimachinery::{Map, Value};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use base64::{Engine, alphabet};
use serde::Serialize;

const VERSION: &str = "meta.k8s.io/v1";

#[derive(Serialize)]
struct Wire {
    #[serde(rename = "v")]
    version: String,
    #[serde(rename = "rv")]
    revision: i64,
    start: String,
}

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Continue {
    /// First key of the next page.
    pub(crate) start: String,
    /// The list's revision; `None` goes on at the most recent one.
    pub(crate) revision: Option<u64>,
}

impl Continue {
    /// A token for the page after `last`; `prefix` is that of the listed keys.
    pub(crate) fn after(prefix: &str, last: &str, revision: u64) -> String {
        let start = format!("{}\0", last.strip_prefix(prefix).unwrap_or(last));
        encode(start, i64::try_from(revision).unwrap_or(-1))
    }

    /// Reads a client's token.
    pub(crate) fn decode(token: &str, prefix: &str) -> Result<Self, StorageError> {
        let bad = |why: &str| StorageError::BadContinue(why.to_owned());
        let json = LENIENT.decode(token).map_err(|_| bad(&illegal(token)))?;
        let wire = Wire::read(&json).map_err(|why| bad(&why))?;
        if wire.version != VERSION {
            return Err(bad(&format!("server does not recognize this encoded version {}", wire.version)));
        }
        if wire.revision == 0 {
            return Err(bad("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
        }
        if wire.start.is_empty() {
            return Err(bad("encoded start key empty (version meta.k8s.io/v1)"));
        }
        let start = wire.start.strip_prefix('/').unwrap_or(&wire.start);
        // A client must not reach keys outside of what it lists.
        if start.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(bad(&wire.start));
        }
        Ok(Self { start: format!("{prefix}{start}"), revision: u64::try_from(wire.revision).ok() })
    }

    /// The token that goes on at the same key at the most recent revision.
    pub(crate) fn inconsistent(&self, prefix: &str) -> String {
        encode(self.start.strip_prefix(prefix).unwrap_or(&self.start).to_owned(), -1)
    }
}

/// Go does not look at the bits of the last letter that stand for nothing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Go's words for what is no base64: the first letter that is none of it, or where the last four begin if they are cut.
/// Whether a continue token is one that can be read.
///
/// # Errors
/// [`StorageError::BadContinue`].
pub fn check_continue(token: &str) -> Result<(), StorageError> {
    Continue::decode(token, "").map(drop)
}

fn illegal(token: &str) -> String {
    let foreign = token.bytes().position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_'));
    format!("illegal base64 data at input byte {}", foreign.unwrap_or(token.len() - token.len() % 4))
}

impl Wire {
    /// Reads JSON, with Go's words for what is wrong with it.
    fn read(text: &[u8]) -> Result<Self, String> {
        let tree = json::to_value(text).map_err(|error| error.to_string())?;
        let cannot = |value: &Value, what: &str| format!("json: cannot unmarshal {} into Go {what}", json::word(value));
        let members = match &tree {
            Value::Object(members) => members,
            Value::Null => &Map::new(),
            other => return Err(cannot(other, "value of type storage.continueToken")),
        };
        let mut wire = Self { version: String::new(), revision: 0, start: String::new() };
        for (key, value) in members {
            match (key.as_str(), value) {
                (_, Value::Null) => {}
                ("v", Value::String(text)) => wire.version.clone_from(text),
                ("start", Value::String(text)) => wire.start.clone_from(text),
                ("rv", Value::Number(number)) if number.is_i64() => wire.revision = number.as_i64().unwrap_or_default(),
                ("rv", Value::Number(number)) => {
                    let place = "struct field continueToken.rv of type int64";
                    return Err(format!("json: cannot unmarshal number {number} into Go {place}"));
                }
                ("v" | "start", other) => {
                    return Err(cannot(other, &format!("struct field continueToken.{key} of type string")));
                }
                ("rv", other) => return Err(cannot(other, "struct field continueToken.rv of type int64")),
                _ => {}
            }
        }
        Ok(wire)
    }
}

fn encode(start: String, revision: i64) -> String {
    let wire = Wire { version: VERSION.to_owned(), revision, start };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).expect("a struct of strings and numbers is JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn has_upstreams_form() {
        let token = Continue::after("pods/ns/", "pods/ns/a", 12);
        let json = URL_SAFE_NO_PAD.decode(&token).expect("base64");
        assert_eq!(json, br#"{"v":"meta.k8s.io/v1","rv":12,"start":"a\u0000"}"#);
        let read = Continue::decode(&token, "pods/ns/").expect("reads its own");
        assert_eq!(read, Continue { start: "pods/ns/a\0".into(), revision: Some(12) });
        let later = Continue::decode(&read.inconsistent("pods/ns/"), "pods/ns/").expect("reads its own");
        assert_eq!(later, Continue { start: "pods/ns/a\0".into(), revision: None });
    }

    #[test]
    fn refuses_what_is_no_token() {
        for (token, why) in [
            ("???".to_owned(), "illegal base64 data at input byte 0"),
            ("abcdx".to_owned(), "illegal base64 data at input byte 4"),
            ("a not in".to_owned(), "illegal base64 data at input byte 1"),
            ("e30=".to_owned(), "illegal base64 data at input byte 3"),
            (encoded("{"), "unexpected end of JSON input"),
            // Go takes this for base64, as it does not look at the last bits.
            ("strict".to_owned(), "invalid character '\u{b2}' looking for beginning of value"),
            (encoded("[]"), "json: cannot unmarshal array into Go value of type storage.continueToken"),
            (
                encoded(r#"{"v":1}"#),
                "json: cannot unmarshal number into Go struct field continueToken.v of type string",
            ),
            (
                encoded(r#"{"rv":1.5}"#),
                "json: cannot unmarshal number 1.5 into Go struct field continueToken.rv of type int64",
            ),
            (encoded("null"), "server does not recognize this encoded version "),
            (encoded(r#"{"v":"v2","rv":1,"start":"a"}"#), "server does not recognize this encoded version v2"),
            (
                encoded(r#"{"v":"meta.k8s.io/v1","start":"a"}"#),
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ),
            (encoded(r#"{"v":"meta.k8s.io/v1","rv":1}"#), "encoded start key empty (version meta.k8s.io/v1)"),
            (encoded(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"../secrets"}"#), "../secrets"),
            (encoded(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"a//b"}"#), "a//b"),
        ] {
            let error = Continue::decode(&token, "pods/").expect_err(why);
            assert_eq!(error.to_string(), format!("continue key is not valid: {why}"));
        }
    }
}

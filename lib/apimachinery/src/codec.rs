//! JSON, YAML and protobuf along the schema table.

pub mod base64;
pub mod fields;
pub mod json;
pub mod protobuf;
pub mod yaml;

use crate::Value;

/// What upstream says before why a text does not tell its kind.
pub const NO_KIND: &str = "couldn't get version/kind; json parse error: ";

/// The type that upstream reads kind and version into, as its errors name it.
pub const TYPE_META: &str =
    r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

/// What `fieldValidation` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// Unknown and duplicate fields fail the request.
    Strict,
    /// They are returned as warnings; upstream's default for requests without the parameter.
    #[default]
    Warn,
    /// They are dropped silently.
    Ignore,
}

/// A decoded body: the tree pruned to known fields, and what was unknown or given twice.
#[derive(Debug)]
pub struct Decoded {
    /// The object, unknown fields dropped, quantities canonical, times checked.
    pub value: Value,
    /// Findings in upstream's words: `unknown field "spec.x"`, `duplicate field "spec.y"`.
    pub findings: Vec<String>,
}

/// Why a body could not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not well-formed; the text is the parser's, with its position.
    #[error("{0}")]
    Syntax(String),
    /// A value of the wrong type; upstream's words, such as
    /// `json: cannot unmarshal string into Go struct field PodSpec.spec.hostPID of type bool`.
    #[error("{0}")]
    Type(String),
    /// The same of a value whose JSON type is another one.
    #[error("{message}")]
    Mismatch {
        /// Upstream's words.
        message: String,
        /// What there is, as JSON calls it: `string`, `number`, `number 1.5`, `bool`, `array`, `object`.
        found: String,
        /// What there should be, as Go calls it: `int32`, `map[string]string`, `v1.PodSpec`.
        wanted: String,
    },
    /// Nested deeper or larger than this server takes.
    #[error("{0}")]
    Limit(&'static str),
    /// No `kind` or `apiVersion` in the body and none expected.
    #[error("Object 'Kind' is missing in '{0}'")]
    MissingKind(String),
}

impl DecodeError {
    /// Why a text does not say what it is: it is no object, or names its kind by something else than a text. Upstream
    /// looks at that before anything else.
    pub fn nameless(&self) -> Option<String> {
        let message = match self {
            Self::Mismatch { message, .. } | Self::Type(message) => message,
            _ => return None,
        };
        if let Some((found, _)) = message.strip_prefix("json: cannot unmarshal ")?.split_once(" into Go value of type ")
        {
            // Upstream does not say which number it is.
            let found = found.split(' ').next().unwrap_or_default();
            return Some(format!("json: cannot unmarshal {found} into Go value of type {TYPE_META}"));
        }
        let is_head =
            ["apiVersion", "kind"].iter().any(|key| message.contains(&format!(" Go struct field .{key} of type ")));
        is_head.then(|| message.clone())
    }
}

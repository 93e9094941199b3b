//! A patch as it came, parsed once and applied to each state of the object it meets.

use super::reading;
use crate::{Body, Context, PatchType};
use apimachinery::codec::{DecodeError, Decoded, FieldValidation, json};
use apimachinery::go::{Plain, quoted};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::TypeRef;
use apimachinery::status::Status;
use apimachinery::{Map, Value};
use rules::patch::{go_kind, strategic};

/// A parsed patch.
#[derive(Debug)]
pub(super) enum Document {
    /// RFC 6902, as text.
    Json(String),
    /// RFC 7386, as text.
    Merge(String),
    /// A merge along the schema.
    Strategic(Value),
}

/// What a patch makes of an object.
pub(super) struct Patched {
    /// The object along its type, and what strict decoding finds in it.
    pub(super) decoded: Result<Decoded, String>,
    pub(super) shown: Shown,
}

/// What messages quote.
#[derive(Debug)]
pub(super) enum Shown {
    /// The text of the object.
    Object(String),
    /// A strategic patch, which Go prints as its maps.
    Patch(Value),
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Object(text) => f.write_str(&quoted(text)),
            Self::Patch(patch) => f.write_str(&quoted(&Plain(patch).to_string())),
        }
    }
}

impl Document {
    /// The patch, and what strict decoding finds in it: members that are given twice, of which the last one counts, and
    /// those of no operation.
    pub(super) fn parse(cx: &Context, kind: PatchType, body: &Body) -> Result<(Self, Vec<String>), Status> {
        let is_validated = cx.field_validation != FieldValidation::Ignore;
        let prefix = match kind {
            PatchType::Json | PatchType::Merge if is_validated => "error decoding patch: ",
            _ => "",
        };
        let read = match json::to_value_with_findings(&body.bytes) {
            // The libraries that apply these patches do not mind numbers that are too large.
            Err(DecodeError::Type(_)) if !is_validated && kind != PatchType::Strategic => {
                Ok(Decoded { value: Value::Null, findings: Vec::new() })
            }
            read => read,
        };
        let Decoded { value, findings } = read.map_err(|error| match kind {
            PatchType::Merge if !is_validated => Status::bad_request("Invalid JSON Patch"),
            PatchType::Json => Status::bad_request(format!("{prefix}{}", of_operation(&error))),
            _ => Status::bad_request(format!("{prefix}{error}")),
        })?;
        let text = || String::from_utf8_lossy(&body.bytes).into_owned();
        match kind {
            PatchType::Json => {
                if is_validated {
                    rules::patch::json::check(&value)?;
                }
                let findings = findings.into_iter().chain(rules::patch::json::unknown_members(&value));
                let findings = findings.map(|finding| format!("json patch {finding}")).collect();
                Ok((Document::Json(text()), findings))
            }
            PatchType::Merge => {
                if is_validated && !value.is_null() {
                    as_object(&value, prefix)?;
                }
                Ok((Document::Merge(text()), findings))
            }
            _ if value.is_null() => Ok((Document::Strategic(Value::Object(Map::new())), findings)),
            _ => {
                as_object(&value, prefix)?;
                Ok((Document::Strategic(value), findings))
            }
        }
    }

    /// What the patch makes of an object.
    pub(super) fn apply(&self, ty: &TypeRef, old: &Value) -> Result<Patched, Status> {
        let text = match self {
            Document::Json(patch) => rules::patch::json::apply_to_text(&json::declared(ty, old), patch)?,
            Document::Merge(patch) => rules::patch::merge::apply_to_text(&json::declared(ty, old), patch)?,
            Document::Strategic(patch) => {
                let mut patch = patch.clone();
                let tree = strategic::apply_using(ty, old.clone(), &mut patch)?;
                let decoded = json::from_tree(ty, tree, old).map_err(|error| error.to_string());
                return Ok(Patched { decoded, shown: Shown::Patch(patch) });
            }
        };
        let text_of = |key: &str| old.get(key).and_then(Value::as_str).unwrap_or_default();
        let own = GroupVersionKind::parse(text_of("apiVersion"), text_of("kind"));
        let own = own.ok_or_else(|| Status::internal("an object without a kind"))?;
        Ok(Patched { decoded: reading::object(ty, &own, &text), shown: Shown::Object(text) })
    }
}

/// Only values of operations can be numbers that are too large.
fn of_operation(error: &DecodeError) -> String {
    error.to_string().replace(" Go value of type float64", " Go struct field jsonPatchOp.value of type float64")
}

fn as_object(value: &Value, prefix: &str) -> Result<(), Status> {
    if value.is_object() {
        return Ok(());
    }
    let found = go_kind(value);
    Err(Status::bad_request(format!(
        "{prefix}json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;
    use bytes::Bytes;

    fn parsed(
        validation: FieldValidation,
        kind: PatchType,
        text: &'static str,
    ) -> Result<(Document, Vec<String>), Status> {
        let mut cx = crate::context::testing::context("", "pods");
        cx.field_validation = validation;
        let body = Body { bytes: Bytes::from_static(text.as_bytes()), format: Format::Json };
        Document::parse(&cx, kind, &body)
    }

    #[test]
    fn what_came_out_wrong_is_said_in_upstreams_words() {
        let pods = apimachinery::resources::find("", "v1", "pods").expect("served");
        let old = serde_json::json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"uid": "u", "name": "n"}});
        for (kind, text, quoted, why) in [
            (
                PatchType::Strategic,
                r#"{"metadata":{"labels":"invalid","annotations":null},"x":{"a":null,"$patch":"y"}}"#,
                "map[metadata:map[annotations:<nil> labels:invalid] x:map[$patch:y]]",
                "cannot restore map from string",
            ),
            (PatchType::Strategic, r#"{"spec":[1,null]}"#, "map[spec:[1 <nil>]]", "cannot restore struct from: slice"),
            (
                PatchType::Merge,
                r#"{"metadata":{"labels":"\u003c"}}"#,
                r#"{"apiVersion":"v1","kind":"Pod","metadata":{"labels":"\u003c","name":"n","uid":"u"}}"#,
                "json: cannot unmarshal string into Go struct field ObjectMeta.metadata.labels of type map[string]string",
            ),
            (
                PatchType::Json,
                r#"[{"op":"add","path":"/spec","value":{"priority":1e3,"hostPID":5}}]"#,
                r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"n","uid":"u"},"spec":{"priority":1e3,"hostPID":5}}"#,
                "json: cannot unmarshal number 1e3 into Go struct field PodSpec.spec.priority of type int32",
            ),
        ] {
            let (document, _) = parsed(FieldValidation::Warn, kind, text).expect(text);
            let patched = document.apply(&pods.schema, &old).expect(text);
            assert_eq!(patched.decoded.map(|decoded| decoded.value), Err(why.to_owned()));
            assert_eq!(patched.shown.to_string(), format!("{quoted:?}"));
        }
    }

    #[test]
    fn what_is_given_twice_is_found() {
        let found = |kind, text: &'static str| parsed(FieldValidation::Warn, kind, text).expect("a patch").1;
        let twice = r#"{"spec":{"replicas":1,"replicas":2},"data":{"a":1}}"#;
        assert_eq!(found(PatchType::Merge, twice), [r#"duplicate field "spec.replicas""#]);
        let twice = r#"[{"op":"test","op":"add","extra":1}]"#;
        assert_eq!(
            found(PatchType::Json, twice),
            [r#"json patch duplicate field "[0].op""#, r#"json patch unknown field "[0].extra""#]
        );
    }

    #[test]
    fn the_form_must_fit_the_type() {
        use FieldValidation::{Ignore, Warn};
        let object = "cannot unmarshal array into Go value of type map[string]interface {}";
        for (validation, kind, text, want) in [
            (Warn, PatchType::Json, "[]", None),
            (Warn, PatchType::Merge, "{}", None),
            (Warn, PatchType::Strategic, "null", None),
            (Warn, PatchType::Strategic, "[]", Some(format!("json: {object}"))),
            (Warn, PatchType::Merge, "[]", Some(format!("error decoding patch: json: {object}"))),
            (Ignore, PatchType::Merge, "[]", None),
            (Warn, PatchType::Merge, "{", Some("error decoding patch: unexpected end of JSON input".into())),
            (Ignore, PatchType::Merge, "{", Some("Invalid JSON Patch".into())),
            (Ignore, PatchType::Json, "{", Some("unexpected end of JSON input".into())),
            (Ignore, PatchType::Json, "{}", None),
            (Ignore, PatchType::Json, r#"[{"value":1e400}]"#, None),
            (Ignore, PatchType::Merge, r#"{"a":1e400}"#, None),
            (
                Warn,
                PatchType::Json,
                r#"[{"value":1e400}]"#,
                Some(
                    "error decoding patch: json: cannot unmarshal number 1e400 into Go struct field jsonPatchOp.value of \
                     type float64"
                        .into(),
                ),
            ),
        ] {
            let refused = parsed(validation, kind, text).err();
            assert_eq!(refused.map(|status| (status.code, status.message)), want.map(|want| (400, want)), "{text}");
        }
    }
}

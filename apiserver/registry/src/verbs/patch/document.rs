//! A patch as it came, parsed once and applied to each state of the object it meets.

use super::reading;
use crate::{Body, Context, PatchType};
use apimachinery::codec::{DecodeError, Decoded, FieldValidation, json};
use apimachinery::go::{Plain, quoted};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::{Origin, TypeRef};
use apimachinery::status::Status;
use apimachinery::{Map, Value};
use rules::patch::{go_kind, strategic};

/// A parsed patch.
#[derive(Debug)]
pub(super) enum Document {
    /// RFC 6902, as text.
    Json(String),
    /// RFC 7386, as text; and as a tree, if nothing but what it sets matters of the text.
    Merge(String, Option<Value>),
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
                let is_plain = findings.is_empty() && is_plain(&value);
                Ok((Document::Merge(text(), is_plain.then_some(value)), findings))
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
            Document::Merge(text, patch) => match patch.as_ref().and_then(|patch| merged(ty, old, patch)) {
                Some(patched) => return Ok(patched),
                None => rules::patch::merge::apply_to_text(&json::declared(ty, old), text)?,
            },
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

/// Whether a merge patch, all else being right, does what trees show: it leaves the kind and the managed fields alone,
/// and has no `null` in a list, which upstream's library treats in ways of its own.
fn is_plain(patch: &Value) -> bool {
    let is_left_alone = |name: &str| patch.get(name).is_none();
    patch.is_object()
        && is_left_alone("kind")
        && is_left_alone("apiVersion")
        && patch.get("metadata").is_none_or(|metadata| metadata.is_object() && metadata.get("managedFields").is_none())
        && !has_null(patch, false)
}

/// Whether there is a `null` in a list.
fn has_null(value: &Value, in_list: bool) -> bool {
    match value {
        Value::Null => in_list,
        Value::Array(list) => list.iter().any(|item| has_null(item, true)),
        Value::Object(map) => map.values().any(|member| has_null(member, in_list)),
        _ => false,
    }
}

/// What a plain merge patch makes of an object, if that is right in all: what is wrong is said along the text.
fn merged(ty: &TypeRef, old: &Value, patch: &Value) -> Option<Patched> {
    if ty.schema.origin == Origin::Definition {
        return None;
    }
    let tree = rules::patch::merge::apply(old.clone(), patch).ok()?;
    let value = json::changed(ty, tree, old)?;
    Some(Patched { decoded: Ok(Decoded { value, findings: Vec::new() }), shown: Shown::Object(String::new()) })
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
    use apimachinery::codec::protobuf::{self, transcode};
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

    /// Objects of many kinds as they are stored, with their types.
    fn stored() -> Vec<(TypeRef, Value)> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/answers/objects.jsonl");
        let text = std::fs::read_to_string(path).expect("the objects of the tests of answers");
        let stored = text.lines().filter_map(|line| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let head = |key: &str| line["object"][key].as_str().unwrap_or_default();
            let kind = GroupVersionKind::parse(head("apiVersion"), head("kind"))?;
            let resource = apimachinery::resources::builtin().iter().find(|resource| resource.gvk() == kind)?;
            let text = line["object"].to_string();
            let mut object = json::decode(&resource.schema, text.as_bytes()).expect("right").value;
            rules::defaults::apply(resource, &mut object);
            let (message, mut text) = (protobuf::encode(&resource.schema, &object), Vec::new());
            let written = transcode::object(&resource.schema, &kind.kind, &kind.api_version(), &message, &mut text);
            text.insert(written.expect("a message").revision, b'7');
            Some((resource.schema.clone(), serde_json::from_slice(&text).expect("JSON")))
        });
        stored.collect()
    }

    #[test]
    fn what_a_patch_does_not_change_need_not_be_looked_at() {
        let stored = stored();
        let (mut plain, mut other) = (0, 0);
        for (ty, old) in &stored {
            for text in [
                r#"{"metadata":{"labels":{"a":"b"},"annotations":null}}"#,
                r#"{"metadata":{"creationTimestamp":null,"finalizers":["a/b"],"labels":{}}}"#,
                r#"{"spec":{"replicas":3,"template":{"spec":{"containers":[{"name":"x","resources":{"limits":{"cpu":"0.5"}}}]}}}}"#,
                r#"{"spec":{"replicas":null,"containers":[{"name":"y","env":[]}],"selector":{"a":"b"}},"data":{"k":"v"}}"#,
                r#"{"status":{"replicas":0,"conditions":[{"type":"A","status":"True"}],"phase":"x","observedGeneration":7}}"#,
                r#"{"spec":5}"#,
                r#"{"metadata":{"name":""},"rules":[],"parameters":{},"other":1}"#,
                "{}",
            ] {
                let patch: Value = serde_json::from_str(text).expect("JSON");
                let by_text = Document::Merge(text.to_owned(), None).apply(ty, old).expect("read");
                match merged(ty, old, &patch) {
                    Some(by_tree) => {
                        plain += 1;
                        let found = by_text.decoded.as_ref().map(|decoded| decoded.findings.len());
                        assert_eq!(found, Ok(0), "{text} {old}");
                        assert_eq!(by_tree.decoded.map(|d| d.value), by_text.decoded.map(|d| d.value), "{text} {old}");
                    }
                    None => {
                        other += 1;
                        assert!(by_text.decoded.is_err() || by_text.decoded.is_ok_and(|d| !d.findings.is_empty()));
                    }
                }
                let Ok(tree) = strategic::apply_using(ty, old.clone(), &mut patch.clone()) else { continue };
                let read = |old: &Value| format!("{:?}", json::from_tree(ty, tree.clone(), old));
                assert_eq!(read(old), read(&Value::Null), "{text} {old}");
            }
        }
        assert!(stored.len() > 60 && plain > 200 && other > 100, "{} {plain} {other}", stored.len());
    }

    #[test]
    fn only_plain_patches_are_merged_as_trees() {
        for (text, want) in [
            (r#"{"spec":{"replicas":null},"metadata":{"labels":{"a":null}}}"#, true),
            ("{}", true),
            (r#"{"kind":"Pod"}"#, false),
            (r#"{"apiVersion":"v1"}"#, false),
            (r#"{"metadata":5}"#, false),
            (r#"{"metadata":{"managedFields":[]}}"#, false),
            (r#"{"spec":{"containers":[null]}}"#, false),
            (r#"{"spec":{"containers":[{"image":null}]}}"#, false),
            (r#"{"spec":1,"spec":2}"#, false),
        ] {
            let (document, _) = parsed(FieldValidation::Warn, PatchType::Merge, text).expect("a patch");
            assert!(matches!(document, Document::Merge(_, tree) if tree.is_some() == want), "{text}");
        }
    }
}

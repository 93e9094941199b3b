//! A patch as it came, parsed once and applied to each state of the object it meets.

use crate::{Body, Context, Format, PatchType, decode};
use apimachinery::codec::{DecodeError, Decoded, json, yaml};
use apimachinery::schema::TypeRef;
use apimachinery::status::{Reason, Status};
use apimachinery::{Map, Value};
use rules::patch::{GoMap, go_kind};

/// A parsed patch.
#[derive(Debug)]
pub(super) enum Document {
    /// RFC 6902.
    Json(Value),
    /// RFC 7386.
    Merge(Value),
    /// A merge along the schema.
    Strategic(Value),
}

impl Document {
    /// The patch, and what strict decoding finds in it: members that are given twice, of which the last one counts.
    pub(super) fn parse(cx: &Context, kind: PatchType, body: &Body) -> Result<(Self, Vec<String>), Status> {
        let decoded = match body.format {
            Format::Yaml => yaml::to_value(&body.bytes).map(|value| Decoded { value, findings: Vec::new() }),
            _ => json::to_value_with_findings(&body.bytes),
        };
        let Decoded { value, mut findings } =
            decoded.map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
        if kind == PatchType::Json {
            findings.iter_mut().for_each(|finding| finding.insert_str(0, "json patch "));
        }
        Ok((Self::of(cx, kind, value)?, findings))
    }

    fn of(cx: &Context, kind: PatchType, value: Value) -> Result<Self, Status> {
        match (kind, &value) {
            // What is no list of operations is found where it is applied, and so it is in upstream.
            (PatchType::Json, _) => Ok(Document::Json(value)),
            (PatchType::Merge, Value::Object(_)) => Ok(Document::Merge(value)),
            (PatchType::Strategic, Value::Object(_)) if is_custom(cx) => Err(unsupported(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )),
            (PatchType::Strategic, Value::Object(_)) => Ok(Document::Strategic(value)),
            // Go reads nothing as nothing to change.
            (PatchType::Merge, Value::Null) => Ok(Document::Merge(Value::Object(Map::new()))),
            (_, Value::Null) => Ok(Document::Strategic(Value::Object(Map::new()))),
            (_, other) => {
                // Strategic patches are read elsewhere.
                let prefix = if kind == PatchType::Merge { "error decoding patch: " } else { "" };
                let found = go_kind(other);
                let why =
                    format!("{prefix}json: cannot unmarshal {found} into Go value of type map[string]interface {{}}");
                Err(Status::bad_request(why))
            }
        }
    }

    /// The object with the patch applied.
    pub(super) fn apply(&self, ty: &TypeRef, old: &Value) -> Result<Value, Status> {
        let old = old.clone();
        let new = match self {
            Document::Json(patch) => rules::patch::json::apply(old, patch),
            Document::Merge(patch) => rules::patch::merge::apply(old, patch),
            Document::Strategic(patch) => rules::patch::strategic::apply(ty, old, patch),
        };
        new.map_err(Status::from)
    }

    /// The patched object with its own kind, which no patch can change: upstream refuses those that it reads as JSON,
    /// and takes no notice of what a strategic patch says.
    pub(super) fn keep_kind(&self, mut new: Value, old: &Value) -> Result<Value, String> {
        let text = |object: &Value, key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, version) = (text(&new, "kind"), text(&new, "apiVersion"));
        let (own_kind, own_version) = (text(old, "kind"), text(old, "apiVersion"));
        if kind == own_kind && version == own_version {
            return Ok(new);
        }
        let is_given = !kind.is_empty() && !version.is_empty();
        if is_given && !matches!(self, Document::Strategic(_)) {
            return Err(decode::unregistered(&kind, &version));
        }
        if let Some(members) = new.as_object_mut() {
            members.insert("kind".into(), own_kind.into());
            members.insert("apiVersion".into(), own_version.into());
        }
        Ok(new)
    }

    /// What messages quote: the object that came out, or of a strategic patch the patch as Go prints
    /// maps.
    pub(super) fn text(&self, new: &Value) -> String {
        match self {
            Document::Json(_) | Document::Merge(_) => format!("{:?}", new.to_string()),
            Document::Strategic(patch) => format!("{:?}", GoMap(patch).to_string()),
        }
    }

    /// Why what came out is no object of the resource. Upstream reads it from JSON, or after a
    /// strategic patch restores it from a tree.
    pub(super) fn mistyped(&self, error: &DecodeError) -> String {
        match (self, error) {
            (Document::Strategic(_), DecodeError::Mismatch { found, wanted, .. }) => restore_error(found, wanted),
            _ => error.to_string(),
        }
    }
}

/// Upstream's words for a value in a tree that is not of its Go type.
///
/// Upstream: `apimachinery/pkg/runtime/converter.go`.
fn restore_error(found: &str, wanted: &str) -> String {
    let (kind, is_number) = match found {
        "string" => ("string", false),
        "bool" => ("bool", false),
        "object" => ("map", false),
        "array" => ("slice", false),
        number if number.contains(['.', 'e', 'E']) => ("float64", true),
        _ => ("int64", true),
    };
    match wanted {
        map if map.starts_with("map[") => format!("cannot restore map from {kind}"),
        list if list.starts_with("[]") => format!("cannot restore slice from {kind}"),
        message if message.contains('.') => format!("cannot restore struct from: {kind}"),
        // Go converts numbers among each other, and to a letter.
        scalar if is_number && scalar != "bool" => format!("cannot convert {kind} to {scalar}"),
        scalar => format!("unrecognized type: {scalar}"),
    }
}

fn is_custom(cx: &Context) -> bool {
    apimachinery::resources::find(&cx.resource.group, &cx.resource.version, &cx.resource.plural).is_none()
}

fn unsupported(why: &str) -> Status {
    Status::plain(415, Reason::UnsupportedMediaType, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn parse(kind: PatchType, text: &'static str) -> Result<Document, u16> {
        let cx = crate::context::testing::context("", "pods");
        let body = Body { bytes: Bytes::from_static(text.as_bytes()), format: Format::Json };
        Document::parse(&cx, kind, &body).map(|(document, _)| document).map_err(|status| status.code)
    }

    #[test]
    fn what_came_out_wrong_is_said_in_upstreams_words() {
        let pods = apimachinery::resources::find("", "v1", "pods").expect("served");
        for (kind, text, quoted, why) in [
            (
                PatchType::Strategic,
                r#"{"metadata":{"labels":"invalid"}}"#,
                "map[metadata:map[labels:invalid]]",
                "cannot restore map from string",
            ),
            (PatchType::Strategic, r#"{"spec":[1,null]}"#, "map[spec:[1 <nil>]]", "cannot restore struct from: slice"),
            (
                PatchType::Strategic,
                r#"{"spec":{"priority":1.5}}"#,
                "map[spec:map[priority:1.5]]",
                "cannot convert float64 to int32",
            ),
            (
                PatchType::Strategic,
                r#"{"spec":{"hostPID":"x"}}"#,
                "map[spec:map[hostPID:x]]",
                "unrecognized type: bool",
            ),
            (
                PatchType::Merge,
                r#"{"metadata":{"labels":"x"}}"#,
                r#"{"metadata":{"labels":"x"}}"#,
                "json: cannot unmarshal string into Go struct field ObjectMeta.metadata.labels of type map[string]string",
            ),
        ] {
            let document = parse(kind, text).expect(text);
            let new = document.apply(&pods.schema, &serde_json::json!({})).expect(text);
            let error = json::conform(&pods.schema, &new).expect_err(text);
            assert_eq!(document.mistyped(&error), why);
            assert_eq!(document.text(&new), format!("{quoted:?}"));
        }
    }

    #[test]
    fn what_is_given_twice_is_found() {
        let cx = crate::context::testing::context("", "pods");
        let found = |kind, text: &'static str| {
            let body = Body { bytes: Bytes::from_static(text.as_bytes()), format: Format::Json };
            Document::parse(&cx, kind, &body).expect("a patch").1
        };
        let twice = r#"{"spec":{"replicas":1,"replicas":2},"data":{"a":1}}"#;
        assert_eq!(found(PatchType::Merge, twice), [r#"duplicate field "spec.replicas""#]);
        let twice = r#"[{"op":"test","op":"add"}]"#;
        assert_eq!(found(PatchType::Json, twice), [r#"json patch duplicate field "[0].op""#]);
    }

    #[test]
    fn the_form_must_fit_the_type() {
        assert!(matches!(parse(PatchType::Json, "[]"), Ok(Document::Json(_))));
        assert!(matches!(parse(PatchType::Merge, "{}"), Ok(Document::Merge(_))));
        assert!(matches!(parse(PatchType::Strategic, "{}"), Ok(Document::Strategic(_))));
        for (kind, text, want) in
            [(PatchType::Strategic, "1", 400), (PatchType::Merge, "[]", 400), (PatchType::Merge, "{", 400)]
        {
            assert_eq!(parse(kind, text).err(), Some(want), "{text}");
        }
    }
}

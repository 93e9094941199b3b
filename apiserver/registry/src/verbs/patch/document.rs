//! A patch as it came, parsed once and applied to each state of the object it meets.

use crate::{Body, Context, Format, PatchType};
use apimachinery::Value;
use apimachinery::codec::{json, yaml};
use apimachinery::schema::TypeRef;
use apimachinery::status::{Reason, Status};

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
    pub(super) fn parse(cx: &Context, kind: PatchType, body: &Body) -> Result<Self, Status> {
        let value = match body.format {
            Format::Yaml => yaml::to_value(&body.bytes),
            _ => json::to_value(&body.bytes),
        };
        let value = value.map_err(|error| Status::bad_request(error.to_string()))?;
        match (kind, &value) {
            (PatchType::Json, Value::Array(_)) => Ok(Document::Json(value)),
            (PatchType::Merge, Value::Object(_)) => Ok(Document::Merge(value)),
            (PatchType::Strategic, Value::Object(_)) if is_custom(cx) => Err(unsupported(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )),
            (PatchType::Strategic, Value::Object(_)) => Ok(Document::Strategic(value)),
            _ => Err(Status::bad_request("the patch is not of the form that its content type says")),
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

    /// The patch as it stands in messages.
    pub(super) fn text(&self) -> String {
        let (Document::Json(patch) | Document::Merge(patch) | Document::Strategic(patch)) = self;
        format!("{:?}", patch.to_string())
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
        Document::parse(&cx, kind, &body).map_err(|status| status.code)
    }

    #[test]
    fn the_form_must_fit_the_type() {
        assert!(matches!(parse(PatchType::Json, "[]"), Ok(Document::Json(_))));
        assert!(matches!(parse(PatchType::Merge, "{}"), Ok(Document::Merge(_))));
        assert!(matches!(parse(PatchType::Strategic, "{}"), Ok(Document::Strategic(_))));
        for (kind, text, want) in
            [(PatchType::Json, "{}", 400), (PatchType::Merge, "[]", 400), (PatchType::Merge, "{", 400)]
        {
            assert_eq!(parse(kind, text).err(), Some(want), "{text}");
        }
    }
}

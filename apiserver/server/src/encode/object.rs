//! One object as a response or as an item.

use super::wire;
use super::{indent::Indenter, json, table};
use crate::negotiate::{Media, Output, View};
use apimachinery::Value;
use apimachinery::codec::{protobuf, yaml};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::resources::ResourceInfo;
use apimachinery::schema::{Schema, TypeRef};
use apimachinery::status::Status;
use apiserver_storage::Object;
use bytes::Bytes;

/// What there is a Table of though it is another kind than the resource's.
const SCALE: &str = "Scale";

/// A whole stored object.
pub fn stored(object: &Object, resource: &ResourceInfo, output: Output) -> Bytes {
    match (output.view, output.media) {
        (View::Table, media) => text(table::of_object(object, resource, output), media, output.pretty),
        (View::Metadata, Media::Protobuf) => match object.protobuf().as_deref().and_then(wire::first_field) {
            Some(metadata) => protobuf::wrap(&partial_kind(output), metadata).into(),
            None => partial_metadata(object, output),
        },
        (View::Metadata, media) => text(partial_metadata(object, output), media, output.pretty),
        (View::Whole, Media::Json) if !output.pretty => object.json().clone(),
        (View::Whole, Media::Protobuf) => match object.protobuf() {
            Some(message) => protobuf::wrap(&resource.gvk(), &message).into(),
            // Custom resources have no protobuf form; upstream refuses before it comes to this.
            None => object.json().clone(),
        },
        (View::Whole, media) => text(object.json().clone(), media, output.pretty),
    }
}

/// A tree that is not stored as such.
pub fn value(value: &Value, ty: &TypeRef, resource: &ResourceInfo, output: Output) -> Bytes {
    let kind = kind_of(value);
    let own = kind == resource.gvk();
    match (output.view, output.media) {
        (View::Table, media) if own => text(table::of_value(value, resource, output), media, output.pretty),
        (View::Table, media) if &*kind.kind == SCALE => {
            text(table::of_scale(value, resource, output), media, output.pretty)
        }
        (View::Metadata, media) if own => {
            let partial = partial_value(value, output);
            if media == Media::Protobuf
                && let Some(ty) = meta_type("PartialObjectMetadata")
            {
                return protobuf::wrap(&partial_kind(output), &protobuf::encode(&ty, &partial)).into();
            }
            text(json(&partial), media, output.pretty)
        }
        (_, Media::Protobuf) => protobuf::wrap(&kind, &protobuf::encode(ty, value)).into(),
        (_, media) => text(json(value), media, output.pretty),
    }
}

/// A failed request.
pub fn status(status: &Status, output: Output) -> Bytes {
    let value = status.to_value();
    match (output.media, meta_type("Status")) {
        (Media::Protobuf, Some(ty)) => {
            protobuf::wrap(&GroupVersionKind::new("", "v1", "Status"), &protobuf::encode(&ty, &value)).into()
        }
        (media, _) => text(json(&value), media, output.pretty),
    }
}

/// Compact JSON in the form that a client reads.
pub fn text(compact: Bytes, media: Media, pretty: bool) -> Bytes {
    match media {
        Media::Yaml => yaml::to_string(&serde_json::from_slice(&compact).unwrap_or_default()).into(),
        _ if pretty => {
            let mut out = Indenter::default().piece(&compact).to_vec();
            out.push(b'\n');
            out.into()
        }
        _ => compact,
    }
}

/// `PartialObjectMetadata` spliced from a stored object, as JSON.
pub fn partial_metadata(object: &Object, output: Output) -> Bytes {
    let metadata = &object.json()[object.metadata()];
    let mut out = Vec::with_capacity(metadata.len() + 96);
    push_partial(metadata, output.beta, &mut out);
    out.into()
}

/// Appends `PartialObjectMetadata` with this metadata.
pub(super) fn push_partial(metadata: &[u8], beta: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"kind":"PartialObjectMetadata","apiVersion":""#);
    out.extend_from_slice(super::events::meta_version(beta).as_bytes());
    out.extend_from_slice(br#"","metadata":"#);
    out.extend_from_slice(if metadata.is_empty() { b"{}" } else { metadata });
    out.push(b'}');
}

/// `PartialObjectMetadata` of a tree.
pub(super) fn partial_value(value: &Value, output: Output) -> Value {
    let kind = partial_kind(output);
    serde_json::json!({
        "kind": kind.kind, "apiVersion": kind.api_version(),
        "metadata": value.get("metadata").cloned().unwrap_or_else(|| Value::Object(Default::default())),
    })
}

fn partial_kind(output: Output) -> GroupVersionKind {
    GroupVersionKind::new("meta.k8s.io", if output.beta { "v1beta1" } else { "v1" }, "PartialObjectMetadata")
}

/// `kind` and `apiVersion` of a tree.
fn kind_of(value: &Value) -> GroupVersionKind {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    GroupVersionKind::parse(text("apiVersion"), text("kind"))
        .unwrap_or_else(|| GroupVersionKind::new("", text("apiVersion").to_owned(), text("kind").to_owned()))
}

fn meta_type(name: &str) -> Option<TypeRef> {
    Schema::builtin().type_named(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms() {
        let compact = Bytes::from_static(br#"{"a":{"b":[1,"x"]}}"#);
        assert_eq!(text(compact.clone(), Media::Json, false), compact);
        assert_eq!(
            text(compact.clone(), Media::Json, true),
            "{\n  \"a\": {\n    \"b\": [\n      1,\n      \"x\"\n    ]\n  }\n}\n"
        );
        let yaml = text(compact, Media::Yaml, false);
        assert!(yaml.starts_with(b"a:\n"), "{yaml:?}");
    }
}

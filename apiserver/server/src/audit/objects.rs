//! Bodies as the JSON that events carry.

use crate::body::Body;
use apimachinery::Value;
use apimachinery::codec::{protobuf, yaml};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta::ObjectMeta;
use apimachinery::schema::Schema;
use bytes::{Bytes, BytesMut};

/// A body in one of the API's encodings as a tree; `None` for all else.
pub(super) fn tree(content_type: &str, bytes: &[u8]) -> Option<Value> {
    if bytes.is_empty() {
        return None;
    }
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/vnd.kubernetes.protobuf" => from_protobuf(bytes),
        "application/yaml" | "application/apply-patch+yaml" => yaml::to_value(bytes).ok(),
        _ => serde_json::from_slice(bytes).ok(),
    }
}

fn from_protobuf(bytes: &[u8]) -> Option<Value> {
    let envelope = protobuf::open(bytes).ok()?;
    let kind = GroupVersionKind::parse(&envelope.api_version, &envelope.kind)?;
    let mut value = protobuf::decode(&Schema::builtin().kind(&kind)?, envelope.raw).ok()?;
    let members = value.as_object_mut()?;
    members.insert("kind".into(), envelope.kind.into());
    members.insert("apiVersion".into(), envelope.api_version.into());
    Some(value)
}

/// Takes the managed fields out of an object, a list's items or a table's rows.
pub(super) fn omit_managed_fields(value: &mut Value) {
    if value.metadata().is_some() {
        value.metadata_mut().remove("managedFields");
    }
    for list in ["items", "rows"] {
        for item in value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            match item.get_mut("object") {
                Some(object) if list == "rows" => omit_managed_fields(object),
                _ => omit_managed_fields(item),
            }
        }
    }
}

/// The bytes of a body that is there already or made on demand, which is then put back whole.
pub(super) fn collected(body: &mut Body) -> Option<Bytes> {
    match body {
        Body::Full(bytes) => Some(bytes.clone()),
        Body::Pieces { pieces, .. } => {
            let mut whole = BytesMut::new();
            pieces.for_each(|piece| whole.extend_from_slice(&piece));
            let whole = whole.freeze();
            *body = Body::Full(whole.clone());
            Some(whole)
        }
        Body::Guarded(inner) => collected(&mut inner.0),
        Body::Stream(_) | Body::Proxied(_) | Body::Transformed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies_become_trees() {
        let json = tree("application/json; charset=utf-8", b"{\"a\": 1}");
        assert_eq!(json, Some(json!({"a": 1})));
        assert_eq!(tree("application/yaml", b"a: 1\n"), Some(json!({"a": 1})));
        let kind = GroupVersionKind::new("", "v1", "ConfigMap");
        let ty = Schema::builtin().kind(&kind).expect("built in");
        let bytes =
            protobuf::wrap(&kind, &protobuf::encode(&ty, &json!({"metadata": {"name": "a"}, "data": {"k": "v"}})));
        let decoded = tree("application/vnd.kubernetes.protobuf", &bytes).expect("a tree");
        assert_eq!((&decoded["kind"], &decoded["data"]), (&json!("ConfigMap"), &json!({"k": "v"})));
        assert_eq!(tree("text/plain", b"not json"), None);
        assert_eq!(tree("application/json", b""), None);
    }

    #[test]
    fn managed_fields_go() {
        let one = || json!({"metadata": {"name": "a", "managedFields": [1]}});
        let mut list = json!({"metadata": {}, "items": [one()], "rows": [{"object": one()}]});
        omit_managed_fields(&mut list);
        let bare = json!({"metadata": {"name": "a"}});
        assert_eq!(list, json!({"metadata": {}, "items": [bare], "rows": [{"object": bare}]}));
    }

    #[test]
    fn pieces_are_put_back() {
        let pieces = vec![Bytes::from("a"), Bytes::from("b")];
        let mut body = Body::Pieces { pieces: Box::new(pieces.into_iter()), length: None };
        assert_eq!(collected(&mut body).as_deref(), Some(&b"ab"[..]));
        assert!(matches!(body, Body::Full(bytes) if &*bytes == b"ab"));
    }
}

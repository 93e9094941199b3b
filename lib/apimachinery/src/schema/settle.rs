//! Trees as they read once they have been messages.

use super::{Schema, Shape, TypeRef};
use crate::{Map, Value};

/// Takes out empty lists and maps, which messages cannot tell from none: where JSON never leaves the list out, it has
/// `null` then.
///
/// Objects with such a list are rare, so it is looked for one before anything is looked up.
///
/// Upstream: the round trip of each write in `apiserver/pkg/storage/etcd3/store.go`.
pub fn settle(ty: &TypeRef, object: &mut Value) {
    if has_empty(&ty.schema, object) {
        message(&ty.schema, ty.id, object);
    }
}

/// Whether there is an empty list, or an empty map that decoding has kept. Sets of fields are nothing but empty maps, and
/// stay as they are.
fn has_empty(schema: &Schema, value: &Value) -> bool {
    let is_kept =
        |name: &str, value: &Value| value.as_object().is_some_and(Map::is_empty) && schema.kept.contains(name);
    match value {
        Value::Array(list) => list.is_empty() || list.iter().any(|item| has_empty(schema, item)),
        Value::Object(map) => {
            map.iter().any(|(name, value)| name != "fieldsV1" && (is_kept(name, value) || has_empty(schema, value)))
        }
        _ => false,
    }
}

fn message(schema: &Schema, id: u32, value: &mut Value) {
    let Some(map) = value.as_object_mut() else { return };
    let mut gone = Vec::new();
    for (name, value) in map.iter_mut() {
        let Some(field) = schema.field(id, name) else { continue };
        let is_list = matches!(field.shape, Shape::List(_) | Shape::Strings);
        match value {
            Value::Array(list) if list.is_empty() && is_list => match field.is_null {
                true => *value = Value::Null,
                false => gone.push(name.clone()),
            },
            Value::Object(map) if map.is_empty() && field.keeps_empty => gone.push(name.clone()),
            value => content(schema, &field.shape, value),
        }
    }
    take(map, &gone);
}

fn take(map: &mut Map, names: &[String]) {
    for name in names {
        map.remove(name);
    }
}

fn content(schema: &Schema, shape: &Shape, value: &mut Value) {
    match (shape, value) {
        (Shape::Message(id), value) => message(schema, *id, value),
        (Shape::List(inner), Value::Array(list)) => list.iter_mut().for_each(|item| content(schema, inner, item)),
        (Shape::Map(inner), Value::Object(map)) => map.values_mut().for_each(|item| content(schema, inner, item)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::protobuf;
    use crate::gvk::GroupVersionKind;
    use serde_json::json;

    #[test]
    fn objects_read_as_they_do_from_messages() {
        for (group, kind, object) in [
            ("rbac.authorization.k8s.io", "Role", json!({"metadata": {}, "rules": []})),
            ("rbac.authorization.k8s.io", "Role", json!({"metadata": {}, "rules": [{"verbs": [], "resources": []}]})),
            ("storage.k8s.io", "CSINode", json!({"metadata": {}, "spec": {"drivers": [{"name": "a", "nodeID": "b"}]}})),
            ("", "LimitRange", json!({"metadata": {"finalizers": []}, "spec": {"limits": []}})),
            ("", "PersistentVolume", json!({"metadata": {}, "spec": {"capacity": {}}})),
            ("networking.k8s.io", "Ingress", json!({"metadata": {}, "spec": {"rules": []}})),
        ] {
            let ty = Schema::builtin().kind(&GroupVersionKind::new(group, "v1", kind)).expect("built in");
            let bytes = serde_json::to_vec(&object).expect("JSON");
            let mut tree = crate::codec::json::decode(&ty, &bytes).expect("right").value;
            settle(&ty, &mut tree);
            assert_eq!(protobuf::decode(&ty, &protobuf::encode(&ty, &tree)).expect("a message"), tree, "{kind}");
        }
    }

    #[test]
    fn what_validation_asks_for_is_kept_until_then() {
        let ty = Schema::builtin().kind(&GroupVersionKind::new("", "v1", "Pod")).expect("built in");
        let text = br#"{"spec":{"overhead":{},"nodeSelector":{}}}"#;
        let mut tree = crate::codec::json::decode(&ty, text).expect("right").value;
        assert_eq!((&tree["spec"]["overhead"], tree["spec"].get("nodeSelector")), (&json!({}), None));
        settle(&ty, &mut tree);
        assert_eq!(tree["spec"].get("overhead"), None);
    }

    #[test]
    fn what_is_never_left_out_is_null() {
        let ty = Schema::builtin().kind(&GroupVersionKind::new("storage.k8s.io", "v1", "CSINode")).expect("built in");
        let decoded = |text: &str| crate::codec::json::decode(&ty, text.as_bytes()).expect("right").value;
        assert_eq!(decoded("{}"), json!({"metadata": {}, "spec": {"drivers": null}}));
        let mut tree = decoded(r#"{"spec":{"drivers":[{"name":"a","nodeID":"b","topologyKeys":[]}]}}"#);
        assert_eq!(tree["spec"]["drivers"][0]["topologyKeys"], json!([]));
        settle(&ty, &mut tree);
        assert_eq!(tree["spec"]["drivers"][0], json!({"name": "a", "nodeID": "b", "topologyKeys": null}));
    }
}

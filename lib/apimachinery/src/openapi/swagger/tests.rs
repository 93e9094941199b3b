use super::*;
use crate::Map;
use crate::codec::protobuf::wire::Raw;
use crate::openapi::message::reading::{all, at, message_at, named, text};
use crate::openapi::{Documents, Texts};
use crate::resources;
use serde_json::json;

#[test]
fn the_whole_document_has_what_clients_read() {
    let bytes = encode(&Documents::new(resources::builtin(), Texts::default).v2(&[], &Map::new()));
    assert_eq!((text(&bytes, &[1]), text(&bytes, &[2, 1])), ("2.0".to_owned(), "Kubernetes".to_owned()));
    let deployment = named(message_at(&bytes, 9), 1, "io.k8s.api.apps.v1.Deployment");
    assert_eq!(text(deployment, &[22, 1]), "object");
    let kinds = named(deployment, 31, "x-kubernetes-group-version-kind");
    let kinds: Value = serde_json::from_str(&text(kinds, &[2])).expect("JSON");
    assert_eq!(kinds, json!([{"group": "apps", "kind": "Deployment", "version": "v1"}]));
    let spec = named(message_at(deployment, 25), 1, "spec");
    assert_eq!(text(spec, &[1]), "#/definitions/io.k8s.api.apps.v1.DeploymentSpec");
    let item = named(message_at(&bytes, 8), 2, "/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
    let patch = message_at(item, 8);
    assert_eq!(text(patch, &[5]), "patchAppsV1NamespacedDeployment");
    let body = all(patch, 8).into_iter().filter_map(|raw| raw.bytes()).map(|item| message_at(item, 1));
    let body = body.filter_map(|parameter| all(parameter, 1).first().and_then(Raw::bytes)).next().expect("a body");
    assert_eq!(
        (text(body, &[3]), text(body, &[5, 1])),
        ("body".into(), "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.Patch".into())
    );
    let ok = named(message_at(patch, 9), 1, "200");
    assert_eq!(text(ok, &[1, 2, 1, 1]), "#/definitions/io.k8s.api.apps.v1.Deployment");
    assert_eq!(text(named(message_at(&bytes, 13), 1, "BearerToken"), &[2, 3]), "header");
    assert_eq!(text(&bytes, &[12, 1, 1]), "BearerToken");
}

#[test]
fn schemas_keep_all_that_the_message_has_a_place_for() {
    let schema = json!({"type": ["object", "null"], "description": "d", "maximum": 1.5, "minimum": 0, "maxLength": 3,
        "uniqueItems": true, "required": ["a", "b"], "enum": ["x", 1], "default": {"k": [1]}, "nonsense": 1,
        "additionalProperties": {"type": "string"}, "items": {"type": "array", "additionalProperties": false},
        "allOf": [{"format": "int32"}], "properties": {"p": {"pattern": "^$"}}, "x-kubernetes-map-type": "atomic"});
    let bytes = encoded(&SCHEMA, &schema);
    let texts = |message: &[u8], number| -> Vec<String> {
        all(message, number).iter().map(|raw| raw.text().expect("a text")).collect()
    };
    assert_eq!(texts(message_at(&bytes, 22), 1), ["object", "null"]);
    assert_eq!(texts(&bytes, 19), ["a", "b"]);
    assert!(matches!(at(&bytes, &[7]), Raw::Fixed64(bits) if f64::from_bits(bits) == 1.5));
    assert!(all(&bytes, 9).is_empty(), "zero is left out");
    assert_eq!((at(&bytes, &[11]).varint().ok(), at(&bytes, &[16]).varint().ok()), (Some(3), Some(1)));
    let values: Vec<String> = all(&bytes, 20).iter().map(|raw| text(raw.bytes().expect("a value"), &[2])).collect();
    assert_eq!(values, ["\"x\"\n", "1\n"]);
    assert_eq!(text(&bytes, &[5, 2]), "{\"k\":[1]}\n");
    assert_eq!(text(&bytes, &[21, 1, 22, 1]), "string");
    assert_eq!(at(&bytes, &[23, 1, 21, 2]).varint().ok(), Some(0));
    assert_eq!(text(&bytes, &[24, 2]), "int32");
    assert_eq!(text(named(message_at(&bytes, 25), 1, "p"), &[13]), "^$");
    assert_eq!(text(named(&bytes, 31, "x-kubernetes-map-type"), &[2]), "\"atomic\"\n");
}

#[test]
fn parameters_are_told_apart_by_their_place() {
    for (parameter, way) in [
        (json!({"in": "body", "name": "p"}), &[1, 1, 2][..]),
        (json!({"in": "header", "name": "p"}), &[1, 2, 1, 4]),
        (json!({"in": "formData", "name": "p"}), &[1, 2, 2, 4]),
        (json!({"in": "query", "name": "p"}), &[1, 2, 3, 4]),
        (json!({"in": "path", "name": "p"}), &[1, 2, 4, 4]),
    ] {
        let mut bytes = Vec::new();
        super::parameter(&parameter, &mut bytes);
        assert_eq!(text(&bytes, way), "p", "{parameter}");
    }
}

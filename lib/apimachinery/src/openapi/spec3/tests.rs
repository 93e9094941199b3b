use super::*;
use crate::codec::protobuf::wire::Raw;
use crate::openapi::message::reading::{all, at, message_at, named, text};
use crate::openapi::{Documents, Texts};
use crate::resources;
use serde_json::json;

#[test]
fn a_whole_document_has_what_clients_read() {
    let document = Documents::new(resources::builtin(), Texts::default).v3("apis/apps/v1").expect("a document");
    let bytes = encode(&serde_json::from_slice(&document).expect("JSON"));
    assert_eq!((text(&bytes, &[1]), text(&bytes, &[2, 1])), ("3.0.0".to_owned(), "Kubernetes".to_owned()));
    let schemas = message_at(message_at(&bytes, 5), 1);
    let deployment = message_at(named(schemas, 1, "io.k8s.api.apps.v1.Deployment"), 1);
    assert_eq!(text(deployment, &[25]), "object");
    let spec = message_at(named(message_at(deployment, 31), 1, "spec"), 1);
    assert_eq!(text(spec, &[26, 2, 1]), "#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec");
    assert_eq!(message_at(spec, 33), b"", "an empty object is no scalar");
    let kinds = named(deployment, 36, "x-kubernetes-group-version-kind");
    let kinds: Value = serde_json::from_str(&text(kinds, &[2])).expect("JSON");
    assert_eq!(kinds, json!([{"group": "apps", "kind": "Deployment", "version": "v1"}]));
    let item = named(message_at(&bytes, 4), 1, "/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
    let patch = message_at(item, 10);
    assert_eq!(text(patch, &[5]), "patchAppsV1NamespacedDeployment");
    let content = message_at(message_at(message_at(patch, 7), 1), 2);
    let media = named(content, 1, "application/apply-patch+yaml");
    assert_eq!(text(media, &[1, 2, 1]), "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.Patch");
    let ok = message_at(named(message_at(patch, 8), 2, "200"), 1);
    let media = named(message_at(ok, 3), 1, "application/json");
    assert_eq!(text(media, &[1, 2, 1]), "#/components/schemas/io.k8s.api.apps.v1.Deployment");
    let scheme = message_at(named(message_at(message_at(&bytes, 5), 7), 1, "BearerToken"), 1);
    assert_eq!((text(scheme, &[4]), text(&bytes, &[6, 1, 1])), ("header".into(), "BearerToken".into()));
}

#[test]
fn schemas_keep_all_that_the_message_has_a_place_for() {
    let schema = json!({"type": "object", "description": "d", "maximum": 1.5, "minimum": 0, "nullable": true,
        "enum": ["x", 1], "items": {"$ref": "#/a"}, "additionalProperties": {"default": 0}, "not": {"type": "string"},
        "oneOf": [{"format": "int32"}], "properties": {"p": {"default": "d"}, "q": {"default": false}}, "x-a": [1]});
    let bytes = encoded(&SCHEMA, &schema);
    assert_eq!((text(&bytes, &[25]), text(&bytes, &[34])), ("object".into(), "d".into()));
    assert!(matches!(at(&bytes, &[11]), Raw::Fixed64(bits) if f64::from_bits(bits) == 1.5));
    assert!(all(&bytes, 13).is_empty(), "zero is left out");
    assert_eq!(at(&bytes, &[1]).varint().ok(), Some(1));
    let values: Vec<String> = all(&bytes, 24).iter().map(|raw| text(raw.bytes().expect("a value"), &[2])).collect();
    assert_eq!(values, ["\"x\"\n", "1\n"]);
    assert_eq!(text(&bytes, &[30, 1, 2, 1]), "#/a");
    assert!(matches!(at(&bytes, &[32, 1, 1, 33, 1]), Raw::Fixed64(0)), "a default may be zero");
    assert_eq!(text(&bytes, &[29, 25]), "string");
    assert_eq!(text(&bytes, &[27, 1, 35]), "int32");
    let properties = message_at(&bytes, 31);
    assert_eq!(text(named(properties, 1, "p"), &[1, 33, 3]), "d");
    assert_eq!(at(named(properties, 1, "q"), &[1, 33, 2]).varint().ok(), Some(0));
    assert_eq!(text(named(&bytes, 36, "x-a"), &[2]), "[1]\n");
}

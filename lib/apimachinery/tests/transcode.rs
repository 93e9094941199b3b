//! Transcoding gives, byte for byte, the JSON that the tree of a message is written as.

use apimachinery::Value;
use apimachinery::codec::protobuf::transcode::{self, Places};
use apimachinery::codec::{DecodeError, fields, json, protobuf};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::{Schema, TypeRef};
use proptest::prelude::*;
use std::path::Path;

const POD: &str = r#"{"metadata":{"name":"a","namespace":"n","uid":"u","generation":3,"labels":{"x":"é\n","a":""},"annotations":{"q":"\"<&>"},
"creationTimestamp":"2026-01-02T03:04:05Z","managedFields":[{"manager":"m","operation":"Update","apiVersion":"v1",
"fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{}}}}}}]},"spec":{"priority":-1,"nodeName":"node","containers":[{"name":"c",
"image":"i","env":[{"name":"A","value":"1"},{"name":"B"}],"resources":{"limits":{"cpu":"0.5","memory":"1Gi"}},"ports":[{"containerPort":80}],
"livenessProbe":{"httpGet":{"port":"web"}}}],"tolerations":[{"tolerationSeconds":300}],"volumes":[{"name":"v","configMap":{"name":"m",
"items":[]}},{"name":"e","emptyDir":{}}]},"status":{"phase":"Running","podIPs":[{"ip":"10.0.0.1"},{}],
"conditions":[{"type":"Ready","status":"True","lastProbeTime":null}]}}"#;

fn pod() -> TypeRef {
    Schema::builtin().kind(&GroupVersionKind::new("", "v1", "Pod")).expect("built in")
}

/// An object's JSON as it is made from its tree.
fn of_tree(kind: &str, api_version: &str, mut tree: Value) -> String {
    tree["metadata"]["resourceVersion"] = "".into();
    let mut out = Vec::new();
    for (name, value) in tree.as_object().expect("an object") {
        out.extend_from_slice(format!(",{}:", Value::from(name.as_str())).as_bytes());
        match value.get("managedFields").filter(|_| name == "metadata") {
            None => out.extend_from_slice(value.to_string().as_bytes()),
            Some(managed) => {
                let mut text = Vec::new();
                fields::write_managed(&mut text, managed);
                let mark = "managed fields stand here";
                let mut value = value.clone();
                value["managedFields"] = mark.into();
                let text = String::from_utf8(text).expect("text");
                out.extend_from_slice(value.to_string().replacen(&format!("\"{mark}\""), &text, 1).as_bytes());
            }
        }
    }
    let members = String::from_utf8(out).expect("text");
    format!("{{\"kind\":{},\"apiVersion\":{}{members}}}", Value::from(kind), Value::from(api_version))
}

fn transcoded(ty: &TypeRef, kind: &str, api_version: &str, message: &[u8]) -> Result<(String, Places), DecodeError> {
    let mut out = Vec::new();
    let places = transcode::object(ty, kind, api_version, message, &mut out)?;
    Ok((String::from_utf8(out).expect("text"), places))
}

/// What is given is what the tree gives; whether something was.
fn check(ty: &TypeRef, kind: &str, api_version: &str, message: &[u8]) -> bool {
    let Ok((text, places)) = transcoded(ty, kind, api_version, message) else { return false };
    let tree = protobuf::decode(ty, message).expect("what can be transcoded has a tree");
    assert!(text[..places.revision].ends_with("\"resourceVersion\":\""), "{text}");
    assert!(text[..places.body].ends_with(','), "{text}");
    for path in [
        "metadata.uid",
        "metadata.labels.x",
        "spec.nodeName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIPs",
        "spec.replicas",
        "type",
    ] {
        let path: Vec<&str> = path.split('.').collect();
        let in_tree = path.iter().try_fold(&tree, |value, member| value.get(member));
        let found = transcode::find(ty, message, &path).expect("nothing malformed");
        assert_eq!(found.as_ref(), in_tree, "{kind} {path:?}");
    }
    assert_eq!(text, of_tree(kind, api_version, tree), "{kind}");
    true
}

#[test]
fn every_kind_with_every_member() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/kubernetes-1.36/testdata");
    // The objects lie beside the repository; without them a pod stands for all.
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|ending| ending == "pb")) {
        let bytes = std::fs::read(&path).expect("a file");
        let envelope = protobuf::open(&bytes).expect("an envelope");
        let kind = GroupVersionKind::parse(&envelope.api_version, &envelope.kind).expect("a kind");
        let Some(ty) = Schema::builtin().kind(&kind) else { continue };
        if ty.field("metadata").is_some_and(|field| field.json.len() > 1) && !envelope.kind.ends_with("List") {
            assert!(check(&ty, &envelope.kind, &envelope.api_version, envelope.raw), "{path:?}");
        }
    }
}

#[test]
fn a_pod() {
    let value = json::decode(&pod(), POD.as_bytes()).expect("a pod").value;
    let message = protobuf::encode(&pod(), &value);
    assert!(check(&pod(), "Pod", "v1", &message));
    assert!(check(&pod(), "Pod", "v1", b""));
    let labels = transcode::strings(&pod(), &message, &["metadata", "labels"]).expect("labels");
    assert_eq!(labels, [("a".to_owned(), String::new()), ("x".to_owned(), "é\n".to_owned())]);
}

#[test]
fn only_compact_managed_fields_are_copied() {
    for (fields, is_copied) in
        [("{\"f:a\":{}}", true), ("{ }", false), ("{\"f:\\u003c\":{}}", false), ("[]", false), ("{", false)]
    {
        let mut value = json::decode(&pod(), POD.as_bytes()).expect("a pod").value;
        value["metadata"]["managedFields"][0]["fieldsV1"] = fields.into();
        let message = protobuf::encode(&pod(), &value);
        assert_eq!(transcoded(&pod(), "Pod", "v1", &message).is_ok(), is_copied, "{fields}");
    }
}

proptest! {
    #[test]
    fn damaged_messages(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), end in any::<prop::sample::Index>()) {
        let value = json::decode(&pod(), POD.as_bytes()).expect("a pod").value;
        let mut message = protobuf::encode(&pod(), &value);
        let length = message.len();
        changes.iter().for_each(|(at, byte)| message[at.index(length)] = *byte);
        message.truncate(length / 2 + end.index(length / 2 + 2));
        check(&pod(), "Pod", "v1", &message);
        // Whatever it is, reading it as something else does no harm.
        let event = Schema::builtin().kind(&GroupVersionKind::new("", "v1", "Event")).expect("built in");
        check(&event, "Event", "v1", &message);
    }
}

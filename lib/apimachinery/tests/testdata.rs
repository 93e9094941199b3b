//! Every kind with every field set, as upstream encodes it: JSON, YAML and protobuf agree.
//!
//! The objects lie beside the repository and not in it; without them there is nothing to check,
//! and the test says so.

use apimachinery::Value;
use apimachinery::codec::{json, protobuf, yaml};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::{Schema, TypeRef};
use std::path::{Path, PathBuf};

fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/kubernetes-1.36/testdata");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("no test data beside the repository: nothing is checked");
    None
}

/// Objects by name of their file without its ending.
fn objects() -> Vec<(String, TypeRef, PathBuf)> {
    let Some(folder) = folder() else { return Vec::new() };
    let mut objects = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "json") {
            let bytes = std::fs::read(path.with_extension("pb")).expect("a file");
            let envelope = protobuf::open(&bytes).expect("an envelope");
            let kind = GroupVersionKind::parse(&envelope.api_version, &envelope.kind).expect("a kind");
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            // Events of a watch are no objects: they have no kind.
            let by_name = || Schema::builtin().type_named("io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent");
            let ty = if kind.kind.is_empty() { by_name() } else { Schema::builtin().kind(&kind) };
            match ty {
                Some(ty) => objects.push((name, ty, path)),
                None => panic!("{name}: no schema for {kind}"),
            }
        }
    }
    objects
}

/// Where two trees differ first.
fn difference(path: &str, a: &Value, b: &Value) -> Option<String> {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let keys: std::collections::BTreeSet<_> = x.keys().chain(y.keys()).collect();
            keys.into_iter().find_map(|k| {
                difference(&format!("{path}.{k}"), x.get(k).unwrap_or(&Value::Null), y.get(k).unwrap_or(&Value::Null))
            })
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).enumerate().find_map(|(i, (x, y))| difference(&format!("{path}[{i}]"), x, y))
        }
        _ => (a != b).then(|| format!("{path}: {a} and {b}")),
    }
}

#[test]
fn json_decodes_without_findings_or_loss() {
    let mut wrong = Vec::new();
    for (name, ty, path) in objects() {
        let text = std::fs::read(&path).expect("a file");
        match json::decode(&ty, &text) {
            Err(error) => wrong.push(format!("{name}: {error}")),
            Ok(decoded) => {
                wrong.extend(decoded.findings.iter().map(|f| format!("{name}: {f}")));
                let plain: Value = serde_json::from_slice(&text).expect("JSON");
                wrong.extend(difference("", &plain, &decoded.value).map(|d| format!("{name}{d}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn protobuf_is_upstreams_byte_for_byte() {
    let mut wrong = Vec::new();
    for (name, ty, path) in objects() {
        let bytes = std::fs::read(path.with_extension("pb")).expect("a file");
        let envelope = protobuf::open(&bytes).expect("an envelope");
        let json: Value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
        let mut bare = json.clone();
        let map = bare.as_object_mut().expect("an object");
        map.remove("apiVersion");
        map.remove("kind");
        match protobuf::decode(&ty, envelope.raw) {
            Err(error) => wrong.push(format!("{name}: {error}")),
            Ok(mut decoded) => {
                // Their kind, which no message carries, is given by reading.
                let templates = decoded.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut);
                for template in templates.into_iter().flatten().filter_map(Value::as_object_mut) {
                    let told = ["apiVersion", "kind"].map(|member| template.remove(member));
                    assert_eq!(told, ["v1", "PersistentVolumeClaim"].map(|text| Some(Value::from(text))), "{name}");
                }
                wrong.extend(difference("", &bare, &decoded).map(|d| format!("{name} decoded{d}")));
            }
        }
        let kind = GroupVersionKind::parse(&envelope.api_version, &envelope.kind).expect("a kind");
        let encoded = protobuf::wrap(&kind, &protobuf::encode(&ty, &bare));
        if encoded != bytes {
            let at = encoded.iter().zip(&bytes).position(|(a, b)| a != b).unwrap_or(encoded.len().min(bytes.len()));
            let near =
                |b: &[u8]| String::from_utf8_lossy(&b[at.saturating_sub(24)..(at + 24).min(b.len())]).into_owned();
            wrong.push(format!(
                "{name} encoded: byte {at} of {}: {:?} and upstream's {:?}",
                bytes.len(),
                near(&encoded),
                near(&bytes)
            ));
        }
    }
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn yaml_says_what_json_says() {
    let mut wrong = Vec::new();
    for (name, ty, path) in objects() {
        let text = std::fs::read(path.with_extension("yaml")).expect("a file");
        let plain: Value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
        match yaml::decode(&ty, &text) {
            Err(error) => wrong.push(format!("{name}: {error}")),
            Ok(decoded) => wrong.extend(difference("", &plain, &decoded.value).map(|d| format!("{name}{d}"))),
        }
    }
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
}

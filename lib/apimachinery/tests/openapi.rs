//! The OpenAPI v3 documents against those that upstream publishes: every path, operation,
//! parameter, type and field, with all that a client reads of it apart from descriptions.
//!
//! The published documents lie beside the repository and not in it; without them there is
//! nothing to compare with, and the test says so.

use apimachinery::Value;
use apimachinery::openapi::{Documents, Texts};
use apimachinery::resources;
use serde_json::json;
use std::path::{Path, PathBuf};

/// What upstream offers and this server does not: a media type, and sharded lists.
const NOT_SERVED: &[&str] = &["application/cbor", "application/cbor-seq", "application/apply-patch+cbor"];
const SHARDS: &str = "shardSelector";

/// Served documents by path; alpha and beta versions are off by default.
fn published() -> Vec<(String, Value)> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/kubernetes-1.36/openapi-v3");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("no published documents beside the repository: nothing is compared");
        return Vec::new();
    };
    let mut documents = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = name.trim_end_matches("_openapi.json").replace("__", "/");
        let is_version = path.rsplit('/').next().is_some_and(|last| last.len() == 2 && last.starts_with('v'));
        if is_version {
            let text = std::fs::read(entry.path()).expect("a file");
            documents.push((path, serde_json::from_slice(&text).expect("JSON")));
        }
    }
    documents.sort_by(|a, b| a.0.cmp(&b.0));
    documents
}

/// The document without descriptions and without what is not served.
fn stripped(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, value)| !(*key == "description" && value.is_string()))
            .filter(|(key, _)| !NOT_SERVED.contains(&key.as_str()))
            .map(|(key, value)| match key.as_str() {
                // Where upstream has no description to put beside it, the reference stands alone.
                "allOf" => ("$ref".to_owned(), value[0]["$ref"].clone()),
                "required" => (key.clone(), sorted(value)),
                _ => (key.clone(), stripped(value)),
            })
            .collect(),
        Value::Array(list) => list.iter().filter(|v| v["name"] != SHARDS).map(stripped).collect(),
        other => other.clone(),
    }
}

/// The order of required members carries no meaning.
fn sorted(value: &Value) -> Value {
    let mut names: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    names.sort_unstable();
    if names.is_empty() { stripped(value) } else { names.into() }
}

fn differences(path: &str, want: &Value, got: &Value, found: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(w), Value::Object(g)) => {
            for (key, value) in w {
                match g.get(key) {
                    Some(other) => differences(&format!("{path} > {key}"), value, other, found),
                    None => found.push(format!("{path} lacks {key}: {value}")),
                }
            }
            found.extend(g.keys().filter(|key| !w.contains_key(*key)).map(|key| format!("{path} has {key}")));
        }
        (want, got) if want != got => found.push(format!("{path}: {got} instead of {want}")),
        _ => {}
    }
}

#[test]
fn documents_equal_the_published_ones() {
    let mut found = Vec::new();
    let documents = Documents::new(resources::builtin(), Texts::default);
    for (path, want) in published() {
        let Some(got) = documents.v3(&path) else {
            found.push(format!("{path} is not served"));
            continue;
        };
        let got: Value = serde_json::from_slice(&got).expect("JSON");
        let part = |document: &Value| {
            stripped(&json!({ "paths": document["paths"], "schemas": document["components"]["schemas"] }))
        };
        differences(&path, &part(&want), &part(&got), &mut found);
    }
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found[..found.len().min(40)].join("\n"));
}

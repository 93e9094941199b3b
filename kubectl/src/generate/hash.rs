//! The hash that names of generated config maps and secrets end in.
//!
//! Upstream: `kubectl/pkg/util/hash`, kustomize's `api/hasher`.

use crate::apply::go_json;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use serde_json::json;
use sha2::{Digest, Sha256};

/// The hash of a config map or a secret, its name included.
pub fn of(object: &Value) -> String {
    named(object, object.name())
}

/// The hash of what a kustomization generates: whatever its name is.
pub fn nameless(object: &Value) -> String {
    named(object, "")
}

fn named(object: &Value, name: &str) -> String {
    let member = |key: &str| object.get(key).cloned();
    let mut content =
        json!({"kind": member("kind"), "name": name, "data": member("data").unwrap_or_else(|| json!({}))});
    if object["kind"] == "Secret" {
        content["type"] = member("type").unwrap_or_else(|| "".into());
    }
    for key in ["binaryData", "immutable"] {
        if let Some(value) = member(key).filter(|v| v.as_object().is_none_or(|map| !map.is_empty())) {
            content[key] = value;
        }
    }
    let digest = Sha256::digest(go_json(&content).as_bytes());
    let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    hex.chars().take(10).map(harmless).collect()
}

/// No vowels, so that no hash is a word.
fn harmless(digit: char) -> char {
    match digit {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of upstream's own table.
    #[test]
    fn hashes_as_upstream_does() {
        let map = |data: Value| json!({"kind": "ConfigMap", "metadata": {"name": ""}, "data": data});
        let secret = |data: Value| json!({"kind": "Secret", "type": "my-type", "metadata": {"name": ""}, "data": data});
        assert_eq!(of(&map(json!({}))), "42745tchd9");
        assert_eq!(of(&map(json!({"one": ""}))), "9g67k2htb6");
        assert_eq!(of(&map(json!({"two": "2", "one": "", "three": "3"}))), "f5h7t85m9b");
        assert_eq!(of(&secret(json!({}))), "t75bgf6ctb");
        assert_eq!(of(&secret(json!({"one": ""}))), "74bd68bm66");
    }
}

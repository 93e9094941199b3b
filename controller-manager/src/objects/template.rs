//! Pods from templates, and the hash that names what a template makes.

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Letters of names that cannot spell anything.
/// Upstream: `apimachinery/pkg/util/rand`.
const SAFE: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A pod of this template, in the namespace of its owner, with a generated name.
pub fn pod(template: &PodTemplateSpec, namespace: &str, prefix: &str, owner: OwnerReference) -> Pod {
    let meta = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            namespace: Some(namespace.to_owned()),
            generate_name: Some(format!("{prefix}-")),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// `pod-template-hash`: stable for equal templates, another one for each collision count.
///
/// Upstream hashes Go's dump of the struct, which nothing but Go can reproduce; who compares
/// compares templates, never hashes, so any stable hash in the same form will do.
pub fn hash<T: Serialize>(template: &T, collisions: i32) -> String {
    let mut hasher = Sha256::new();
    // A template was JSON before it was typed, so it serializes.
    hasher.update(serde_json::to_vec(template).unwrap_or_default());
    if collisions != 0 {
        hasher.update(collisions.to_le_bytes());
    }
    let digest = hasher.finalize();
    let number = u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]);
    safe(&number.to_string())
}

/// As upstream's `SafeEncodeString`: no vowels, nothing that looks like another letter.
pub(super) fn safe(text: &str) -> String {
    text.bytes().map(|byte| char::from(SAFE[usize::from(byte) % SAFE.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(image: &str) -> PodTemplateSpec {
        serde_json::from_value(json!({
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": image}]}
        }))
        .unwrap()
    }

    #[test]
    fn hashes_are_stable_safe_and_distinct() {
        let hash_of = |image: &str, collisions| hash(&template(image), collisions);
        assert_eq!(hash_of("x", 0), hash_of("x", 0));
        assert_ne!(hash_of("x", 0), hash_of("y", 0));
        assert_ne!(hash_of("x", 0), hash_of("x", 1));
        let text = hash_of("x", 0);
        assert!(text.len() <= 10 && text.bytes().all(|b| SAFE.contains(&b)), "{text}");
    }

    #[test]
    fn a_pod_of_a_template() {
        let pod = pod(&template("x"), "n", "web-1", OwnerReference::default());
        assert_eq!(pod.metadata.generate_name.as_deref(), Some("web-1-"));
        assert_eq!(pod.metadata.namespace.as_deref(), Some("n"));
        assert_eq!(pod.metadata.labels.unwrap()["a"], "b");
        assert_eq!(pod.spec.unwrap().containers[0].name, "c");
    }
}

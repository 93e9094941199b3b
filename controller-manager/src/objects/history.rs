//! The history of a template as controller revisions: each holds the patch that brings its
//! template back.
//!
//! Upstream: `pkg/controller/history`, `pkg/controller/daemon/update.go`.

use super::template;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::{Number, Value, json};
use std::collections::BTreeMap;

/// The label with the revision of a pod; of a daemon set also on the revision, with its hash.
pub const HASH_LABEL: &str = "controller-revision-hash";
/// The label with the hash of a stateful set's revision.
pub const DATA_HASH_LABEL: &str = "controller.kubernetes.io/hash";

/// The strategic merge patch that replaces a template by this one. Serialized, its bytes are those
/// of upstream's: members sorted, no spaces, large numbers as Go's floats have them.
pub fn patch(template: &PodTemplateSpec) -> Value {
    // A template was JSON before it was typed, so it serializes.
    let mut template = serde_json::to_value(template).unwrap_or_default();
    if let Value::Object(members) = &mut template {
        members.insert("$patch".to_owned(), Value::from("replace"));
    }
    as_go_reads(&mut template);
    json!({"spec": {"template": template}})
}

/// Go reads every number of a tree as a float.
fn as_go_reads(tree: &mut Value) {
    const EXACT: u64 = 1 << 53;
    match tree {
        Value::Object(members) => members.values_mut().for_each(as_go_reads),
        Value::Array(items) => items.iter_mut().for_each(as_go_reads),
        Value::Number(number) => {
            if let Some(whole) = number.as_i64().filter(|whole| whole.unsigned_abs() > EXACT) {
                let digits = format!("{}", whole as f64);
                *number = digits.parse::<i128>().ok().and_then(Number::from_i128).unwrap_or_else(|| number.clone());
            }
        }
        _ => {}
    }
}

/// The template that a revision brings back.
pub fn template(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let template = revision.data.as_ref()?.0.get("spec")?.get("template")?;
    serde_json::from_value(template.clone()).ok()
}

/// The hash of a patch, as upstream has it: of its bytes as Go writes them, and of the number of
/// collisions.
pub fn data_hash(patch: &Value, collisions: i32) -> String {
    let mut text = patch.to_string();
    for (letter, escaped) in
        [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029")]
    {
        text = text.replace(letter, escaped);
    }
    text.push_str(&collisions.to_string());
    template::safe(&fnv32(text.as_bytes()).to_string())
}

/// FNV-1, 32 bits.
fn fnv32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(*byte))
}

/// Whether the revision holds this patch.
pub fn holds(revision: &ControllerRevision, patch: &Value) -> bool {
    revision.data.as_ref().is_some_and(|data| data.0 == *patch)
}

/// The label with the hash.
pub fn hash(revision: &ControllerRevision) -> Option<&str> {
    revision.metadata.labels.as_ref()?.get(HASH_LABEL).map(String::as_str)
}

/// The name; empty if it has none.
pub fn name(revision: &ControllerRevision) -> &str {
    revision.metadata.name.as_deref().unwrap_or_default()
}

/// What a new revision is made of.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// Whose history it is.
    pub owner: &'a ObjectMeta,
    /// How the revision refers to it.
    pub reference: OwnerReference,
    /// Labels that the owner's selector matches.
    pub labels: BTreeMap<String, String>,
    /// What it holds.
    pub patch: Value,
    /// Which one it is.
    pub number: i64,
    /// What its name ends with.
    pub hash: String,
    /// The label that shows the hash.
    pub hash_label: &'static str,
}

/// A new revision, named after its owner and its hash.
pub fn revision(draft: Draft<'_>) -> ControllerRevision {
    /// Upstream cuts the owner's name so that the whole is a name.
    const OWNER_NAME_LENGTH: usize = 223;
    let Draft { owner, reference, mut labels, patch, number, hash, hash_label } = draft;
    let name = owner.name.as_deref().unwrap_or_default();
    let prefix = &name[..name.floor_char_boundary(OWNER_NAME_LENGTH)];
    let full = format!("{prefix}-{hash}");
    labels.insert(hash_label.to_owned(), hash);
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(full),
            namespace: owner.namespace.clone(),
            labels: Some(labels),
            annotations: owner.annotations.clone(),
            owner_references: Some(vec![reference]),
            ..ObjectMeta::default()
        },
        data: Some(RawExtension(patch)),
        revision: number,
    }
}

#[cfg(test)]
mod tests {
    use super::super::template as names;
    use super::*;

    fn template() -> PodTemplateSpec {
        serde_json::from_value(json!({
            "metadata": {"labels": {"app": "x"}},
            "spec": {
                "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "securityContext": {},
                "containers": [{"name": "c", "image": "i", "resources": {},
                    "securityContext": {"runAsUser": 9_223_372_036_854_775_000_i64}}]
            }
        }))
        .unwrap()
    }

    #[test]
    fn a_patch_has_upstream_s_bytes() {
        let bytes = serde_json::to_string(&patch(&template())).unwrap();
        let expected = r#"{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"app":"x"}},"spec":{"containers":[{"image":"i","name":"c","resources":{},"securityContext":{"runAsUser":9223372036854775000}}],"restartPolicy":"Always","securityContext":{},"terminationGracePeriodSeconds":30}}}}"#;
        assert_eq!(bytes, expected);
    }

    #[test]
    fn hashes_are_upstream_s() {
        assert_eq!(fnv32(b""), 0x811c_9dc5);
        assert_eq!(fnv32(b"a"), 0x050c_5d7e);
        assert_eq!(fnv32(b"foobar"), 0x31f0_b262);
        let escaped = data_hash(&json!("<&>"), 0);
        assert_eq!(escaped, names::safe(&fnv32(b"\"\\u003c\\u0026\\u003e\"0").to_string()));
    }

    #[test]
    fn a_revision_of_an_owner() {
        let owner = ObjectMeta { name: Some("web".into()), namespace: Some("n".into()), ..ObjectMeta::default() };
        let draft = Draft {
            owner: &owner,
            reference: OwnerReference::default(),
            labels: [("app".to_owned(), "x".to_owned())].into(),
            patch: patch(&template()),
            number: 3,
            hash: "5d4".into(),
            hash_label: HASH_LABEL,
        };
        let revision = revision(draft);
        assert_eq!((name(&revision), hash(&revision), revision.revision), ("web-5d4", Some("5d4"), 3));
        assert!(holds(&revision, &patch(&template())));
        assert_eq!(super::template(&revision), Some(template()));
        assert!(!holds(&revision, &json!({})));
    }
}

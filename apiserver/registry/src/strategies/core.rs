//! The core group, without pods.
//!
//! Upstream: `pkg/registry/core/*/strategy.go`.

use super::{member, pods, text};
use crate::Context;
use crate::strategy::*;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use base64::Engine;

pub(crate) const GROUPS: &[(&str, super::Rows)] = &[("", ROWS), ("events.k8s.io", EVENTS)];

const EVENTS: super::Rows = &[("events", EVENT)];

const EVENT: Strategy = Strategy { missing: Missing::Create, dependents: Dependents::Unsupported, ..DEFAULT };

const RETURNED: Strategy = Strategy { deleted: Deleted::Object, ..DEFAULT };

const ROWS: super::Rows = &[
    ("endpoints", Strategy { missing: Missing::Create, ..DEFAULT }),
    ("events", EVENT),
    ("limitranges", Strategy { missing: Missing::Create, ..DEFAULT }),
    (
        "namespaces",
        Strategy {
            ending: Ending::Namespace,
            prepare_create: create_namespace,
            prepare_update: |new, old| keep_finalizers(new, old),
            prepare_status: |new, old| keep_deletion(new, old),
            ..DEFAULT
        },
    ),
    ("nodes", Strategy { initial_status: InitialStatus::Kept, ..DEFAULT }),
    (
        "persistentvolumeclaims",
        Strategy { prepare_create: |_, claim| phase(claim, "Pending"), deleted: Deleted::Object, ..DEFAULT },
    ),
    (
        "persistentvolumes",
        Strategy { prepare_create: |_, volume| phase(volume, "Pending"), deleted: Deleted::Object, ..DEFAULT },
    ),
    ("pods", pods::STRATEGY),
    ("podtemplates", Strategy { generation: Generation::Members(&["template"]), ..RETURNED }),
    (
        "replicationcontrollers",
        Strategy {
            generation: Generation::Members(&["spec"]),
            dependents: Dependents::Orphan,
            status_metadata: StatusMetadata::Free,
            ..DEFAULT
        },
    ),
    ("resourcequotas", RETURNED),
    (
        "secrets",
        Strategy { prepare_create: |_, secret| fold_strings(secret), prepare_update: update_secret, ..DEFAULT },
    ),
    ("serviceaccounts", RETURNED),
    ("services", Strategy { allocates: Allocates::ServiceAddresses, missing: Missing::Create, ..RETURNED }),
];

fn create_namespace(_: &Context, namespace: &mut Value) {
    let finalizers = member(namespace, "spec").entry("finalizers").or_insert_with(|| Value::Array(Vec::new()));
    if let Some(list) = finalizers.as_array_mut()
        && !list.iter().any(|f| f == "kubernetes")
    {
        list.push("kubernetes".into());
    }
    phase(namespace, "Active");
    let name = namespace.name().to_owned();
    if !name.is_empty() {
        label_namespace(namespace, &name);
    }
}

/// The label by which selectors find a namespace by its name.
pub(crate) fn label_namespace(namespace: &mut Value, name: &str) {
    let labels = namespace.metadata_mut().entry("labels").or_insert_with(|| Value::Object(apimachinery::Map::new()));
    if let Some(labels) = labels.as_object_mut() {
        labels.insert("kubernetes.io/metadata.name".into(), name.into());
    }
}

/// Only `/finalize` changes a namespace's own finalizers.
fn keep_finalizers(new: &mut Value, old: &Value) {
    let finalizers = old.pointer("/spec/finalizers").cloned();
    match finalizers {
        Some(list) => {
            member(new, "spec").insert("finalizers".into(), list);
        }
        None => {
            member(new, "spec").remove("finalizers");
        }
    }
    let name = old.name().to_owned();
    label_namespace(new, &name);
}

/// A namespace's phase follows its deletion.
fn keep_deletion(new: &mut Value, old: &Value) {
    if old.is_deleting() {
        phase(new, "Terminating");
    }
}

fn phase(object: &mut Value, phase: &str) {
    member(object, "status").insert("phase".into(), phase.into());
}

/// `stringData` is written over `data`, in base64, and not stored.
fn fold_strings(secret: &mut Value) {
    let Some(Value::Object(strings)) = secret.as_object_mut().and_then(|map| map.remove("stringData")) else { return };
    let data = member(secret, "data");
    for (key, value) in strings {
        let text = value.as_str().unwrap_or_default();
        data.insert(key, base64::engine::general_purpose::STANDARD.encode(text).into());
    }
}

fn update_secret(new: &mut Value, old: &Value) {
    fold_strings(new);
    // An update that leaves the type out keeps it.
    if text(new, "/type").is_empty() {
        copy_member(new, old, "type");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_fold_strings_into_data() {
        let mut secret = json!({"data": {"a": "b2xk", "b": "eA=="}, "stringData": {"a": "new"}});
        fold_strings(&mut secret);
        assert_eq!(secret, json!({"data": {"a": "bmV3", "b": "eA=="}}));
    }

    #[test]
    fn secrets_keep_their_type() {
        let mut new = json!({"data": {}});
        update_secret(&mut new, &json!({"type": "Opaque"}));
        assert_eq!(new["type"], "Opaque");
    }

    #[test]
    fn namespaces_keep_finalizers_and_label() {
        let old = json!({"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}});
        let mut new = json!({"metadata": {"name": "n", "labels": {"a": "b"}}, "spec": {}});
        keep_finalizers(&mut new, &old);
        assert_eq!(new["spec"]["finalizers"], json!(["kubernetes"]));
        assert_eq!(new["metadata"]["labels"], json!({"a": "b", "kubernetes.io/metadata.name": "n"}));
    }
}

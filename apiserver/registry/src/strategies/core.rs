//! The core group, without pods.
//!
//! Upstream: `pkg/registry/core/*/strategy.go`.

mod secrets;
mod volumes;

use super::{drop_unused, member, pods, text};
use crate::Context;
use crate::strategy::*;
use apimachinery::Value;
use apimachinery::meta::{ObjectMeta, list_mut};

pub(crate) const GROUPS: &[(&str, super::Rows)] = &[("", ROWS), ("events.k8s.io", EVENTS)];

const EVENTS: super::Rows = &[("events", EVENT)];

const EVENT: Strategy = Strategy { missing: Missing::Create, dependents: Dependents::Unsupported, ..DEFAULT };

const RETURNED: Strategy = Strategy { deleted: Deleted::Object, ..DEFAULT };

const ROWS: super::Rows = &[
    ("endpoints", Strategy { missing: Missing::Create, ..DEFAULT }),
    ("events", EVENT),
    ("limitranges", Strategy { missing: Missing::Create, prepare_create: name_limits, ..DEFAULT }),
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
    (
        "nodes",
        Strategy {
            initial_status: InitialStatus::Kept,
            prepare_create: |_, node| {
                drop_unused(node, &Value::Null, "spec", &["configSource"]);
                drop_unused(node, &Value::Null, "status", &["config"]);
            },
            prepare_update: |new, old| drop_unused(new, old, "spec", &["configSource"]),
            prepare_status: |new, old| drop_unused(new, old, "status", &["config"]),
            ..DEFAULT
        },
    ),
    (
        "persistentvolumeclaims",
        Strategy {
            prepare_create: |_, claim| volumes::create_claim(claim),
            prepare_update: volumes::update_claim,
            deleted: Deleted::Object,
            ..DEFAULT
        },
    ),
    (
        "persistentvolumes",
        Strategy {
            prepare_create: |_, volume| volumes::create(volume),
            prepare_status: volumes::update_status,
            deleted: Deleted::Object,
            ..DEFAULT
        },
    ),
    ("pods", pods::STRATEGY),
    (
        "podtemplates",
        Strategy {
            generation: Generation::Members(&["template"]),
            prepare_create: |_, object| pods::gated::drop_template_fields(object, &Value::Null, "/template"),
            prepare_update: |new, old| pods::gated::drop_template_fields(new, old, "/template"),
            ..RETURNED
        },
    ),
    (
        "replicationcontrollers",
        Strategy {
            generation: Generation::Members(&["spec"]),
            prepare_create: |_, object| pods::gated::drop_template_fields(object, &Value::Null, "/spec/template"),
            prepare_update: |new, old| pods::gated::drop_template_fields(new, old, "/spec/template"),
            dependents: Dependents::Orphan,
            status_metadata: StatusMetadata::Free,
            ..DEFAULT
        },
    ),
    ("resourcequotas", RETURNED),
    (
        "secrets",
        Strategy { prepare_update: update_secret, warn: |secret, _, warn| secrets::pair(secret, warn), ..DEFAULT },
    ),
    (
        "serviceaccounts",
        Strategy {
            prepare_create: |_, account| keep_names_of_secrets(account),
            prepare_update: |account, _| keep_names_of_secrets(account),
            ..RETURNED
        },
    ),
    ("services", Strategy { allocates: Allocates::ServiceAddresses, missing: Missing::Create, ..RETURNED }),
];

fn create_namespace(_: &Context, namespace: &mut Value) {
    let finalizers = list_mut(member(namespace, "spec"), "finalizers");
    if !finalizers.iter().any(|f| f == "kubernetes") {
        finalizers.push("kubernetes".into());
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

/// Nobody has to think of a name for limits.
fn name_limits(_: &Context, range: &mut Value) {
    if range.name().is_empty() {
        range.set_meta("name", uuid::Uuid::new_v4().to_string());
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

/// A service account's secrets are its own namespace's: only their names count.
fn keep_names_of_secrets(account: &mut Value) {
    for secret in account.get_mut("secrets").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(reference) = secret.as_object_mut() {
            reference.retain(|key, _| key == "name");
        }
    }
}

fn update_secret(new: &mut Value, old: &Value) {
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
    fn accounts_know_secrets_by_name() {
        let mut account = json!({"secrets": [{"name": "a", "fieldPath": "x", "namespace": "n"}]});
        keep_names_of_secrets(&mut account);
        assert_eq!(account, json!({"secrets": [{"name": "a"}]}));
    }

    #[test]
    fn members_that_are_switched_off_go() {
        let mut node = json!({"spec": {"configSource": {}, "x": 1}});
        drop_unused(&mut node, &json!({"spec": {"configSource": {}}}), "spec", &["configSource"]);
        assert_eq!(node["spec"], json!({"configSource": {}, "x": 1}), "in use already");
        drop_unused(&mut node, &Value::Null, "spec", &["configSource"]);
        assert_eq!(node["spec"], json!({"x": 1}));
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

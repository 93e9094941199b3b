//! Objects that configure the apiserver itself: policies, webhooks, flow control, API services,
//! custom resource definitions; and RBAC.
//!
//! Upstream: `pkg/registry/{admissionregistration,flowcontrol,rbac}/*/strategy.go`,
//! `kube-aggregator/pkg/registry/apiservice`, `apiextensions-apiserver/pkg/registry`.

use super::{member, text};
use crate::Context;
use crate::strategy::*;
use apimachinery::meta::{ObjectMeta, list_mut};
use apimachinery::{Value, time};
use apiserver_extensions::checks;
use serde_json::json;

pub(crate) const GROUPS: &[(&str, super::Rows)] = &[
    ("admissionregistration.k8s.io", ADMISSION),
    ("flowcontrol.apiserver.k8s.io", &[("flowschemas", FLOW), ("prioritylevelconfigurations", FLOW)]),
    (
        "apiregistration.k8s.io",
        &[(
            "apiservices",
            Strategy {
                unversioned: Unversioned::Refused,
                prepare_create: |_, service| mark_local(service),
                status_metadata: StatusMetadata::Kept,
                ..DEFAULT
            },
        )],
    ),
    (
        "apiextensions.k8s.io",
        &[(
            "customresourcedefinitions",
            Strategy {
                prepare_create: create_definition,
                prepare_update: update_definition,
                ending: Ending::Definition,
                check_create: checks::create,
                warn: checks::formats,
                check_update: checks::update,
                check_status: checks::update_status,
                ..DECLARED
            },
        )],
    ),
    ("rbac.authorization.k8s.io", RBAC),
];

const DECLARED: Strategy = Strategy {
    generation: Generation::Members(&["spec"]),
    unversioned: Unversioned::Refused,
    status_metadata: StatusMetadata::Kept,
    ..DEFAULT
};

const FLOW: Strategy = Strategy { unversioned: Unversioned::Overwrites, ..DECLARED };

const HOOKS: Strategy = Strategy { generation: Generation::Members(&["webhooks"]), ..DECLARED };

const ADMISSION: super::Rows = &[
    ("mutatingadmissionpolicies", DECLARED),
    ("mutatingadmissionpolicybindings", DECLARED),
    ("mutatingwebhookconfigurations", HOOKS),
    ("validatingadmissionpolicies", DECLARED),
    ("validatingadmissionpolicybindings", DECLARED),
    ("validatingwebhookconfigurations", HOOKS),
];

const ROLE: Strategy = Strategy { missing: Missing::Create, ..DEFAULT };

const RBAC: super::Rows =
    &[("clusterrolebindings", ROLE), ("clusterroles", ROLE), ("rolebindings", ROLE), ("roles", ROLE)];

/// An API service without a backing service is this apiserver, and available.
pub(crate) fn mark_local(service: &mut Value) {
    if service.pointer("/spec/service").is_some() {
        return;
    }
    let condition = json!({"type": "Available", "status": "True", "reason": "Local",
        "message": "Local APIServices are always available", "lastTransitionTime": time::now()});
    member(service, "status").insert("conditions".into(), json!([condition]));
}

/// A storage version has objects from now on.
fn update_definition(definition: &mut Value, _: &Value) {
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten();
    let storage =
        versions.filter(|v| v.get("storage").and_then(Value::as_bool) == Some(true)).map(|v| text(v, "/name"));
    let Some(storage) = storage.map(Value::from).next() else { return };
    let stored = list_mut(member(definition, "status"), "storedVersions");
    if !stored.contains(&storage) {
        stored.push(storage);
    }
}

/// The storage version is the first that objects are stored in.
fn create_definition(_: &Context, definition: &mut Value) {
    let stored: Vec<Value> = definition
        .pointer("/spec/versions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|v| v.get("storage").and_then(Value::as_bool) == Some(true))
        .map(|v| text(v, "/name").into())
        .collect();
    member(definition, "status").insert("storedVersions".into(), stored.into());
    definition.set_meta("generation", 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_api_services_are_available() {
        let mut local = json!({"spec": {"version": "v1"}});
        mark_local(&mut local);
        assert_eq!(text(&local, "/status/conditions/0/reason"), "Local");
        let mut remote = json!({"spec": {"service": {"name": "x"}}});
        mark_local(&mut remote);
        assert_eq!(remote.get("status"), None);
    }
}

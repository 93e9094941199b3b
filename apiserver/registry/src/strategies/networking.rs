//! `networking.k8s.io`, `discovery.k8s.io` and `certificates.k8s.io`.
//!
//! Upstream: `pkg/registry/{networking,discovery,certificates}/*/strategy.go`.

use super::member;
use crate::Context;
use crate::strategy::*;
use crate::subresources::approval;
use apimachinery::Value;
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::meta::ObjectMeta;
use base64::Engine;
use pki::request::Refusal;
use rules::validation::names;
use serde_json::json;

pub(crate) const GROUPS: &[(&str, super::Rows)] =
    &[("networking.k8s.io", NETWORKING), ("discovery.k8s.io", DISCOVERY), ("certificates.k8s.io", CERTIFICATES)];

const DECLARED: Strategy = Strategy { generation: Generation::Members(&["spec"]), ..DEFAULT };

const NETWORKING: super::Rows = &[
    ("ingressclasses", DECLARED),
    ("ingresses", DECLARED),
    ("ipaddresses", DEFAULT),
    ("networkpolicies", DECLARED),
    ("servicecidrs", Strategy { status_metadata: StatusMetadata::Kept, ..DEFAULT }),
];

const DISCOVERY: super::Rows = &[(
    "endpointslices",
    Strategy {
        generation: Generation::MembersAndLabels(&["addressType", "endpoints", "ports"]),
        prepare_create: |_, slice| drop_topology(slice, &Value::Null),
        prepare_update: update_slice,
        ..DEFAULT
    },
)];

const CERTIFICATES: super::Rows = &[(
    "certificatesigningrequests",
    Strategy {
        prepare_create: stamp_requester,
        prepare_update: keep_request,
        prepare_status: keep_approval,
        check_create: check_request,
        ..DEFAULT
    },
)];

/// Endpoints that change lose their topology; that they had one counts as a change.
fn update_slice(new: &mut Value, old: &Value) {
    if new.get("endpoints") != old.get("endpoints") {
        let next = crate::metadata::generation(old) + 1;
        new.set_meta("generation", next);
        drop_topology(new, old);
    }
}

/// Topology labels have become members of their own. The name of a node that an endpoint had as a
/// label before is kept.
fn drop_topology(slice: &mut Value, old: &Value) {
    const TOPOLOGY: &str = "deprecatedTopology";
    const HOST: &str = "kubernetes.io/hostname";
    let node_of = |endpoint: &Value| Some(endpoint.get(TOPOLOGY)?.get(HOST)?.as_str()?.to_owned());
    let before = old.get("endpoints").and_then(Value::as_array).into_iter().flatten();
    let before: Vec<String> = before.filter_map(node_of).collect();
    let endpoints = slice.get_mut("endpoints").and_then(Value::as_array_mut).into_iter().flatten();
    for endpoint in endpoints.filter(|endpoint| endpoint.get(TOPOLOGY).is_some()) {
        let node = node_of(endpoint).filter(|node| before.contains(node) && names::subdomain(node).is_empty());
        let Some(endpoint) = endpoint.as_object_mut() else { continue };
        endpoint.remove(TOPOLOGY);
        if let (Some(node), None) = (node, endpoint.get("nodeName")) {
            endpoint.insert("nodeName".into(), node.into());
        }
    }
}

/// The request says who asked, as the server saw it.
fn stamp_requester(cx: &Context, request: &mut Value) {
    let spec = member(request, "spec");
    for key in ["username", "uid", "groups", "extra"] {
        spec.remove(key);
    }
    let user = &cx.user;
    spec.insert("username".into(), user.name.as_str().into());
    if !user.uid.is_empty() {
        spec.insert("uid".into(), user.uid.as_str().into());
    }
    if !user.groups.is_empty() {
        spec.insert("groups".into(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        spec.insert("extra".into(), json!(user.extra));
    }
}

/// Neither the request nor its status change on the main endpoint.
fn keep_request(new: &mut Value, old: &Value) {
    copy_member(new, old, "spec");
}

/// `/status` writes the certificate and conditions of its own, not the approver's verdict: one that is there
/// stays as it was, and one that is added or missing is for validation to refuse.
fn keep_approval(new: &mut Value, old: &Value) {
    for kind in ["Approved", "Denied"] {
        let is_one = |condition: &&Value| super::text(condition, "/type") == kind;
        let before: Vec<&Value> = conditions(old).iter().filter(is_one).collect();
        if conditions(new).iter().filter(is_one).count() != before.len() {
            continue;
        }
        let list = new.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
        let own = list.into_iter().flatten().filter(|condition| is_one(&&**condition));
        own.zip(before).for_each(|(condition, before)| condition.clone_from(before));
    }
    approval::date_conditions(new, old);
}

fn conditions(request: &Value) -> &[Value] {
    request.pointer("/status/conditions").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A request must be readable, and signed with the key that it is about.
fn check_request(request: &Value) -> Vec<FieldError> {
    let encoded = super::text(request, "/spec/request");
    let Ok(text) = base64::engine::general_purpose::STANDARD.decode(encoded.replace(['\n', '\r'], "")) else {
        return Vec::new();
    };
    match pki::request::check(&text) {
        // Text without a request in it has been reported.
        Ok(()) | Err(Refusal::Missing) => Vec::new(),
        Err(error) => {
            let path = Path::new("spec").child("request");
            vec![FieldError { path, kind: FieldErrorKind::Invalid(format!("{encoded:?}"), error.to_string()) }]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_name_the_user_that_the_server_saw() {
        let cx = crate::context::testing::context("certificates.k8s.io", "certificatesigningrequests");
        let mut request = json!({"spec": {"username": "forged", "extra": {"a": ["b"]}, "signerName": "s"}});
        stamp_requester(&cx, &mut request);
        assert_eq!(request, json!({"spec": {"username": "tester", "groups": ["system:masters"], "signerName": "s"}}));
    }

    #[test]
    fn topology_is_dropped_from_what_changes() {
        let topology = json!({"kubernetes.io/hostname": "n"});
        let old = json!({"metadata": {"generation": 1}, "endpoints": [{"deprecatedTopology": topology}]});
        let mut same = old.clone();
        update_slice(&mut same, &old);
        assert_eq!(same, old);
        let mut new = json!({"endpoints": [{"deprecatedTopology": topology}, {"deprecatedTopology": {"a": "b"}}]});
        update_slice(&mut new, &old);
        assert_eq!(new, json!({"metadata": {"generation": 2}, "endpoints": [{"nodeName": "n"}, {}]}));
    }

    #[test]
    fn status_writers_do_not_approve() {
        let old = json!({"status": {"conditions": [{"type": "Denied", "reason": "r"}]}});
        let mut new = json!({"status": {"conditions": [{"type": "Failed"}, {"type": "Denied"}]}});
        keep_approval(&mut new, &old);
        assert_eq!(super::super::text(&new, "/status/conditions/1/reason"), "r");
        assert!(!super::super::text(&new, "/status/conditions/0/lastTransitionTime").is_empty());
        let mut added = json!({"status": {"conditions": [{"type": "Denied"}, {"type": "Approved"}]}});
        keep_approval(&mut added, &old);
        assert_eq!(super::super::text(&added, "/status/conditions/1/type"), "Approved");
    }

    #[test]
    fn requests_can_be_read() {
        let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let of = |request: String| check_request(&json!({"spec": {"request": request}})).len();
        assert_eq!(of(encoded("nothing")), 0);
        assert_eq!(of(encoded("-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n")), 1);
    }
}

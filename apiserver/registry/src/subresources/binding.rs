//! `pods/binding`: a pod gets its node, once.
//!
//! Upstream: `pkg/registry/core/pod/storage/storage.go` (`BindingREST`).

use super::{admit_posted, for_resource};
use crate::failure::Failure;
use crate::strategies::{member, text};
use crate::transaction::{self, Now};
use crate::verbs::{Target, created};
use crate::{Body, Context, Registry, Reply, decode, metadata};
use apimachinery::Value;
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta::{ObjectMeta, list_mut};
use apimachinery::resources;
use apimachinery::schema::Schema;
use apimachinery::status::{Reason, Status};
use apiserver_storage::{Change, Object};
use serde_json::json;
use std::sync::Arc;

pub(super) async fn bind(registry: &Registry, cx: &Context, body: Body) -> Result<Reply, Status> {
    let kind = GroupVersionKind::new("", "v1", "Binding");
    let ty = Schema::builtin().kind(&kind).ok_or_else(|| Status::internal("no type for bindings"))?;
    let mut binding = decode::object(cx, &body, &ty, &kind)?;
    metadata::ensure_namespace(cx, &mut binding)?;
    let name = pod_name(cx, &binding)?;
    check_target(&binding)?;
    if name.is_empty() {
        return Err(Status::bad_request("Name parameter required."));
    }
    admit_posted(registry, cx, &mut binding).await?;
    let pods = resources::find("", "v1", "pods").ok_or_else(|| Status::internal("no pods"))?;
    let pod = for_resource(cx, pods.clone(), &name);
    assign(registry, &pod, &binding).await?;
    Ok(created())
}

/// The pod is the URL's for `pods/binding`, the body's for `bindings`.
fn pod_name(cx: &Context, binding: &Value) -> Result<String, Status> {
    match (cx.name.as_str(), binding.name()) {
        ("", name) => Ok(name.to_owned()),
        (url, name) if url == name => Ok(url.to_owned()),
        _ => Err(Status::bad_request("name in URL does not match name in Binding object")),
    }
}

fn check_target(binding: &Value) -> Result<(), Status> {
    let target = Path::new("target");
    let mut errors = Vec::new();
    let kind = text(binding, "/target/kind");
    if !matches!(kind, "" | "Node") {
        let allowed = vec!["Node".to_owned(), "<empty>".to_owned()];
        errors.push(FieldError {
            path: target.child("kind"),
            kind: FieldErrorKind::NotSupported(format!("{kind:?}"), allowed),
        });
    }
    if text(binding, "/target/name").is_empty() {
        errors.push(FieldError { path: target.child("name"), kind: FieldErrorKind::Required(String::new()) });
    }
    match errors.is_empty() {
        true => Ok(()),
        // Upstream makes no answer about an object of these.
        false => {
            let list: Vec<String> = errors.iter().map(ToString::to_string).collect();
            let text = match list.as_slice() {
                [one] => one.clone(),
                many => format!("[{}]", many.join(", ")),
            };
            Err(Status::plain(500, Reason::Unknown, text))
        }
    }
}

async fn assign(registry: &Registry, cx: &Context, binding: &Value) -> Result<(), Status> {
    let target = Target::of(cx)?;
    let resource = cx.resource.group_resource();
    let mut change = Now(|current: &Arc<Object>| -> Result<Change, Failure> {
        let pod = bound(current.value(), binding).map_err(|why| {
            Status::conflict(&apimachinery::gvk::GroupResource::new("", "pods/binding"), &cx.name, &why)
        })?;
        Ok(if cx.dry_run { Change::Keep } else { Change::Put(pod) })
    });
    let written = transaction::run(&registry.store, &target, &mut change).await;
    written.map(drop).map_err(|failure| failure.status(&resource, &cx.name))
}

/// The pod with the binding's node and annotations, scheduled; or why it cannot be bound.
fn bound(mut pod: Value, binding: &Value) -> Result<Value, String> {
    let node = text(binding, "/target/name");
    check_pod(&pod, binding, node)?;
    member(&mut pod, "spec").insert("nodeName".into(), node.into());
    for kind in ["annotations", "labels"] {
        for (key, value) in
            binding.pointer(&format!("/metadata/{kind}")).and_then(Value::as_object).into_iter().flatten()
        {
            let map = pod.metadata_mut().entry(kind).or_insert_with(|| json!({}));
            if let Some(map) = map.as_object_mut() {
                map.insert(key.clone(), value.clone());
            }
        }
    }
    // Upstream binds below the strategy: the generation stays.
    member(&mut pod, "status").remove("nominatedNodeName");
    set_scheduled(&mut pod);
    Ok(pod)
}

fn check_pod(pod: &Value, binding: &Value, node: &str) -> Result<(), String> {
    let name = pod.name();
    let differs = |given: &str, stored: &str| !given.is_empty() && given != stored;
    if differs(binding.uid(), pod.uid()) {
        let (given, stored) = (binding.uid(), pod.uid());
        return Err(format!("Precondition failed: UID in precondition: {given}, UID in object meta: {stored}"));
    }
    if differs(binding.resource_version(), pod.resource_version()) {
        let (given, stored) = (binding.resource_version(), pod.resource_version());
        return Err(format!("Precondition failed: ResourceVersion in precondition: {given}, in object meta: {stored}"));
    }
    if pod.is_deleting() {
        return Err(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let present = text(pod, "/spec/nodeName");
    if !present.is_empty() {
        return Err(format!("pod {name} is already assigned to node {present:?}"));
    }
    if pod.pointer("/spec/schedulingGates").and_then(Value::as_array).is_some_and(|gates| !gates.is_empty()) {
        return Err(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    debug_assert!(!node.is_empty());
    Ok(())
}

/// Replaces the `PodScheduled` condition by a true one.
fn set_scheduled(pod: &mut Value) {
    let condition = json!({"type": "PodScheduled", "status": "True",
        "lastProbeTime": null, "lastTransitionTime": apimachinery::time::now()});
    let list = list_mut(member(pod, "status"), "conditions");
    match list.iter_mut().find(|c| text(c, "/type") == "PodScheduled") {
        Some(present) => *present = condition,
        None => list.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding() -> Value {
        json!({"metadata": {"name": "p", "annotations": {"a": "b"}}, "target": {"name": "n1"}})
    }

    #[test]
    fn binds_once() {
        let pod = json!({"metadata": {"name": "p", "generation": 1}, "spec": {},
            "status": {"phase": "Pending", "nominatedNodeName": "n1"}});
        let pod = bound(pod, &binding()).expect("bound");
        assert_eq!((text(&pod, "/spec/nodeName"), metadata::generation(&pod)), ("n1", 1));
        assert_eq!(pod["status"].get("nominatedNodeName"), None);
        assert_eq!(pod["metadata"]["annotations"], json!({"a": "b"}));
        assert_eq!(
            (text(&pod, "/status/conditions/0/type"), text(&pod, "/status/conditions/0/status")),
            ("PodScheduled", "True")
        );
        assert_eq!(bound(pod, &binding()), Err("pod p is already assigned to node \"n1\"".into()));
    }

    #[test]
    fn refuses_pods_that_are_not_to_run() {
        for (pod, want) in [
            (
                json!({"metadata": {"name": "p", "deletionTimestamp": "t"}}),
                "pod p is being deleted, cannot be assigned to a host",
            ),
            (
                json!({"metadata": {"name": "p"}, "spec": {"schedulingGates": [{}]}}),
                "pod p has non-empty .spec.schedulingGates",
            ),
        ] {
            assert_eq!(bound(pod, &binding()), Err(want.into()));
        }
    }

    #[test]
    fn the_target_is_a_node() {
        assert!(check_target(&binding()).is_ok());
        let wrong = json!({"target": {"kind": "Pod"}});
        let status = check_target(&wrong).expect_err("refused");
        let want = "[target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \"<empty>\", \
                    target.name: Required value]";
        assert_eq!((status.code, status.message.as_str()), (500, want));
    }
}

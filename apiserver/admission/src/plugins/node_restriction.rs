//! `NodeRestriction`: a kubelet writes what is its own, and nothing that lets it reach further.
//!
//! Upstream: `plugin/pkg/admission/noderestriction/admission.go`.

mod references;

use crate::denial::forbidden;
use crate::lookup::{get, text};
use apimachinery::Value;
use apimachinery::gvk::GroupResource;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::Store;
use async_trait::async_trait;
use references::Reference;

const USER_PREFIX: &str = "system:node:";
const GROUP: &str = "system:nodes";
const LEASES: &str = "kube-node-lease";
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Labels in Kubernetes' own domains that a kubelet may set on its node.
const OWN_LABELS: &[&str] = &[
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
];
const OWN_LABEL_DOMAINS: &[&str] = &["kubelet.kubernetes.io", "node.kubernetes.io"];

pub(crate) struct NodeRestriction {
    store: Store,
}

impl NodeRestriction {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    async fn check(&self, attributes: &Attributes<'_>, node: &str) -> Result<(), Status> {
        let context = attributes.context;
        match (&*context.resource.group, &*context.resource.plural, context.subresource_name()) {
            ("", "nodes", _) => check_node(attributes, node),
            ("", "pods", "") => self.check_pod(attributes, node).await,
            ("", "pods", "status") => own_pod(attributes, attributes.old_object, node),
            ("", "pods", "eviction") => self.check_eviction(attributes, node).await,
            ("", "serviceaccounts", "token") => self.check_token(attributes, node).await,
            ("coordination.k8s.io", "leases", _) => check_lease(attributes, node),
            ("storage.k8s.io", "csinodes", _) if attributes.name != node => {
                Err(forbidden(attributes, "can only access CSINode with the same name as the requesting node"))
            }
            ("", "persistentvolumeclaims", "status") | ("storage.k8s.io", "csinodes", _) => Ok(()),
            _ => Ok(()),
        }
    }

    async fn check_pod(&self, attributes: &Attributes<'_>, node: &str) -> Result<(), Status> {
        match attributes.operation {
            Operation::Create => {
                check_mirror(attributes, node)?;
                self.check_owner(attributes, node).await?;
                check_references(attributes, node)
            }
            Operation::Delete => own_pod(attributes, attributes.old_object, node),
            _ => Err(forbidden(attributes, &format!("unexpected operation {:?}", attributes.operation.as_str()))),
        }
    }

    /// A mirror pod belongs to the node that made it, and goes with it.
    async fn check_owner(&self, attributes: &Attributes<'_>, node: &str) -> Result<(), Status> {
        let refuse = |why: String| Err(forbidden(attributes, &why));
        let owners = attributes.object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let owner = match owners.map_or(&[][..], Vec::as_slice) {
            [owner] => owner,
            [] => return refuse(format!("node {node:?} can only create pods with an owner reference set to itself")),
            _ => {
                let why = format!("node {node:?} can only create pods with a single owner reference set to itself");
                return refuse(why);
            }
        };
        if (text(owner, "/apiVersion"), text(owner, "/kind"), text(owner, "/name")) != ("v1", "Node", node) {
            return refuse(format!("node {node:?} can only create pods with an owner reference set to itself"));
        }
        let is = |flag: &str| owner.get(flag).and_then(Value::as_bool) == Some(true);
        if !is("controller") {
            let why = format!("node {node:?} can only create pods with a controller owner reference set to itself");
            return refuse(why);
        }
        if is("blockOwnerDeletion") {
            return refuse(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
        }
        let Some(found) = get(&self.store, ("", "v1", "nodes"), "", node).await? else {
            return Err(Status::not_found(&GroupResource::new("", "nodes"), node));
        };
        let (given, own) = (text(owner, "/uid"), found.value());
        match own.uid() == given {
            true => Ok(()),
            false => refuse(format!("node {node} UID mismatch: expected {given} got {}", own.uid())),
        }
    }

    async fn check_eviction(&self, attributes: &Attributes<'_>, node: &str) -> Result<(), Status> {
        let context = attributes.context;
        let name = if context.name.is_empty() { attributes.name } else { &context.name };
        match get(&self.store, ("", "v1", "pods"), &context.namespace, name).await? {
            Some(pod) => own_pod(attributes, &pod.value(), node),
            None => Err(Status::not_found(&context.resource.group_resource(), name)),
        }
    }

    /// A token is for a pod that runs on the node.
    async fn check_token(&self, attributes: &Attributes<'_>, node: &str) -> Result<(), Status> {
        let bound = |key: &str| text(attributes.object, &format!("/spec/boundObjectRef/{key}"));
        if bound("kind") != "Pod" || bound("apiVersion") != "v1" || bound("name").is_empty() {
            return Err(forbidden(attributes, "node requested token not bound to a pod"));
        }
        if bound("uid").is_empty() {
            return Err(forbidden(attributes, "node requested token bound to a pod without a uid"));
        }
        let pod = get(&self.store, ("", "v1", "pods"), &attributes.context.namespace, bound("name")).await?;
        match pod.map(|pod| pod.value()) {
            Some(pod) if pod.uid() == bound("uid") && text(&pod, "/spec/nodeName") == node => Ok(()),
            _ => Err(forbidden(attributes, "node requested token bound to a pod scheduled on a different node")),
        }
    }
}

#[async_trait]
impl Plugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    fn handles(&self, _: Operation, context: &Context) -> bool {
        context.user.name.starts_with(USER_PREFIX) && context.user.groups.iter().any(|g| g == GROUP)
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let user = attributes.context.user.clone();
        let node = user.name.strip_prefix(USER_PREFIX).unwrap_or_default();
        if node.is_empty() {
            let why = format!("could not determine node from user {:?}", user.name);
            return Err(forbidden(attributes, &why));
        }
        self.check(attributes, node).await
    }
}

fn check_node(attributes: &Attributes<'_>, node: &str) -> Result<(), Status> {
    let name = if attributes.context.name.is_empty() { attributes.name } else { &attributes.context.name };
    if name != node {
        return Err(forbidden(attributes, &format!("node {node:?} is not allowed to modify node {name:?}")));
    }
    if !matches!(attributes.operation, Operation::Create | Operation::Update) {
        return Ok(());
    }
    if attributes.object.pointer("/spec/configSource").is_some()
        && attributes.old_object.pointer("/spec/configSource").is_none()
    {
        let why = format!("node {node:?} is not allowed to update configSource to a new non-nil configSource");
        return Err(forbidden(attributes, &why));
    }
    let taints = |value: &Value| value.pointer("/spec/taints").cloned();
    if attributes.operation == Operation::Update && taints(attributes.object) != taints(attributes.old_object) {
        return Err(forbidden(attributes, &format!("node {node:?} is not allowed to modify taints")));
    }
    let changed = forbidden_labels(attributes.object, attributes.old_object);
    match changed.is_empty() {
        true => Ok(()),
        false => {
            let what =
                if attributes.operation == Operation::Create { "set the following labels" } else { "modify labels" };
            let why = format!("is not allowed to {what}: {}", changed.join(", "));
            Err(forbidden(attributes, &why))
        }
    }
}

/// Changed labels that administrators isolate workloads by.
fn forbidden_labels(new: &Value, old: &Value) -> Vec<String> {
    let (new, old) = (new.labels(), old.labels());
    let value = |labels: Option<&apimachinery::Map>, key: &str| labels.and_then(|l| l.get(key)).cloned();
    let keys = new.into_iter().chain(old).flat_map(|labels| labels.keys());
    let changed = keys.filter(|key| value(new, key) != value(old, key) && !may_set(key));
    let mut changed: Vec<String> = changed.cloned().collect();
    changed.sort();
    changed.dedup();
    changed
}

fn may_set(label: &str) -> bool {
    let Some((domain, _)) = label.split_once('/') else { return true };
    let within = |parent: &str| domain == parent || domain.ends_with(&format!(".{parent}"));
    if within("node-restriction.kubernetes.io") {
        return false;
    }
    if !within("kubernetes.io") && !within("k8s.io") {
        return true;
    }
    OWN_LABELS.contains(&label) || OWN_LABEL_DOMAINS.iter().any(|own| within(own))
}

/// Kubelets create pods only to show what they run from files.
fn check_mirror(attributes: &Attributes<'_>, node: &str) -> Result<(), Status> {
    let pod = &attributes.object;
    let refuse = |why: String| Err(forbidden(attributes, &why));
    if !pod.annotations().is_some_and(|a| a.contains_key(MIRROR)) {
        return refuse(format!("pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"));
    }
    let on = text(pod, "/spec/nodeName");
    if on != node {
        return refuse(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    Ok(())
}

/// A mirror pod needs nothing of the API.
fn check_references(attributes: &Attributes<'_>, node: &str) -> Result<(), Status> {
    let unknown = |what: String| format!("error checking mirror pod for API references: {what}");
    let why = match references::first(attributes.object) {
        None => return Ok(()),
        Some(Reference::Object(what)) => format!("node {node:?} can not create pods that reference {what}"),
        Some(Reference::UnknownVolume(name)) => unknown(format!("unknown volume type for volume  {name:?}")),
        Some(Reference::UnknownSource(name)) => unknown(format!("unknown source for projected volume {name:?}")),
    };
    Err(forbidden(attributes, &why))
}

fn own_pod(attributes: &Attributes<'_>, pod: &Value, node: &str) -> Result<(), Status> {
    match text(pod, "/spec/nodeName") == node {
        true => Ok(()),
        false => {
            Err(forbidden(attributes, &format!("node {node:?} can only change pods with spec.nodeName set to itself")))
        }
    }
}

fn check_lease(attributes: &Attributes<'_>, node: &str) -> Result<(), Status> {
    let namespace = &attributes.context.namespace;
    let name = if attributes.context.name.is_empty() { attributes.name } else { &attributes.context.name };
    if namespace != LEASES {
        let why = format!("can only access leases in the {LEASES:?} system namespace");
        return Err(forbidden(attributes, &why));
    }
    match name == node {
        true => Ok(()),
        false => Err(forbidden(attributes, "can only access node lease with the same name as the requesting node")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, context, run};
    use serde_json::json;

    async fn ask(
        resource: &str,
        subresource: &str,
        operation: Operation,
        new: Value,
        old: Value,
    ) -> Result<Value, String> {
        let cluster = Cluster::start().await;
        let plugin = NodeRestriction::new(cluster.store.clone());
        let mut cx = context(resource, subresource, "system:node:n1");
        if resource.ends_with("leases") {
            cx.namespace = LEASES.into();
        }
        run(&plugin, &cx, operation, new, old).await.map_err(|status| status.message)
    }

    #[tokio::test]
    async fn a_kubelet_writes_its_own_node() {
        let node = |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}});
        for (object, refused) in [
            (node("n1", json!({"kubernetes.io/hostname": "n1", "mine": "1", "node.kubernetes.io/x": "1"})), None),
            (node("n2", json!({})), Some("node \"n1\" is not allowed to modify node \"n2\"")),
            (
                node("n1", json!({"node-restriction.kubernetes.io/a": "1"})),
                Some("is not allowed to set the following labels"),
            ),
            (
                node("n1", json!({"node-role.kubernetes.io/control-plane": ""})),
                Some("node-role.kubernetes.io/control-plane"),
            ),
        ] {
            let result = ask("/nodes", "", Operation::Create, object, Value::Null).await;
            match refused {
                None => assert!(result.is_ok(), "{result:?}"),
                Some(text) => assert!(result.as_ref().is_err_and(|m| m.contains(text)), "{result:?}"),
            }
        }
        let tainted = json!({"metadata": {"name": "n1"}, "spec": {"taints": [{"key": "a"}]}});
        assert!(ask("/nodes", "", Operation::Update, node("n1", json!({})), tainted).await.is_err());
    }

    #[tokio::test]
    async fn a_kubelet_touches_its_own_pods() {
        let pod = |node: &str| json!({"metadata": {"name": "p"}, "spec": {"nodeName": node}});
        assert!(ask("/pods", "", Operation::Delete, Value::Null, pod("n1")).await.is_ok());
        assert!(ask("/pods", "", Operation::Delete, Value::Null, pod("n2")).await.is_err());
        assert!(ask("/pods", "status", Operation::Update, pod("n2"), pod("n2")).await.is_err());
        assert!(ask("/pods", "", Operation::Create, pod("n1"), Value::Null).await.is_err(), "not a mirror");
        let lease = |name: &str| json!({"metadata": {"name": name}});
        assert!(ask("coordination.k8s.io/leases", "", Operation::Create, lease("n1"), Value::Null).await.is_ok());
        assert!(ask("coordination.k8s.io/leases", "", Operation::Create, lease("n2"), Value::Null).await.is_err());
    }

    #[tokio::test]
    async fn a_mirror_pod_is_owned_by_its_node() {
        let cluster = Cluster::start().await;
        cluster.add("/nodes", json!({"metadata": {"name": "n1", "uid": "u1"}})).await;
        let plugin = NodeRestriction::new(cluster.store.clone());
        let cx = context("/pods", "", "system:node:n1");
        let owner = json!({"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u1", "controller": true});
        let with = |key: &str, value: Value| {
            let mut owner = owner.clone();
            owner[key] = value;
            json!([owner])
        };
        let not_itself = "node \"n1\" can only create pods with an owner reference set to itself";
        for (owners, refused) in [
            (json!([owner]), None),
            (with("blockOwnerDeletion", false.into()), None),
            (json!([]), Some(not_itself)),
            (
                json!([owner, owner]),
                Some("node \"n1\" can only create pods with a single owner reference set to itself"),
            ),
            (with("name", "n2".into()), Some(not_itself)),
            (with("kind", "Pod".into()), Some(not_itself)),
            (
                with("controller", false.into()),
                Some("node \"n1\" can only create pods with a controller owner reference set to itself"),
            ),
            (
                with("blockOwnerDeletion", true.into()),
                Some("node \"n1\" must not set blockOwnerDeletion on an owner reference"),
            ),
            (with("uid", "u2".into()), Some("node n1 UID mismatch: expected u2 got u1")),
        ] {
            let annotations = json!({MIRROR: "x"});
            let pod = json!({
                "metadata": {"name": "p", "annotations": annotations, "ownerReferences": owners},
                "spec": {"nodeName": "n1"},
            });
            let result = run(&plugin, &cx, Operation::Create, pod, Value::Null).await.map_err(|status| status.message);
            match refused {
                None => assert!(result.is_ok(), "{owners}: {result:?}"),
                Some(why) => assert!(result.as_ref().is_err_and(|m| m.ends_with(why)), "{owners}: {result:?}"),
            }
        }
    }

    #[tokio::test]
    async fn others_are_not_restricted() {
        let cluster = Cluster::start().await;
        let plugin = NodeRestriction::new(cluster.store.clone());
        assert!(!plugin.handles(Operation::Create, &context("/nodes", "", "admin")));
    }
}

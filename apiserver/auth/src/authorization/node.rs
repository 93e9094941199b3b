//! Node authorization: a kubelet may do what the role `system:node` says, but reads secrets,
//! config maps, claims and tokens only for pods bound to its node, and writes only its own objects.
//!
//! Upstream: `plugin/pkg/auth/authorizer/node/node_authorizer.go`. Instead of a graph that is kept
//! current with every pod, the pods of the node (the store has them indexed) are looked through
//! when a kubelet asks, which it does once per pod and object.

mod references;

use super::rules::Rule;
use super::{Attributes, Decision, Reason};
use crate::authentication::service_account::core;
use apimachinery::Value;
use apimachinery::resources::{self, ResourceInfo};
use apimachinery::selector::{FieldSelector, FieldTerm};
use apiserver_registry::UserInfo;
use apiserver_storage::{Selection, Store};
use references::{Referenced, refers, volume_secret};
use std::sync::Arc;

/// The node authorizer.
#[derive(Debug)]
pub struct NodeAuthorizer {
    store: Store,
    rules: Vec<Rule>,
}

/// Upstream's words for what is refused; empty if it has none.
type Refusal = String;

impl NodeAuthorizer {
    /// An authorizer over the pods of `store`.
    pub fn new(store: Store) -> Self {
        Self { store, rules: crate::bootstrap::node_rules() }
    }

    /// No opinion on anybody but nodes.
    pub fn authorize(&self, user: &UserInfo, attributes: &Attributes<'_>) -> Decision {
        let judged = match node_name(user) {
            None => return Decision::NoOpinion(String::new()),
            Some("") => Err(format!("unknown node for user {:?}", user.name)),
            Some(node) => self.judge(node, attributes),
        };
        match judged {
            Ok(()) => Decision::Allow(Reason::None),
            Err(reason) => Decision::NoOpinion(reason),
        }
    }

    fn judge(&self, node: &str, request: &Attributes<'_>) -> Result<(), Refusal> {
        if request.is_resource {
            match (request.group, request.resource) {
                ("", "secrets") => return self.read_referenced(node, request, Referenced::Secret),
                ("", "configmaps") => return self.read_referenced(node, request, Referenced::ConfigMap),
                ("", "persistentvolumeclaims") => return self.claim(node, request),
                ("", "persistentvolumes") => return self.read_volume(node, request),
                ("resource.k8s.io", "resourceclaims") => return self.read_resource_claim(node, request),
                ("storage.k8s.io", "volumeattachments") => {
                    get_only(request)?;
                    return self.bound(node, request);
                }
                ("", "serviceaccounts") => return self.service_account(node, request),
                ("", "nodes") => return own_node(node, request),
                ("", "pods") => return self.pods(node, request),
                ("coordination.k8s.io", "leases") => return own_lease(node, request),
                ("storage.k8s.io", "csinodes") => return own_csi_node(node, request),
                ("resource.k8s.io", "resourceslices") => return self.resource_slices(node, request),
                ("certificates.k8s.io", "podcertificaterequests") => return self.certificate_requests(node, request),
                _ => {}
            }
        }
        allowed_if(self.rules.iter().any(|rule| rule.allows(request)), String::new)
    }

    fn read_referenced(&self, node: &str, request: &Attributes<'_>, what: Referenced) -> Result<(), Refusal> {
        read_only(request)?;
        named(request)?;
        let related = self.any_pod(node, request.namespace, what, request.name)
            || what == Referenced::Secret && self.secret_of_volume(node, request.namespace, request.name);
        allowed_if(related, || unrelated(node))
    }

    fn claim(&self, node: &str, request: &Attributes<'_>) -> Result<(), Refusal> {
        if request.subresource == "status" {
            allowed_if(matches!(request.verb, "update" | "patch"), || "can only get/update/patch this type".into())?;
        } else {
            get_only(request)?;
        }
        named(request)?;
        allowed_if(self.any_pod(node, request.namespace, Referenced::Claim, request.name), || unrelated(node))
    }

    fn read_resource_claim(&self, node: &str, request: &Attributes<'_>) -> Result<(), Refusal> {
        get_only(request)?;
        named(request)?;
        let related = self.any_pod(node, request.namespace, Referenced::ResourceClaim, request.name);
        allowed_if(related, || unrelated(node))
    }

    fn read_volume(&self, node: &str, request: &Attributes<'_>) -> Result<(), Refusal> {
        get_only(request)?;
        named(request)?;
        let volume = core("persistentvolumes").and_then(|r| self.store.cached(r, &r.key("", request.name)));
        allowed_if(volume.is_some_and(|v| self.uses_volume(node, &v.value())), || unrelated(node))
    }

    /// Whether a pod of the node uses the claim that a volume is bound to.
    fn uses_volume(&self, node: &str, volume: &Value) -> bool {
        let Some(claim) = volume.pointer("/spec/claimRef") else { return false };
        let text = |key: &str| claim.get(key).and_then(Value::as_str).unwrap_or_default();
        self.any_pod(node, text("namespace"), Referenced::Claim, text("name"))
    }

    fn secret_of_volume(&self, node: &str, namespace: &str, name: &str) -> bool {
        let Some(resource) = core("persistentvolumes") else { return false };
        let volumes = self.store.cached_list(resource, None);
        volumes.iter().filter(|v| contains(v.json(), name)).any(|volume| {
            let volume = volume.value();
            volume_secret(&volume, namespace, name) && self.uses_volume(node, &volume)
        })
    }

    fn service_account(&self, node: &str, request: &Attributes<'_>) -> Result<(), Refusal> {
        if request.verb == "get" && request.subresource.is_empty() {
            return self.read_referenced(node, request, Referenced::ServiceAccount);
        }
        let one = request.verb == "create" && !request.name.is_empty();
        allowed_if(one, || "can only create tokens for individual service accounts".into())?;
        let token = request.subresource == "token";
        allowed_if(token, || "can only create token subresource of serviceaccount".into())?;
        let related = self.any_pod(node, request.namespace, Referenced::ServiceAccount, request.name);
        allowed_if(related, || unrelated(node))
    }

    fn pods(&self, node: &str, request: &Attributes<'_>) -> Result<(), Refusal> {
        match (request.subresource, request.verb) {
            // Admission sees to it that these are about pods of the node.
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Ok(()),
            ("", "get") => self.bound(node, request),
            ("", "list" | "watch") if selects(request, "spec.nodeName", node) => Ok(()),
            ("", "list" | "watch") if !request.name.is_empty() => self.bound(node, request),
            ("", "list" | "watch") => Err("can only list/watch pods with spec.nodeName field selector".into()),
            _ => Err(String::new()),
        }
    }

    fn resource_slices(&self, node: &str, request: &Attributes<'_>) -> Result<(), Refusal> {
        allowed_if(request.subresource.is_empty(), || "cannot authorize ResourceSlice subresources".into())?;
        match request.verb {
            "create" => Ok(()),
            "get" | "update" | "patch" | "delete" => self.bound(node, request),
            "watch" | "list" | "deletecollection" => allowed_if(selects(request, "spec.nodeName", node), || {
                "can only list/watch/deletecollection resourceslices with nodeName field selector".into()
            }),
            _ => Err("only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection".into()),
        }
    }

    fn certificate_requests(&self, node: &str, request: &Attributes<'_>) -> Result<(), Refusal> {
        allowed_if(request.subresource.is_empty(), || {
            "nodes may not access the status subresource of PodCertificateRequests".into()
        })?;
        match request.verb {
            "create" => Ok(()),
            "get" => self.bound(node, request),
            "list" | "watch" => allowed_if(selects(request, "spec.nodeName", node), || {
                "can only list/watch podcertificaterequests with nodeName field selector".into()
            }),
            verb => Err(format!("nodes may not {verb} podcertificaterequests")),
        }
    }

    /// Whether the object's own `spec.nodeName` is the node.
    fn bound(&self, node: &str, request: &Attributes<'_>) -> Result<(), Refusal> {
        named(request)?;
        let object = served(request).and_then(|r| self.store.cached(r, &r.key(request.namespace, request.name)));
        let is_bound = object.is_some_and(|object| match object.field("spec.nodeName") {
            Some(name) => name == node,
            None => object.value().pointer("/spec/nodeName").and_then(Value::as_str) == Some(node),
        });
        allowed_if(is_bound, || unrelated(node))
    }

    /// Whether a pod of this namespace that is bound to the node refers to the object.
    fn any_pod(&self, node: &str, namespace: &str, what: Referenced, name: &str) -> bool {
        let Some(pods) = core("pods") else { return false };
        let term = FieldTerm { field: "spec.nodeName".into(), value: node.into(), negated: false };
        let selection = Selection {
            namespace: Some(namespace.to_owned()),
            fields: FieldSelector { terms: vec![term] },
            ..Selection::default()
        };
        // The claims of ephemeral volumes are named after pod and volume.
        let may_refer = |pod: &[u8]| what == Referenced::Claim || contains(pod, name);
        let pods = self.store.cached_matching(pods, &selection);
        pods.iter().filter(|pod| may_refer(pod.json())).any(|pod| refers(&pod.value(), what, name))
    }
}

/// The node's name if the user is a node.
pub fn node_name(user: &UserInfo) -> Option<&str> {
    let name = user.name.strip_prefix("system:node:")?;
    user.groups.iter().any(|g| g == "system:nodes").then_some(name)
}

fn contains(json: &[u8], name: &str) -> bool {
    memchr::memmem::find(json, name.as_bytes()).is_some()
}

fn served(request: &Attributes<'_>) -> Option<&'static Arc<ResourceInfo>> {
    resources::find(request.group, request.version, request.resource)
}

fn allowed_if(allowed: bool, refusal: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
    if allowed { Ok(()) } else { Err(refusal()) }
}

fn unrelated(node: &str) -> Refusal {
    format!("no relationship found between node '{node}' and this object")
}

fn named(request: &Attributes<'_>) -> Result<(), Refusal> {
    allowed_if(!request.name.is_empty(), || "No Object name found".into())
}

fn read_only(request: &Attributes<'_>) -> Result<(), Refusal> {
    let reads = matches!(request.verb, "get" | "list" | "watch");
    allowed_if(reads, || "can only read resources of this type".into())?;
    allowed_if(request.subresource.is_empty(), || "cannot read subresource".into())?;
    allowed_if(!request.namespace.is_empty(), || "can only read namespaced object of this type".into())
}

fn get_only(request: &Attributes<'_>) -> Result<(), Refusal> {
    allowed_if(request.verb == "get", || "can only get individual resources of this type".into())?;
    allowed_if(request.subresource.is_empty(), || "cannot get subresource".into())
}

fn selects(request: &Attributes<'_>, field: &str, value: &str) -> bool {
    let pins = |t: &FieldTerm| t.field == field && t.value == value && !t.negated;
    request.fields.is_some_and(|f| f.terms.iter().any(pins))
}

fn own_node(node: &str, request: &Attributes<'_>) -> Result<(), Refusal> {
    match (request.subresource, request.verb) {
        // Admission sees to it that these are about the node itself.
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Ok(()),
        ("", "get" | "list" | "watch") => match request.name {
            name if name == node => Ok(()),
            "" => Err(format!("node '{node}' cannot read all nodes, only its own Node object")),
            name => Err(format!("node '{node}' cannot read '{name}', only its own Node object")),
        },
        _ => Err(String::new()),
    }
}

fn own_lease(node: &str, request: &Attributes<'_>) -> Result<(), Refusal> {
    let known = matches!(request.verb, "get" | "create" | "update" | "patch" | "delete");
    allowed_if(known, || "can only get, create, update, patch, or delete a node lease".into())?;
    let system = request.namespace == "kube-node-lease";
    allowed_if(system, || "can only access leases in the \"kube-node-lease\" system namespace".into())?;
    let own = request.verb == "create" || request.name == node;
    allowed_if(own, || "can only access node lease with the same name as the requesting node".into())
}

fn own_csi_node(node: &str, request: &Attributes<'_>) -> Result<(), Refusal> {
    let known = matches!(request.verb, "get" | "create" | "update" | "patch" | "delete");
    allowed_if(known, || "can only get, create, update, patch, or delete a CSINode".into())?;
    allowed_if(request.subresource.is_empty(), || "cannot authorize CSINode subresources".into())?;
    let own = request.verb == "create" || request.name == node;
    allowed_if(own, || "can only access CSINode with the same name as the requesting node".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nodes_are_nodes() {
        let user =
            |name: &str, group: &str| UserInfo { name: name.into(), groups: vec![group.into()], ..UserInfo::default() };
        assert_eq!(node_name(&user("system:node:n1", "system:nodes")), Some("n1"));
        assert_eq!(node_name(&user("system:node:n1", "dev")), None);
        assert_eq!(node_name(&user("n1", "system:nodes")), None);
    }

    #[test]
    fn own_objects_only() {
        let lease = |verb, namespace, name| Attributes { verb, namespace, name, ..Attributes::default() };
        assert!(own_lease("n1", &lease("update", "kube-node-lease", "n1")).is_ok());
        assert!(own_lease("n1", &lease("update", "kube-node-lease", "n2")).is_err());
        assert!(own_lease("n1", &lease("update", "default", "n1")).is_err());
        assert!(own_lease("n1", &lease("list", "kube-node-lease", "")).is_err());
        let node = |verb, name| Attributes { verb, name, ..Attributes::default() };
        assert!(own_node("n1", &node("get", "n1")).is_ok());
        assert!(own_node("n1", &node("get", "n2")).is_err());
        assert_eq!(
            own_node("n1", &node("list", "")),
            Err("node 'n1' cannot read all nodes, only its own Node object".into())
        );
        assert_eq!(own_node("n1", &node("delete", "n1")), Err(String::new()));
    }
}

//! Node authorization: a kubelet may do what the role `system:node` says, but reads secrets,
//! config maps, claims and tokens only for pods bound to its node, and writes only its own objects.
//!
//! Upstream: `plugin/pkg/auth/authorizer/node/node_authorizer.go`. Instead of a graph that is kept
//! current with every pod, the pods of the namespace are looked through when a kubelet asks, which
//! it does once per pod and object.

use super::rules::Rule;
use super::{Attributes, Decision};
use crate::authentication::service_account::core;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apiserver_registry::UserInfo;
use apiserver_storage::Store;

/// The node authorizer.
#[derive(Debug)]
pub struct NodeAuthorizer {
    store: Store,
    rules: Vec<Rule>,
}

/// How a pod can refer to an object that its kubelet may then read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Referenced {
    Secret,
    ConfigMap,
    Claim,
}

impl NodeAuthorizer {
    /// An authorizer over the pods of `store`.
    pub fn new(store: Store) -> Self {
        Self { store, rules: crate::bootstrap::node_rules() }
    }

    /// No opinion on anybody but nodes.
    pub fn authorize(&self, user: &UserInfo, attributes: &Attributes<'_>) -> Decision {
        let Some(node) = node_name(user) else {
            return Decision::NoOpinion(String::new());
        };
        match self.judge(node, attributes) {
            Ok(()) => Decision::Allow(String::new()),
            Err(reason) => Decision::NoOpinion(reason),
        }
    }

    fn judge(&self, node: &str, request: &Attributes<'_>) -> Result<(), String> {
        if request.is_resource {
            match (request.group, request.resource) {
                ("", "secrets") => return self.read_referenced(node, request, Referenced::Secret),
                ("", "configmaps") => return self.read_referenced(node, request, Referenced::ConfigMap),
                ("", "persistentvolumeclaims") if request.subresource.is_empty() => {
                    return self.read_referenced(node, request, Referenced::Claim);
                }
                ("", "persistentvolumes") => return self.read_volume(node, request),
                ("", "serviceaccounts") => return self.token(node, request),
                ("", "nodes") => own_node(node, request)?,
                ("", "pods") => own_pods(node, request)?,
                ("coordination.k8s.io", "leases") => return own_lease(node, request),
                ("storage.k8s.io", "csinodes") => return own_csi_node(node, request),
                _ => {}
            }
        }
        match self.rules.iter().any(|rule| rule.allows(request)) {
            true => Ok(()),
            false => Err(String::new()),
        }
    }

    fn read_referenced(&self, node: &str, request: &Attributes<'_>, what: Referenced) -> Result<(), String> {
        if !matches!(request.verb, "get" | "list" | "watch") || !request.subresource.is_empty() {
            return Err("can only read resources of this type".into());
        }
        let name = object_name(request);
        if name.is_empty() {
            return Err("No Object name found".into());
        }
        match self.any_pod(node, request.namespace, |pod| refers(pod, what, name)) {
            true => Ok(()),
            false => Err(format!("no relationship found between node '{node}' and this object")),
        }
    }

    fn read_volume(&self, node: &str, request: &Attributes<'_>) -> Result<(), String> {
        let unrelated = || format!("no relationship found between node '{node}' and this object");
        if !matches!(request.verb, "get" | "list" | "watch") || object_name(request).is_empty() {
            return Err("can only read resources of this type".into());
        }
        let volume = core("persistentvolumes").and_then(|r| self.store.cached(r, &r.key("", object_name(request))));
        let claim =
            volume.map(|v| v.value()).and_then(|v| v.pointer("/spec/claimRef").cloned()).ok_or_else(unrelated)?;
        let text = |key: &str| claim.get(key).and_then(Value::as_str).unwrap_or_default();
        match self.any_pod(node, text("namespace"), |pod| refers(pod, Referenced::Claim, text("name"))) {
            true => Ok(()),
            false => Err(unrelated()),
        }
    }

    fn token(&self, node: &str, request: &Attributes<'_>) -> Result<(), String> {
        if request.verb == "get" && request.subresource.is_empty() {
            return self.service_account(node, request);
        }
        match (request.verb, request.subresource) {
            ("create", "token") => self.service_account(node, request),
            _ => Err("can only create tokens for individual service accounts".into()),
        }
    }

    fn service_account(&self, node: &str, request: &Attributes<'_>) -> Result<(), String> {
        let uses = |pod: &Value| pod.pointer("/spec/serviceAccountName").and_then(Value::as_str) == Some(request.name);
        match self.any_pod(node, request.namespace, uses) {
            true => Ok(()),
            false => Err(format!("no relationship found between node '{node}' and this object")),
        }
    }

    /// Whether a pod of this namespace that is bound to the node fulfils the test.
    fn any_pod(&self, node: &str, namespace: &str, test: impl Fn(&Value) -> bool) -> bool {
        let Some(pods) = core("pods") else { return false };
        let pods = self.store.cached_list(pods, Some(namespace));
        pods.iter().filter(|pod| pod.field("spec.nodeName") == Some(node)).any(|pod| test(&pod.value()))
    }
}

/// The node's name if the user is a node.
pub fn node_name(user: &UserInfo) -> Option<&str> {
    let name = user.name.strip_prefix("system:node:")?;
    user.groups.iter().any(|g| g == "system:nodes").then_some(name)
}

/// The name a request is about: its own, or the one that its field selector singles out.
fn object_name<'a>(request: &Attributes<'a>) -> &'a str {
    let selected = || request.fields.and_then(|f| f.terms.iter().find(|t| t.field == "metadata.name" && !t.negated));
    match request.name {
        "" => selected().map_or("", |term| term.value.as_str()),
        name => name,
    }
}

fn own_node(node: &str, request: &Attributes<'_>) -> Result<(), String> {
    if matches!(request.verb, "get" | "list" | "watch")
        && request.subresource.is_empty()
        && object_name(request) != node
    {
        return Err(format!("node '{node}' cannot read '{}', only its own Node object", object_name(request)));
    }
    Ok(())
}

fn own_pods(node: &str, request: &Attributes<'_>) -> Result<(), String> {
    if !matches!(request.verb, "list" | "watch") {
        return Ok(());
    }
    let own = |t: &apimachinery::selector::FieldTerm| t.field == "spec.nodeName" && t.value == node && !t.negated;
    match request.fields.is_some_and(|f| f.terms.iter().any(own)) || !request.name.is_empty() {
        true => Ok(()),
        false => Err(format!("can only list/watch pods with spec.nodeName field selector of node '{node}'")),
    }
}

fn own_lease(node: &str, request: &Attributes<'_>) -> Result<(), String> {
    if !matches!(request.verb, "get" | "create" | "update" | "patch" | "delete") {
        return Err("can only get, create, update, patch, or delete a node lease".into());
    }
    if request.namespace != "kube-node-lease" {
        return Err("can only access leases in the \"kube-node-lease\" system namespace".into());
    }
    match request.verb == "create" || request.name == node {
        true => Ok(()),
        false => Err("can only access node lease with the same name as the requesting node".into()),
    }
}

fn own_csi_node(node: &str, request: &Attributes<'_>) -> Result<(), String> {
    if !matches!(request.verb, "get" | "create" | "update" | "patch" | "delete") {
        return Err("can only get, create, update, patch, or delete a CSINode".into());
    }
    match request.verb == "create" || request.name == node {
        true => Ok(()),
        false => Err("can only access CSINode with the same name as the requesting node".into()),
    }
}

/// Whether a pod refers to the object by volume, environment or image pull secret.
fn refers(pod: &Value, what: Referenced, name: &str) -> bool {
    let Some(spec) = pod.get("spec") else { return false };
    let volumes = || list(spec, "volumes").any(|v| volume_refers(pod, v, what, name));
    let containers = || {
        let all = ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|k| list(spec, k));
        all.into_iter().any(|c| environment_refers(c, what, name))
    };
    let pull = || what == Referenced::Secret && list(spec, "imagePullSecrets").any(|s| is(s, "/name", name));
    volumes() || containers() || pull()
}

fn volume_refers(pod: &Value, volume: &Value, what: Referenced, name: &str) -> bool {
    let source = |projected: &Value| match what {
        Referenced::Secret => is(projected, "/secret/name", name),
        Referenced::ConfigMap => is(projected, "/configMap/name", name),
        Referenced::Claim => false,
    };
    let direct = match what {
        Referenced::Secret => is(volume, "/secret/secretName", name) || plugin_secret(volume, name),
        Referenced::ConfigMap => is(volume, "/configMap/name", name),
        Referenced::Claim => is(volume, "/persistentVolumeClaim/claimName", name) || ephemeral_claim(pod, volume, name),
    };
    direct || volume.get("projected").is_some_and(|p| list(p, "sources").any(source))
}

/// Secrets that in-line volume plugins name.
fn plugin_secret(volume: &Value, name: &str) -> bool {
    let plugins = [
        "csi/nodePublishSecretRef",
        "azureFile/secretName",
        "cephfs/secretRef",
        "flexVolume/secretRef",
        "iscsi/secretRef",
        "rbd/secretRef",
        "scaleIO/secretRef",
        "storageos/secretRef",
    ];
    plugins.iter().any(|p| is(volume, &format!("/{p}/name"), name) || is(volume, &format!("/{p}"), name))
}

/// The claim of a generic ephemeral volume is named after pod and volume.
fn ephemeral_claim(pod: &Value, volume: &Value, name: &str) -> bool {
    let own = || format!("{}-{}", pod.name(), volume.get("name").and_then(Value::as_str).unwrap_or_default());
    volume.get("ephemeral").is_some() && own() == name
}

fn environment_refers(container: &Value, what: Referenced, name: &str) -> bool {
    let (one, all) = match what {
        Referenced::Secret => ("/valueFrom/secretKeyRef/name", "/secretRef/name"),
        Referenced::ConfigMap => ("/valueFrom/configMapKeyRef/name", "/configMapRef/name"),
        Referenced::Claim => return false,
    };
    list(container, "env").any(|e| is(e, one, name)) || list(container, "envFrom").any(|e| is(e, all, name))
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn is(value: &Value, pointer: &str, want: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_str) == Some(want)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_nodes_are_nodes() {
        let user =
            |name: &str, group: &str| UserInfo { name: name.into(), groups: vec![group.into()], ..UserInfo::default() };
        assert_eq!(node_name(&user("system:node:n1", "system:nodes")), Some("n1"));
        assert_eq!(node_name(&user("system:node:n1", "dev")), None);
        assert_eq!(node_name(&user("n1", "system:nodes")), None);
    }

    #[test]
    fn finds_what_a_pod_refers_to() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {
            "imagePullSecrets": [{"name": "pull"}],
            "volumes": [
                {"name": "a", "secret": {"secretName": "s1"}},
                {"name": "b", "projected": {"sources": [{"configMap": {"name": "root"}}, {"secret": {"name": "s2"}}]}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "scratch", "ephemeral": {}}],
            "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "s3"}}}], "envFrom": [{"configMapRef": {"name": "cm"}}]}]}});
        let cases = [
            (Referenced::Secret, &["pull", "s1", "s2", "s3"][..], &["root", "data"][..]),
            (Referenced::ConfigMap, &["root", "cm"], &["s1", "data"]),
            (Referenced::Claim, &["data", "p-scratch"], &["scratch", "s1"]),
        ];
        for (what, yes, no) in cases {
            assert!(yes.iter().all(|name| refers(&pod, what, name)), "{what:?}");
            assert!(!no.iter().any(|name| refers(&pod, what, name)), "{what:?}");
        }
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
        assert!(own_node("n1", &node("list", "")).is_err());
    }
}

//! The REST resources: what discovery lists, where etcd keeps them, what can be selected.
//!
//! Upstream: `pkg/controlplane/instance.go`, `pkg/registry/*/rest`, and each strategy's
//! `NamespaceScoped` and field label conversions.

mod custom;
mod table;

pub use custom::{AGE_DESCRIPTION, ConversionWebhook, Custom, PrintedColumn, ScalePaths};

use crate::gvk::{GroupResource, GroupVersionKind, Str};
use crate::schema::TypeRef;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// One resource in one served version, built in or custom.
#[derive(Debug)]
pub struct ResourceInfo {
    /// API group, empty for core.
    pub group: Str,
    /// Served version.
    pub version: Str,
    /// Plural name, as in paths.
    pub plural: Str,
    /// Singular name.
    pub singular: Str,
    /// Kind of one object.
    pub kind: Str,
    /// Kind of a list, such as `PodList`.
    pub list_kind: Str,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Short names, such as `po`.
    pub short_names: Vec<Str>,
    /// Categories, such as `all`.
    pub categories: Vec<Str>,
    /// Verbs of the resource itself, as discovery lists them. Resources without `get` are
    /// create-only reviews and are not stored.
    pub verbs: Vec<Str>,
    /// Subresources, such as `status`.
    pub subresources: Vec<Subresource>,
    /// etcd key prefix below `--etcd-prefix`, without slashes at its ends: `pods`, `minions`,
    /// `services/specs`, `apiregistration.k8s.io/apiservices`. Empty for what is not stored.
    pub storage_prefix: Str,
    /// The kind (group and version) that objects are stored as.
    pub storage_kind: GroupVersionKind,
    /// Schema of one object in the served version.
    pub schema: TypeRef,
    /// Field selectors beyond `metadata.name` and `metadata.namespace`, as dotted JSON paths.
    pub selectable_fields: Vec<SelectableField>,
    /// What a custom resource's definition adds to these facts; `None` for built-in resources.
    pub custom: Option<Arc<dyn Custom>>,
}

/// A subresource and what it serves.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// Name, such as `status` or `ephemeralcontainers`.
    pub name: Str,
    /// Kind of its body, such as `Scale` in `autoscaling/v1`.
    pub kind: GroupVersionKind,
    /// Whether discovery names group and version of the kind.
    pub names_version: bool,
    /// Verbs, as discovery lists them.
    pub verbs: Vec<Str>,
}

/// A field selector that a resource supports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectableField {
    /// Name in the selector, such as `spec.nodeName`.
    pub label: Str,
    /// Dotted JSON paths; the first that is present and not empty gives the value.
    pub paths: Vec<Str>,
    /// Value when no path is present, such as `false` for `spec.unschedulable`.
    pub default: Str,
}

impl ResourceInfo {
    /// Group and plural name.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource { group: self.group.clone(), resource: self.plural.clone() }
    }

    /// Group, version and kind.
    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind { group: self.group.clone(), version: self.version.clone(), kind: self.kind.clone() }
    }

    /// The `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        crate::gvk::api_version(&self.group, &self.version)
    }

    /// The subresource of this name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// Whether objects of this resource lie in etcd.
    pub fn is_stored(&self) -> bool {
        !self.storage_prefix.is_empty()
    }

    /// Whether objects are stored as they are served.
    pub fn is_stored_as_served(&self) -> bool {
        self.storage_kind.group == self.group && self.storage_kind.version == self.version
    }

    /// The etcd key below the prefix: `pods/default/a` or `minions/n1`.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        match self.namespaced {
            true => [&*self.storage_prefix, namespace, name].join("/"),
            false => [&*self.storage_prefix, name].join("/"),
        }
    }
}

struct Builtin {
    all: Vec<Arc<ResourceInfo>>,
    by_path: HashMap<(&'static str, &'static str, &'static str), usize>,
    by_kind: HashMap<GroupVersionKind, usize>,
}

static BUILTIN: LazyLock<Builtin> = LazyLock::new(|| {
    let all = table::parse(include_str!("resources/resources.txt")).expect("the built-in table parses: tested");
    let by_kind = all.iter().enumerate().map(|(i, r)| (r.gvk(), i)).collect();
    let by_path = all.iter().enumerate().filter_map(|(i, r)| Some((table::path(r)?, i))).collect();
    Builtin { by_kind, by_path, all }
});

/// All built-in resources that v1.36 serves by default, in discovery order.
pub fn builtin() -> &'static [Arc<ResourceInfo>] {
    &BUILTIN.all
}

/// The built-in resource of this group, version and plural name.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Arc<ResourceInfo>> {
    BUILTIN.by_path.get(&(group, version, plural)).map(|i| &BUILTIN.all[*i])
}

/// The built-in resource that serves this kind.
pub fn for_kind(kind: &GroupVersionKind) -> Option<&'static Arc<ResourceInfo>> {
    BUILTIN.by_kind.get(kind).map(|i| &BUILTIN.all[*i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_pods() {
        let pods = find("", "v1", "pods").expect("pods are served");
        assert!(pods.namespaced && pods.is_stored() && pods.is_stored_as_served());
        assert_eq!((&*pods.kind, &*pods.list_kind, &*pods.singular), ("Pod", "PodList", "pod"));
        assert_eq!(pods.key("ns", "a"), "pods/ns/a");
        assert_eq!(pods.short_names, ["po"]);
        let eviction = pods.subresource("eviction").expect("a subresource");
        assert_eq!((eviction.kind.to_string(), eviction.names_version), ("policy/v1, Kind=Eviction".into(), true));
        let node = pods.selectable_fields.iter().find(|f| f.label == "spec.nodeName").expect("selectable");
        assert_eq!((node.paths.as_slice(), &*node.default), (&["spec.nodeName".into()][..], ""));
    }

    #[test]
    fn knows_where_objects_lie() {
        for (group, version, plural, key) in [
            ("", "v1", "nodes", "minions/n"),
            ("", "v1", "services", "services/specs/ns/n"),
            ("", "v1", "endpoints", "services/endpoints/ns/n"),
            ("", "v1", "replicationcontrollers", "controllers/ns/n"),
            ("networking.k8s.io", "v1", "ingresses", "ingress/ns/n"),
            ("apiregistration.k8s.io", "v1", "apiservices", "apiregistration.k8s.io/apiservices/n"),
            ("events.k8s.io", "v1", "events", "events/ns/n"),
        ] {
            assert_eq!(find(group, version, plural).expect(plural).key("ns", "n"), key);
        }
        let hpa = find("autoscaling", "v1", "horizontalpodautoscalers").expect("served");
        assert_eq!(hpa.storage_kind.version, "v2");
        assert!(!find("authorization.k8s.io", "v1", "subjectaccessreviews").expect("served").is_stored());
        assert!(find("", "v2", "pods").is_none());
    }
}

//! The REST resources: what discovery lists, where etcd keeps them, what can be selected.
//!
//! Upstream: `pkg/controlplane/instance.go`, `pkg/registry/*/rest`, and each strategy's
//! `NamespaceScoped` and field label conversions.

use crate::gvk::{GroupResource, GroupVersionKind, Str};
use crate::schema::TypeRef;
use std::sync::Arc;

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
    /// `services/specs`, `apiregistration.k8s.io/apiservices`. Empty for reviews.
    pub storage_prefix: Str,
    /// The kind (group and version) that objects are stored as.
    pub storage_kind: GroupVersionKind,
    /// Schema of one object in the served version.
    pub schema: TypeRef,
    /// Field selectors beyond `metadata.name` and `metadata.namespace`, as dotted JSON paths.
    pub selectable_fields: Vec<SelectableField>,
}

/// A subresource and what it serves.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// Name, such as `status` or `ephemeralcontainers`.
    pub name: Str,
    /// Kind of its body, such as `Scale` in `autoscaling/v1`.
    pub kind: GroupVersionKind,
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

    /// The etcd key below the prefix: `pods/default/a` or `minions/n1`.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        match self.namespaced {
            true => format!("{}/{namespace}/{name}", self.storage_prefix),
            false => format!("{}/{name}", self.storage_prefix),
        }
    }
}

/// All built-in resources that v1.36 serves by default, in discovery order.
pub fn builtin() -> &'static [Arc<ResourceInfo>] {
    unimplemented!()
}

/// The built-in resource of this group, version and plural name.
pub fn find(_group: &str, _version: &str, _plural: &str) -> Option<&'static Arc<ResourceInfo>> {
    unimplemented!()
}

//! Authorization: Node, RBAC, ABAC later, AlwaysAllow and AlwaysDeny.

use apimachinery::selector::FieldSelector;
use apiserver_registry::UserInfo;

/// What is to be authorized: a resource request, or a path.
#[derive(Clone, Debug, Default)]
pub struct Attributes<'a> {
    /// Lower-case verb: `get`, `list`, `create`, `deletecollection`, …, or the HTTP method in
    /// lower case for paths.
    pub verb: &'a str,
    /// Whether the fields below name a resource; otherwise `path` counts.
    pub is_resource: bool,
    /// API group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Plural resource.
    pub resource: &'a str,
    /// Subresource or empty.
    pub subresource: &'a str,
    /// Namespace or empty.
    pub namespace: &'a str,
    /// Name or empty.
    pub name: &'a str,
    /// Field selector of a list, watch or deletecollection.
    pub fields: Option<&'a FieldSelector>,
    /// Request path, for non-resource requests.
    pub path: &'a str,
}

/// An authorizer's verdict, with the reason that a 403 message or a review shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed, because.
    Allow(String),
    /// Denied for good.
    Deny(String),
    /// Nobody allowed it.
    NoOpinion(String),
}

/// The configured authorizers in order.
#[derive(Debug, Default)]
pub struct Authorizer {}

impl Authorizer {
    /// Whether `user` may. Answers from the watch cache, without I/O.
    pub fn authorize(&self, _user: &UserInfo, _attributes: &Attributes<'_>) -> Decision {
        unimplemented!()
    }
}

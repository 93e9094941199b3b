//! Authorization: the configured modes in order; the first that has an opinion decides.
//!
//! Upstream: `apiserver/pkg/authorization`, `plugin/pkg/auth/authorizer`.

pub mod node;
pub mod rbac;
pub mod rules;

pub use node::NodeAuthorizer;
pub use rbac::Rbac;

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

/// One mode of `--authorization-mode`.
#[derive(Debug)]
pub enum Mode {
    /// `AlwaysAllow`.
    AlwaysAllow,
    /// `AlwaysDeny`.
    AlwaysDeny,
    /// `RBAC`.
    Rbac(Rbac),
    /// `Node`.
    Node(NodeAuthorizer),
}

/// The configured authorizers in order.
#[derive(Debug, Default)]
pub struct Authorizer {
    /// The modes.
    pub modes: Vec<Mode>,
    /// `--authorization-always-allow-paths`-like paths; a trailing `*` matches the rest.
    pub always_allow_paths: Vec<String>,
}

/// The group that is allowed everything before any mode is asked.
const PRIVILEGED: &str = "system:masters";

impl Authorizer {
    /// Whether `user` may. Answers from the watch cache, without I/O.
    pub fn authorize(&self, user: &UserInfo, attributes: &Attributes<'_>) -> Decision {
        if user.groups.iter().any(|g| g == PRIVILEGED) {
            return Decision::Allow(String::new());
        }
        if !attributes.is_resource && self.always_allow_paths.iter().any(|p| rules::path_matches(p, attributes.path)) {
            return Decision::Allow(String::new());
        }
        let mut reasons = Vec::new();
        for mode in &self.modes {
            match mode.authorize(user, attributes) {
                Decision::NoOpinion(reason) if reason.is_empty() => {}
                Decision::NoOpinion(reason) => reasons.push(reason),
                opinion => return opinion,
            }
        }
        Decision::NoOpinion(reasons.join("\n"))
    }

    /// The RBAC mode, if it is on: escalation checks and rules reviews ask it.
    pub fn rbac(&self) -> Option<&Rbac> {
        self.modes.iter().find_map(|mode| match mode {
            Mode::Rbac(rbac) => Some(rbac),
            _ => None,
        })
    }
}

impl Mode {
    fn authorize(&self, user: &UserInfo, attributes: &Attributes<'_>) -> Decision {
        match self {
            Mode::AlwaysAllow => Decision::Allow(String::new()),
            Mode::AlwaysDeny => Decision::NoOpinion("Everything is forbidden.".into()),
            Mode::Rbac(rbac) => rbac.authorize(user, attributes),
            Mode::Node(node) => node.authorize(user, attributes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_opinion_counts() {
        let user = UserInfo { name: "u".into(), ..UserInfo::default() };
        let read = Attributes { verb: "get", is_resource: true, resource: "pods", ..Attributes::default() };
        let with = |modes| Authorizer { modes, always_allow_paths: vec!["/healthz".into()] };
        assert_eq!(with(vec![Mode::AlwaysAllow]).authorize(&user, &read), Decision::Allow(String::new()));
        let deny = with(vec![Mode::AlwaysDeny]);
        assert_eq!(deny.authorize(&user, &read), Decision::NoOpinion("Everything is forbidden.".into()));
        let master = UserInfo { groups: vec![PRIVILEGED.into()], ..user.clone() };
        assert!(matches!(deny.authorize(&master, &read), Decision::Allow(_)));
        let path = Attributes { verb: "get", path: "/healthz", ..Attributes::default() };
        assert!(matches!(deny.authorize(&user, &path), Decision::Allow(_)));
    }
}

//! Authorization: the configured modes in order; the first that has an opinion decides.
//!
//! Upstream: `apiserver/pkg/authorization`, `plugin/pkg/auth/authorizer`.

pub mod abac;
pub mod conditions;
pub mod escalation;
pub mod node;
pub mod rbac;
pub mod rules;
pub mod webhook;

pub use abac::Abac;
pub use node::NodeAuthorizer;
pub use rbac::Rbac;
pub use webhook::WebhookAuthorizer;

use apimachinery::selector::{FieldSelector, LabelSelector};
use apiserver_registry::UserInfo;
use std::fmt;

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
    /// Label selector of the same.
    pub labels: Option<&'a LabelSelector>,
    /// Request path, for non-resource requests.
    pub path: &'a str,
}

/// An authorizer's verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed, because.
    Allow(Reason),
    /// Denied for good.
    Deny(String),
    /// Nobody allowed it.
    NoOpinion(String),
}

impl Decision {
    /// Whether the request may pass.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Decision::Allow(_))
    }

    /// The reason that a 403 message, a review or the audit log shows; may be empty.
    pub fn reason(&self) -> String {
        match self {
            Decision::Allow(reason) => reason.to_string(),
            Decision::Deny(reason) | Decision::NoOpinion(reason) => reason.clone(),
        }
    }
}

/// Why a request is allowed. Nobody reads it of most requests, so its text is made when asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing to say.
    None,
    /// An authorizer's own words.
    Text(String),
    /// A binding of RBAC.
    Binding(rbac::Grant),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::None => Ok(()),
            Reason::Text(text) => f.write_str(text),
            Reason::Binding(grant) => grant.fmt(f),
        }
    }
}

/// One mode of `--authorization-mode`.
#[derive(Debug)]
pub enum Mode {
    /// `AlwaysAllow`.
    AlwaysAllow,
    /// `AlwaysDeny`.
    AlwaysDeny,
    /// `ABAC`.
    Abac(Abac),
    /// `Webhook`.
    Webhook(Box<WebhookAuthorizer>),
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
    /// Whether `user` may. Without a webhook, answers from memory, without I/O.
    pub async fn authorize(&self, user: &UserInfo, attributes: &Attributes<'_>) -> Decision {
        if user.groups.iter().any(|g| g == PRIVILEGED) {
            return Decision::Allow(Reason::None);
        }
        if !attributes.is_resource && self.always_allow_paths.iter().any(|p| rules::path_matches(p, attributes.path)) {
            return Decision::Allow(Reason::None);
        }
        let mut reasons = Vec::new();
        for mode in &self.modes {
            match mode.authorize(user, attributes).await {
                Decision::NoOpinion(reason) if reason.is_empty() => {}
                Decision::NoOpinion(reason) => reasons.push(reason),
                opinion => return opinion,
            }
        }
        Decision::NoOpinion(reasons.join("\n"))
    }

    /// The rules that are known to hold for `user`, and what is missing from them.
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> (Vec<rules::Rule>, Vec<String>) {
        let (mut rules, mut errors) = (Vec::new(), Vec::new());
        for mode in &self.modes {
            match mode {
                Mode::Rbac(rbac) => {
                    let (found, missing) = rbac.rules_for(user, namespace);
                    rules.extend(found);
                    errors.extend(missing);
                }
                Mode::Abac(abac) => rules.extend(abac.rules_for(user, namespace)),
                Mode::AlwaysAllow => rules.extend(rules::everything()),
                Mode::Webhook(_) => errors.push("webhook authorizer does not support user rule resolution".into()),
                Mode::AlwaysDeny | Mode::Node(_) => {}
            }
        }
        (rules, errors)
    }

    /// Whether nodes have rules that cannot be listed.
    pub fn has_node_mode(&self) -> bool {
        self.modes.iter().any(|mode| matches!(mode, Mode::Node(_)))
    }
}

impl Mode {
    async fn authorize(&self, user: &UserInfo, attributes: &Attributes<'_>) -> Decision {
        match self {
            Mode::AlwaysAllow => Decision::Allow(Reason::None),
            Mode::AlwaysDeny => Decision::NoOpinion("Everything is forbidden.".into()),
            Mode::Abac(abac) => abac.authorize(user, attributes),
            // Boxed: only who waits for a webhook pays for the wait's size.
            Mode::Webhook(webhook) => Box::pin(webhook.authorize(user, attributes)).await,
            Mode::Rbac(rbac) => rbac.authorize(user, attributes).await,
            Mode::Node(node) => node.authorize(user, attributes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_opinion_counts() {
        let user = UserInfo { name: "u".into(), ..UserInfo::default() };
        let read = Attributes { verb: "get", is_resource: true, resource: "pods", ..Attributes::default() };
        let with = |modes| Authorizer { modes, always_allow_paths: vec!["/healthz".into()] };
        assert!(with(vec![Mode::AlwaysAllow]).authorize(&user, &read).await.is_allowed());
        let deny = with(vec![Mode::AlwaysDeny]);
        let decision = deny.authorize(&user, &read).await;
        assert_eq!(decision, Decision::NoOpinion("Everything is forbidden.".into()));
        let master = UserInfo { groups: vec![PRIVILEGED.into()], ..user.clone() };
        assert!(deny.authorize(&master, &read).await.is_allowed());
        let path = Attributes { verb: "get", path: "/healthz", ..Attributes::default() };
        assert!(deny.authorize(&user, &path).await.is_allowed());
    }
}

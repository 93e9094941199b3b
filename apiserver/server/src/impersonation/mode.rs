//! The ways to act as somebody else, and what each of them must be allowed.
//!
//! Upstream: `apiserver/pkg/endpoints/filters/impersonation/mode.go`; KEP 5284.

use super::asked;
use apiserver_registry::UserInfo;
use rules::validation::names;
use std::collections::BTreeMap;

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const ANONYMOUS: &str = "system:anonymous";
const NODES: &str = "system:nodes";
const PRIVILEGED: &str = "system:masters";
/// What a service account's token says of the node that it was made for.
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
/// What authorizers are told of who asks to act as its own node, instead of all that its token says.
const NODE_KEYS: &str = "authentication.kubernetes.io/associated-node-keys";
/// From as many checks of one kind on, all of them are first asked for at once.
const MANY: usize = 4;

/// A way to act as somebody else. All but the last need that the request itself may be made in that way, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    /// A service account acts as the node that its pod runs on.
    AssociatedNode,
    /// Anybody acts as any node.
    ArbitraryNode,
    /// Anybody acts as a service account.
    ServiceAccount,
    /// Anybody acts as a user that is neither a node nor a service account.
    UserInfo,
    /// The way that there always was: it holds for any request.
    Legacy,
}

/// Something that must be allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    pub(super) subresource: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What is done about one part of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It must be allowed.
    One(Check),
    /// Either the first must be, or each of the others.
    AllOrEach(Check, Vec<Check>),
    /// Nobody may.
    Refuse(Check, String),
}

impl Mode {
    /// In the order in which they are tried.
    pub(super) const ALL: [Self; 5] =
        [Self::AssociatedNode, Self::ArbitraryNode, Self::ServiceAccount, Self::UserInfo, Self::Legacy];

    /// Its name in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AssociatedNode => "associated-node",
            Self::ArbitraryNode => "arbitrary-node",
            Self::ServiceAccount => "serviceaccount",
            Self::UserInfo => "user-info",
            Self::Legacy => "legacy",
        }
    }

    /// The verb that the checks of a user have.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::AssociatedNode => "impersonate:associated-node",
            Self::ArbitraryNode => "impersonate:arbitrary-node",
            Self::ServiceAccount => "impersonate:serviceaccount",
            Self::UserInfo => "impersonate:user-info",
            Self::Legacy => "impersonate",
        }
    }

    /// The verb that the check of a request has; `None` where the request does not count.
    pub(super) fn verb_on(self, verb: &str) -> Option<String> {
        self.is_constrained().then(|| format!("impersonate-on:{}:{verb}", self.name()))
    }

    pub(super) fn is_constrained(self) -> bool {
        self != Self::Legacy
    }

    /// Whether a user can be asked for in this way.
    pub(super) fn fits(self, wanted: &UserInfo, requestor: &UserInfo) -> bool {
        let node = node(&wanted.name);
        let account = service_account(&wanted.name);
        match self {
            Self::AssociatedNode => asked::is_bare(wanted) && node.is_some_and(|node| runs_on(requestor, node)),
            Self::ArbitraryNode => asked::is_bare(wanted) && node.is_some(),
            Self::ServiceAccount => asked::is_bare(wanted) && account.is_some(),
            Self::UserInfo => node.is_none() && account.is_none(),
            Self::Legacy => true,
        }
    }

    /// Who asks, as authorizers see it. The same pod's account on all nodes is one, so that they can keep answers.
    pub(super) fn requestor(self, requestor: &UserInfo) -> Option<UserInfo> {
        let keys = || requestor.extra.keys().cloned().collect();
        (self == Self::AssociatedNode)
            .then(|| UserInfo { extra: BTreeMap::from([(NODE_KEYS.to_owned(), keys())]), ..requestor.clone() })
    }

    /// All that must be allowed of a user, in order.
    pub(super) fn steps(self, wanted: &UserInfo) -> Vec<Step> {
        let uid = (!wanted.uid.is_empty()).then(|| Step::One(named(AUTHENTICATION, "uids", &wanted.uid)));
        let parts = [self.groups(&wanted.groups), self.extra(&wanted.extra)];
        [Some(self.name_of(&wanted.name)), uid].into_iter().flatten().chain(parts.into_iter().flatten()).collect()
    }

    fn name_of(self, user: &str) -> Step {
        let group = self.group_of_users();
        Step::One(match (node(user), service_account(user)) {
            // Whatever is kept of the answer holds for all nodes.
            (Some(_), _) if self == Self::AssociatedNode => named(group, "nodes", "*"),
            (Some(node), _) if self.is_constrained() => named(group, "nodes", node),
            (_, Some((namespace, name))) => {
                Check { namespace: namespace.to_owned(), ..named(group, "serviceaccounts", name) }
            }
            _ => named(group, "users", user),
        })
    }

    fn group_of_users(self) -> &'static str {
        if self.is_constrained() { AUTHENTICATION } else { "" }
    }

    fn groups(self, groups: &[String]) -> Vec<Step> {
        let of = |name: &str| named(self.group_of_users(), "groups", name);
        if self.is_constrained() && groups.iter().any(String::is_empty) {
            return vec![Step::Refuse(of(""), "impersonating the empty string group is not allowed".into())];
        }
        if self.is_constrained() && groups.iter().any(|group| group == PRIVILEGED) {
            let why = "impersonating the system:masters group is not allowed".into();
            return vec![Step::Refuse(of(PRIVILEGED), why)];
        }
        let each = groups.iter().map(|group| of(group)).collect();
        self.each_or_all(of("*"), each)
    }

    fn extra(self, extra: &BTreeMap<String, Vec<String>>) -> Vec<Step> {
        let of = |key: &str, value: &str| Check {
            subresource: key.to_owned(),
            ..named(AUTHENTICATION, "userextras", value)
        };
        let wrong = extra.iter().find_map(|(key, values)| wrong_extra(key, values));
        if let Some(why) = wrong.filter(|_| self.is_constrained()) {
            return vec![Step::Refuse(of("", ""), why)];
        }
        let pairs = extra.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
        self.each_or_all(of("*", "*"), pairs.map(|(key, value)| of(key, value)).collect())
    }

    fn each_or_all(self, all: Check, each: Vec<Check>) -> Vec<Step> {
        match self.is_constrained() && each.len() >= MANY {
            true => vec![Step::AllOrEach(all, each)],
            false => each.into_iter().map(Step::One).collect(),
        }
    }

    /// The user that is acted as.
    pub(super) fn user(self, wanted: UserInfo) -> UserInfo {
        let mut user = wanted;
        if self.is_constrained() && node(&user.name).is_some() {
            user.groups = vec![NODES.to_owned()];
        }
        if let (true, Some((namespace, _))) = (user.groups.is_empty(), service_account(&user.name)) {
            user.groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
        }
        let has = |group: &str| user.groups.iter().any(|has| has == group);
        let implied = match user.name == ANONYMOUS || has(UNAUTHENTICATED) {
            true => UNAUTHENTICATED,
            false => AUTHENTICATED,
        };
        if !has(implied) {
            user.groups.push(implied.to_owned());
        }
        user
    }
}

fn named(group: &'static str, resource: &'static str, name: &str) -> Check {
    Check { group, resource, name: name.to_owned(), ..Check::default() }
}

/// What is wrong with a pair of extra attributes.
fn wrong_extra(key: &str, values: &[String]) -> Option<String> {
    if key.is_empty() {
        return Some("impersonating the empty string key in extra is not allowed".into());
    }
    let errors: Vec<String> = names::domain_prefixed_path(key)
        .into_iter()
        .map(|(part, why)| format!("extra.key: Invalid value: {}: {why}", apimachinery::go::quoted(part)))
        .collect();
    match errors.as_slice() {
        [] => {}
        [one] => return Some(format!("impersonating an invalid key in extra is not allowed: {one}")),
        many => return Some(format!("impersonating an invalid key in extra is not allowed: [{}]", many.join(", "))),
    }
    if key != key.to_lowercase() {
        let key = apimachinery::go::quoted(key);
        return Some(format!("impersonating a non-lowercase key in extra is not allowed: {key}"));
    }
    let has_empty = values.iter().any(String::is_empty);
    has_empty.then(|| "impersonating the empty string value in extra is not allowed".into())
}

/// Namespace and name of `system:serviceaccount:NAMESPACE:NAME`.
fn service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (names::label(namespace).is_empty() && names::subdomain(name).is_empty()).then_some((namespace, name))
}

/// Name of `system:node:NAME`.
fn node(user: &str) -> Option<&str> {
    user.strip_prefix("system:node:").filter(|name| names::subdomain(name).is_empty())
}

/// Whether who asks is a pod's service account on that node.
fn runs_on(requestor: &UserInfo, node: &str) -> bool {
    let names = requestor.extra.get(NODE_NAME).map(Vec::as_slice);
    service_account(&requestor.name).is_some() && matches!(names, Some([name]) if name == node)
}

#[cfg(test)]
mod tests;

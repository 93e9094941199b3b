//! Role-based access control over an index that follows the RBAC objects.
//!
//! Upstream: `plugin/pkg/auth/authorizer/rbac`, `pkg/registry/rbac/validation/rule.go`.

mod follow;
mod index;
mod subject;

pub use index::{RoleRef, rules_of};

use self::index::{Binding, Index};
use super::rules::Rule;
use super::{Attributes, Decision, Reason};
use apiserver_registry::UserInfo;
use apiserver_storage::Store;
use component::Supervisor;
use parking_lot::RwLock;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// The API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";
/// How long a request that nobody allows waits for the bootstrap policy after the start.
const PATIENCE: Duration = Duration::from_secs(10);

/// The RBAC authorizer. Clones share one index.
#[derive(Clone, Debug, Default)]
pub struct Rbac {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    index: RwLock<Index>,
    /// Whether the bootstrap policy is in the index: until then a refusal may be premature.
    settled: AtomicBool,
    /// Told of every change of the index while it is not settled.
    changed: Notify,
}

/// The binding that allows a request, and which of its subjects the user is.
#[derive(Clone, Debug)]
pub struct Grant {
    binding: Arc<Binding>,
    subject: usize,
}

impl Rbac {
    /// Follows the RBAC objects of `store` until the supervisor stops. Until [`Self::settle`] has
    /// seen the bootstrap policy, refusals wait for it.
    pub fn start(store: &Store, supervisor: &Supervisor) -> Self {
        let rbac = Self::default();
        follow::start(&rbac, store, supervisor);
        rbac
    }

    /// Whether a rule that holds for `user` allows the request.
    pub async fn authorize(&self, user: &UserInfo, attributes: &Attributes<'_>) -> Decision {
        let decision = self.decide(user, attributes);
        if decision.is_allowed() || self.shared.settled.load(Ordering::Acquire) {
            return decision;
        }
        // Components start together with the apiserver: what they may do is only being written.
        let _ = tokio::time::timeout(PATIENCE, self.settled()).await;
        self.decide(user, attributes)
    }

    /// What the index says now.
    pub fn decide(&self, user: &UserInfo, attributes: &Attributes<'_>) -> Decision {
        let index = self.shared.index.read();
        let namespace = if attributes.is_resource { attributes.namespace } else { "" };
        let mut missing = Vec::new();
        for binding in index.bindings_of(user, namespace) {
            match index.rules(&binding.role) {
                Some(rules) if rules.iter().any(|rule| rule.allows(attributes)) => {
                    return Decision::Allow(Reason::Binding(Grant::new(binding, user)));
                }
                Some(_) => {}
                None => missing.push(binding.role.missing()),
            }
        }
        Decision::NoOpinion(if missing.is_empty() { String::new() } else { format!("RBAC: {}", aggregate(missing)) })
    }

    /// All rules that hold for `user` in `namespace`, cluster-wide ones included, and what could
    /// not be found of them.
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> (Vec<Rule>, Option<String>) {
        let index = self.shared.index.read();
        let (mut rules, mut missing) = (Vec::new(), Vec::new());
        for binding in index.bindings_of(user, namespace) {
            match index.rules(&binding.role) {
                Some(found) => rules.extend_from_slice(found),
                None => missing.push(binding.role.missing()),
            }
        }
        (rules, (!missing.is_empty()).then(|| aggregate(missing)))
    }

    /// The rules of a role.
    pub fn rules_of_role(&self, role: &RoleRef) -> Option<Arc<[Rule]>> {
        self.shared.index.read().rules(role).cloned()
    }

    /// Waits until the index has all of the bootstrap policy; from then on refusals are final.
    pub async fn settle(&self) {
        let policy = crate::bootstrap::keys();
        loop {
            let changed = self.shared.changed.notified();
            if self.shared.index.read().has_all(&policy) {
                break;
            }
            changed.await;
        }
        self.shared.settled.store(true, Ordering::Release);
        self.shared.changed.notify_waiters();
    }

    async fn settled(&self) {
        loop {
            let changed = self.shared.changed.notified();
            if self.shared.settled.load(Ordering::Acquire) {
                return;
            }
            changed.await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut Index)) {
        change(&mut self.shared.index.write());
        if !self.shared.settled.load(Ordering::Acquire) {
            self.shared.changed.notify_waiters();
        }
    }
}

impl Grant {
    fn new(binding: &Arc<Binding>, user: &UserInfo) -> Self {
        let subject = binding.subjects.iter().position(|s| s.is(user)).unwrap_or_default();
        Self { binding: binding.clone(), subject }
    }
}

impl PartialEq for Grant {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.binding, &other.binding) && self.subject == other.subject
    }
}

impl Eq for Grant {}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Binding { namespace, name, role, subjects } = &*self.binding;
        write!(f, "RBAC: allowed by ")?;
        match namespace.is_empty() {
            true => write!(f, "ClusterRoleBinding {name:?}")?,
            false => write!(f, "RoleBinding \"{name}/{namespace}\"")?,
        }
        write!(f, " of {} {:?} to ", role.kind(), role.name)?;
        match subjects.get(self.subject) {
            Some(subject) => subject.fmt(f),
            None => Ok(()),
        }
    }
}

/// Several messages as one, as upstream joins them.
pub(crate) fn aggregate(mut messages: Vec<String>) -> String {
    let mut seen = std::collections::HashSet::new();
    messages.retain(|m| seen.insert(m.clone()));
    match messages.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::Value;
    use serde_json::json;

    fn rbac() -> Rbac {
        let rbac = Rbac::default();
        rbac.shared.settled.store(true, Ordering::Release);
        let bind = |ns: &str, role: &str, subject: Value| {
            json!({"metadata": {"name": "b", "namespace": ns}, "subjects": [subject],
                   "roleRef": {"kind": "ClusterRole", "name": role}})
        };
        rbac.change(|index| {
            let reader = json!({"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]});
            index.set_role(RoleRef::cluster("reader"), Some(&reader));
            let alice = bind("dev", "reader", json!({"kind": "User", "name": "alice"}));
            index.set_binding("dev", "b", Some(&alice));
            let robot = bind("", "reader", json!({"kind": "ServiceAccount", "name": "robot", "namespace": "ops"}));
            index.set_binding("", "b", Some(&robot));
            let lost = bind("lost", "nothing", json!({"kind": "Group", "name": "staff"}));
            index.set_binding("lost", "b", Some(&lost));
        });
        rbac
    }

    fn ask(rbac: &Rbac, user: &str, namespace: &str) -> Decision {
        let user = UserInfo { name: user.into(), groups: vec!["staff".into()], ..UserInfo::default() };
        let get = Attributes { verb: "get", is_resource: true, resource: "pods", namespace, ..Attributes::default() };
        rbac.decide(&user, &get)
    }

    #[test]
    fn bindings_hold_in_their_scope() {
        let rbac = rbac();
        let robot = "system:serviceaccount:ops:robot";
        for (user, namespace, want) in [
            ("alice", "dev", true),
            ("alice", "prod", false),
            ("alice", "", false),
            (robot, "prod", true),
            (robot, "", true),
            ("bob", "dev", false),
        ] {
            assert_eq!(ask(&rbac, user, namespace).is_allowed(), want, "{user} in {namespace:?}");
        }
    }

    #[test]
    fn a_removed_binding_or_role_no_longer_holds() {
        let rbac = rbac();
        rbac.change(|index| index.set_binding("dev", "b", None));
        assert!(!ask(&rbac, "alice", "dev").is_allowed());
        rbac.change(|index| index.set_role(RoleRef::cluster("reader"), None));
        assert!(!ask(&rbac, "system:serviceaccount:ops:robot", "dev").is_allowed());
    }

    #[test]
    fn reasons_name_the_binding() {
        let rbac = rbac();
        for (user, namespace, want) in [
            ("alice", "dev", r#"RBAC: allowed by RoleBinding "b/dev" of ClusterRole "reader" to User "alice""#),
            (
                "system:serviceaccount:ops:robot",
                "dev",
                r#"RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to ServiceAccount "robot/ops""#,
            ),
            ("bob", "lost", r#"RBAC: clusterrole.rbac.authorization.k8s.io "nothing" not found"#),
            ("bob", "dev", ""),
        ] {
            assert_eq!(ask(&rbac, user, namespace).reason(), want);
        }
    }

    #[tokio::test]
    async fn refusals_wait_for_the_policy() {
        let rbac = Rbac::default();
        let user = UserInfo { name: "alice".into(), ..UserInfo::default() };
        let get =
            Attributes { verb: "get", is_resource: true, resource: "pods", namespace: "dev", ..Attributes::default() };
        let (decision, ()) = tokio::join!(rbac.authorize(&user, &get), async {
            rbac.change(|index| {
                let role = json!({"rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]});
                index.set_role(RoleRef::cluster("all"), Some(&role));
                let binding = json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "all"},
                    "subjects": [{"kind": "User", "name": "alice"}]});
                index.set_binding("", "b", Some(&binding));
            });
            rbac.shared.settled.store(true, Ordering::Release);
            rbac.shared.changed.notify_waiters();
        });
        assert!(decision.is_allowed());
    }
}

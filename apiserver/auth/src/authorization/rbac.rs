//! Role-based access control over an index that follows the RBAC objects.
//!
//! Upstream: `plugin/pkg/auth/authorizer/rbac`, `pkg/registry/rbac/validation/rule.go`.

use super::rules::Rule;
use super::{Attributes, Decision};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::{self, ResourceInfo};
use apiserver_registry::UserInfo;
use apiserver_storage::{Event, EventKind, Object, Store, Watch, WatchQuery};
use component::Supervisor;
use parking_lot::RwLock;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

const GROUP: &str = "rbac.authorization.k8s.io";
/// Pause before a watch that could not be opened is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// The RBAC authorizer. Clones share one index.
#[derive(Clone, Debug, Default)]
pub struct Rbac {
    index: Arc<RwLock<Index>>,
}

/// A role's scope and name; the namespace is empty for cluster roles.
type RoleKey = (String, String);

#[derive(Debug, Default)]
struct Index {
    roles: HashMap<RoleKey, Arc<[Rule]>>,
    bindings: HashMap<RoleKey, Arc<Binding>>,
    /// Bindings by subject, as [`subject_key`] names it.
    by_subject: HashMap<String, Vec<Arc<Binding>>>,
}

#[derive(Debug)]
struct Binding {
    /// Empty for cluster role bindings.
    namespace: String,
    name: String,
    role: RoleKey,
    role_kind: &'static str,
    subjects: Vec<String>,
}

impl Rbac {
    /// Follows the RBAC objects of `store` until the supervisor stops.
    pub fn start(store: &Store, supervisor: &Supervisor) -> Self {
        let rbac = Self::default();
        for plural in ["roles", "clusterroles", "rolebindings", "clusterrolebindings"] {
            if let Some(resource) = resources::find(GROUP, "v1", plural) {
                let follower = rbac.clone().follow(store.clone(), resource.clone());
                supervisor.spawn_until_stop("rbac index", follower);
            }
        }
        rbac
    }

    /// Whether a rule that holds for `user` allows the request.
    pub fn authorize(&self, user: &UserInfo, attributes: &Attributes<'_>) -> Decision {
        let index = self.index.read();
        for binding in index.bindings_of(user, attributes) {
            let Some(rules) = index.roles.get(&binding.role) else { continue };
            if rules.iter().any(|rule| rule.allows(attributes)) {
                return Decision::Allow(binding.reason(user));
            }
        }
        Decision::NoOpinion(String::new())
    }

    /// All rules that hold for `user` in `namespace`, cluster-wide ones included.
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> Vec<Rule> {
        let index = self.index.read();
        let scope = Attributes { is_resource: true, namespace, ..Attributes::default() };
        index
            .bindings_of(user, &scope)
            .filter_map(|b| index.roles.get(&b.role))
            .flat_map(|r| r.iter().cloned())
            .collect()
    }

    async fn follow(self, store: Store, resource: Arc<ResourceInfo>) {
        let query = WatchQuery { send_initial_events: true, bookmarks: true, ..WatchQuery::default() };
        loop {
            match store.watch(&resource, &query).await {
                Ok(watch) => self.follow_once(&resource, watch).await,
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// Applies a watch until it ends. What the initial events do not name is gone.
    async fn follow_once(&self, resource: &ResourceInfo, mut watch: Watch) {
        let mut initial = HashSet::new();
        while let Ok(event) = watch.next().await {
            match event {
                Event::Change { kind, object } => {
                    initial.insert((object.namespace().to_owned(), object.name().to_owned()));
                    self.index.write().apply(resource, kind, &object);
                }
                Event::Bookmark { initial_events_end: true, .. } => {
                    self.index.write().retain(resource, &std::mem::take(&mut initial));
                }
                Event::Bookmark { .. } => initial.clear(),
            }
        }
    }
}

impl Index {
    fn apply(&mut self, resource: &ResourceInfo, kind: EventKind, object: &Object) {
        let key = (object.namespace().to_owned(), object.name().to_owned());
        let value = (kind != EventKind::Deleted).then(|| object.value());
        match &*resource.plural {
            "roles" | "clusterroles" => self.set_role(key, value.as_ref()),
            _ => self.set_binding(key, value.as_ref()),
        }
    }

    /// Drops the objects of this resource that are not among `keys`.
    fn retain(&mut self, resource: &ResourceInfo, keys: &HashSet<RoleKey>) {
        let gone = |key: &&RoleKey| key.0.is_empty() != resource.namespaced && !keys.contains(*key);
        match &*resource.plural {
            "roles" | "clusterroles" => {
                let gone: Vec<RoleKey> = self.roles.keys().filter(gone).cloned().collect();
                gone.into_iter().for_each(|key| self.set_role(key, None));
            }
            _ => {
                let gone: Vec<RoleKey> = self.bindings.keys().filter(gone).cloned().collect();
                gone.into_iter().for_each(|key| self.set_binding(key, None));
            }
        }
    }

    fn set_role(&mut self, key: RoleKey, role: Option<&Value>) {
        match role {
            Some(role) => self.roles.insert(key, rules_of(role).into()),
            None => self.roles.remove(&key),
        };
    }

    fn set_binding(&mut self, key: RoleKey, binding: Option<&Value>) {
        if let Some(old) = self.bindings.remove(&key) {
            for subject in &old.subjects {
                if let Some(list) = self.by_subject.get_mut(subject) {
                    list.retain(|b| !Arc::ptr_eq(b, &old));
                }
            }
        }
        if let Some(binding) = binding.and_then(Binding::from_value).map(Arc::new) {
            for subject in &binding.subjects {
                self.by_subject.entry(subject.clone()).or_default().push(binding.clone());
            }
            self.bindings.insert(key, binding);
        }
    }

    /// Bindings of the user and its groups that hold for the request's scope.
    fn bindings_of<'a>(&'a self, user: &UserInfo, scope: &Attributes<'_>) -> impl Iterator<Item = &'a Arc<Binding>> {
        let mut keys = vec![subject_key("User", "", &user.name)];
        keys.extend(user.groups.iter().map(|g| subject_key("Group", "", g)));
        let namespace = if scope.is_resource { scope.namespace.to_owned() } else { String::new() };
        let in_scope = move |b: &&Arc<Binding>| b.namespace.is_empty() || b.namespace == namespace;
        keys.into_iter().filter_map(|key| self.by_subject.get(&key)).flatten().filter(in_scope)
    }
}

impl Binding {
    fn from_value(value: &Value) -> Option<Self> {
        let role = value.get("roleRef")?;
        let namespace = value.namespace().to_owned();
        let role_name = role.get("name")?.as_str()?.to_owned();
        let (role_kind, role) = match role.get("kind")?.as_str()? {
            "ClusterRole" => ("ClusterRole", (String::new(), role_name)),
            "Role" => ("Role", (namespace.clone(), role_name)),
            _ => return None,
        };
        let subjects = value.get("subjects").and_then(Value::as_array);
        let subjects = subjects.into_iter().flatten().filter_map(|s| subject(s, &namespace)).collect();
        Some(Self { namespace, name: value.name().to_owned(), role, role_kind, subjects })
    }

    /// Upstream's words for why a request was allowed.
    fn reason(&self, user: &UserInfo) -> String {
        let subject =
            match self.subjects.iter().find_map(|s| user.groups.iter().find(|g| *s == subject_key("Group", "", g))) {
                Some(group) if !self.subjects.contains(&subject_key("User", "", &user.name)) => {
                    format!("Group \"{group}\"")
                }
                _ => format!("User \"{}\"", user.name),
            };
        let (kind, name) = match self.namespace.is_empty() {
            true => ("ClusterRoleBinding", self.name.clone()),
            false => ("RoleBinding", format!("{}/{}", self.name, self.namespace)),
        };
        format!("RBAC: allowed by {kind} \"{name}\" of {} \"{}\" to {subject}", self.role_kind, self.role.1)
    }
}

/// The rules of a role.
pub fn rules_of(role: &Value) -> Vec<Rule> {
    let rules = role.get("rules").and_then(Value::as_array);
    rules.into_iter().flatten().map(Rule::from_value).collect()
}

fn subject(subject: &Value, binding_namespace: &str) -> Option<String> {
    let text = |key: &str| subject.get(key).and_then(Value::as_str).unwrap_or_default();
    let namespace = match text("namespace") {
        "" => binding_namespace,
        namespace => namespace,
    };
    match text("kind") {
        kind @ ("User" | "Group" | "ServiceAccount") => Some(subject_key(kind, namespace, text("name"))),
        _ => None,
    }
}

/// The key of a subject. A service account is the user that its tokens name.
fn subject_key(kind: &str, namespace: &str, name: &str) -> String {
    match kind {
        "Group" => format!("g:{name}"),
        "ServiceAccount" => format!("u:system:serviceaccount:{namespace}:{name}"),
        _ => format!("u:{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn index() -> Rbac {
        let rbac = Rbac::default();
        let mut index = rbac.index.write();
        let reader = json!({"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]});
        index.set_role((String::new(), "reader".into()), Some(&reader));
        let bind = |ns: &str, subject: Value| {
            json!({"metadata": {"name": "b", "namespace": ns}, "subjects": [subject],
                   "roleRef": {"kind": "ClusterRole", "name": "reader"}})
        };
        let alice = bind("dev", json!({"kind": "User", "name": "alice"}));
        index.set_binding(("dev".into(), "b".into()), Some(&alice));
        let robot = bind("", json!({"kind": "ServiceAccount", "name": "robot", "namespace": "ops"}));
        index.set_binding((String::new(), "b".into()), Some(&robot));
        drop(index);
        rbac
    }

    fn may(rbac: &Rbac, user: &str, namespace: &str) -> bool {
        let user = UserInfo { name: user.into(), ..UserInfo::default() };
        let get = Attributes { verb: "get", is_resource: true, resource: "pods", namespace, ..Attributes::default() };
        matches!(rbac.authorize(&user, &get), Decision::Allow(_))
    }

    #[test]
    fn bindings_hold_in_their_scope() {
        let rbac = index();
        let robot = "system:serviceaccount:ops:robot";
        for (user, namespace, want) in [
            ("alice", "dev", true),
            ("alice", "prod", false),
            ("alice", "", false),
            (robot, "prod", true),
            (robot, "", true),
            ("bob", "dev", false),
        ] {
            assert_eq!(may(&rbac, user, namespace), want, "{user} in {namespace:?}");
        }
    }

    #[test]
    fn a_removed_binding_or_role_no_longer_holds() {
        let rbac = index();
        rbac.index.write().set_binding(("dev".into(), "b".into()), None);
        assert!(!may(&rbac, "alice", "dev"));
        rbac.index.write().set_role((String::new(), "reader".into()), None);
        assert!(!may(&rbac, "system:serviceaccount:ops:robot", "dev"));
    }

    #[test]
    fn reasons_name_the_binding() {
        let rbac = index();
        let alice = UserInfo { name: "alice".into(), ..UserInfo::default() };
        let get =
            Attributes { verb: "get", is_resource: true, resource: "pods", namespace: "dev", ..Attributes::default() };
        let want = r#"RBAC: allowed by RoleBinding "b/dev" of ClusterRole "reader" to User "alice""#;
        assert_eq!(rbac.authorize(&alice, &get), Decision::Allow(want.into()));
    }
}

//! Roles by reference and bindings by subject and scope, so that a decision looks at nothing that
//! does not concern the user.

use super::super::rules::Rule;
use super::subject::Subject;
use apimachinery::Value;
use apiserver_registry::UserInfo;
use std::collections::HashMap;
use std::sync::Arc;

/// A role, as bindings refer to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoleRef {
    /// Namespace of a role; empty for cluster roles.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl RoleRef {
    /// A cluster role.
    pub fn cluster(name: &str) -> Self {
        Self { namespace: String::new(), name: name.to_owned() }
    }

    /// The role that a binding in `namespace` names by its `roleRef`.
    pub fn of(binding: &Value, namespace: &str) -> Option<Self> {
        let reference = binding.get("roleRef")?;
        let name = reference.get("name")?.as_str()?;
        match reference.get("kind")?.as_str()? {
            "ClusterRole" => Some(Self::cluster(name)),
            "Role" => Some(Self { namespace: namespace.to_owned(), name: name.to_owned() }),
            _ => None,
        }
    }

    /// `Role` or `ClusterRole`.
    pub fn kind(&self) -> &'static str {
        if self.namespace.is_empty() { "ClusterRole" } else { "Role" }
    }

    /// Upstream's words for a role that is not there.
    pub(super) fn missing(&self) -> String {
        format!("{}.{} {:?} not found", self.kind().to_ascii_lowercase(), super::GROUP, self.name)
    }
}

/// A binding of either kind.
#[derive(Debug)]
pub(crate) struct Binding {
    /// Empty for cluster role bindings.
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) role: RoleRef,
    pub(super) subjects: Vec<Subject>,
}

/// Bindings of one subject, by where they hold.
#[derive(Debug, Default)]
struct Scoped {
    everywhere: Vec<Arc<Binding>>,
    namespaces: HashMap<String, Vec<Arc<Binding>>>,
}

/// What the stored RBAC objects say.
#[derive(Debug, Default)]
pub(super) struct Index {
    roles: HashMap<RoleRef, Arc<[Rule]>>,
    /// Bindings by namespace and name.
    bindings: HashMap<(String, String), Arc<Binding>>,
    users: HashMap<String, Scoped>,
    groups: HashMap<String, Scoped>,
}

impl Index {
    pub(super) fn rules(&self, role: &RoleRef) -> Option<&Arc<[Rule]>> {
        self.roles.get(role)
    }

    /// Bindings of the user and its groups that hold in `namespace`, cluster-wide ones first.
    pub(super) fn bindings_of<'a>(
        &'a self,
        user: &'a UserInfo,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Binding>> {
        let subjects = move || {
            let groups = user.groups.iter().filter_map(|g| self.groups.get(g));
            self.users.get(&user.name).into_iter().chain(groups)
        };
        let local = subjects().filter_map(move |s| s.namespaces.get(namespace)).flatten();
        subjects().flat_map(|s| &s.everywhere).chain(local)
    }

    pub(super) fn set_role(&mut self, key: RoleRef, role: Option<&Value>) {
        match role {
            Some(role) => self.roles.insert(key, rules_of(role).into()),
            None => self.roles.remove(&key),
        };
    }

    pub(super) fn set_binding(&mut self, namespace: &str, name: &str, binding: Option<&Value>) {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(old) = self.bindings.remove(&key) {
            old.subjects.iter().for_each(|subject| self.unlink(subject, &old));
        }
        if let Some(binding) = binding.and_then(|b| Binding::from_value(namespace, name, b)).map(Arc::new) {
            binding.subjects.iter().for_each(|subject| self.list(subject, &binding.namespace).push(binding.clone()));
            self.bindings.insert(key, binding);
        }
    }

    /// Drops the roles (or else bindings) of one kind that `is_kept` does not know.
    pub(super) fn retain_roles(&mut self, namespaced: bool, is_kept: impl Fn(&str, &str) -> bool) {
        self.roles.retain(|key, _| key.namespace.is_empty() == namespaced || is_kept(&key.namespace, &key.name));
    }

    /// The same for bindings.
    pub(super) fn retain_bindings(&mut self, namespaced: bool, is_kept: impl Fn(&str, &str) -> bool) {
        let is_gone = |(ns, name): &&(String, String)| ns.is_empty() != namespaced && !is_kept(ns, name);
        let gone: Vec<_> = self.bindings.keys().filter(is_gone).cloned().collect();
        gone.into_iter().for_each(|(namespace, name)| self.set_binding(&namespace, &name, None));
    }

    /// Whether all these objects are here: whether it is a role, namespace, name.
    pub(super) fn has_all(&self, keys: &[(bool, String, String)]) -> bool {
        keys.iter().all(|(is_role, namespace, name)| match is_role {
            true => self.roles.contains_key(&RoleRef { namespace: namespace.clone(), name: name.clone() }),
            false => self.bindings.contains_key(&(namespace.clone(), name.clone())),
        })
    }

    fn list(&mut self, subject: &Subject, namespace: &str) -> &mut Vec<Arc<Binding>> {
        let scoped = self.scoped(subject);
        match namespace {
            "" => &mut scoped.everywhere,
            namespace => scoped.namespaces.entry(namespace.to_owned()).or_default(),
        }
    }

    fn scoped(&mut self, subject: &Subject) -> &mut Scoped {
        match subject {
            Subject::User(name) | Subject::ServiceAccount { user: name, .. } => {
                self.users.entry(name.clone()).or_default()
            }
            Subject::Group(name) => self.groups.entry(name.clone()).or_default(),
        }
    }

    fn unlink(&mut self, subject: &Subject, old: &Arc<Binding>) {
        self.list(subject, &old.namespace).retain(|binding| !Arc::ptr_eq(binding, old));
        let scoped = self.scoped(subject);
        scoped.namespaces.retain(|_, bindings| !bindings.is_empty());
        if !(scoped.everywhere.is_empty() && scoped.namespaces.is_empty()) {
            return;
        }
        match subject {
            Subject::User(name) | Subject::ServiceAccount { user: name, .. } => self.users.remove(name),
            Subject::Group(name) => self.groups.remove(name),
        };
    }
}

impl Binding {
    fn from_value(namespace: &str, name: &str, value: &Value) -> Option<Self> {
        let subjects = value.get("subjects").and_then(Value::as_array).into_iter().flatten();
        Some(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            role: RoleRef::of(value, namespace)?,
            subjects: subjects.filter_map(|s| Subject::from_value(s, namespace)).collect(),
        })
    }
}

/// The rules of a role.
pub fn rules_of(role: &Value) -> Vec<Rule> {
    let rules = role.get("rules").and_then(Value::as_array);
    rules.into_iter().flatten().map(Rule::from_value).collect()
}

//! Who owns whom. Synchronous; fed by the watches, read by the workers.
//!
//! Invariant: `dependents` of a node are exactly the nodes that name it as an owner. An owner that
//! no watch has shown yet is a virtual node: it has to be looked up before anything is concluded.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use std::collections::{HashMap, HashSet};

/// Finalizer of an object whose dependents go first.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an object whose dependents stay.
pub(super) const ORPHAN: &str = "orphan";

/// A uid; the one name that is never used again.
pub(super) type Uid = String;

/// Where an object is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// `apps/v1`.
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// How sure we are of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// A watch has shown it.
    Observed,
    /// Only its dependents speak of it.
    Virtual,
}

/// What an object's deletion waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deletion {
    /// It is not being deleted.
    None,
    /// It is, and nothing of it concerns us.
    Plain,
    /// Its blocking dependents go first.
    Foreground,
    /// Its dependents are to be let go first.
    Orphan,
}

/// One object.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) identity: Identity,
    pub(super) presence: Presence,
    pub(super) deletion: Deletion,
    pub(super) owners: Vec<OwnerReference>,
    pub(super) dependents: HashSet<Uid>,
}

/// All objects.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: HashMap<Uid, Node>,
}

/// Which objects have to be looked at after a change.
pub(super) type Affected = Vec<Uid>;

fn deletion(meta: &ObjectMeta) -> Deletion {
    let has = |finalizer: &str| meta.finalizers.iter().flatten().any(|present| present == finalizer);
    match meta.deletion_timestamp.is_some() {
        false => Deletion::None,
        true if has(ORPHAN) => Deletion::Orphan,
        true if has(FOREGROUND) => Deletion::Foreground,
        true => Deletion::Plain,
    }
}

impl Graph {
    pub(super) fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// An object was added or changed.
    pub(super) fn observe(&mut self, identity: Identity, meta: &ObjectMeta) -> Affected {
        let Some(uid) = meta.uid.clone() else { return Vec::new() };
        let owners = meta.owner_references.clone().unwrap_or_default();
        let deletion = deletion(meta);
        let mut affected = Vec::new();
        let before = self.nodes.get(&uid).map(|node| (node.presence, node.deletion, node.owners.clone()));
        let is_new = before.as_ref().is_none_or(|(presence, ..)| *presence == Presence::Virtual);
        let (_, old_deletion, old_owners) = before.unwrap_or((Presence::Virtual, Deletion::None, Vec::new()));
        self.link(&uid, &identity, &old_owners, &owners, &mut affected);
        let node = self.nodes.entry(uid.clone()).or_insert_with(|| Node {
            identity: identity.clone(),
            presence: Presence::Observed,
            deletion,
            owners: Vec::new(),
            dependents: HashSet::new(),
        });
        (node.identity, node.presence, node.deletion) = (identity, Presence::Observed, deletion);
        node.owners.clone_from(&owners);
        let starts = deletion != old_deletion && matches!(deletion, Deletion::Foreground | Deletion::Orphan);
        if starts {
            affected.extend(node.dependents.iter().filter(|_| deletion == Deletion::Foreground).cloned());
        }
        let owners_changed = old_owners != owners;
        if starts || (is_new && !owners.is_empty()) || (owners_changed && !owners.is_empty()) {
            affected.push(uid.clone());
        }
        if owners_changed {
            affected.extend(self.waiting_owners(&old_owners));
        }
        affected
    }

    /// Keeps the other ends of owner references; new owners that nobody has shown become virtual.
    fn link(
        &mut self,
        uid: &str,
        identity: &Identity,
        old: &[OwnerReference],
        new: &[OwnerReference],
        affected: &mut Affected,
    ) {
        for gone in old.iter().filter(|old| new.iter().all(|new| new.uid != old.uid)) {
            if let Some(owner) = self.nodes.get_mut(&gone.uid) {
                owner.dependents.remove(uid);
            }
            self.drop_if_idle(&gone.uid);
        }
        for owner in new {
            let node = self.nodes.entry(owner.uid.clone()).or_insert_with(|| {
                affected.push(owner.uid.clone());
                virtual_node(owner, &identity.namespace)
            });
            node.dependents.insert(uid.to_owned());
        }
    }

    /// A virtual node without dependents is of no use.
    fn drop_if_idle(&mut self, uid: &str) {
        let idle = |node: &Node| node.presence == Presence::Virtual && node.dependents.is_empty();
        if self.nodes.get(uid).is_some_and(idle) {
            self.nodes.remove(uid);
        }
    }

    fn waiting_owners(&self, owners: &[OwnerReference]) -> Vec<Uid> {
        let waits = |uid: &Uid| self.nodes.get(uid).is_some_and(|node| node.deletion == Deletion::Foreground);
        owners.iter().map(|owner| owner.uid.clone()).filter(waits).collect()
    }

    /// An object is gone: its dependents have to be looked at, and owners that waited for it.
    pub(super) fn forget(&mut self, uid: &str) -> Affected {
        let Some(node) = self.nodes.remove(uid) else { return Vec::new() };
        for owner in &node.owners {
            if let Some(owner) = self.nodes.get_mut(&owner.uid) {
                owner.dependents.remove(uid);
            }
            self.drop_if_idle(&owner.uid);
        }
        let mut affected = self.waiting_owners(&node.owners);
        // Dependents still name it; should it come back (it cannot), they find it as virtual.
        affected.extend(node.dependents);
        affected
    }

    /// Whether a dependent of `uid` blocks its foreground deletion.
    pub(super) fn blockers(&self, uid: &str) -> Vec<Uid> {
        let Some(node) = self.nodes.get(uid) else { return Vec::new() };
        let blocks = |dependent: &&Uid| {
            let owners = self.nodes.get(*dependent).map(|node| node.owners.as_slice()).unwrap_or_default();
            owners.iter().any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
        };
        node.dependents.iter().filter(blocks).cloned().collect()
    }

    /// Whether any dependent of `uid` is itself waiting for its dependents: then both could wait
    /// for each other.
    pub(super) fn has_waiting_dependent(&self, uid: &str) -> bool {
        let waits =
            |dependent: &Uid| self.nodes.get(dependent).is_some_and(|node| node.deletion == Deletion::Foreground);
        self.nodes.get(uid).is_some_and(|node| node.dependents.iter().any(waits))
    }

    /// How many objects there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }
}

fn virtual_node(owner: &OwnerReference, namespace: &str) -> Node {
    Node {
        identity: Identity {
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            namespace: namespace.to_owned(),
            name: owner.name.clone(),
        },
        presence: Presence::Virtual,
        deletion: Deletion::None,
        owners: Vec::new(),
        dependents: HashSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn meta(uid: &str, owners: &[&str], extra: Value) -> ObjectMeta {
        let owners: Vec<Value> = owners
            .iter()
            .map(|uid| json!({"apiVersion": "v1", "kind": "X", "name": uid, "uid": uid, "blockOwnerDeletion": true}))
            .collect();
        let mut meta = json!({"uid": uid, "name": uid, "ownerReferences": owners});
        meta.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(meta).unwrap()
    }

    fn observe(graph: &mut Graph, uid: &str, owners: &[&str], extra: Value) -> Affected {
        let identity = Identity { api_version: "v1".into(), kind: "X".into(), namespace: "n".into(), name: uid.into() };
        let mut affected = graph.observe(identity, &meta(uid, owners, extra));
        affected.sort();
        affected
    }

    #[test]
    fn an_unseen_owner_is_virtual_and_looked_up() {
        let mut graph = Graph::default();
        assert_eq!(observe(&mut graph, "pod", &["set"], json!({})), ["pod", "set"]);
        assert_eq!(graph.get("set").unwrap().presence, Presence::Virtual);
        assert!(observe(&mut graph, "set", &[], json!({})).is_empty());
        assert_eq!(graph.get("set").unwrap().presence, Presence::Observed);
        assert_eq!(graph.get("set").unwrap().dependents.len(), 1);
    }

    #[test]
    fn dependents_of_the_gone_are_looked_at() {
        let mut graph = Graph::default();
        observe(&mut graph, "set", &[], json!({}));
        observe(&mut graph, "pod", &["set"], json!({}));
        assert_eq!(graph.forget("set"), ["pod"]);
        assert!(graph.forget("set").is_empty());
    }

    #[test]
    fn foreground_deletion_waits_for_blockers() {
        let mut graph = Graph::default();
        observe(&mut graph, "set", &[], json!({}));
        observe(&mut graph, "pod", &["set"], json!({}));
        let dying = json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [FOREGROUND]});
        assert_eq!(observe(&mut graph, "set", &[], dying.clone()), ["pod", "set"]);
        assert_eq!(graph.blockers("set"), ["pod"]);
        assert!(observe(&mut graph, "set", &[], dying).is_empty(), "nothing new");
        assert_eq!(graph.forget("pod"), ["set"]);
        assert!(graph.blockers("set").is_empty());
    }

    #[test]
    fn changed_owners_move_the_links() {
        let mut graph = Graph::default();
        observe(&mut graph, "a", &[], json!({}));
        observe(&mut graph, "b", &[], json!({}));
        observe(&mut graph, "pod", &["a"], json!({}));
        assert_eq!(observe(&mut graph, "pod", &["b"], json!({})), ["pod"]);
        assert!(graph.get("a").unwrap().dependents.is_empty());
        assert_eq!(graph.get("b").unwrap().dependents.len(), 1);
        observe(&mut graph, "pod", &[], json!({}));
        assert!(graph.get("b").unwrap().dependents.is_empty());
    }

    #[test]
    fn an_idle_virtual_node_is_dropped() {
        let mut graph = Graph::default();
        observe(&mut graph, "pod", &["never"], json!({}));
        assert_eq!(graph.len(), 2);
        graph.forget("pod");
        assert_eq!(graph.len(), 0);
    }
}

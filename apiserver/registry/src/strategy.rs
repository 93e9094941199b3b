//! What makes one resource differ from another, as data: a resource says only what is different.
//!
//! Upstream: `rest.RESTCreateStrategy` and its siblings, `pkg/registry/*/*/strategy.go`.

use crate::Context;
use crate::metadata::{generation, set_or_remove};
use crate::strategies;
use apimachinery::field::FieldError;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::ResourceInfo;
use apimachinery::{Map, Value};
use rules::warnings::Sink;
use std::collections::HashMap;
use std::sync::LazyLock;

/// How the generic verbs treat a resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strategy {
    /// What an update without a resource version does.
    pub(crate) unversioned: Unversioned,
    /// What PUT does with a missing object.
    pub(crate) missing: Missing,
    /// What the answer to an immediate delete is.
    pub(crate) deleted: Deleted,
    /// What happens to dependents if the request does not say.
    pub(crate) dependents: Dependents,
    /// Which changes count as a new generation.
    pub(crate) generation: Generation,
    /// What a client's `status` on create is worth.
    pub(crate) initial_status: InitialStatus,
    /// What a write to `/status` may change besides the status.
    pub(crate) status_metadata: StatusMetadata,
    /// How objects end.
    pub(crate) ending: Ending,
    /// Clears and sets fields of a new object.
    pub(crate) prepare_create: fn(&Context, &mut Value),
    /// Clears and sets fields of an updated object; the old one is the second.
    pub(crate) prepare_update: fn(&mut Value, &Value),
    /// The same on `/status`.
    pub(crate) prepare_status: fn(&mut Value, &Value),
    /// What a write allocates outside the object.
    pub(crate) allocates: Allocates,
    /// What is wrong with a new object beyond what the rules of all resources know.
    pub(crate) check_create: fn(&Value) -> Vec<FieldError>,
    /// The same of a changed object; the old one is the second.
    pub(crate) check_update: fn(&Value, &Value) -> Vec<FieldError>,
    /// The same of a changed status.
    pub(crate) check_status: fn(&Value) -> Vec<FieldError>,
    /// What to say of an object beyond what the rules of all resources know; a changed one's old one is the second.
    pub(crate) warn: fn(&Value, Option<&Value>, &mut Sink<'_>),
}

/// See [`Strategy::unversioned`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unversioned {
    /// Overwrites whatever is there.
    Overwrites,
    /// Is refused.
    Refused,
}

/// See [`Strategy::missing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// 404.
    NotFound,
    /// It is created.
    Create,
}

/// See [`Strategy::deleted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    /// A `Status` of success.
    Status,
    /// The object as it was.
    Object,
}

/// See [`Strategy::dependents`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dependents {
    /// The garbage collector deletes them.
    Delete,
    /// They are left alone.
    Orphan,
    /// The resource has none and takes no part in garbage collection.
    Unsupported,
}

/// See [`Strategy::generation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    /// The resource has none.
    Untracked,
    /// A change of one of these members.
    Members(&'static [&'static str]),
    /// The same, but a new object has none.
    LaterMembers(&'static [&'static str]),
    /// A change of one of these members or of the annotations.
    MembersAndAnnotations(&'static [&'static str]),
    /// A change of one of these members or of the labels.
    MembersAndLabels(&'static [&'static str]),
    /// A change of anything but metadata. Where the status is a subresource, no such write changes
    /// it.
    AllButMetadata,
}

/// See [`Strategy::initial_status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InitialStatus {
    /// Replaced by an empty one, if the resource has a `/status`.
    Reset,
    /// Dropped, if the resource has a `/status`.
    Dropped,
    /// Kept: kubelets register nodes with their status.
    Kept,
}

/// See [`Strategy::status_metadata`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusMetadata {
    /// Labels, annotations, finalizers, owners.
    Free,
    /// All of that but labels.
    KeepsLabels,
    /// Nothing.
    Kept,
}

/// See [`Strategy::ending`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// At once, when there are no finalizers.
    Immediate,
    /// After a grace period that the kubelet ends.
    Graceful,
    /// When `spec.finalizers` is empty: namespaces.
    Namespace,
    /// When all objects of what it defines are gone: custom resource definitions.
    Definition,
}

/// See [`Strategy::allocates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allocates {
    /// Nothing.
    Nothing,
    /// Cluster IPs and node ports.
    ServiceAddresses,
}

/// Most resources.
pub(crate) const DEFAULT: Strategy = Strategy {
    unversioned: Unversioned::Overwrites,
    missing: Missing::NotFound,
    deleted: Deleted::Status,
    dependents: Dependents::Delete,
    generation: Generation::Untracked,
    initial_status: InitialStatus::Reset,
    status_metadata: StatusMetadata::Free,
    ending: Ending::Immediate,
    prepare_create: |_, _| {},
    prepare_update: |_, _| {},
    prepare_status: |_, _| {},
    allocates: Allocates::Nothing,
    check_create: |_| Vec::new(),
    check_update: |_, _| Vec::new(),
    check_status: |_| Vec::new(),
    warn: |_, _, _| {},
};

/// What custom resources do.
const CUSTOM: Strategy = Strategy {
    unversioned: Unversioned::Refused,
    generation: Generation::AllButMetadata,
    status_metadata: StatusMetadata::Kept,
    initial_status: InitialStatus::Dropped,
    ..DEFAULT
};

type Table = HashMap<&'static str, HashMap<&'static str, Strategy>>;

static TABLE: LazyLock<Table> =
    LazyLock::new(|| strategies::all().map(|(group, rows)| (group, rows.iter().copied().collect())).collect());

/// The strategy of a resource.
pub(crate) fn of(resource: &ResourceInfo) -> &'static Strategy {
    if resource.custom.is_some() {
        return &CUSTOM;
    }
    match TABLE.get(&*resource.group).and_then(|group| group.get(&*resource.plural)) {
        Some(strategy) => strategy,
        None => &DEFAULT,
    }
}

impl Strategy {
    /// Makes a decoded and admitted object one that can be validated and created.
    pub(crate) fn create(&self, cx: &Context, object: &mut Value) {
        if matches!(self.generation, Generation::LaterMembers(_)) {
            // The first change will be the first generation.
        } else if self.generation != Generation::Untracked {
            object.set_meta("generation", 1);
        }
        match self.initial_status {
            _ if cx.resource.subresource("status").is_none() => {}
            InitialStatus::Reset => reset_status(&cx.resource, object),
            InitialStatus::Dropped => copy_member(object, &Value::Null, "status"),
            InitialStatus::Kept => {}
        }
        (self.prepare_create)(cx, object);
    }

    /// Makes an admitted object one that can be validated and replace `old`.
    pub(crate) fn update(&self, cx: &Context, new: &mut Value, old: &Value) {
        crate::metadata::carry_over(new, old);
        if cx.resource.subresource("status").is_some() {
            copy_member(new, old, "status");
        }
        (self.prepare_update)(new, old);
        self.bump_generation(new, old);
    }

    /// The same for a write to `/status`: only the status and some metadata change.
    pub(crate) fn update_status(&self, new: &mut Value, old: &Value) {
        crate::metadata::carry_over(new, old);
        keep_all_but(new, old, &["metadata", "status"]);
        match self.status_metadata {
            StatusMetadata::Free => {}
            StatusMetadata::KeepsLabels => copy_meta(new, old, &["labels"]),
            StatusMetadata::Kept => {
                copy_meta(new, old, &["labels", "annotations", "finalizers", "ownerReferences"]);
            }
        }
        (self.prepare_status)(new, old);
    }

    /// Counts a new generation if what the resource declares has changed.
    pub(crate) fn bump_generation(&self, new: &mut Value, old: &Value) {
        let changed = match self.generation {
            Generation::Untracked => return,
            Generation::Members(members) | Generation::LaterMembers(members) => differ(new, old, members),
            Generation::MembersAndAnnotations(members) => {
                let annotations = |object: &Value| object.annotations().filter(|a| !a.is_empty()).cloned();
                differ(new, old, members) || annotations(new) != annotations(old)
            }
            Generation::MembersAndLabels(members) => differ(new, old, members) || new.labels() != old.labels(),
            Generation::AllButMetadata => !same_but(new, old, &["metadata"]),
        };
        if changed {
            let next = generation(old) + 1;
            new.set_meta("generation", next);
        }
    }
}

fn differ(new: &Value, old: &Value, members: &[&str]) -> bool {
    members.iter().any(|member| new.get(*member) != old.get(*member))
}

/// Replaces the status by an empty one, with the members that upstream always prints.
fn reset_status(resource: &ResourceInfo, object: &mut Value) {
    use apimachinery::schema::Shape;
    let empty = match resource.schema.field("status").map(|f| &f.shape) {
        Some(Shape::Message(id)) => resource.schema.sibling(*id).def().zero(),
        _ => Map::new(),
    };
    if let Some(map) = object.as_object_mut() {
        map.insert("status".into(), Value::Object(empty));
    }
}

/// Copies a top-level member, absence included.
pub(crate) fn copy_member(new: &mut Value, old: &Value, member: &str) {
    if let Some(map) = new.as_object_mut() {
        set_or_remove(map, member, old.get(member));
    }
}

/// Copies members of `metadata`, absence included.
pub(crate) fn copy_meta(new: &mut Value, old: &Value, members: &[&str]) {
    for member in members {
        set_or_remove(new.metadata_mut(), member, old.metadata().and_then(|m| m.get(*member)));
    }
}

/// Makes all top-level members but `but` those of `old`.
pub(crate) fn keep_all_but(new: &mut Value, old: &Value, but: &[&str]) {
    let (Some(map), Some(before)) = (new.as_object_mut(), old.as_object()) else { return };
    map.retain(|key, _| but.contains(&key.as_str()) || before.contains_key(key));
    for (key, value) in before.iter().filter(|(key, _)| !but.contains(&key.as_str())) {
        if map.get(key) != Some(value) {
            map.insert(key.clone(), value.clone());
        }
    }
}

fn same_but(new: &Value, old: &Value, but: &[&str]) -> bool {
    let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else { return new == old };
    let all = new.keys().chain(old.keys()).filter(|key| !but.contains(&key.as_str()));
    all.into_iter().all(|key| new.get(key) == old.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn status_writes_change_the_status_only() {
        let old = json!({"metadata": {"name": "a", "uid": "u", "labels": {"x": "1"}}, "spec": {"a": 1}, "status": {}});
        let request =
            json!({"metadata": {"name": "a", "labels": {"x": "2"}}, "spec": {"a": 2}, "other": 1, "status": {"b": 1}});
        for (rule, label) in
            [(StatusMetadata::Free, "2"), (StatusMetadata::KeepsLabels, "1"), (StatusMetadata::Kept, "1")]
        {
            let mut new = request.clone();
            Strategy { status_metadata: rule, ..DEFAULT }.update_status(&mut new, &old);
            let want = json!({"metadata": {"name": "a", "uid": "u", "labels": {"x": label}}, "spec": {"a": 1}, "status": {"b": 1}});
            assert_eq!(new, want);
        }
    }

    #[test]
    fn generations_count_declared_changes() {
        let old = json!({"metadata": {"generation": 4}, "spec": {"a": 1}, "status": {}});
        let with = |spec: i64, status: i64, data: i64| json!({"metadata": {"generation": 4}, "spec": {"a": spec}, "status": {"s": status}, "data": data});
        for (rule, new, want) in [
            (Generation::Members(&["spec"]), with(1, 5, 5), 4),
            (Generation::Members(&["spec"]), with(2, 5, 5), 5),
            (Generation::AllButMetadata, with(1, 5, 5), 5),
            (Generation::Untracked, with(2, 5, 5), 4),
        ] {
            let mut new = new;
            Strategy { generation: rule, ..DEFAULT }.bump_generation(&mut new, &old);
            assert_eq!(generation(&new), want, "{rule:?}");
        }
    }
}

//! A deployment's replica sets: which one is of its present template, and how they are changed.

use super::{Change, Limits, revision};
use crate::objects::{owner, template};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::sync::Arc;

/// Names what a template makes.
const HASH_LABEL: &str = "pod-template-hash";

/// The replica sets as they will be after the plan's changes.
#[derive(Debug)]
pub(in super::super) struct Sets {
    /// Of the present template.
    new: Option<Set>,
    /// Of earlier templates, oldest first.
    pub(super) old: Vec<Set>,
}

/// One replica set before and after.
#[derive(Clone, Debug)]
pub(super) struct Set {
    /// `None` for one that is to be created.
    before: Option<Arc<ReplicaSet>>,
    pub(super) after: ReplicaSet,
}

/// `spec.replicas`.
pub(super) fn size(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// `status.availableReplicas`.
pub(super) fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

/// `status.replicas`.
pub(super) fn actual(set: &ReplicaSet) -> i32 {
    set.status.as_ref().map_or(0, |status| status.replicas)
}

impl Set {
    /// Gives the set a size and remembers what deployment size that belongs to.
    pub(super) fn resize(&mut self, replicas: i32, limits: &Limits) {
        self.after.spec.get_or_insert_default().replicas = Some(replicas);
        revision::remember_size(&mut self.after, limits.replicas, limits.most());
    }

    fn into_change(self) -> Option<Change> {
        match self.before {
            None => Some(Change::Create(Box::new(self.after))),
            Some(before) if *before == self.after => None,
            Some(before) => Some(Change::Update { before, after: Box::new(self.after) }),
        }
    }
}

impl Sets {
    pub(in super::super) fn new(deployment: &Deployment, sets: &[Arc<ReplicaSet>]) -> Self {
        let mut sets = sets.to_vec();
        sets.sort_by(|a, b| {
            let (a, b) = (&a.metadata, &b.metadata);
            a.creation_timestamp.cmp(&b.creation_timestamp).then_with(|| a.name.cmp(&b.name))
        });
        let wanted = without_hash(deployment.spec.as_ref().map(|spec| spec.template.clone()));
        let position = sets.iter().position(|set| is_of(set, &wanted));
        let new = position.map(|position| sets.remove(position)).map(as_is);
        Self { new, old: sets.into_iter().map(as_is).collect() }
    }

    /// The set of the present template, as it will be.
    pub(in super::super) fn new_set(&self) -> Option<&ReplicaSet> {
        self.new.as_ref().map(|set| &set.after)
    }

    pub(super) fn new_mut(&mut self) -> Option<&mut Set> {
        self.new.as_mut()
    }

    /// All sets as they will be.
    pub(super) fn all(&self) -> impl Iterator<Item = &ReplicaSet> {
        self.old.iter().chain(&self.new).map(|set| &set.after)
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Set> {
        self.old.iter_mut().chain(&mut self.new)
    }

    /// Sum of the sizes of all sets.
    pub(super) fn total(&self) -> i32 {
        self.all().map(size).sum()
    }

    /// Sum of the sizes of the old sets.
    pub(super) fn total_old(&self) -> i32 {
        self.old.iter().map(|set| size(&set.after)).sum()
    }

    /// Whether the present template has a set.
    pub(super) fn has_new(&self) -> bool {
        self.new.is_some()
    }

    fn next_revision(&self) -> i64 {
        self.old.iter().filter_map(|set| revision::of(&set.after)).max().unwrap_or(0) + 1
    }

    /// Keeps annotations and revision of the present template's set right.
    pub(super) fn renumber(&mut self, deployment: &Deployment, _limits: &Limits) {
        let next = self.next_revision();
        let min_ready = deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds);
        let Some(set) = &mut self.new else { return };
        revision::inherit(&mut set.after, deployment, next);
        let spec = set.after.spec.get_or_insert_default();
        if spec.min_ready_seconds.unwrap_or(0) != min_ready.unwrap_or(0) {
            spec.min_ready_seconds = min_ready;
        }
    }

    /// Adds the present template's set, of this size.
    pub(super) fn add_new(&mut self, deployment: &Deployment, replicas: i32, limits: &Limits) {
        let mut set = Set { before: None, after: make(deployment) };
        revision::inherit(&mut set.after, deployment, self.next_revision());
        set.resize(replicas, limits);
        self.new = Some(set);
    }

    /// The oldest unused sets beyond the history limit.
    pub(super) fn history_surplus(&self, limits: &Limits) -> Vec<Arc<ReplicaSet>> {
        let Some(limit) = limits.history else { return Vec::new() };
        let alive = self.old.iter().filter(|set| set.after.metadata.deletion_timestamp.is_none());
        let mut alive: Vec<_> = alive.collect();
        let Some(surplus) = alive.len().checked_sub(limit) else { return Vec::new() };
        alive.sort_by_key(|set| revision::of(&set.after).unwrap_or(0));
        alive.truncate(surplus);
        alive.into_iter().filter(|set| is_unused(&set.after)).filter_map(|set| set.before.clone()).collect()
    }

    pub(super) fn into_changes(self) -> Vec<Change> {
        self.new.into_iter().chain(self.old).filter_map(Set::into_change).collect()
    }
}

fn as_is(set: Arc<ReplicaSet>) -> Set {
    Set { after: (*set).clone(), before: Some(set) }
}

/// Whether the set has no pods, and its status says so of its present generation.
fn is_unused(set: &ReplicaSet) -> bool {
    let observed = set.status.as_ref().and_then(|status| status.observed_generation).unwrap_or(0);
    size(set) == 0 && actual(set) == 0 && set.metadata.generation.unwrap_or(0) <= observed
}

fn is_of(set: &ReplicaSet, wanted: &PodTemplateSpec) -> bool {
    without_hash(set.spec.as_ref().and_then(|spec| spec.template.clone())) == *wanted
}

fn without_hash(template: Option<PodTemplateSpec>) -> PodTemplateSpec {
    let mut template = template.unwrap_or_default();
    let metadata = template.metadata.get_or_insert_default();
    let labels = metadata.labels.get_or_insert_default();
    labels.remove(HASH_LABEL);
    // Not of a template, but some clients send it.
    metadata.creation_timestamp = None;
    if metadata.annotations.as_ref().is_some_and(|annotations| annotations.is_empty()) {
        metadata.annotations = None;
    }
    template
}

/// The replica set of the deployment's present template, without a size.
fn make(deployment: &Deployment) -> ReplicaSet {
    let spec = deployment.spec.clone().unwrap_or_default();
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let hash = template::hash(&spec.template, collisions);
    let mut template = spec.template;
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH_LABEL.to_owned(), hash.clone());
    let labels = labels.clone();
    let mut selector = spec.selector;
    selector.match_labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash.clone());
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{name}-{hash}")),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![owner::controller_ref(deployment)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(0),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        }),
        status: None,
    }
}

//! From a change of an object to the owners that it concerns.
//!
//! Upstream: the `addPod`, `updatePod`, `deletePod` and `getPod…s` of every workload controller.

use super::SharedKind;
use crate::objects::owner;
use crate::objects::selector::{BadOperator, Selector};
use client::informer::{Cached, Change};
use client::{Informer, ObjectKey};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ReplicationController;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

/// A kind whose objects own others by a selector.
pub trait Owning: SharedKind {
    /// Which objects are its; without a selector none.
    fn selector(&self) -> Result<Selector, BadOperator>;
}

fn read(selector: Option<&LabelSelector>) -> Result<Selector, BadOperator> {
    selector.map_or_else(|| Ok(Selector::default()), Selector::new)
}

impl Owning for DaemonSet {
    fn selector(&self) -> Result<Selector, BadOperator> {
        read(self.spec.as_ref().map(|spec| &spec.selector))
    }
}

impl Owning for Deployment {
    fn selector(&self) -> Result<Selector, BadOperator> {
        read(self.spec.as_ref().map(|spec| &spec.selector))
    }
}

impl Owning for Job {
    fn selector(&self) -> Result<Selector, BadOperator> {
        read(self.spec.as_ref().and_then(|spec| spec.selector.as_ref()))
    }
}

impl Owning for ReplicaSet {
    fn selector(&self) -> Result<Selector, BadOperator> {
        read(self.spec.as_ref().map(|spec| &spec.selector))
    }
}

impl Owning for ReplicationController {
    fn selector(&self) -> Result<Selector, BadOperator> {
        let labels = self.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        Ok(labels.map(Selector::labels).unwrap_or_default())
    }
}

impl Owning for StatefulSet {
    fn selector(&self) -> Result<Selector, BadOperator> {
        read(self.spec.as_ref().map(|spec| &spec.selector))
    }
}

/// The controller of an object, if it is of this kind.
pub fn owner<K: Owning>(meta: &ObjectMeta) -> Option<ObjectKey> {
    let name = owner::controller_name::<K>(meta)?.to_owned();
    Some(ObjectKey { namespace: meta.namespace.clone().unwrap_or_default(), name })
}

/// Whom a change concerns: the owner before and after; for an orphan all that could adopt it.
pub fn owners<K: Owning, O: Cached>(change: &Change<O>, all: &Informer<K>) -> Vec<ObjectKey> {
    let meta = change.object().meta();
    let mut keys: Vec<_> = owner::<K>(meta).into_iter().collect();
    if let Change::Updated(before, _) = change {
        keys.extend(owner::<K>(before.meta()).filter(|before| !keys.contains(before)));
    }
    if !matches!(change, Change::Deleted(_)) && owner::controller_of(meta).is_none() {
        keys.extend(adopters(meta, all));
    }
    keys
}

/// All that could adopt an orphan: an empty selector, though it matches everything, takes nothing in.
pub fn adopters<K: Owning>(orphan: &ObjectMeta, all: &Informer<K>) -> Vec<ObjectKey> {
    let candidates = all.list_namespace(orphan.namespace.as_deref().unwrap_or_default());
    let selects = |owner: &K| {
        owner.selector().is_ok_and(|selector| !selector.is_empty() && selector.matches(orphan.labels.as_ref()))
    };
    candidates.iter().filter(|owner| selects(owner)).map(|owner| ObjectKey::of(&**owner)).collect()
}

//! What groups pods together: Services, and the controllers that own pods. By it, pods without
//! spread constraints of their own are spread.
//!
//! Upstream: `pkg/scheduler/framework/plugins/helper/spread.go`.

use super::pod::{Owner, Pod};
use super::selector::{Labels, PodSelector};
use std::collections::HashMap;
use std::sync::Arc;

/// The selectors of Services and owners, by namespace.
#[derive(Debug, Default)]
pub struct Groups {
    namespaces: HashMap<Arc<str>, Namespace>,
}

#[derive(Debug, Default)]
struct Namespace {
    services: HashMap<String, Labels>,
    owners: HashMap<Owner, PodSelector>,
}

impl Groups {
    /// A Service's selector; `None` if the Service is gone or selects nothing.
    pub fn set_service(&mut self, namespace: &str, name: &str, selector: Option<Labels>) {
        self.change(namespace, |groups| match selector {
            Some(selector) => drop(groups.services.insert(name.to_owned(), selector)),
            None => drop(groups.services.remove(name)),
        });
    }

    /// A controller's selector; `None` if the controller is gone.
    pub fn set_owner(&mut self, namespace: &str, owner: Owner, selector: Option<PodSelector>) {
        self.change(namespace, |groups| match selector {
            Some(selector) => drop(groups.owners.insert(owner, selector)),
            None => drop(groups.owners.remove(&owner)),
        });
    }

    /// The pods that belong together with this one: those that the same Services and the same
    /// owner select. `None` if nothing groups it.
    pub fn selector(&self, pod: &Pod) -> Option<PodSelector> {
        let groups = self.namespaces.get(&pod.namespace)?;
        let matches = |selector: &Labels| selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value));
        // The pod has all of these labels, so they cannot contradict each other.
        let services = groups.services.values().filter(|selector| matches(selector));
        let labels: Labels = services.flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut selector = PodSelector::default();
        labels.iter().for_each(|(key, value)| selector.require(key, value));
        if let Some(owner) = pod.owner.as_ref().and_then(|owner| groups.owners.get(owner)) {
            selector.require_all(owner);
        }
        (!selector.is_empty()).then_some(selector)
    }

    fn change(&mut self, namespace: &str, change: impl FnOnce(&mut Namespace)) {
        let groups = self.namespaces.entry(Arc::from(namespace)).or_default();
        change(groups);
        if groups.services.is_empty() && groups.owners.is_empty() {
            self.namespaces.remove(namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::pod;
    use crate::model::pod::OwnerKind;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn selector(pairs: &[(&str, &str)]) -> PodSelector {
        let mut selector = PodSelector::default();
        labels(pairs).iter().for_each(|(key, value)| selector.require(key, value));
        selector
    }

    #[test]
    fn services_and_the_owner_group_pods() {
        let owner = |name: &str| Owner { kind: OwnerKind::ReplicaSet, name: Arc::from(name) };
        let mut groups = Groups::default();
        groups.set_service("default", "both", Some(labels(&[("app", "a")])));
        groups.set_service("default", "other", Some(labels(&[("app", "b")])));
        groups.set_service("elsewhere", "both", Some(labels(&[("tier", "web")])));
        groups.set_owner("default", owner("rs"), Some(selector(&[("hash", "1")])));

        let plain = pod("p").label("app", "a").label("tier", "web");
        assert_eq!(groups.selector(&plain.build()), Some(selector(&[("app", "a")])));
        let owned = pod("p").label("app", "a").controller("apps/v1", "ReplicaSet", "rs").build();
        assert_eq!(groups.selector(&owned), Some(selector(&[("app", "a"), ("hash", "1")])));
        let strange = pod("p").controller("apps/v1", "DaemonSet", "rs").build();
        assert_eq!(groups.selector(&strange), None);

        groups.set_service("default", "both", None);
        groups.set_owner("default", owner("rs"), None);
        assert_eq!(groups.selector(&owned), None);
        assert!(groups.namespaces["default"].owners.is_empty());
    }
}

//! Disruption budgets: which pods should rather not be driven away.
//!
//! Upstream: `filterPodsWithPDBViolation` in `pkg/scheduler/framework/preemption`.

use super::pod::{Pod, PodKey};
use super::selector::PodSelector;
use k8s_openapi::api::policy::v1 as policy;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A budget.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    selector: PodSelector,
    allowed: i32,
    /// Pods that the API server counts already.
    disrupted: HashSet<String>,
}

impl Budget {
    /// From the API's form; `None` if it selects nobody.
    pub fn of(budget: &policy::PodDisruptionBudget) -> Option<Self> {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let selector = PodSelector::of(selector).filter(|selector| !selector.is_empty())?;
        let status = budget.status.as_ref();
        let disrupted = status.and_then(|status| status.disrupted_pods.as_ref());
        Some(Self {
            selector,
            allowed: status.and_then(|status| status.disruptions_allowed).unwrap_or(0),
            disrupted: disrupted.into_iter().flatten().map(|(name, _)| name.clone()).collect(),
        })
    }
}

/// All budgets, by namespace and name.
#[derive(Debug, Default)]
pub struct Budgets {
    namespaces: HashMap<Arc<str>, HashMap<String, Budget>>,
}

impl Budgets {
    /// Takes a budget in; `None` if it is gone, or selects nobody.
    pub fn set(&mut self, namespace: &str, name: &str, budget: Option<Budget>) {
        let budgets = self.namespaces.entry(Arc::from(namespace)).or_default();
        match budget {
            Some(budget) => drop(budgets.insert(name.to_owned(), budget)),
            None => drop(budgets.remove(name)),
        }
        if budgets.is_empty() {
            self.namespaces.remove(namespace);
        }
    }

    /// Which of these pods cannot be driven away any more once those before them were.
    pub fn violating(&self, pods: &[Arc<Pod>]) -> HashSet<PodKey> {
        if self.namespaces.is_empty() {
            return HashSet::new();
        }
        let mut left: HashMap<(&str, &str), i32> = HashMap::new();
        let mut violating = HashSet::new();
        for pod in pods.iter().filter(|pod| !pod.labels.is_empty()) {
            for (name, budget) in self.namespaces.get(&pod.namespace).into_iter().flatten() {
                if !budget.selector.matches(&pod.labels) || budget.disrupted.contains(&*pod.name) {
                    continue;
                }
                let left = left.entry((&pod.namespace, name)).or_insert(budget.allowed);
                *left -= 1;
                if *left < 0 {
                    violating.insert(pod.key());
                    break;
                }
            }
        }
        violating
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::pod;
    use serde_json::{Value, json};

    fn budget(selector: Value, allowed: i32) -> Option<Budget> {
        let disrupted = json!({"gone": "2026-01-01T00:00:00Z"});
        let status = json!({"disruptionsAllowed": allowed, "disruptedPods": disrupted, "currentHealthy": 0,
            "desiredHealthy": 0, "expectedPods": 0});
        let budget = json!({"metadata": {}, "spec": {"selector": selector}, "status": status});
        Budget::of(&serde_json::from_value(budget).unwrap())
    }

    #[test]
    fn a_budget_lasts_for_so_many_pods() {
        let mut budgets = Budgets::default();
        budgets.set("default", "b", budget(json!({"matchLabels": {"app": "a"}}), 1));
        let member = |name: &str| Arc::new(pod(name).label("app", "a").build());
        let other = Arc::new(pod("other").label("app", "b").build());
        let pods = [member("gone"), member("1"), other, member("2"), member("3")];
        let mut names: Vec<_> = budgets.violating(&pods).into_iter().map(|key| key.name.to_string()).collect();
        names.sort();
        assert_eq!(names, ["2", "3"]);
        budgets.set("default", "b", None);
        assert!(budgets.violating(&pods).is_empty());
        assert!(budget(json!({}), 1).is_none());
    }
}

//! Which pods end so that one without which the node or the cluster does not work can begin.
//!
//! Upstream: `pkg/kubelet/preemption/preemption.go`.

use crate::node::Facts;
use crate::pod::PodExt;
use crate::resources::requests::{self, Side};
use crate::resources::{Amount, QosClass};
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

/// Reason and message of pods that end for this.
pub const REASON: &str = "Preempting";
pub const MESSAGE: &str = "Preempted in order to admit critical pod";
/// What the condition says of it.
pub const CONDITION: &str = "Pod was preempted by Kubelet to accommodate a critical pod.";

/// How much of a resource is missing: thousandths of processors, bytes, pods.
pub type Missing = Vec<(String, i64)>;

/// What a pod requests that is not left beside the active ones.
pub fn missing(pod: &Pod, active: &[Arc<Pod>], node: &Facts) -> Missing {
    let wanted = requests::of_pod(pod, Side::Requests).into_keys().chain(["pods".to_owned()]);
    let lacks = |name: String| {
        let capacity = number(&name, *node.allocatable.get(&name)?);
        let used: i64 = active.iter().map(|other| requested(other, &name)).sum();
        let lacking = requested(pod, &name).saturating_add(used).saturating_sub(capacity);
        (requested(pod, &name) > 0 && lacking > 0).then_some((name, lacking))
    };
    wanted.filter_map(lacks).collect()
}

/// The pods that end so that nothing is missing, as few and as unimportant as can be; `None` if that does not do.
pub fn victims(pod: &Pod, active: &[Arc<Pod>], missing: &Missing) -> Option<Vec<Arc<Pod>>> {
    let of = |class: QosClass| -> Vec<Arc<Pod>> {
        active.iter().filter(|other| yields(pod, other) && QosClass::of(other) == class).cloned().collect()
    };
    let (best_effort, burstable) = (of(QosClass::BestEffort), of(QosClass::Burstable));
    let lower = || best_effort.iter().chain(&burstable);
    let mut guaranteed = nearest(of(QosClass::Guaranteed), without(missing, lower()))?;
    let mut burstable = nearest(burstable.clone(), without(missing, best_effort.iter().chain(&guaranteed)))?;
    let mut all = nearest(best_effort.clone(), without(missing, burstable.iter().chain(&guaranteed)))?;
    all.append(&mut burstable);
    all.append(&mut guaranteed);
    Some(all)
}

/// Whether one pod has to make way for another.
fn yields(to: &Pod, pod: &Pod) -> bool {
    let priority = |pod: &Pod| PodExt::spec(pod).priority;
    (to.is_critical() && !pod.is_critical()) || priority(to).zip(priority(pod)).is_some_and(|(to, pod)| to > pod)
}

/// The pods, one after the other, that come nearest to what is missing, until nothing is.
fn nearest(mut pods: Vec<Arc<Pod>>, mut missing: Missing) -> Option<Vec<Arc<Pod>>> {
    let mut chosen = Vec::new();
    while !missing.is_empty() {
        let size = |pod: &Pod| (requested(pod, "memory"), requested(pod, "cpu"));
        let order = |a: &Arc<Pod>, b: &Arc<Pod>| {
            distance(a, &missing).total_cmp(&distance(b, &missing)).then_with(|| size(a).cmp(&size(b)))
        };
        let at = (0..pods.len()).min_by(|a, b| order(&pods[*a], &pods[*b]))?;
        let pod = pods.swap_remove(at);
        missing = without(&missing, [&pod]);
        chosen.push(pod);
    }
    Some(chosen)
}

/// What is missing still when these pods have ended.
fn without<'a>(missing: &Missing, pods: impl IntoIterator<Item = &'a Arc<Pod>> + Clone) -> Missing {
    let left = |(name, amount): &(String, i64)| {
        let freed: i64 = pods.clone().into_iter().map(|pod| requested(pod, name)).sum();
        Some((name.clone(), amount.saturating_sub(freed))).filter(|(_, left)| *left > 0)
    };
    missing.iter().filter_map(left).collect()
}

/// How far what a pod requests is from what is missing; each resource counts the same.
fn distance(pod: &Pod, missing: &Missing) -> f64 {
    let of = |(name, amount): &(String, i64)| {
        let left = amount.saturating_sub(requested(pod, name)).max(0);
        (left as f64 / *amount as f64).powi(2)
    };
    missing.iter().map(of).sum()
}

fn requested(pod: &Pod, name: &str) -> i64 {
    if name == "pods" {
        return 1;
    }
    requests::of_pod(pod, Side::Requests).get(name).map_or(0, |amount| number(name, *amount))
}

fn number(name: &str, amount: Amount) -> i64 {
    if name == "cpu" { amount.milli_value() } else { amount.value() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::requests::tests as fixture;

    fn pod(name: &str, priority: i32, requests: &[(&str, &str)], limits: &[(&str, &str)]) -> Arc<Pod> {
        let mut pod = fixture::pod(vec![], vec![fixture::container("c", requests, limits)]);
        pod.metadata.name = Some(name.to_owned());
        pod.spec.as_mut().unwrap().priority = Some(priority);
        Arc::new(pod)
    }

    fn names(pods: Option<Vec<Arc<Pod>>>) -> Option<Vec<String>> {
        pods.map(|pods| pods.iter().map(|pod| pod.name().to_owned()).collect())
    }

    #[test]
    fn as_few_and_as_unimportant_as_can_be() {
        let critical = crate::pod::CRITICAL_PRIORITY;
        let active = [
            pod("burstable", 0, &[("cpu", "500m")], &[]),
            pod("larger", 0, &[("cpu", "900m")], &[]),
            pod("guaranteed", 0, &[("cpu", "1"), ("memory", "1Gi")], &[("cpu", "1"), ("memory", "1Gi")]),
            pod("important", critical, &[("cpu", "4")], &[]),
            pod("nothing", 0, &[], &[]),
        ];
        let node = Facts {
            allocatable: [("cpu".to_owned(), Amount::whole(7)), ("pods".to_owned(), Amount::whole(9))].into(),
            ..Facts::default()
        };
        let chosen = |cpu: &str, priority| {
            let new = pod("new", priority, &[("cpu", cpu)], &[]);
            let missing = missing(&new, &active, &node);
            names(victims(&new, &active, &missing))
        };
        let list = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(chosen("600m", critical), list(&[]), "there is room");
        assert_eq!(chosen("1", critical), list(&["burstable"]));
        assert_eq!(chosen("1300m", critical), list(&["larger"]));
        assert_eq!(chosen("2", critical), list(&["larger", "burstable"]));
        assert_eq!(chosen("2500m", critical), list(&["larger", "guaranteed"]));
        assert_eq!(chosen("4", critical), None, "what is critical stays");
        assert_eq!(chosen("1", 0), None, "nobody yields to an equal");
    }

    #[test]
    fn a_place_for_a_pod_is_made_by_one_that_guarantees_nothing() {
        let active = [pod("burstable", 0, &[("cpu", "1")], &[]), pod("nothing", 0, &[], &[])];
        let node = Facts { allocatable: [("pods".to_owned(), Amount::whole(2))].into(), ..Facts::default() };
        let new = pod("new", crate::pod::CRITICAL_PRIORITY, &[], &[]);
        let missing = missing(&new, &active, &node);
        assert_eq!(missing, [("pods".to_owned(), 1)]);
        assert_eq!(names(victims(&new, &active, &missing)), Some(vec!["nothing".to_owned()]));
    }
}

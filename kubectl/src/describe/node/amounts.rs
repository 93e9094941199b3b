//! What pods ask of their node.
//!
//! Upstream: `component-helpers/resource/helpers.go`.

use apimachinery::Value;
use apimachinery::quantity::Quantity;
use rules::placement::requests::{Amounts, PodAmounts, amounts};
use rules::tree::{Fill, Tree};

/// Requests and limits.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) requests: Amounts,
    pub(super) limits: Amounts,
}

impl Totals {
    fn of(spec: &Value) -> Self {
        Self { requests: PodAmounts::of(spec).total(), limits: PodAmounts::limits_of(spec).total_limits() }
    }

    /// Of one pod, with what its running containers have got meanwhile.
    pub(super) fn with_status(pod: &Value) -> Self {
        let mut spec = pod["spec"].clone();
        let infeasible = pod["status"]
            .items("conditions")
            .iter()
            .find(|c| c.text("type") == "PodResizePending")
            .is_some_and(|c| c.text("reason") == "Infeasible");
        for (containers, statuses) in [("containers", "containerStatuses"), ("initContainers", "initContainerStatuses")]
        {
            for container in spec.each(containers) {
                let named = |s: &&Value| s.text("name") == container.text("name") && s.has("resources");
                let status = pod["status"].items(statuses).iter().find(named);
                let runs_on = containers == "containers" || container.text("restartPolicy") == "Always";
                if let Some(status) = status.filter(|_| runs_on) {
                    raise(container, status, infeasible);
                }
            }
        }
        Self::of(&spec)
    }

    /// Of all pods, as they are specified.
    pub(super) fn of_all(pods: &[Value]) -> Self {
        let mut all = Self::default();
        for pod in pods {
            let one = Self::of(&pod["spec"]);
            add(&mut all.requests, one.requests);
            add(&mut all.limits, one.limits);
        }
        all
    }
}

fn add(total: &mut Amounts, more: Amounts) {
    for (name, amount) in more {
        let held = total.get(&name).copied().unwrap_or(Quantity::ZERO);
        total.insert(name, held + amount);
    }
}

/// Replaces a container's amounts by the largest of what is asked for, what it has, and what it was promised. What
/// cannot be is not counted.
fn raise(container: &mut Value, status: &Value, infeasible: bool) {
    let (asked, has) = (container["resources"].clone(), &status["resources"]);
    for (list, promised) in [("requests", amounts(status, "allocatedResources")), ("limits", Amounts::new())] {
        let mut most = if infeasible { Amounts::new() } else { amounts(&asked, list) };
        for (name, amount) in amounts(has, list).into_iter().chain(promised) {
            let held = most.entry(name).or_insert(amount);
            *held = (*held).max(amount);
        }
        let most: apimachinery::Map = most.into_iter().map(|(name, q)| (name, q.to_string().into())).collect();
        if let Some(resources) = container.made("resources").and_then(Value::as_object_mut) {
            resources.insert(list.to_owned(), most.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_resize_counts_as_the_larger() {
        let mut pod = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
            "status": {"containerStatuses": [{"name": "c", "resources": {"requests": {"cpu": "2"}}}]}});
        let cpu = |pod: &Value| Totals::with_status(pod).requests["cpu"].to_string();
        assert_eq!(cpu(&pod), "2");
        pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "3".into();
        assert_eq!(cpu(&pod), "3");
        pod["status"]["conditions"] = json!([{"type": "PodResizePending", "reason": "Infeasible"}]);
        assert_eq!(cpu(&pod), "2");
        assert_eq!(Totals::of_all(&[pod.clone(), pod]).requests["cpu"].to_string(), "6");
    }
}

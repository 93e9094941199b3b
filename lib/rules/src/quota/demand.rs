//! What a pod is charged for: what it asks for, or what it still holds while a smaller size is not
//! in effect yet.
//!
//! Upstream: `component-helpers/resource.PodRequests` with `UseStatusResources`.

use crate::placement::requests::{Amounts, PodAmounts, amounts};
use crate::tree::Tree as _;
use apimachinery::{Map, Value};

/// The requests and the limits of a pod.
pub fn amounts_of_pod(pod: &Value) -> (Amounts, Amounts) {
    let spec = pod.at("spec").unwrap_or(&Value::Null);
    if !was_sized(pod) {
        return (PodAmounts::of(spec).total(), PodAmounts::limits_of(spec).total_limits());
    }
    let mut held = spec.clone();
    let refused = is_infeasible(pod);
    for (list, statuses) in [("containers", "containerStatuses"), ("initContainers", "initContainerStatuses")] {
        let statuses = pod.at("status").map(|status| status.items(statuses)).unwrap_or_default();
        let containers = held.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for container in containers {
            let status = statuses.iter().find(|status| status.text("name") == container.text("name"));
            if let Some(status) = status.filter(|status| status.has("resources")) {
                hold(container, status, refused);
            }
        }
    }
    (PodAmounts::of(&held).total(), PodAmounts::limits_of(&held).total_limits())
}

fn was_sized(pod: &Value) -> bool {
    let Some(status) = pod.at("status") else { return false };
    let mut all = status.items("containerStatuses").iter().chain(status.items("initContainerStatuses"));
    all.any(|status| status.has("resources"))
}

/// Whether the node refused the size that the pod asks for.
fn is_infeasible(pod: &Value) -> bool {
    let conditions = pod.at("status").map(|status| status.items("conditions")).unwrap_or_default();
    conditions.iter().any(|c| c.text("type") == "PodResizePending" && c.text("reason") == "Infeasible")
}

/// Raises the container's amounts to what its status says it holds.
fn hold(container: &mut Value, status: &Value, refused: bool) {
    let resources = status.at("resources").unwrap_or(&Value::Null);
    let asked = |list: &str| container.at("resources").map(|r| amounts(r, list)).unwrap_or_default();
    let requests = [amounts(resources, "requests"), amounts(status, "allocatedResources")];
    let requests = largest(if refused { Amounts::new() } else { asked("requests") }, &requests);
    let limits = largest(if refused { Amounts::new() } else { asked("limits") }, &[amounts(resources, "limits")]);
    let Some(container) = container.as_object_mut() else { return };
    let printed = |amounts: Amounts| -> Map { amounts.into_iter().map(|(k, v)| (k, v.to_string().into())).collect() };
    let mut held = Map::new();
    held.insert("requests".to_owned(), printed(requests).into());
    held.insert("limits".to_owned(), printed(limits).into());
    container.insert("resources".to_owned(), held.into());
}

fn largest(mut amounts: Amounts, others: &[Amounts]) -> Amounts {
    for (name, amount) in others.iter().flatten() {
        let larger = amounts.get(name).map_or(*amount, |held| (*held).max(*amount));
        amounts.insert(name.clone(), larger);
    }
    amounts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_resized_pod_is_charged_for_the_larger_size() {
        let pod = |asked: &str, held: &str, reason: &str| {
            json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": asked}}}]},
            "status": {"conditions": [{"type": "PodResizePending", "reason": reason}],
                "containerStatuses": [{"name": "c", "resources": {"requests": {"cpu": held}}}]}})
        };
        let table = [("1", "2", "", "2"), ("3", "2", "", "3"), ("3", "2", "Infeasible", "2")];
        for (asked, held, reason, charged) in table {
            let (requests, _) = amounts_of_pod(&pod(asked, held, reason));
            assert_eq!(requests["cpu"].to_string(), charged, "{asked} {held} {reason}");
        }
    }
}

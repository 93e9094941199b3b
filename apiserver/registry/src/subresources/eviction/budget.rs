//! What a disruption budget says of a pod that is to go: pure decisions.
//!
//! Upstream: `pkg/registry/core/pod/storage/eviction.go` (`checkAndDecrement`),
//! `component-helpers/apps/poddisruptionbudget`.

use crate::metadata;
use crate::strategies::{member, text};
use apimachinery::gvk::GroupResource;
use apimachinery::meta::{ObjectMeta, list_mut};
use apimachinery::status::{Cause, Details, Reason, Status};
use apimachinery::{Value, time};
use serde_json::json;

/// More evictions than this, unseen by the budget's controller, and it is waited for.
const MAX_DISRUPTED: usize = 2000;
/// The condition that says whether anything is left of the budget.
const ALLOWED: &str = "DisruptionAllowed";

/// Whether the pod counts as healthy: if it does not, and enough others are, its going costs nothing.
pub(super) fn counts(pod: &Value, budget: &Value) -> bool {
    let ready = pod.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let ready = ready.into_iter().any(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True");
    let always = text(budget, "/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow";
    let (current, desired) = (number(budget, "currentHealthy"), number(budget, "desiredHealthy"));
    ready || !(always || current >= desired && desired > 0)
}

fn number(budget: &Value, key: &str) -> i64 {
    budget.pointer(&format!("/status/{key}")).and_then(Value::as_i64).unwrap_or_default()
}

/// The budget with one disruption less, which is that of a pod.
pub(super) fn spent(mut budget: Value, pod: &str) -> Result<Value, Status> {
    let generation = metadata::generation(&budget);
    if number(&budget, "observedGeneration") < generation {
        return Err(unsettled(budget.name()));
    }
    let allowed = number(&budget, "disruptionsAllowed");
    let disrupted = budget.pointer("/status/disruptedPods").and_then(Value::as_object).map_or(0, |m| m.len());
    let refused =
        |why: &str| Status::forbidden(&GroupResource::new("policy", "poddisruptionbudget"), budget.name(), why);
    if allowed < 0 {
        return Err(refused("pdb disruptions allowed is negative"));
    }
    if disrupted > MAX_DISRUPTED {
        return Err(refused("DisruptedPods map too big - too many evictions not confirmed by PDB controller"));
    }
    if allowed == 0 {
        return Err(exhausted(why_exhausted(&budget), 0));
    }
    if allowed == 1 {
        note_exhaustion(&mut budget);
    }
    let status = member(&mut budget, "status");
    status.insert("disruptionsAllowed".into(), (allowed - 1).into());
    let pods = status.entry("disruptedPods").or_insert_with(|| json!({}));
    if let Some(pods) = pods.as_object_mut() {
        pods.insert(pod.to_owned(), time::now().into());
    }
    Ok(budget)
}

/// Why nothing is left. What could not be counted is not told.
fn why_exhausted(budget: &Value) -> String {
    let name = budget.name();
    let (desired, current) = (number(budget, "desiredHealthy"), number(budget, "currentHealthy"));
    let conditions = budget.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let condition = conditions.into_iter().find(|condition| text(condition, "/type") == ALLOWED);
    let refusal = condition.filter(|c| text(c, "/status") == "False" && !text(c, "/message").is_empty());
    let refusal = refusal.map(|c| (text(c, "/reason"), text(c, "/message")));
    match refusal {
        Some(("SyncFailed", message)) => format!(
            "The disruption budget {name} does not allow evicting pods currently because it failed sync: {message}"
        ),
        _ if current <= desired => {
            format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently")
        }
        Some((reason, message)) => {
            format!("The disruption budget {name} does not allow evicting pods currently ({reason}): {message}")
        }
        None => format!("The disruption budget {name} does not allow evicting pods currently"),
    }
}

/// Says in the budget that nothing is left of it.
fn note_exhaustion(budget: &mut Value) {
    let generation = number(budget, "observedGeneration");
    let conditions = list_mut(member(budget, "status"), "conditions");
    let old = conditions.iter().position(|condition| text(condition, "/type") == ALLOWED);
    let old = old.map(|at| conditions.remove(at));
    let since = match &old {
        Some(old) if text(old, "/status") == "False" => old["lastTransitionTime"].clone(),
        _ => time::now().into(),
    };
    conditions.push(json!({"type": ALLOWED, "status": "False", "observedGeneration": generation,
        "lastTransitionTime": since, "reason": "InsufficientPods", "message": ""}));
}

/// The budget's controller has not seen all that has happened.
pub(super) fn unsettled(budget: &str) -> Status {
    exhausted(format!("The disruption budget {budget} is still being processed by the server."), 10)
}

fn exhausted(message: String, retry_after_seconds: u32) -> Status {
    let cause = Cause { reason: "DisruptionBudget".into(), message, field: String::new() };
    let details = Details { causes: vec![cause], retry_after_seconds, ..Details::default() };
    let why = "Cannot evict pod as it would violate the pod's disruption budget.";
    Status { details: Some(Box::new(details)), ..Status::plain(429, Reason::TooManyRequests, why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(allowed: i64) -> Value {
        json!({"metadata": {"name": "b", "generation": 1}, "spec": {"selector": {"matchLabels": {"a": "b"}}},
            "status": {"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 2, "desiredHealthy": 2}})
    }

    #[test]
    fn spending_takes_one_and_notes_the_pod() {
        let spent = spent(budget(1), "p").expect("allowed");
        assert_eq!(number(&spent, "disruptionsAllowed"), 0);
        assert!(spent["status"]["disruptedPods"]["p"].is_string());
        let condition = &spent["status"]["conditions"][0];
        assert_eq!((&condition["status"], &condition["reason"]), (&json!("False"), &json!("InsufficientPods")));
        let spent = super::spent(budget(2), "p").expect("allowed");
        assert_eq!(spent["status"].get("conditions"), None);
    }

    #[test]
    fn an_empty_budget_is_a_429() {
        let status = super::spent(budget(0), "p").expect_err("refused");
        let cause = &status.details.as_ref().expect("details").causes[0];
        assert_eq!((status.code, cause.reason.as_str()), (429, "DisruptionBudget"));
        assert_eq!(cause.message, "The disruption budget b needs 2 healthy pods and has 2 currently");
        for (condition, healthy, want) in [
            (json!({"status": "False", "reason": "SyncFailed", "message": "why"}), 2, "because it failed sync: why"),
            (json!({"status": "False", "reason": "SyncFailed", "message": ""}), 2, "needs 2 healthy pods and has 2"),
            (json!({"status": "False", "reason": "Other", "message": "why"}), 3, "currently (Other): why"),
            (json!({"status": "True", "reason": "Other", "message": "why"}), 3, "evicting pods currently"),
        ] {
            let mut budget = budget(0);
            budget["status"]["conditions"] = json!([condition]);
            budget["status"]["conditions"][0]["type"] = ALLOWED.into();
            budget["status"]["currentHealthy"] = healthy.into();
            let status = super::spent(budget, "p").expect_err("refused");
            let message = &status.details.as_ref().expect("details").causes[0].message;
            assert!(message.contains(want), "{message}");
        }
        let mut fresh = budget(1);
        fresh.set_meta("generation", 2);
        assert_eq!(super::spent(fresh, "p").expect_err("refused").code, 429);
    }

    #[test]
    fn unready_pods_cost_nothing_while_enough_others_are_healthy() {
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        assert!(counts(&ready, &budget(0)));
        assert!(!counts(&json!({}), &budget(0)));
        let mut low = budget(0);
        low["status"]["currentHealthy"] = 1.into();
        assert!(counts(&json!({}), &low));
        low["spec"]["unhealthyPodEvictionPolicy"] = "AlwaysAllow".into();
        assert!(!counts(&json!({}), &low));
    }
}

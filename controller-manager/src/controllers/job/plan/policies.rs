//! `podFailurePolicy` and `successPolicy`.
//!
//! Upstream: `pkg/controller/job/{pod_failure_policy,success_policy}.go`.

use super::indexes::Indexes;
use super::pods::completions;
use client::ObjectKey;
use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};

/// What the failure of a pod means for its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// One more towards the limit.
    Counts,
    /// As if it had not been.
    Ignored,
    /// The index has failed, whatever its limit.
    FailsIndex,
    /// The job has failed, for this reason.
    FailsJob(String),
}

impl Failure {
    /// Whether it is one towards the limits.
    pub(super) fn counts(&self) -> bool {
        *self != Self::Ignored
    }
}

/// Judges a failed pod by the first rule that fits.
pub(super) fn judge(spec: &JobSpec, pod: &Pod) -> Failure {
    let rules = spec.pod_failure_policy.iter().flat_map(|policy| &policy.rules);
    rules.enumerate().find_map(|(at, rule)| apply(rule, at, pod)).unwrap_or(Failure::Counts)
}

fn apply(rule: &PodFailurePolicyRule, at: usize, pod: &Pod) -> Option<Failure> {
    let key = ObjectKey::of(pod);
    let message = if let Some(codes) = &rule.on_exit_codes {
        let status = by_exit_code(pod, codes)?;
        let (name, code) = (&status.name, exit_code(status)?);
        format!(
            "Container {name} for pod {key} failed with exit code {code} matching {} rule at index {at}",
            rule.action
        )
    } else {
        let condition = by_condition(pod, rule.on_pod_conditions.as_deref()?)?;
        format!("Pod {key} has condition {} matching {} rule at index {at}", condition.type_, rule.action)
    };
    match rule.action.as_str() {
        "Ignore" => Some(Failure::Ignored),
        "FailIndex" => Some(Failure::FailsIndex),
        "Count" => Some(Failure::Counts),
        "FailJob" => Some(Failure::FailsJob(message)),
        _ => None,
    }
}

fn exit_code(status: &ContainerStatus) -> Option<i32> {
    Some(status.state.as_ref()?.terminated.as_ref()?.exit_code)
}

fn by_exit_code<'a>(pod: &'a Pod, wanted: &PodFailurePolicyOnExitCodesRequirement) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let mut all = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    all.find(|status| {
        let is_meant = wanted.container_name.as_ref().is_none_or(|name| *name == status.name);
        let Some(code) = exit_code(status).filter(|code| is_meant && *code != 0) else { return false };
        match wanted.operator.as_str() {
            "In" => wanted.values.contains(&code),
            "NotIn" => !wanted.values.contains(&code),
            _ => false,
        }
    })
}

fn by_condition<'a>(pod: &'a Pod, patterns: &[PodFailurePolicyOnPodConditionsPattern]) -> Option<&'a PodCondition> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let fits = |condition: &PodCondition, pattern: &PodFailurePolicyOnPodConditionsPattern| {
        condition.type_ == pattern.type_ && condition.status == pattern.status.as_deref().unwrap_or("True")
    };
    conditions.find(|condition| patterns.iter().any(|pattern| fits(condition, pattern)))
}

/// Why the job has succeeded by its success policy, if it has.
pub(super) fn success(spec: &JobSpec, succeeded: &Indexes) -> Option<String> {
    let policy = spec.success_policy.as_ref().filter(|_| !succeeded.is_empty())?;
    let is_met = |indexes: Option<&String>, count: Option<i32>| match (indexes, count) {
        (Some(indexes), count) => {
            let wanted = Indexes::parse(indexes, completions(spec));
            let have = wanted.overlap(succeeded);
            !wanted.is_empty() && (have == wanted.total() || count.is_some_and(|count| have >= count))
        }
        (None, Some(count)) => succeeded.total() >= count,
        (None, None) => false,
    };
    let met = policy.rules.iter().position(|rule| is_met(rule.succeeded_indexes.as_ref(), rule.succeeded_count))?;
    Some(format!("Matched rules at index {met}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(key: &str, rules: Value) -> JobSpec {
        serde_json::from_value(json!({"completions": 6, "template": {}, key: {"rules": rules}})).unwrap()
    }

    fn failed(code: i32) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n"}, "status": {
            "phase": "Failed",
            "conditions": [{"type": "DisruptionTarget", "status": "True"}],
            "containerStatuses": [{"name": "main", "ready": false, "restartCount": 0, "image": "", "imageID": "",
                "state": {"terminated": {"exitCode": code}}}]}}))
        .unwrap()
    }

    fn codes(action: &str, operator: &str, values: &[i32], container: Option<&str>) -> Value {
        json!({"action": action, "onExitCodes": {"containerName": container, "operator": operator, "values": values}})
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let disrupted =
            json!({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]});
        let ready = json!({"action": "FailJob", "onPodConditions": [{"type": "Ready", "status": "True"}]});
        let fails = |at: usize| {
            Failure::FailsJob(format!(
                "Container main for pod n/p failed with exit code 42 matching FailJob rule at index {at}"
            ))
        };
        let table = [
            (json!([]), Failure::Counts),
            (json!([codes("FailJob", "In", &[42], None)]), fails(0)),
            (json!([codes("Ignore", "In", &[1], None), codes("FailJob", "NotIn", &[1], Some("main"))]), fails(1)),
            (json!([codes("FailJob", "In", &[42], Some("other"))]), Failure::Counts),
            (json!([codes("FailIndex", "In", &[42], None)]), Failure::FailsIndex),
            (json!([codes("Count", "In", &[42], None), disrupted.clone()]), Failure::Counts),
            (json!([ready, disrupted]), Failure::Ignored),
        ];
        for (rules, expected) in table {
            assert_eq!(judge(&spec("podFailurePolicy", rules.clone()), &failed(42)), expected, "{rules}");
        }
    }

    #[test]
    fn success_policies() {
        let table = [
            (json!([{"succeededCount": 2}]), "0,3", Some("Matched rules at index 0")),
            (json!([{"succeededCount": 3}]), "0,3", None),
            (json!([{"succeededIndexes": "0-1"}]), "0,3", None),
            (json!([{"succeededIndexes": "0-1"}, {"succeededIndexes": "3"}]), "0,3", Some("Matched rules at index 1")),
            (json!([{"succeededIndexes": "0-3", "succeededCount": 2}]), "0,3,5", Some("Matched rules at index 0")),
            (json!([{"succeededIndexes": "x"}]), "0", None),
            (json!([{"succeededCount": 0}]), "", None),
        ];
        for (rules, have, expected) in table {
            let met = success(&spec("successPolicy", rules.clone()), &Indexes::parse(have, 6));
            assert_eq!(met.as_deref(), expected, "{rules} with {have}");
        }
    }
}

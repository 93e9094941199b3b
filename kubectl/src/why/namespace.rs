//! Why a namespace does not go away, or lets nothing more in.

use super::{Explanation, deletion, list, shown, text};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::quantity::Quantity;

/// Explains a namespace with its quotas.
pub fn explain(namespace: &Value, quotas: &[Value]) -> Explanation {
    let phase = match text(namespace, "/status/phase") {
        "" => "Active",
        phase => phase,
    };
    let mut explanation = Explanation::new(format!("is {phase}"));
    deletion(namespace, &mut explanation);
    if phase == "Terminating" {
        terminating(namespace, &mut explanation);
    }
    for quota in quotas {
        exhausted(quota, &mut explanation);
    }
    explanation
}

fn terminating(namespace: &Value, explanation: &mut Explanation) {
    let finalizers: Vec<&str> = list(namespace, "/spec/finalizers").iter().filter_map(Value::as_str).collect();
    let held: Vec<&Value> = list(namespace, "/status/conditions").iter().filter(|c| c["status"] == "True").collect();
    for found in &held {
        let sentence = match text(found, "/type") {
            "NamespaceDeletionDiscoveryFailure" => "some API does not answer, so that nobody knows what is left in it",
            "NamespaceDeletionGroupVersionParsingFailure" => "some API has a name that cannot be read",
            "NamespaceDeletionContentFailure" => "something in it cannot be deleted",
            "NamespaceContentRemaining" => "there still is something in it",
            "NamespaceFinalizersRemaining" => "something in it waits for its finalizers",
            other => other,
        };
        explanation.because(sentence, [shown(found)]);
    }
    if held.is_empty() && !finalizers.is_empty() {
        let names = finalizers.join(", ");
        let hint = format!("spec.finalizers: {names}");
        explanation
            .because("the namespace controller has not emptied it yet; is the controller manager running?", [hint]);
    }
}

fn exhausted(quota: &Value, explanation: &mut Explanation) {
    for (resource, hard) in quota["status"]["hard"].as_object().into_iter().flatten() {
        let used = &quota["status"]["used"][resource];
        let amount = |value: &Value| value.as_str().and_then(|q| q.parse::<Quantity>().ok());
        if let (Some(most), Some(now)) = (amount(hard), amount(used))
            && now >= most
        {
            let hint = format!(
                "resourcequota/{} {resource}: {} of {}",
                quota.name(),
                used.as_str().unwrap_or_default(),
                hard.as_str().unwrap_or_default()
            );
            explanation.because(format!("no more {resource} are let in: the quota is used up"), [hint]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn namespaces_tell_why() {
        let condition = json!({"type": "NamespaceFinalizersRemaining", "status": "True", "reason": "SomeFinalizersRemain", "message": "x.y in 1 resource instances"});
        for (namespace, want) in [
            (
                json!({"status": {"phase": "Active"}}),
                "ns is Active.\n- no more pods are let in: the quota is used up\n    resourcequota/q pods: 2 of 2\n",
            ),
            (
                json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Terminating"}}),
                "spec.finalizers: kubernetes",
            ),
            (
                json!({"status": {"phase": "Terminating", "conditions": [condition]}}),
                "- something in it waits for its finalizers\n    condition NamespaceFinalizersRemaining=True (SomeFinalizersRemain): x.y in 1",
            ),
        ] {
            let quota = json!({"metadata": {"name": "q"}, "status": {"hard": {"pods": "2", "cpu": "4"}, "used": {"pods": "2", "cpu": "500m"}}});
            let text = explain(&namespace, &[quota]).text("ns");
            assert!(text.contains(want), "{want:?} is not in {text}");
            assert!(!text.contains("no more cpu"), "{text}");
        }
    }
}

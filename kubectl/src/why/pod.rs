//! Why a pod is not running, or not ready.

use super::{Explanation, condition, deletion, events, list, shown, text};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

/// Explains a pod with its events and the claims that it names.
pub fn explain(pod: &Value, of_pod: &[Value], claims: &[(String, Option<Value>)]) -> Explanation {
    let phase = match text(pod, "/status/phase") {
        "" => "Unknown",
        phase => phase,
    };
    let ready = condition(pod, "Ready").is_some_and(|c| c["status"] == "True");
    let mut explanation = Explanation::new(match (phase, ready) {
        _ if pod.is_deleting() => "is Terminating".to_owned(),
        ("Running", true) => "is Running and Ready".to_owned(),
        ("Running", false) => "is Running, but not Ready".to_owned(),
        (phase, _) => format!("is {phase}"),
    });
    deletion(pod, &mut explanation);
    match phase {
        "Failed" => failed(pod, &mut explanation),
        "Pending" if text(pod, "/spec/nodeName").is_empty() => unscheduled(pod, of_pod, claims, &mut explanation),
        "Succeeded" => explanation.because("all its containers ended well", terminations(pod)),
        _ if !ready => containers(pod, of_pod, &mut explanation),
        _ => {}
    }
    if ready {
        restarts(pod, &mut explanation);
    }
    if explanation.reasons.is_empty() && !ready {
        explanation.because("nothing in its status says why", events::of(of_pod, &[]));
    }
    explanation
}

fn failed(pod: &Value, explanation: &mut Explanation) {
    let (reason, message) = (text(pod, "/status/reason"), text(pod, "/status/message"));
    if !reason.is_empty() {
        explanation.because(format!("it was ended: {reason}"), [format!("status.message: {message}")]);
    }
    let ends = terminations(pod);
    if !ends.is_empty() {
        explanation.because("containers ended badly, and its restart policy lets them", ends);
    }
}

fn unscheduled(pod: &Value, of_pod: &[Value], claims: &[(String, Option<Value>)], explanation: &mut Explanation) {
    let gates: Vec<&str> = list(pod, "/spec/schedulingGates").iter().map(|g| text(g, "/name")).collect();
    if !gates.is_empty() {
        let names = gates.join(", ");
        explanation.because(format!("somebody holds it back: {names}"), [format!("spec.schedulingGates: {names}")]);
        return;
    }
    for (name, claim) in claims {
        match claim {
            None => explanation.because(format!("its claim {name} does not exist"), []),
            Some(claim) if text(claim, "/status/phase") != "Bound" => {
                let phase = text(claim, "/status/phase");
                let hint = format!("persistentvolumeclaim/{name} status.phase: {phase}");
                explanation.because(format!("its claim {name} is {phase}"), [hint]);
            }
            Some(_) => {}
        }
    }
    match condition(pod, "PodScheduled").filter(|c| c["status"] == "False") {
        Some(scheduled) => {
            let told = events::of(of_pod, &["FailedScheduling"]);
            explanation.because("no node takes it", [shown(scheduled)].into_iter().chain(told));
        }
        None => {
            let scheduler = match text(pod, "/spec/schedulerName") {
                "" => "default-scheduler",
                name => name,
            };
            let hint = format!("spec.schedulerName: {scheduler}, no condition PodScheduled");
            explanation.because(format!("no scheduler has looked at it yet; is {scheduler} running?"), [hint]);
        }
    }
}

/// The statuses of all containers, the initial ones first.
fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    ["/status/initContainerStatuses", "/status/containerStatuses"].into_iter().flat_map(|p| list(pod, p))
}

fn containers(pod: &Value, of_pod: &[Value], explanation: &mut Explanation) {
    for status in statuses(pod) {
        let name = text(status, "/name");
        let state = &status["state"];
        if state["waiting"].is_object() {
            waiting(name, status, of_pod, explanation);
        } else if let Some(code) = state["terminated"]["exitCode"].as_i64().filter(|c| *c != 0) {
            explanation
                .because(format!("container {name} ended with exit code {code}"), ended(&state["terminated"], name));
        } else if status["ready"] == false && state["running"].is_object() && !is_init(pod, name) {
            not_ready(pod, name, status, of_pod, explanation);
        }
    }
    for gate in list(pod, "/spec/readinessGates") {
        let kind = text(gate, "/conditionType");
        match condition(pod, kind) {
            Some(found) if found["status"] == "True" => {}
            Some(found) => explanation.because(format!("its readiness gate {kind} is not open"), [shown(found)]),
            None => explanation.because(format!("nobody has opened its readiness gate {kind}"), []),
        }
    }
    if statuses(pod).next().is_none() {
        let node = text(pod, "/spec/nodeName");
        let told = events::of(of_pod, &[]);
        explanation.because(format!("the kubelet of {node} has said nothing of its containers"), told);
    }
}

fn is_init(pod: &Value, name: &str) -> bool {
    list(pod, "/status/initContainerStatuses").iter().any(|s| s["name"] == name)
}

fn waiting(name: &str, status: &Value, of_pod: &[Value], explanation: &mut Explanation) {
    let reason = text(status, "/state/waiting/reason");
    let mut evidence = vec![format!("container {name} waits: {reason} {}", text(status, "/state/waiting/message"))];
    let image = text(status, "/image");
    let sentence = match reason {
        "CrashLoopBackOff" => {
            evidence.extend(ended(&status["lastState"]["terminated"], name));
            evidence.extend(events::of(of_pod, &["Unhealthy"]));
            let restarts = status["restartCount"].as_i64().unwrap_or_default();
            format!("container {name} ends again and again ({restarts} restarts)")
        }
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" => {
            evidence.extend(events::of(of_pod, &["Failed"]));
            format!("the image {image} of container {name} cannot be had")
        }
        "CreateContainerConfigError" => {
            evidence.extend(events::of(of_pod, &["Failed"]));
            format!("container {name} names a config map, a secret or a key that is not there")
        }
        "PodInitializing" => format!("container {name} waits for the initial containers"),
        "ContainerCreating" => {
            let kept = ["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "NetworkNotReady"];
            evidence.extend(events::of(of_pod, &kept));
            format!("container {name} is being made: its volumes, its network or its image are not there yet")
        }
        other => format!("container {name} waits: {other}"),
    };
    explanation.because(sentence, evidence);
}

fn not_ready(pod: &Value, name: &str, status: &Value, of_pod: &[Value], explanation: &mut Explanation) {
    let spec = list(pod, "/spec/containers").iter().find(|c| c["name"] == name);
    let has = |probe: &str| spec.is_some_and(|c| c[probe].is_object());
    let told = events::of(of_pod, &["Unhealthy"]);
    let sentence = match (has("startupProbe") && status["started"] == false, has("readinessProbe")) {
        (true, _) => format!("container {name} has not passed its startup probe"),
        (_, true) => format!("container {name} does not pass its readiness probe"),
        _ => format!("container {name} runs, and is not ready yet"),
    };
    let ready = condition(pod, "ContainersReady").map(shown);
    explanation.because(sentence, ready.into_iter().chain(told));
}

/// `container c ended: Error, exit code 1, at …`.
fn ended(terminated: &Value, name: &str) -> Option<String> {
    let code = terminated["exitCode"].as_i64()?;
    let reason = text(terminated, "/reason");
    let meaning = match (reason, code) {
        ("OOMKilled", _) => " (it needed more memory than its limit)",
        (_, 137) => " (killed)",
        (_, 143) => " (asked to end)",
        (_, 126 | 127) => " (its command cannot be run)",
        _ => "",
    };
    let message = match text(terminated, "/message") {
        "" => String::new(),
        message => format!(": {}", message.trim()),
    };
    Some(format!(
        "container {name} ended: {reason}, exit code {code}{meaning}, at {}{message}",
        text(terminated, "/finishedAt")
    ))
}

fn terminations(pod: &Value) -> Vec<String> {
    statuses(pod).filter_map(|s| ended(&s["state"]["terminated"], text(s, "/name"))).collect()
}

fn restarts(pod: &Value, explanation: &mut Explanation) {
    for status in statuses(pod) {
        let (name, count) = (text(status, "/name"), status["restartCount"].as_i64().unwrap_or_default());
        if count > 0 {
            let last = ended(&status["lastState"]["terminated"], name);
            explanation.because(format!("container {name} was restarted {count} times"), last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(pod: &Value, of_pod: &[Value]) -> String {
        explain(pod, of_pod, &[]).text("pod/x")
    }

    #[test]
    fn pods_tell_why() {
        let event = json!({"type": "Warning", "reason": "FailedScheduling", "lastTimestamp": "t", "count": 2, "message": "0/1 nodes"});
        for (pod, events, wants) in [
            (
                json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}),
                vec![],
                vec!["is Running and Ready.\n"],
            ),
            (
                json!({"status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1"}]}}),
                vec![event],
                vec![
                    "- no node takes it\n",
                    "condition PodScheduled=False (Unschedulable): 0/1\n",
                    "event FailedScheduling (t, 2 times): 0/1 nodes\n",
                ],
            ),
            (
                json!({"spec": {"schedulerName": "mine"}, "status": {"phase": "Pending"}}),
                vec![],
                vec!["is mine running?"],
            ),
            (
                json!({"spec": {"schedulingGates": [{"name": "g"}]}, "status": {"phase": "Pending"}}),
                vec![],
                vec!["holds it back: g"],
            ),
            (
                json!({"spec": {"nodeName": "n"}, "status": {"phase": "Running", "containerStatuses": [{"name": "c", "restartCount": 4,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "t"}}}]}}),
                vec![],
                vec![
                    "is Running, but not Ready",
                    "ends again and again (4 restarts)",
                    "OOMKilled, exit code 137 (it needed more memory than its limit), at t",
                ],
            ),
            (
                json!({"spec": {"nodeName": "n", "containers": [{"name": "c", "readinessProbe": {}}]}, "status": {"phase": "Running",
                "containerStatuses": [{"name": "c", "ready": false, "state": {"running": {}}}]}}),
                vec![],
                vec!["does not pass its readiness probe"],
            ),
            (
                json!({"status": {"phase": "Failed", "reason": "Evicted", "message": "low on disk"}}),
                vec![],
                vec!["it was ended: Evicted", "low on disk"],
            ),
            (
                json!({"spec": {"nodeName": "n"}, "status": {"phase": "Pending"}}),
                vec![],
                vec!["the kubelet of n has said nothing"],
            ),
        ] {
            let text = told(&pod, &events);
            for want in wants {
                assert!(text.contains(want), "{want:?} is not in {text}");
            }
        }
    }

    #[test]
    fn claims_hold_pods_back() {
        let pod = json!({"status": {"phase": "Pending"}});
        let claims = [("a".to_owned(), None), ("b".to_owned(), Some(json!({"status": {"phase": "Pending"}})))];
        let text = explain(&pod, &[], &claims).text("pod/x");
        assert!(text.contains("its claim a does not exist") && text.contains("its claim b is Pending"), "{text}");
    }
}

//! The pod and the container that a command means: by name, by workload, by selector.
//!
//! Upstream: `kubectl/pkg/polymorphichelpers/attachablepodforobject.go`, `kubectl/pkg/cmd/util/podcmd`.

use crate::commands::Session;
use crate::discovery::{Asks, Resource};
use crate::http::is_unanswered;
use crate::selected::{had, list, named};
use crate::targets;
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::time;
use std::time::Duration;

/// Between two looks at a workload that has no pods yet.
const LOOK: Duration = Duration::from_millis(500);
/// The annotation that names the container to take.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The one pod that a word means: itself, or the best of a workload, which may take `timeout`
/// (`--pod-running-timeout`) to have one.
pub async fn first_of(session: &Session, target: &str, timeout: &str) -> anyhow::Result<Value> {
    Ok(first_of_several(session, target, timeout).await?.0)
}

/// The same with how many there are to choose from.
pub async fn first_of_several(session: &Session, target: &str, timeout: &str) -> anyhow::Result<(Value, usize)> {
    let Some(timeout) = time::parse_go_duration(timeout).filter(|timeout| !timeout.is_zero()) else {
        bail!("--pod-running-timeout must be higher than zero");
    };
    let deadline = tokio::time::Instant::now() + timeout;
    loop {
        let pods = all_of(session, target).await?;
        let count = pods.len();
        if let Some(pod) = pods.into_iter().max_by_key(readiness) {
            return Ok((pod, count));
        }
        if tokio::time::Instant::now() >= deadline {
            bail!("timed out waiting for the condition");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A pod that runs and is ready is the best to talk to; of equals the older one.
fn readiness(pod: &Value) -> (bool, bool, bool, std::cmp::Reverse<String>) {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True");
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    let assigned = pod.pointer("/spec/nodeName").is_some();
    (assigned, phase == "Running", ready, std::cmp::Reverse(pod.meta_str("creationTimestamp").to_owned()))
}

/// What came of asking for pods. Upstream has asked the server what a pod is by then, and tells if it does not answer.
pub async fn noticed<T>(session: &Session, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
    if outcome.as_ref().is_err_and(is_unanswered) {
        session.discovery(Asks::PAIR).await?;
    }
    outcome
}

/// All pods that a word means.
pub async fn all_of(session: &Session, target: &str) -> anyhow::Result<Vec<Value>> {
    let Some((kind, name)) = target.split_once('/') else {
        return Ok(vec![noticed(session, had(session, &named(session, resource(), target)).await).await?]);
    };
    let discovery = session.discovery(Asks::PAIR).await?;
    let words = [format!("{kind}/{name}")];
    let Some(found) = targets::parse(&discovery, "logs", &words)?.pop() else { bail!("no resource named {target}") };
    let object = had(session, &named(session, found.resource.clone(), name)).await?;
    if found.resource.plural == "pods" {
        return Ok(vec![object]);
    }
    match selector_of(&object) {
        selector if selector.is_empty() && found.resource.kind == "Service" => {
            let why = format!("invalid service '{name}': Service is defined without a selector");
            Err(NoPods { kind: "*v1.Service".into(), why }.into())
        }
        selector if selector.is_empty() => Err(no_selector(&found.resource)),
        selector => selected(session, &selector).await,
    }
}

/// An object that has no pods of its own.
#[derive(Debug, thiserror::Error)]
#[error("cannot attach to {kind}: {why}")]
pub struct NoPods {
    /// Its type, as Go names it.
    pub kind: String,
    /// Why.
    pub why: String,
}

/// What is said of an object of a type that has no pods.
pub(crate) fn no_selector(resource: &Resource) -> anyhow::Error {
    let kind = format!("*{}.{}", resource.version, resource.kind);
    NoPods { why: format!("selector for {kind} not implemented"), kind }.into()
}

/// The selector of a workload or a service as a query parameter.
pub fn selector_of(object: &Value) -> String {
    let selector = &object["spec"]["selector"];
    let structured = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    match structured {
        true => crate::commands::label_selector(selector),
        false => {
            let pairs = selector.as_object().into_iter().flatten();
            pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect::<Vec<_>>().join(",")
        }
    }
}

/// The pods of a selector, in the namespace of the command line.
pub async fn selected(session: &Session, selector: &str) -> anyhow::Result<Vec<Value>> {
    list(session, &resource(), Some(&session.namespace), selector, "").await
}

/// Pods, without asking what the server has.
pub fn resource() -> Resource {
    Resource {
        group: String::new(),
        version: "v1".into(),
        plural: "pods".into(),
        singular: "pod".into(),
        kind: "Pod".into(),
        namespaced: true,
        short_names: Vec::new(),
        categories: Vec::new(),
        verbs: Vec::new(),
        subresources: Vec::new(),
    }
}

/// Names of all containers: init, regular, ephemeral.
pub fn container_names(pod: &Value) -> Vec<String> {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let containers = lists.iter().flat_map(|list| pod["spec"][*list].as_array().into_iter().flatten());
    containers.filter_map(|c| c["name"].as_str()).map(str::to_owned).collect()
}

/// The container of a name, of the annotation, or the first; says so if there are more, unless it is to be quiet.
pub fn container(pod: &Value, name: &str, quiet: bool) -> anyhow::Result<String> {
    match quiet {
        true => container_told(pod, name, &mut std::io::sink()),
        false => container_told(pod, name, &mut std::io::stderr()),
    }
}

/// The same, said elsewhere.
pub fn container_told(pod: &Value, name: &str, told: &mut dyn std::io::Write) -> anyhow::Result<String> {
    let names = container_names(pod);
    if !name.is_empty() {
        return match names.iter().any(|n| n == name) {
            true => Ok(name.to_owned()),
            false => {
                bail!("container {name} is not valid for pod {} out of: {}", pod.name(), shown_names(pod).join(", "))
            }
        };
    }
    let regular: Vec<&str> =
        pod["spec"]["containers"].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str()).collect();
    if let Some(default) = pod.annotations().and_then(|a| a.get(DEFAULT_CONTAINER)?.as_str())
        && names.iter().any(|n| n == default)
    {
        return Ok(default.to_owned());
    }
    let Some(first) = regular.first() else {
        bail!("pod {}/{} does not have any containers", pod.namespace(), pod.name())
    };
    if names.len() > 1 {
        writeln!(told, "Defaulted container {first:?} out of: {}", shown_names(pod).join(", "))?;
    }
    Ok((*first).to_owned())
}

/// Regular containers first, then the others with what they are.
fn shown_names(pod: &Value) -> Vec<String> {
    let lists = [("containers", ""), ("ephemeralContainers", " (ephem)"), ("initContainers", " (init)")];
    let one = |(list, mark): &(&str, &str)| -> Vec<String> {
        let containers = pod["spec"][*list].as_array().into_iter().flatten();
        containers.filter_map(|c| Some(format!("{}{mark}", c["name"].as_str()?))).collect()
    };
    lists.iter().flat_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn containers_are_chosen() {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]}});
        assert_eq!(container(&pod, "", true).expect("one"), "a");
        assert_eq!(container(&pod, "i", true).expect("one"), "i");
        assert_eq!(
            container(&pod, "x", true).expect_err("none").to_string(),
            "container x is not valid for pod p out of: a, b, i (init)"
        );
        assert_eq!(shown_names(&pod), ["a", "b", "i (init)"]);
        pod["metadata"]["annotations"] = json!({DEFAULT_CONTAINER: "b"});
        assert_eq!(container(&pod, "", true).expect("one"), "b");
    }

    #[test]
    fn ready_pods_are_best() {
        let pod = |phase: &str, ready: &str| json!({"metadata": {"name": phase}, "spec": {"nodeName": "n"}, "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}});
        assert!(readiness(&pod("Running", "True")) > readiness(&pod("Running", "False")));
        assert!(readiness(&pod("Running", "False")) > readiness(&pod("Pending", "False")));
    }

    #[test]
    fn selectors_of_services_and_workloads() {
        assert_eq!(selector_of(&json!({"spec": {"selector": {"a": "b"}}})), "a=b");
        assert_eq!(selector_of(&json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}})), "a=b");
    }
}

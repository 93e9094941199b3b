//! Why nobody answers behind a service.

use super::{Explanation, condition, deletion, list, shown, text};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

/// How many pods are named.
const SHOWN: usize = 5;

/// Explains a service with the pods that it selects and its endpoint slices.
pub fn explain(service: &Value, pods: &[Value], slices: &[Value]) -> Explanation {
    let addresses = |ready: bool| -> usize {
        let endpoints = slices.iter().flat_map(|slice| list(slice, "/endpoints"));
        // An endpoint that says nothing of it is ready.
        let fits = |e: &&Value| (e["conditions"]["ready"] != false) == ready;
        endpoints.filter(fits).map(|e| list(e, "/addresses").len()).sum()
    };
    let (ready, unready) = (addresses(true), addresses(false));
    let kind = text(service, "/spec/type");
    let mut explanation = match (kind, ready) {
        ("ExternalName", _) => Explanation::new(format!("is another name of {}", text(service, "/spec/externalName"))),
        (_, 0) => Explanation::new("has no endpoint that is ready"),
        (_, 1) => Explanation::new("has 1 endpoint that is ready"),
        (_, count) => Explanation::new(format!("has {count} endpoints that are ready")),
    };
    deletion(service, &mut explanation);
    if kind == "ExternalName" {
        return explanation;
    }
    selection(service, pods, unready, ready, &mut explanation);
    ports(service, pods, &mut explanation);
    if kind == "LoadBalancer" && list(service, "/status/loadBalancer/ingress").is_empty() {
        let hint = "status.loadBalancer.ingress is empty".to_owned();
        explanation.because("no load balancer has taken it", [hint]);
    }
    explanation
}

fn selection(service: &Value, pods: &[Value], unready: usize, ready: usize, explanation: &mut Explanation) {
    let selector = service["spec"]["selector"].as_object();
    let Some(selector) = selector.filter(|s| !s.is_empty()) else {
        if ready == 0 {
            explanation.because(
                "it has no selector, and nobody has written endpoints for it",
                ["spec.selector is empty".to_owned()],
            );
        }
        return;
    };
    let pairs: Vec<String> = selector.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    let hint = format!("spec.selector: {}", pairs.join(","));
    if pods.is_empty() {
        explanation.because("no pod has the labels that it selects", [hint]);
        return;
    }
    let lame: Vec<&Value> = pods.iter().filter(|p| !is_ready(p)).collect();
    if !lame.is_empty() {
        let state = |p: &&Value| {
            let ready = condition(p, "Ready").map_or_else(|| "no condition Ready".to_owned(), shown);
            format!("pod/{} is {}, {ready}", p.name(), text(p, "/status/phase"))
        };
        let sentence = format!("{} of the {} pods that it selects are not ready", lame.len(), pods.len());
        explanation.because(sentence, lame.iter().take(SHOWN).map(state));
    } else if ready == 0 && unready == 0 {
        explanation.because(
            "its pods are ready, but no endpoint slice names them; is the controller manager running?",
            [hint],
        );
    }
}

fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|c| c["status"] == "True")
}

/// Ports by name that no pod has.
fn ports(service: &Value, pods: &[Value], explanation: &mut Explanation) {
    for port in list(service, "/spec/ports") {
        let Some(name) = port["targetPort"].as_str() else { continue };
        let has = |pod: &Value| {
            let containers = list(pod, "/spec/containers").iter().chain(list(pod, "/spec/initContainers"));
            containers.flat_map(|c| list(c, "/ports")).any(|p| p["name"] == name)
        };
        if !pods.is_empty() && !pods.iter().any(has) {
            let hint = format!("spec.ports: port {} targetPort {name}", port["port"]);
            explanation.because(format!("no container of its pods has a port of the name {name}"), [hint]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn services_tell_why() {
        let service = json!({"spec": {"selector": {"a": "b"}, "ports": [{"port": 80, "targetPort": "http"}]}});
        let pod = |ready: &str| json!({"metadata": {"name": "p"}, "spec": {"containers": [{"ports": [{"name": "http"}]}]}, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}});
        let slice = json!({"endpoints": [{"addresses": ["1.2.3.4"], "conditions": {"ready": true}}]});
        for (service, pods, slices, want) in [
            (&service, vec![], vec![], "- no pod has the labels that it selects\n    spec.selector: a=b\n"),
            (
                &service,
                vec![pod("False")],
                vec![],
                "- 1 of the 1 pods that it selects are not ready\n    pod/p is Running, condition Ready=False\n",
            ),
            (&service, vec![pod("True")], vec![], "no endpoint slice names them"),
            (&service, vec![pod("True")], vec![slice.clone()], "svc has 1 endpoint that is ready.\n"),
            (
                &service,
                vec![json!({"status": {}})],
                vec![slice],
                "no container of its pods has a port of the name http",
            ),
            (
                &json!({"spec": {"type": "ExternalName", "externalName": "x.y"}}),
                vec![],
                vec![],
                "svc is another name of x.y.\n",
            ),
            (&json!({"spec": {"type": "LoadBalancer"}}), vec![], vec![], "no load balancer has taken it"),
        ] {
            let text = explain(service, &pods, &slices).text("svc");
            assert!(text.contains(want), "{want:?} is not in {text}");
        }
    }
}

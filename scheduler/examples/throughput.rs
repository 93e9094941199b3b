//! Measures decisions without an apiserver: 5,000 pods onto 1,000 nodes, in the shapes that the
//! figures of the design name. `cargo run --release -p kube-scheduler --example throughput`

use kube_scheduler::config::Configuration;
use kube_scheduler::model::Pod;
use kube_scheduler::model::node::NodeFacts;
use kube_scheduler::scheduler::Scheduler;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

const NODES: usize = 1000;
const PODS: usize = 5000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    for shape in ["plain", "spread", "anti-affinity", "affinity"] {
        let scheduler = Scheduler::new(&Configuration::default())?;
        for number in 0..NODES {
            scheduler.set_node(&format!("n{number}"), NodeFacts::of(&serde_json::from_value(node(number))?));
        }
        for number in 0..PODS {
            scheduler.set_pod(Arc::new(Pod::of(&serde_json::from_value(pod(shape, number))?)));
        }
        let start = Instant::now();
        let mut placed = 0;
        for _ in 0..PODS {
            placed += usize::from(scheduler.try_next().await.is_some());
        }
        let micros = start.elapsed().as_micros() / PODS as u128;
        println!("{shape}: {placed} of {PODS} placed, {micros} µs per pod");
    }
    Ok(())
}

fn node(number: usize) -> Value {
    json!({
        "metadata": {"labels": {"kubernetes.io/hostname": format!("n{number}"), "topology.kubernetes.io/zone": format!("z{}", number % 10)}},
        "status": {"allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110"}},
    })
}

fn pod(shape: &str, number: usize) -> Value {
    let group = format!("g{}", number / 100);
    let labels = json!({"app": group});
    let selector = json!({"matchLabels": labels});
    let term = |key: &str| json!({"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": key, "labelSelector": selector}]});
    let spread = |key: &str| json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector});
    let (host, zone) = ("kubernetes.io/hostname", "topology.kubernetes.io/zone");
    let mut pod = json!({
        "metadata": {"name": format!("p{number}"), "namespace": "default", "uid": number.to_string(), "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "pause", "resources": {"requests": {"cpu": "100m", "memory": "100Mi"}}}]},
    });
    match shape {
        "spread" => pod["spec"]["topologySpreadConstraints"] = json!([spread(zone), spread(host)]),
        "anti-affinity" => pod["spec"]["affinity"] = json!({"podAntiAffinity": term(host)}),
        "affinity" => pod["spec"]["affinity"] = json!({"podAffinity": term(zone)}),
        _ => {}
    }
    pod
}

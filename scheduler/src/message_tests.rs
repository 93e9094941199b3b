//! What is said of a pod that fits nowhere, as upstream says it.

use super::*;
use crate::model::builders::{PodBuilder, node, pod};
use serde_json::{Value, json};

/// The message about a pod on these nodes with these pods.
fn said(nodes: Vec<(&str, NodeFacts)>, pods: Vec<PodBuilder>, incoming: PodBuilder) -> String {
    let scheduler = Scheduler::new(&Configuration::default()).unwrap();
    for (name, facts) in nodes {
        scheduler.set_node(name, facts);
    }
    pods.into_iter().for_each(|pod| scheduler.set_pod(Arc::new(pod.build())));
    let profile = &scheduler.profiles["default-scheduler"];
    match scheduler.choose(profile, &Arc::new(incoming.build()), &mut Trace::default()) {
        Choice::Nowhere { diagnosis, relief, preemption } => Unplaced { relief, preemption }.explain(&diagnosis),
        Choice::Node { node, .. } => format!("on {node}"),
        Choice::Failed { why } => why,
    }
}

fn affinity(kind: &str, app: &str) -> Value {
    let term = json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": app}}});
    json!({kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}})
}

#[test]
fn every_plugin_says_what_upstreams_says() {
    let zone = |name: &'static str| (name, node().label("zone", name).facts());
    let not_helpful = |nodes: usize| {
        format!(
            "no new claims to deallocate, preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling."
        )
    };
    let no_victims = |nodes: usize| {
        format!(
            "no new claims to deallocate, preemption: 0/{nodes} nodes are available: {nodes} No preemption victims found for incoming pod."
        )
    };
    let web = || pod("web").label("app", "web").on("a");
    let spread = json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}}}]);
    let selects_ssd = json!({"disk": "ssd"});
    let busy = || node().cpu("1").facts();
    let table = [
        (vec![], vec![], pod("p"), "no nodes available to schedule pods".to_owned()),
        (
            vec![("a", node().unschedulable().facts()), ("b", node().taint("k", "", "NoExecute").facts())],
            vec![],
            pod("p"),
            format!(
                "0/2 nodes are available: 1 node(s) had untolerated taint {{k: }}, 1 node(s) were unschedulable. {}",
                not_helpful(2)
            ),
        ),
        (
            vec![zone("a"), zone("b")],
            vec![],
            pod("p").spec("nodeSelector", selects_ssd),
            format!("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. {}", not_helpful(2)),
        ),
        (
            vec![zone("a")],
            vec![pod("q").host_port(80).on("a")],
            pod("p").host_port(80),
            format!(
                "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. {}",
                no_victims(1)
            ),
        ),
        (
            vec![("a", busy()), ("b", node().cpu("4").facts())],
            vec![pod("q").requests("3", "1Mi").on("b")],
            pod("p").requests("2", "64Gi"),
            format!("0/2 nodes are available: 2 Insufficient cpu, 2 Insufficient memory. {}", not_helpful(2)),
        ),
        (
            vec![("a", busy())],
            vec![pod("q").requests("500m", "1Mi").on("a")],
            pod("p").requests("1", "1Mi"),
            format!("0/1 nodes are available: 1 Insufficient cpu. {}", no_victims(1)),
        ),
        (
            vec![("a", busy())],
            vec![pod("q").requests("400m", "1Mi").on("a"), pod("r").requests("400m", "1Mi").priority(9).on("a")],
            pod("p").requests("700m", "1Mi").priority(5),
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Insufficient cpu."
                .to_owned(),
        ),
        (
            vec![("a", busy())],
            vec![pod("q").requests("1", "1Mi").on("a")],
            pod("p").requests("1", "1Mi").priority(5).spec("preemptionPolicy", "Never".into()),
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never."
                .to_owned(),
        ),
        (
            vec![zone("a"), zone("b")],
            vec![],
            pod("p").spec("affinity", affinity("podAffinity", "web")),
            format!("0/2 nodes are available: 2 node(s) didn't match pod affinity rules. {}", not_helpful(2)),
        ),
        (
            vec![zone("a")],
            vec![web()],
            pod("p").spec("affinity", affinity("podAntiAffinity", "web")),
            format!("0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules. {}", no_victims(1)),
        ),
        (
            vec![zone("a")],
            vec![web().spec("affinity", affinity("podAntiAffinity", "db"))],
            pod("p").label("app", "db"),
            format!(
                "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules. {}",
                no_victims(1)
            ),
        ),
        (
            vec![zone("a"), ("bare", node().facts()), ("b", node().label("zone", "b").cpu("0").facts())],
            vec![web()],
            pod("p").label("app", "web").requests("1", "1Mi").spec("topologySpreadConstraints", spread),
            "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match pod topology spread constraints, 1 \
             node(s) didn't match pod topology spread constraints (missing required label). no new claims to deallocate, preemption: 0/3 nodes are \
             available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
                .to_owned(),
        ),
        (
            vec![("a", node().facts())],
            vec![],
            pod("p").claims(&["c"]),
            format!("0/1 nodes are available: persistentvolumeclaim \"c\" not found. {}", not_helpful(1)),
        ),
    ];
    for (nodes, pods, incoming, expected) in table {
        assert_eq!(said(nodes, pods, incoming), expected);
    }
}

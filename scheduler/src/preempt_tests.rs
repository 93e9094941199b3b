use super::*;
use crate::config::ProfileConfig;
use crate::decide::{Decision, decide};
use crate::model::builders::{PodBuilder, node, pod};
use crate::plugins::testing::cluster;
use crate::trace::Trace;

/// Lets `pod` look for room: `node: victims`, or the message.
fn outcome(nodes: &[&str], pods: Vec<PodBuilder>, incoming: PodBuilder) -> String {
    let profile = Profile::new(&ProfileConfig::default(), &[]).unwrap();
    let nodes = nodes.iter().map(|&name| (name, node().cpu("2").facts())).collect();
    let mut cluster = cluster(nodes, pods.into_iter().map(PodBuilder::build).collect());
    let before = cluster.nodes.cpu_used.clone();
    let incoming = Arc::new(incoming.build());
    let Decision::Reject(diagnosis) = decide(&profile, 0, &cluster, &incoming, &mut Trace::default()) else {
        return "fits".into();
    };
    let found = find(&profile, &mut cluster, &incoming, &diagnosis);
    assert_eq!(cluster.nodes.cpu_used, before, "the search left traces");
    match &found {
        Preemption::Found { node, victims } => {
            let mut names: Vec<_> = victims.iter().map(|victim| victim.name.to_string()).collect();
            names.sort();
            format!("{node}: {}", names.join(" "))
        }
        _ => found.message().unwrap(),
    }
}

fn running(name: &str, node: &str, cpu: &str, priority: i32) -> PodBuilder {
    pod(name).requests(cpu, "1Mi").priority(priority).on(node)
}

fn high(cpu: &str) -> PodBuilder {
    pod("high").requests(cpu, "1Mi").priority(100)
}

#[test]
fn only_as_many_as_needed_go_and_the_least_important_first() {
    let pods = vec![running("low", "a", "1", 1), running("mid", "a", "1", 50)];
    assert_eq!(outcome(&["a"], pods.clone(), high("1")), "a: low");
    assert_eq!(outcome(&["a"], pods, high("2")), "a: low mid");
}

#[test]
fn the_node_whose_victims_matter_least_is_chosen() {
    let pods = vec![running("mid", "a", "2", 50), running("low1", "b", "1", 1), running("low2", "b", "1", 1)];
    assert_eq!(outcome(&["a", "b"], pods, high("2")), "b: low1 low2");
    let pods = vec![running("one", "a", "2", 1), running("two1", "b", "1", 1), running("two2", "b", "1", 1)];
    assert_eq!(outcome(&["a", "b"], pods, high("2")), "a: one");
}

#[test]
fn equals_and_betters_stay() {
    let message = "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";
    assert_eq!(outcome(&["a"], vec![running("equal", "a", "2", 100)], high("1")), message);
}

#[test]
fn what_no_preemption_can_mend_is_said() {
    let message = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    assert_eq!(outcome(&["a"], vec![running("low", "a", "1", 1)], high("5")), message);
}

#[test]
fn a_pod_that_may_not_preempt_does_not() {
    let modest = high("2").spec("preemptionPolicy", "Never".into());
    let message = "preemption: not eligible due to preemptionPolicy=Never.";
    assert_eq!(outcome(&["a"], vec![running("low", "a", "1", 1)], modest), message);
}

#[test]
fn budgets_are_spared_where_others_can_go() {
    let budget = serde_json::json!({"metadata": {}, "spec": {"selector": {"matchLabels": {"app": "a"}}}});
    let budget = crate::model::budgets::Budget::of(&serde_json::from_value(budget).unwrap());
    let profile = Profile::new(&ProfileConfig { scheduler_name: "s".into(), ..ProfileConfig::default() }, &[]).unwrap();
    let nodes = ["a", "b"].map(|name| (name, node().cpu("2").facts())).into();
    let pods = vec![
        running("protected", "a", "1", 1).label("app", "a"),
        running("other", "a", "1", 2),
        running("dear", "b", "2", 50),
    ];
    let mut cluster = cluster(nodes, pods.into_iter().map(PodBuilder::build).collect());
    cluster.budgets.set("default", "b", budget);
    let place = |cluster: &mut Cluster, incoming: PodBuilder| {
        let incoming = Arc::new(incoming.build());
        let decision = decide(&profile, 0, cluster, &incoming, &mut Trace::default());
        let Decision::Reject(diagnosis) = decision else { panic!("fits") };
        match find(&profile, cluster, &incoming, &diagnosis) {
            Preemption::Found { node, victims } => (node.to_string(), victims[0].name.to_string(), victims.len()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(place(&mut cluster, high("1")), ("a".into(), "other".into(), 1));
    assert_eq!(place(&mut cluster, high("2")), ("b".into(), "dear".into(), 1));
}

#[test]
fn a_few_candidates_are_enough() {
    let args = |percentage, absolute| DefaultPreemptionArgs {
        min_candidate_nodes_percentage: percentage,
        min_candidate_nodes_absolute: absolute,
    };
    for (args, nodes, expected) in [(args(10, 100), 5000, 500), (args(10, 100), 50, 50), (args(0, 3), 50, 3)] {
        assert_eq!(enough(&args, nodes), expected);
    }
}

#[test]
fn a_victim_is_told_which_generation_of_it_goes() {
    let mut victim = pod("victim").build();
    victim.generation = Some(2);
    let condition = disruption(&pod("dear").build(), &victim);
    assert_eq!((&condition["type"], &condition["observedGeneration"]), (&"DisruptionTarget".into(), &2.into()));
}

use super::*;
use crate::config::ProfileConfig;
use crate::decide::{Decision, decide};
use crate::model::builders::{PodBuilder, node, pod};
use crate::plugins::testing::cluster;

/// Lets `pod` look for room: `node: victims`, or the message.
fn outcome(nodes: &[&str], pods: Vec<PodBuilder>, incoming: PodBuilder) -> String {
    let profile = Profile::new(&ProfileConfig::default()).unwrap();
    let nodes = nodes.iter().map(|&name| (name, node().cpu("2").facts())).collect();
    let mut cluster = cluster(nodes, pods.into_iter().map(PodBuilder::build).collect());
    let before = cluster.nodes.cpu_used.clone();
    let incoming = Arc::new(incoming.build());
    let Decision::Reject(diagnosis) = decide(&profile, 0, &cluster, &incoming) else { return "fits".into() };
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

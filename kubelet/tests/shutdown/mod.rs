//! The node's shutdown: who is held up, who ends when, and what is told of it.

mod logind;

use super::{Node, container, pod, until};
use component::GoDuration;
use k8s_openapi::api::core::v1::Pod;
use kubelet::config::KubeletConfiguration;
use kubelet::config::shutdown::PriorityPeriod;
use kubelet::events::{Events, LogOnly};
use kubelet::shutdown::{Manager, logind::Place, plan, state::Record};
use logind::FakeLogind;
use proto::cri::ContainerState;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn named(uid: &str, priority: i32) -> Arc<Pod> {
    let mut pod = pod("Always", vec![], vec![container(uid)]);
    pod.metadata.uid = Some(uid.to_owned());
    pod.metadata.name = Some(uid.to_owned());
    pod.spec.as_mut().expect("a spec").priority = Some(priority);
    Arc::new(pod)
}

fn phase(node: &Node, uid: &str) -> String {
    node.statuses.get(uid).and_then(|status| status.phase).unwrap_or_default()
}

/// Starts what is tested.
fn watch(node: &Node, logind: &FakeLogind, folder: &Path, config: &KubeletConfiguration) {
    let manager = Manager {
        periods: plan::periods(config),
        place: Place { bus: Some(logind.address.clone()), configuration: folder.join("logind.conf.d") },
        workers: node.workers.clone(),
        node: node.facts.clone(),
        events: Events::new(Arc::new(LogOnly)),
        record: Record::load(folder),
    };
    node.supervisor.spawn_until_stop("shutdown", manager.run());
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_end_by_priority_before_the_node_does() {
    let folder = tempfile::tempdir().unwrap();
    let Some(logind) = FakeLogind::start(folder.path()).await else {
        println!("skipped: there is no dbus-daemon");
        return;
    };
    let node = Node::start().await;
    let (low, high) = (named("low", 0), named("high", 2_000_000_000));
    for pod in [&high, &low] {
        node.workers.update(pod.clone());
    }
    until("both run", || ["low", "high"].iter().all(|uid| phase(&node, uid) == "Running")).await;
    let config = KubeletConfiguration {
        shutdown_grace_period: GoDuration::from_secs(30),
        shutdown_grace_period_critical_pods: GoDuration::from_secs(10),
        ..KubeletConfiguration::default()
    };
    watch(&node, &logind, folder.path(), &config);
    until("the shutdown is held up", || logind.held() == 1).await;
    let words = ["shutdown", "kubelet", "Kubelet needs time to handle node shutdown", "delay"];
    assert_eq!(logind.asked(), [words.map(str::to_owned)]);
    // logind lets a shutdown wait for five seconds if nobody tells it otherwise.
    assert_eq!(logind.reloads(), [("systemd-logind.service".to_owned(), "all".to_owned(), 1)]);
    let text = std::fs::read_to_string(folder.path().join("logind.conf.d/99-kubelet.conf")).unwrap();
    assert_eq!(text, "# Kubelet logind override\n[Login]\nInhibitDelayMaxSec=30\n");

    logind.announce(true).await;
    until("the node may shut down", || logind.held() == 0).await;
    let stopped = |call: &(&str, String)| (call.0 == "StopContainer").then(|| call.1.clone());
    let order: Vec<String> = node.cri.state().calls.iter().filter_map(stopped).collect();
    assert_eq!(order, ["low", "high"]);
    for uid in ["low", "high"] {
        let status = node.statuses.get(uid).unwrap();
        assert_eq!((status.phase.as_deref(), status.reason.as_deref()), (Some("Failed"), Some("Terminated")));
        let words = "Pod was terminated in response to imminent node shutdown.";
        assert_eq!(status.message.as_deref(), Some(words));
        let disrupted = status.conditions.unwrap().into_iter().find(|c| c.type_ == "DisruptionTarget").unwrap();
        assert_eq!(
            (disrupted.reason.as_deref(), disrupted.message.as_deref()),
            (Some("TerminationByKubelet"), Some(words))
        );
    }
    let state = Record::load(folder.path()).read().unwrap();
    assert!(state.start_time <= state.end_time && state.start_time.is_some());

    node.workers.update(named("late", 0));
    until("a new pod is refused", || phase(&node, "late") == "Failed").await;
    let status = node.statuses.get("late").unwrap();
    assert_eq!(status.reason.as_deref(), Some("NodeShutdown"));
    let words = "Pod was rejected: Pod was rejected as the node is shutting down.";
    assert_eq!(status.message.as_deref(), Some(words));

    logind.announce(false).await;
    until("the next shutdown is held up", || logind.held() == 1).await;
    node.workers.update(named("later", 0));
    until("pods are taken again", || phase(&node, "later") == "Running").await;
    assert!(node.supervisor.shutdown(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_takes_too_long_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let Some(logind) = FakeLogind::start(folder.path()).await else {
        println!("skipped: there is no dbus-daemon");
        return;
    };
    let node = Node::start().await;
    node.workers.update(named("low", 0));
    until("it runs", || phase(&node, "low") == "Running").await;
    node.cri.state().failures.insert("StopContainer", "it would not end".into());
    let period = |priority| PriorityPeriod { priority, shutdown_grace_period_seconds: 1 };
    let config = KubeletConfiguration {
        shutdown_grace_period_by_pod_priority: vec![period(100), period(0)],
        ..KubeletConfiguration::default()
    };
    watch(&node, &logind, folder.path(), &config);
    until("the shutdown is held up", || logind.held() == 1).await;
    assert!(logind.reloads().is_empty(), "five seconds are enough");
    logind.announce(true).await;
    until("the node may shut down", || logind.held() == 0).await;
    let runs = node.cri.state().container("low").is_some_and(|(_, c)| c.state == ContainerState::ContainerRunning);
    assert!(runs, "nothing could end it");
}

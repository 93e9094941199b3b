//! The loop of one family from the apiserver's events to a back end's plans.
#![allow(clippy::expect_used, reason = "a test")]

use component::Supervisor;
use component::program::ProgramError;
use futures::future::BoxFuture;
use kube_proxy::backend::{Backend, BackendError, Extent};
use kube_proxy::caches;
use kube_proxy::health::Health;
use kube_proxy::metrics::Metrics;
use kube_proxy::model::{Family, NodeFacts, Plan, Planner};
use kube_proxy::pending::Pending;
use kube_proxy::service_health::ServiceHealth;
use kube_proxy::sync::{Periods, Syncer};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc};

/// A resource's plural and an event of it.
type Event = (&'static str, Value);

/// Answers every watch with what there is, and then with what happens.
async fn fake_apiserver(
    listener: TcpListener,
    initial: Vec<Event>,
    happens: broadcast::Sender<Event>,
    tasks: Supervisor,
) {
    while let Ok((stream, _)) = listener.accept().await {
        tasks.spawn_until_stop("watch", watch(stream, initial.clone(), happens.subscribe()));
    }
}

async fn watch(mut stream: TcpStream, initial: Vec<Event>, mut happens: broadcast::Receiver<Event>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split([' ', '?']).nth(1).unwrap_or_default();
    assert!(head.contains("watch=true"), "{head}");
    let start = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let _gone = stream.write_all(start).await;
    for (_, event) in initial.iter().filter(|(resource, _)| path.ends_with(resource)) {
        chunk(&mut stream, event).await;
    }
    let end = json!({"type": "BOOKMARK", "object": {"kind": "X", "apiVersion": "v1", "metadata": {
        "resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}}}});
    chunk(&mut stream, &end).await;
    while let Ok((resource, event)) = happens.recv().await {
        if path.ends_with(resource) {
            chunk(&mut stream, &event).await;
        }
    }
}

async fn chunk(stream: &mut TcpStream, event: &Value) {
    let text = format!("{event}\n");
    let _gone = stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await;
}

/// Tells of every plan; the first one fails.
struct Recorder {
    plans: mpsc::UnboundedSender<Plan>,
    failures: usize,
}

impl Backend for Recorder {
    fn apply<'a>(&'a mut self, plan: &'a Plan) -> BoxFuture<'a, Result<Extent, BackendError>> {
        let _gone = self.plans.send(plan.clone());
        let outcome = match self.failures {
            0 => Ok(Extent::Full),
            _ => Err(ProgramError::Refused { program: "test", message: "not yet".to_owned() }.into()),
        };
        self.failures = self.failures.saturating_sub(1);
        Box::pin(std::future::ready(outcome))
    }

    fn forget(&mut self) {}

    fn maintain(&mut self) -> BoxFuture<'_, Result<bool, BackendError>> {
        Box::pin(std::future::ready(Ok(true)))
    }
}

fn service(version: &str) -> Value {
    json!({"kind": "Service", "apiVersion": "v1", "metadata": {"namespace": "n", "name": "s", "resourceVersion": version},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}})
}

fn slice(version: &str, address: &str) -> Value {
    let now = jiff::Timestamp::now() + Duration::from_secs(1);
    json!({"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": "IPv4",
        "metadata": {"namespace": "n", "name": "s-1", "resourceVersion": version,
            "labels": {"kubernetes.io/service-name": "s"},
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": now.to_string()}},
        "ports": [{"name": "", "port": 8080}], "endpoints": [{"addresses": [address]}]})
}

fn endpoints(plan: &Plan) -> Vec<String> {
    plan.ports.values().flat_map(|port| &port.choice.cluster).map(ToString::to_string).collect()
}

/// The next plan with these endpoints, however many others come before it.
async fn planned(plans: &mut mpsc::UnboundedReceiver<Plan>, want: &[&str]) {
    let found = async {
        while let Some(plan) = plans.recv().await {
            if endpoints(&plan) == want {
                return;
            }
        }
        panic!("the loop ended before {want:?}");
    };
    tokio::time::timeout(Duration::from_secs(60), found).await.expect("a plan in time");
}

#[tokio::test]
async fn plans_follow_what_the_apiserver_says() {
    let tasks = Supervisor::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let server = Some(format!("http://{}", listener.local_addr().expect("an address")));
    let (happens, _) = broadcast::channel(16);
    let initial = vec![
        ("services", json!({"type": "ADDED", "object": service("1")})),
        ("endpointslices", json!({"type": "ADDED", "object": slice("1", "10.0.0.1")})),
    ];
    tasks.spawn_until_stop("apiserver", fake_apiserver(listener, initial, happens.clone(), tasks.clone()));
    let tuning = client::config::Tuning { server, rate: None };
    let client = client::config::connect_tuned(None, "test/1", &tuning).await.expect("a client");

    let (metrics, health) = (Metrics::default(), Arc::new(Health::new(Duration::from_secs(30))));
    let family = Family::V4;
    let pending = Arc::new(Pending::new(family, health.clone(), metrics.clone()));
    let node = caches::node(&client, "n1", &tasks);
    let caches = caches::open(&client, node, std::slice::from_ref(&pending), true, &metrics, &tasks);
    let (tell, mut plans) = mpsc::unbounded_channel();
    let syncer = Syncer {
        family,
        caches,
        pending,
        node_name: "n1".into(),
        planner: Planner::new(family, NodeFacts { name: "n1".into(), zone: String::new() }),
        backend: Box::new(Recorder { plans: tell, failures: 1 }),
        applied: Plan::default(),
        health: health.clone(),
        service_health: ServiceHealth::new(family, "n1".into(), None, health.clone(), None, tasks.clone()),
        metrics: metrics.clone(),
    };
    let periods = Periods { least: Duration::ZERO, most: Duration::from_secs(30) };
    tasks.spawn_until_stop("loop", syncer.run(periods));

    // The first attempt fails; it is made again without anything having happened.
    planned(&mut plans, &["10.0.0.1:8080"]).await;
    planned(&mut plans, &["10.0.0.1:8080"]).await;
    happens.send(("endpointslices", json!({"type": "MODIFIED", "object": slice("2", "10.0.0.2")}))).expect("a watch");
    planned(&mut plans, &["10.0.0.2:8080"]).await;
    happens.send(("services", json!({"type": "DELETED", "object": service("3")}))).expect("a watch");
    planned(&mut plans, &[]).await;

    assert!(health.report().healthy);
    let mut registry = component::metrics::Registry::default();
    metrics.register(&mut registry, kube_proxy::backend::Mode::Iptables);
    let text = component::metrics::encode(&registry);
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in\n{text}"));
        line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")
    };
    assert!(value("kubeproxy_network_programming_duration_seconds_count") >= 1.0);
    assert!(value("kubeproxy_sync_full_proxy_rules_duration_seconds_count") >= 3.0);
    assert!(value("kubeproxy_sync_proxy_rules_endpoint_changes_total") >= 2.0);
    assert!(tasks.shutdown(Duration::from_secs(10)).await, "tasks that do not end");
}

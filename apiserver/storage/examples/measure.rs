//! CPU time and memory of the store's operations, on an etcd of its own.
//!
//! `cargo run --release -p apiserver-storage --example measure [pods]`. CPU is this process's
//! user and system time, so etcd's own is not in it.

use anyhow::Context;
use apimachinery::Value;
use apimachinery::resources::{ResourceInfo, find};
use apimachinery::selector::{FieldSelector, LabelSelector};
use apiserver_storage::{Change, ListQuery, Match, Object, Selection, StorageError, Store, StoreConfig, WatchQuery};
use component::Supervisor;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use testkit::etcd::Etcd;

const WATCHERS: usize = 400;
const CONCURRENCY: usize = 16;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let pods: usize = std::env::args().nth(1).map_or(Ok(2000), |text| text.parse())?;
    let etcd = Etcd::start()?;
    let supervisor = Supervisor::new();
    let config = StoreConfig { servers: vec![etcd.endpoint()], protobuf: true, ..StoreConfig::default() };
    let resource = find("", "v1", "pods").context("pods are built in")?;
    let store = Store::open(config.clone(), std::slice::from_ref(resource), supervisor.clone()).await?;
    writes(&store, resource, pods).await?;
    reads(&store, resource).await?;
    lists(&store, resource).await?;
    watches(&store, resource).await?;
    let before = resident();
    let again =
        measure("open", 1, async { Store::open(config, std::slice::from_ref(resource), supervisor.clone()).await })
            .await?;
    println!("a second cache of {pods} pods: {} kB resident", resident().saturating_sub(before));
    drop(again);
    supervisor.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

async fn writes(store: &Store, resource: &Arc<ResourceInfo>, pods: usize) -> anyhow::Result<()> {
    measure("create, 16 at a time", pods, async {
        for start in (0..pods).step_by(CONCURRENCY) {
            let batch = (start..pods.min(start + CONCURRENCY)).map(|at| create(store, resource, at));
            for result in futures::future::join_all(batch).await {
                result?;
            }
        }
        Ok::<_, StorageError>(())
    })
    .await?;
    measure("update", 1000.min(pods), async {
        for at in 0..1000.min(pods) {
            let touch = async |object: &Arc<Object>| {
                let mut value = object.value();
                value["status"]["message"] = "touched".into();
                Ok::<_, StorageError>(Change::Put(value))
            };
            store.update(resource, &key(at), None, touch).await?;
        }
        Ok::<_, StorageError>(())
    })
    .await
    .map_err(Into::into)
}

async fn create(store: &Store, resource: &Arc<ResourceInfo>, at: usize) -> Result<(), StorageError> {
    store.create(resource, &key(at), pod(at), None).await.map(drop)
}

async fn reads(store: &Store, resource: &Arc<ResourceInfo>) -> anyhow::Result<()> {
    for (name, at) in [("get, any", Match::Any), ("get, consistent", Match::MostRecent)] {
        measure(name, 3000, async {
            for _ in 0..3000 {
                store.get(resource, &key(7), at).await?;
            }
            Ok::<_, StorageError>(())
        })
        .await?;
    }
    measure("get, consistent, 16 at a time", 3200, async {
        for _ in 0..200 {
            let batch = (0..CONCURRENCY).map(|at| store.get(resource, "pods/ns-1/pod-1", consistent(at)));
            futures::future::try_join_all(batch).await?;
        }
        Ok::<_, StorageError>(())
    })
    .await
    .map_err(Into::into)
}

fn consistent(_: usize) -> Match {
    Match::MostRecent
}

async fn lists(store: &Store, resource: &Arc<ResourceInfo>) -> anyhow::Result<()> {
    let labels = |text| Selection { labels: LabelSelector::parse(text).unwrap_or_default(), ..Selection::default() };
    let fields = |text| Selection { fields: FieldSelector::parse(text).unwrap_or_default(), ..Selection::default() };
    let any = |selection| ListQuery { selection, revision: Match::Any, ..ListQuery::default() };
    for (name, query) in [
        ("list of all, any", any(Selection::default())),
        ("list of all, consistent", ListQuery::default()),
        ("list, a page of 500", ListQuery { limit: 500, ..ListQuery::default() }),
        ("list by label, 1 in 50", any(labels("part=7"))),
        ("list by label, unindexed", any(labels("part!=7"))),
        ("list by node, 1 in 100", any(fields("spec.nodeName=node-7"))),
    ] {
        measure(name, 100, async {
            for _ in 0..100 {
                store.list(resource, &query).await?;
            }
            Ok::<_, StorageError>(())
        })
        .await?;
    }
    Ok(())
}

async fn watches(store: &Store, resource: &Arc<ResourceInfo>) -> anyhow::Result<()> {
    let mut watches = Vec::new();
    let from = Some(store.revision());
    for _ in 0..WATCHERS {
        watches.push(store.watch(resource, &WatchQuery { from, ..WatchQuery::default() }).await?);
    }
    let events = 200;
    let touch = async |object: &Arc<Object>| {
        let mut value = object.value();
        value["status"]["message"] = "touched again".into();
        Ok::<_, StorageError>(Change::Put(value))
    };
    measure("watch, one event to one of 400 (writes included)", events * WATCHERS, async {
        for at in 0..events {
            store.update(resource, &key(at), None, touch).await?;
            for watch in &mut watches {
                watch.next().await?;
            }
        }
        Ok::<_, StorageError>(())
    })
    .await
    .map_err(Into::into)
}

fn key(at: usize) -> String {
    format!("pods/ns-{}/pod-{at}", at % 20)
}

/// A pod of about 3 kB.
fn pod(at: usize) -> Value {
    let env: Vec<Value> =
        (0..30).map(|n| json!({"name": format!("VARIABLE_{n}"), "value": "a value of 24 characters"})).collect();
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": format!("pod-{at}"), "namespace": format!("ns-{}", at % 20), "uid": format!("0000-{at}"),
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {"app": "measure", "part": (at % 50).to_string(), "pod": at.to_string()},
            "annotations": {"example.com/notes": "x".repeat(500)},
        },
        "spec": {
            "containers": [{
                "name": "main", "image": "registry.example.com/measure/main:1.0", "env": env,
                "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}, "requests": {"cpu": "50m"}},
            }],
            "nodeName": format!("node-{}", at % 100), "restartPolicy": "Always", "serviceAccountName": "default",
        },
        "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]},
    })
}

/// Runs `work` and prints its CPU time per operation.
async fn measure<T, E>(name: &str, operations: usize, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let (cpu, start) = (cpu(), std::time::Instant::now());
    let result = work.await?;
    let (cpu, wall) = (self::cpu().saturating_sub(cpu), start.elapsed());
    let per = |time: Duration| time.as_secs_f64() * 1e6 / operations as f64;
    println!("{name}: {:.1} µs CPU, {:.1} µs wall", per(cpu), per(wall));
    Ok(result)
}

/// User and system time of this process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let main: u64 = stat.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default();
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let times = tasks.filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(times.sum::<u64>().max(main))
}

/// Resident memory in kB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or_default()
}

//! Linearizability and the contract of watches, with crashes in between: clients change, read, list
//! and watch a few objects while the apiserver is killed and etcd changes its leader; afterwards
//! etcd's own history is the judge.
//!
//! `CONSISTENCY_OPERATIONS` sets the number of operations (10,000), `KUBE_APISERVER` takes another
//! binary, such as a release build.
#![expect(clippy::disallowed_methods, reason = "tests own their tasks")]

mod check;
mod clients;
mod history;
mod server;

use clients::Run;
use history::{Change, History};
use server::Server;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use testkit::etcd::{Cluster, Etcd};

const WORKERS: u64 = 16;
const WATCHERS: usize = 4;
/// Crashes in one run: the apiserver's and the etcd leader's in turns.
const FAULTS: u64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_with_crashes_is_linearizable_and_its_watches_are_complete() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let operations = std::env::var("CONSISTENCY_OPERATIONS").map_or(10_000, |n| n.parse().expect("a number"));
    let mut etcd = Cluster::start(3).expect("etcd");
    let mut server = Server::start(etcd.endpoints()).await;
    let run = Arc::new(Run {
        address: server.address(),
        start: Instant::now(),
        left: tokio::sync::watch::Sender::new(operations),
        values: AtomicU64::new(1),
        over: AtomicBool::new(false),
    });
    let last = Arc::new(AtomicU64::new(u64::MAX));
    let watchers: Vec<_> = (0..WATCHERS).map(|_| tokio::spawn(clients::watch(run.clone(), last.clone()))).collect();
    let workers: Vec<_> = (1..=WORKERS).map(|seed| tokio::spawn(clients::work(run.clone(), seed))).collect();
    crash(&run, operations, &mut server, &mut etcd).await;

    let mut history = History::default();
    for worker in workers {
        history.operations.extend(worker.await.expect("a worker"));
    }
    clients::finish(&run).await;
    let changes = changes(&etcd.endpoints());
    last.store(changes.last().map_or(0, |change| change.revision), Ordering::Release);
    run.over.store(true, Ordering::Release);
    for watcher in watchers {
        history.segments.extend(watcher.await.expect("a watcher"));
    }
    let (took, events) = (run.start.elapsed(), history.segments.iter().map(|s| s.events.len()).sum::<usize>());
    println!(
        "{} operations, {} changes, {events} watch events in {} segments, {FAULTS} crashes, {took:.1?}",
        history.operations.len(),
        changes.len(),
        history.segments.len(),
    );
    assert!(events > changes.len() && changes.len() as u64 > operations / 10, "the run did too little");
    let violations = check::violations(&history, &changes);
    assert!(
        violations.is_empty(),
        "{} violations, the first: {:#?}",
        violations.len(),
        &violations[..violations.len().min(5)]
    );
}

/// Kills the apiserver and the leader of etcd in turns, each after an equal share of the operations.
async fn crash(run: &Run, operations: u64, server: &mut Server, etcd: &mut Cluster) {
    for fault in 1..=FAULTS {
        let due = operations - operations * fault / (FAULTS + 1);
        run.left.subscribe().wait_for(|left| *left <= due).await.expect("the sender lives in the run");
        match fault % 2 {
            1 => server.kill_and_restart().await,
            _ => {
                let leader = etcd.leader().expect("a leader");
                leader.kill();
                leader.launch().expect("the member joins again");
            }
        }
    }
}

/// All changes of the test's objects as etcd has them, up to the object that marks the end.
fn changes(endpoints: &str) -> Vec<Change> {
    let prefix = "/registry/configmaps/default/c-";
    let mut watch = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", endpoints, "watch", prefix, "--prefix", "--rev", "1", "--write-out", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("etcdctl");
    let output = std::io::BufReader::new(watch.stdout.take().expect("its output"));
    let mut found = Vec::new();
    let mut ended = false;
    for batch in serde_json::Deserializer::from_reader(output).into_iter::<serde_json::Value>() {
        for event in batch.expect("JSON")["Events"].as_array().into_iter().flatten() {
            match change(event) {
                Some(change) if change.key == clients::END => ended = true,
                change => found.extend(change),
            }
        }
        if ended {
            break;
        }
    }
    let _ = watch.kill();
    let _ = watch.wait();
    assert!(ended, "etcd's history is complete");
    found
}

fn change(event: &serde_json::Value) -> Option<Change> {
    let kv = &event["kv"];
    let bytes = |member: &str| base64_bytes(kv[member].as_str().unwrap_or_default());
    let key = String::from_utf8(bytes("key")).ok()?;
    // A put has no type in etcd's JSON.
    let is_put = event["type"].is_null();
    let text = String::from_utf8_lossy(&bytes("value")).into_owned();
    let value = text.split("value-").nth(1).and_then(|rest| rest.split('-').next()?.parse().ok());
    Some(Change {
        revision: kv["mod_revision"].as_u64()?,
        key: key.rsplit('/').next()?.to_owned(),
        value: value.filter(|_| is_put),
    })
}

fn base64_bytes(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default()
}

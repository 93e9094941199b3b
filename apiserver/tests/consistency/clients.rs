//! The clients: some change and read a few objects at random, some watch them all.

use crate::history::{After, Change, Operation, Seen, Segment, What};
use crate::server::{Address, Connection, Lost};
use http_body_util::BodyExt;
use hyper::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::watch;

/// Keys that the clients fight for.
const KEYS: u64 = 24;
const COLLECTION: &str = "/api/v1/namespaces/default/configmaps";
/// The object that is written last; it is not among the selected ones.
pub(crate) const END: &str = "c-end";
/// The objects of this test among others in the namespace.
const SELECTED: &str = "/api/v1/namespaces/default/configmaps?labelSelector=test%3Dconsistency";

/// What all clients share.
pub(crate) struct Run {
    pub(crate) address: Address,
    pub(crate) start: Instant,
    /// Operations still to be made.
    pub(crate) left: watch::Sender<u64>,
    pub(crate) values: AtomicU64,
    /// No more will be written.
    pub(crate) over: AtomicBool,
}

impl Run {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).expect("a short test")
    }

    fn take(&self) -> bool {
        self.left.send_if_modified(|left| match left.checked_sub(1) {
            Some(less) => {
                *left = less;
                true
            }
            None => false,
        })
    }

    fn value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::Relaxed)
    }
}

/// A reproducible sequence (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

impl Connection {
    /// Waits for a consistent read: who has no luck with a cluster without a leader must not use up the operations
    /// meanwhile.
    async fn serves_again(&mut self) {
        while !matches!(self.get(&format!("{COLLECTION}?limit=1")).await, Some((200, _))) {}
    }
}

/// One client that changes and reads.
struct Worker {
    run: Arc<Run>,
    connection: Connection,
    /// The last state seen of each key, for updates.
    known: HashMap<String, u64>,
    done: Vec<Operation>,
}

/// Works until all operations are made.
pub(crate) async fn work(run: Arc<Run>, seed: u64) -> Vec<Operation> {
    let connection = Connection::new(run.address.clone());
    let mut dice = Dice(seed * 2_654_435_761 + 1);
    let mut worker = Worker { run, connection, known: HashMap::new(), done: Vec::new() };
    while worker.run.take() {
        let key = format!("c-{}", dice.roll(KEYS));
        let begin = worker.run.now();
        let what = match dice.roll(10) {
            0 | 1 => worker.create(&key).await,
            2 | 3 => worker.update(&key).await,
            4 | 5 => worker.patch(&key).await,
            6 => worker.delete(&key).await,
            7 | 8 => worker.read(&key).await,
            _ => worker.list(dice.roll(2) == 0).await,
        };
        let end = worker.run.now();
        let in_vain = matches!(what, None | Some(What::MayHaveWritten { .. }));
        worker.done.extend(what.map(|what| Operation { begin, end, what }));
        if in_vain {
            worker.connection.serves_again().await;
        }
    }
    worker.done
}

impl Worker {
    async fn create(&mut self, key: &str) -> Option<What> {
        let value = self.run.value();
        let answer = self.connection.ask(Method::POST, COLLECTION, "application/json", object(key, value, None)).await;
        self.written(key, value, After::Absence, answer)
    }

    async fn update(&mut self, key: &str) -> Option<What> {
        let (Some(revision), value) = (self.known.get(key).copied(), self.run.value()) else {
            return self.read(key).await;
        };
        let body = object(key, value, Some(revision));
        let path = format!("{COLLECTION}/{key}");
        let answer = self.connection.ask(Method::PUT, &path, "application/json", body).await;
        self.written(key, value, After::Revision(revision), answer)
    }

    async fn patch(&mut self, key: &str) -> Option<What> {
        let value = self.run.value();
        let body = json!({"data": {"value": text(value)}});
        let path = format!("{COLLECTION}/{key}");
        let answer = self.connection.ask(Method::PATCH, &path, "application/merge-patch+json", body).await;
        self.written(key, value, After::Presence, answer)
    }

    fn written(&mut self, key: &str, value: u64, after: After, answer: Result<(u16, Value), Lost>) -> Option<What> {
        match answer {
            Ok((200 | 201, body)) => {
                let revision = seen(&body)?.revision;
                self.known.insert(key.to_owned(), revision);
                Some(What::Wrote { key: key.to_owned(), value, revision, after })
            }
            // A server error is no promise: the write can have reached etcd.
            Ok((code, _)) if code < 500 => {
                self.known.remove(key);
                Some(What::Refused { value })
            }
            Err(Lost::Unsent) => Some(What::Refused { value }),
            Ok(_) | Err(Lost::Unanswered) => Some(What::MayHaveWritten { value }),
        }
    }

    async fn delete(&mut self, key: &str) -> Option<What> {
        let path = format!("{COLLECTION}/{key}");
        let answer = self.connection.ask(Method::DELETE, &path, "application/json", Value::Null).await;
        matches!(answer, Ok((200, _))).then(|| What::Deleted { key: key.to_owned() })
    }

    async fn read(&mut self, key: &str) -> Option<What> {
        let found = match self.connection.get(&format!("{COLLECTION}/{key}")).await? {
            (200, body) => Some(seen(&body)?),
            (404, _) => None,
            _ => return None,
        };
        match found {
            Some(seen) => self.known.insert(key.to_owned(), seen.revision),
            None => self.known.remove(key),
        };
        Some(What::Read { key: key.to_owned(), found })
    }

    /// A consistent list, at once or in pages of one state.
    async fn list(&mut self, paged: bool) -> Option<What> {
        let limit = if paged { "&limit=5" } else { "" };
        let (mut objects, mut token, mut revision) = (BTreeMap::new(), String::new(), None);
        loop {
            let (code, page) = self.connection.get(&format!("{SELECTED}{limit}{token}")).await?;
            if code != 200 {
                return None;
            }
            let at = page["metadata"]["resourceVersion"].as_str()?.parse().ok()?;
            assert_eq!(*revision.get_or_insert(at), at, "all pages show one state");
            for item in page["items"].as_array()? {
                objects.insert(name(item)?, seen(item)?);
            }
            match page["metadata"]["continue"].as_str() {
                Some(next) if !next.is_empty() => token = format!("&continue={next}"),
                _ => return Some(What::Listed { revision: at, objects }),
            }
        }
    }
}

/// Writes the object that marks the end.
pub(crate) async fn finish(run: &Run) {
    let mut connection = Connection::new(run.address.clone());
    let end = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": END}});
    while !matches!(connection.ask(Method::POST, COLLECTION, "application/json", end.clone()).await, Ok((201 | 409, _)))
    {
    }
}

/// The value of an object as its data have it: found again in the bytes that etcd has.
fn text(value: u64) -> String {
    format!("value-{value}-")
}

fn object(key: &str, value: u64, revision: Option<u64>) -> Value {
    let mut metadata = json!({"name": key, "labels": {"test": "consistency"}});
    if let Some(revision) = revision {
        metadata["resourceVersion"] = revision.to_string().into();
    }
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": text(value)}})
}

fn name(object: &Value) -> Option<String> {
    object["metadata"]["name"].as_str().map(str::to_owned)
}

fn seen(object: &Value) -> Option<Seen> {
    let revision = object["metadata"]["resourceVersion"].as_str()?.parse().ok()?;
    let value = object["data"]["value"].as_str()?.strip_prefix("value-")?.strip_suffix('-')?.parse().ok()?;
    Some(Seen { revision, value })
}

/// Watches until everything up to `last` was seen, resuming where it was cut off.
pub(crate) async fn watch(run: Arc<Run>, last: Arc<AtomicU64>) -> Vec<Segment> {
    let mut connection = Connection::new(run.address.clone());
    let mut segments = Vec::new();
    let mut current: Option<Segment> = None;
    loop {
        let finished = run.over.load(Ordering::Acquire).then(|| last.load(Ordering::Acquire));
        if let (Some(segment), Some(last)) = (&current, finished)
            && segment.until >= last
        {
            segments.extend(current);
            return segments;
        }
        let mut segment = match current.take() {
            Some(segment) => segment,
            None => match start(&mut connection).await {
                Some(segment) => segment,
                None => continue,
            },
        };
        match follow(&mut connection, &mut segment).await {
            Followed::CutOff => current = Some(segment),
            Followed::Expired => segments.push(segment),
        }
    }
}

/// How a watch ended.
enum Followed {
    /// It can be resumed.
    CutOff,
    /// It must begin anew.
    Expired,
}

/// A list that a watch can go on from.
async fn start(connection: &mut Connection) -> Option<Segment> {
    let (code, list) = connection.get(&format!("{SELECTED}&resourceVersion=0")).await?;
    let from = list["metadata"]["resourceVersion"].as_str()?.parse().ok()?;
    (code == 200).then_some(Segment { from, events: Vec::new(), until: from })
}

async fn follow(connection: &mut Connection, segment: &mut Segment) -> Followed {
    // Short, so that watches are resumed many times.
    let path =
        format!("{SELECTED}&watch=1&allowWatchBookmarks=true&timeoutSeconds=2&resourceVersion={}", segment.until);
    let Ok(response) = connection.send(Method::GET, &path, "", Value::Null).await else { return Followed::CutOff };
    match response.status().as_u16() {
        200 => {}
        410 => return Followed::Expired,
        _ => return Followed::CutOff,
    }
    let (mut body, mut buffer) = (response.into_body(), Vec::new());
    while let Some(Ok(frame)) = body.frame().await {
        buffer.extend_from_slice(frame.data_ref().map_or(&[][..], |data| &data[..]));
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let event: Value = serde_json::from_slice(&line).expect("an event is JSON");
            if !take(segment, &event) {
                return Followed::Expired;
            }
        }
    }
    Followed::CutOff
}

/// Takes an event in; whether the watch goes on.
fn take(segment: &mut Segment, event: &Value) -> bool {
    let object = &event["object"];
    let kind = event["type"].as_str().unwrap_or_default();
    if kind == "ERROR" {
        assert_eq!(object["code"], 410, "{object}");
        return false;
    }
    let revision: u64 = object["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse().ok()).expect("a version");
    assert!(revision >= segment.until, "a watch went back from {} to {revision}", segment.until);
    segment.until = revision;
    if kind != "BOOKMARK" {
        let value = (kind != "DELETED").then(|| seen(object).expect("an object of this test").value);
        segment.events.push(Change { revision, key: name(object).expect("a name"), value });
    }
    true
}

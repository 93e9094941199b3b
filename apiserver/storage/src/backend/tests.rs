//! The contract of [`Backend`], on every implementation.

use super::*;
use crate::testing::{EtcdBackend, MemoryBackend, TestBackend};
use std::time::Duration;

macro_rules! on_each_backend {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $name() { super::$name::<super::MemoryBackend>().await })*
        }
        mod etcd {
            $(#[tokio::test] async fn $name() { super::$name::<super::EtcdBackend>().await })*
        }
    };
}

on_each_backend!(
    writes_are_guarded,
    reads_ranges_and_the_past,
    watches_in_order_from_any_revision,
    compaction_forgets,
    one_compactor_wins_each_turn,
    leases_end,
);

async fn put(backend: &dyn Backend, key: &str, expected: u64, value: &str) -> Outcome {
    let op = Op::Put { value: value.as_bytes(), lease: 0 };
    backend.commit(Write { key: key.as_bytes(), expected, op }).await.expect("answers")
}

async fn create(backend: &dyn Backend, key: &str, value: &str) -> u64 {
    match put(backend, key, 0, value).await {
        Outcome::Done(revision) => revision,
        Outcome::Refused(kv) => panic!("{key} exists: {kv:?}"),
    }
}

async fn delete(backend: &dyn Backend, key: &str, expected: u64) -> Outcome {
    backend.commit(Write { key: key.as_bytes(), expected, op: Op::Delete }).await.expect("answers")
}

fn range(start: &str, end: &str, revision: u64, limit: u64) -> Range {
    Range { start: start.into(), end: end.into(), revision, limit }
}

fn keys(page: &Page) -> Vec<&str> {
    page.kvs.iter().map(|kv| std::str::from_utf8(&kv.key).expect("text")).collect()
}

async fn writes_are_guarded<B: TestBackend>() {
    let Some(test) = B::start() else { return };
    let backend = &*test.backend().await;
    let first = create(backend, "/a", "1").await;
    assert!(matches!(put(backend, "/a", 0, "2").await, Outcome::Refused(Some(kv)) if kv.mod_revision == first));
    let Outcome::Done(second) = put(backend, "/a", first, "2").await else { panic!("guard holds") };
    assert!(second > first);
    let Outcome::Refused(Some(current)) = delete(backend, "/a", first).await else { panic!("stale") };
    assert_eq!((current.mod_revision, &*current.value), (second, &b"2"[..]));
    assert!(matches!(delete(backend, "/a", second).await, Outcome::Done(third) if third > second));
    assert!(matches!(put(backend, "/a", second, "3").await, Outcome::Refused(None)));
    assert_eq!(backend.get(b"/a").await.expect("answers"), None);
}

async fn reads_ranges_and_the_past<B: TestBackend>() {
    let Some(test) = B::start() else { return };
    let backend = &*test.backend().await;
    for key in ["/p/a", "/p/b", "/p/c", "/q/a"] {
        create(backend, key, "x").await;
    }
    let then = backend.revision().await.expect("answers");
    let b = backend.get(b"/p/b").await.expect("answers").expect("is there");
    delete(backend, "/p/b", b.mod_revision).await;
    let page = backend.range(range("/p/", "/p0", 0, 0)).await.expect("answers");
    assert_eq!((keys(&page), page.count, page.revision), (vec!["/p/a", "/p/c"], 2, then + 1));
    let past = backend.range(range("/p/", "/p0", then, 2)).await.expect("answers");
    assert_eq!((keys(&past), past.count), (vec!["/p/a", "/p/b"], 3));
    let future = backend.range(range("/p/", "/p0", then + 100, 0)).await;
    assert!(matches!(future, Err(StorageError::TooLarge { requested, .. }) if requested == then + 100));
}

async fn watches_in_order_from_any_revision<B: TestBackend>() {
    let Some(test) = B::start() else { return };
    let backend = &*test.backend().await;
    let first = create(backend, "/a", "1").await;
    let second = create(backend, "elsewhere", "2").await;
    let mut events = backend.watch(first).await.expect("watches");
    delete(backend, "/a", first).await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(events.next().await.expect("goes on"));
    }
    let event =
        |key: &str, revision, value: Option<&str>| RawEvent { key: key.into(), revision, value: value.map(Into::into) };
    let expected =
        [event("/a", first, Some("1")), event("elsewhere", second, Some("2")), event("/a", second + 1, None)];
    assert_eq!(seen, expected);
}

async fn compaction_forgets<B: TestBackend>() {
    let Some(test) = B::start() else { return };
    let backend = &*test.backend().await;
    let first = create(backend, "/a", "1").await;
    let Outcome::Done(second) = put(backend, "/a", first, "2").await else { panic!("guard holds") };
    backend.compact(second).await.expect("compacts");
    backend.compact(first).await.expect("has nothing to do");
    let past = backend.range(range("/", "0", first, 0)).await;
    assert!(matches!(past, Err(StorageError::Expired { requested, .. }) if requested == first), "{past:?}");
    let mut events = backend.watch(first).await.expect("watches");
    assert!(matches!(events.next().await, Err(StorageError::Expired { oldest, .. }) if oldest == second));
    assert_eq!(backend.range(range("/", "0", second, 0)).await.expect("is kept").count, 1);
}

async fn one_compactor_wins_each_turn<B: TestBackend>() {
    let Some(test) = B::start() else { return };
    let backend = &*test.backend().await;
    let first = backend.claim_compaction(0, 0).await.expect("answers");
    assert_eq!((first.won, first.version), (true, 1));
    let other = backend.claim_compaction(0, 7).await.expect("answers");
    assert_eq!(other, Claim { won: false, version: 1, compacted: 0, revision: first.revision });
    assert!(backend.claim_compaction(1, 5).await.expect("answers").won);
    let late = backend.claim_compaction(1, 7).await.expect("answers");
    assert_eq!((late.won, late.version, late.compacted), (false, 2, 5));
}

async fn leases_end<B: TestBackend>() {
    let Some(test) = B::start() else { return };
    let backend = &*test.backend().await;
    let lease = backend.grant(1).await.expect("grants");
    let op = Op::Put { value: b"x", lease };
    let Outcome::Done(put) = backend.commit(Write { key: b"/a", expected: 0, op }).await.expect("answers") else {
        panic!("is new");
    };
    let mut events = backend.watch(put + 1).await.expect("watches");
    let gone = tokio::time::timeout(Duration::from_secs(20), events.next()).await.expect("ends in time");
    assert_eq!(gone.expect("goes on"), [RawEvent { key: b"/a".into(), revision: put + 1, value: None }]);
}

#[test]
fn knows_the_end_of_a_prefix() {
    for (prefix, end) in [(&b"/registry/"[..], &b"/registry0"[..]), (b"a\xff", b"b"), (b"\xff", b"\0")] {
        assert_eq!(prefix_end(prefix), end);
    }
}

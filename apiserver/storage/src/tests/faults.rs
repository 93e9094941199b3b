use super::*;
use crate::WatchQuery;
use crate::backend::{Op, Write};
use crate::compactor::Compactor;
use crate::testing::{EtcdBackend, MemoryBackend};

on_each_backend!(corrupt_values_hurt_nobody_else, compactors_take_turns);

async fn write_raw<B: TestBackend>(test: &Fixture<B>, key: &str, value: &[u8]) {
    let backend = test.backend.backend().await;
    let op = Op::Put { value, lease: 0 };
    let key = format!("/registry/{key}");
    backend.commit(Write { key: key.as_bytes(), expected: 0, op }).await.expect("writes");
}

async fn corrupt_values_hurt_nobody_else<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    test.create("ns", "a", "x", "").await;
    for (name, value) in [("b", &b"{"[..]), ("c", b"k8s\0nonsense"), ("d", b"")] {
        write_raw(&test, &format!("things/ns/{name}"), value).await;
    }
    write_raw(&test, "things", b"{}").await;
    write_raw(&test, "things/", b"{}").await;
    let page = test.list(&ListQuery::default()).await.expect("lists");
    assert!(names(&page).contains(&"a"));
    let (other, _stop) = test.another().await;
    assert!(other.cached(&test.things, "things/ns/a").is_some());
    let touch = async |_: &Arc<crate::Object>| Ok::<_, StorageError>(Change::Keep);
    let error = test.store.update(&test.things, "things/ns/b", None, touch).await.expect_err("cannot be read");
    assert!(matches!(error, StorageError::Corrupt { .. }));
}

async fn compactors_take_turns<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let (mut one, mut two) = (Compactor::default(), Compactor::default());
    let core = &test.store.core;
    one.turn(core).await.expect("learns the revision");
    two.turn(core).await.expect("learns that it is late");
    let compacted = core.backend.revision().await.expect("answers");
    test.create("ns", "a", "x", "").await;
    one.turn(core).await.expect("compacts");
    assert_eq!(core.compacted(), compacted);
    two.turn(core).await.expect("is late again");
    test.create("ns", "b", "x", "").await;
    let (other, _stop) = test.another().await;
    two.turn(&other.core).await.expect("takes over");
    assert!(other.core.compacted() > compacted);
}

#[tokio::test]
async fn watches_survive_a_restart_of_etcd() {
    let Some(mut test) = Fixture::<EtcdBackend>::start().await else { return };
    let mut watch = test.watch(WatchQuery::default()).await;
    let a = test.create("ns", "a", "x", "").await;
    assert_eq!(next(&mut watch).await, change(EventKind::Added, &a));
    test.backend.0.kill();
    let value = testing::thing("ns", "b", "x", "");
    let lost = test.store.create(&test.things, "things/ns/b", value, None).await;
    assert!(matches!(lost, Err(StorageError::Unavailable(_) | StorageError::Timeout)), "{lost:?}");
    assert!(test.store.cached(&test.things, "things/ns/a").is_some(), "reads from the cache go on");
    test.backend.0.launch().expect("starts again");
    let c = loop {
        let value = testing::thing("ns", "c", "x", "");
        match test.store.create(&test.things, "things/ns/c", value, None).await {
            Ok(object) => break object,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(next(&mut watch).await, change(EventKind::Added, &c));
}

#[tokio::test]
async fn a_silent_etcd_times_out() {
    let Some(test) = Fixture::<EtcdBackend>::start().await else { return };
    test.create("ns", "a", "x", "").await;
    test.backend.0.pause();
    let value = testing::thing("ns", "b", "x", "");
    let silent = test.store.create(&test.things, "things/ns/b", value, None).await;
    test.backend.0.resume();
    assert!(matches!(silent, Err(StorageError::Timeout)), "{silent:?}");
    test.store.healthy().await.expect("answers again");
}

/// The watch falls behind a compaction: the list that replaces it becomes events.
#[tokio::test]
async fn a_gap_in_the_watch_becomes_events() {
    let Some(test) = Fixture::<MemoryBackend>::start().await else { return };
    let kept = test.create("ns", "kept", "x", "").await;
    test.create("ns", "changed", "x", "").await;
    test.create("ns", "gone", "x", "").await;
    let mut watch = test.watch(WatchQuery::default()).await;
    for _ in 0..3 {
        assert!(next(&mut watch).await.starts_with("Added "));
    }
    let (other, _stop) = test.another().await;
    test._supervisor.0.stop();
    tokio::task::yield_now().await;
    let put = async |object: &Arc<crate::Object>| Ok::<_, StorageError>(Change::Put(with_node(object, "n")));
    let (changed, _) = other.update(&test.things, "things/ns/changed", None, put).await.expect("updates");
    let delete = async |_: &Arc<crate::Object>| Ok::<_, StorageError>(Change::Delete(None));
    other.update(&test.things, "things/ns/gone", None, delete).await.expect("deletes");
    let value = testing::thing("ns", "new", "x", "");
    let new = other.create(&test.things, "things/ns/new", value, None).await.expect("is new");
    let mut revision = test.store.revision();
    crate::feed::relist(&test.store.core, &mut revision).await.expect("lists");
    assert_eq!(next(&mut watch).await, change(EventKind::Modified, &changed));
    assert_eq!(next(&mut watch).await, change(EventKind::Added, &new));
    assert_eq!(next(&mut watch).await, format!("Deleted gone {}", new.revision()));
    assert!(watch.try_next().is_none());
    let now = test.store.cached(&test.things, "things/ns/kept").expect("is there");
    assert!(Arc::ptr_eq(&now, &kept), "what did not change is not decoded again");
    assert_eq!(revision, new.revision());
}

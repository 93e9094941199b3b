use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

on_each_backend!(
    creates_gets_updates_and_deletes,
    conflicts_are_told,
    a_stale_cache_does_not_decide,
    equal_bytes_are_not_written,
    concurrent_updates_all_happen,
    errors_of_the_change_are_passed_on,
    objects_with_a_ttl_go,
    decisions_need_no_closure,
);

const KEY: &str = "things/ns/a";

async fn creates_gets_updates_and_deletes<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let created = test.create("ns", "a", "x", "n1").await;
    assert!(matches!(
        test.store.create(&test.things, KEY, testing::thing("ns", "a", "x", ""), None).await,
        Err(StorageError::Exists { key }) if key == KEY
    ));
    let got = test.store.get(&test.things, KEY, Match::MostRecent).await.expect("reads").expect("is there");
    assert!(Arc::ptr_eq(&created, &got), "the write's own object is what the cache holds");
    let updated = test.set_node(KEY, "n2").await;
    assert!(updated.revision() > created.revision());
    assert_eq!(updated.field("spec.node"), Some("n2"));
    let deleted = test.delete(KEY).await;
    assert!(deleted.revision() > updated.revision());
    assert_eq!(deleted.value()["metadata"]["resourceVersion"], deleted.revision().to_string());
    assert!(test.store.get(&test.things, KEY, Match::MostRecent).await.expect("reads").is_none());
    let gone = async |_: &Arc<crate::Object>| Ok::<_, StorageError>(Change::Keep);
    let gone = test.store.update(&test.things, KEY, None, gone).await;
    assert!(matches!(gone, Err(StorageError::NotFound { .. })));
}

async fn conflicts_are_told<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let first = test.create("ns", "a", "x", "n1").await;
    let second = test.set_node(KEY, "n2").await;
    let put = async |object: &Arc<crate::Object>| Ok::<_, StorageError>(Change::Put(with_node(object, "n3")));
    let error = test.store.update(&test.things, KEY, Some(first.revision()), put).await.expect_err("is stale");
    assert!(
        matches!(error, StorageError::Conflict { expected, actual, .. }
            if expected == first.revision() && actual == second.revision()),
        "{error}"
    );
    let (third, written) =
        test.store.update(&test.things, KEY, Some(second.revision()), put).await.expect("is current");
    assert!(written && third.field("spec.node") == Some("n3"));
}

async fn a_stale_cache_does_not_decide<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let (other, _stop) = test.another().await;
    test.create("ns", "a", "x", "n1").await;
    for round in 0..20 {
        // Written elsewhere, so this server's cache may be behind.
        let node = format!("n{round}");
        let put = async |object: &Arc<crate::Object>| Ok::<_, StorageError>(Change::Put(with_node(object, &node)));
        other.update(&test.things, KEY, None, put).await.expect("updates");
        let read = async |object: &Arc<crate::Object>| match object.field("spec.node") {
            Some(seen) if seen == node => Ok::<_, StorageError>(Change::Keep),
            _ => Err(StorageError::NoSpace),
        };
        let (object, written) = test.store.update(&test.things, KEY, None, read).await.expect("sees it at last");
        assert!(!written && object.field("spec.node") == Some(&node));
    }
}

async fn equal_bytes_are_not_written<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let created = test.create("ns", "a", "x", "n1").await;
    let same = async |object: &Arc<crate::Object>| Ok::<_, StorageError>(Change::Put(object.value()));
    let (object, written) = test.store.update(&test.things, KEY, None, same).await.expect("updates");
    assert_eq!((object.revision(), written), (created.revision(), false));
}

async fn concurrent_updates_all_happen<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    test.create("ns", "a", "x", "0").await;
    let count = async || {
        let add = async |object: &Arc<crate::Object>| {
            let now: u32 = object.field("spec.node").unwrap_or_default().parse().expect("a number");
            Ok::<_, StorageError>(Change::Put(with_node(object, &(now + 1).to_string())))
        };
        test.store.update(&test.things, KEY, None, add).await.expect("updates");
    };
    futures::future::join_all((0..16).map(|_| count())).await;
    let object = test.store.get(&test.things, KEY, Match::MostRecent).await.expect("reads").expect("is there");
    assert_eq!(object.field("spec.node"), Some("16"));
}

async fn errors_of_the_change_are_passed_on<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    test.create("ns", "a", "x", "n1").await;
    let calls = AtomicUsize::new(0);
    let refuse = async |_: &Arc<crate::Object>| {
        calls.fetch_add(1, Ordering::Relaxed);
        Err::<Change, _>(StorageError::NoSpace)
    };
    let result = test.store.update(&test.things, KEY, None, refuse).await;
    assert!(matches!(result, Err(StorageError::NoSpace)));
    assert_eq!(calls.load(Ordering::Relaxed), 1, "the cached object was current");
}

async fn objects_with_a_ttl_go<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let mut watch = test.watch(crate::WatchQuery::default()).await;
    let value = testing::thing("ns", "a", "x", "");
    let created = test.store.create(&test.things, KEY, value, Some(1)).await.expect("is new");
    assert_eq!(next(&mut watch).await, change(EventKind::Added, &created));
    assert!(next(&mut watch).await.starts_with("Deleted a "));
    assert!(test.store.cached(&test.things, KEY).is_none());
}

struct SetNode(&'static str);

#[async_trait::async_trait]
impl crate::Decide<StorageError> for SetNode {
    async fn decide(&mut self, current: &Arc<crate::Object>) -> Result<Change, StorageError> {
        Ok(Change::Put(with_node(current, self.0)))
    }
}

async fn decisions_need_no_closure<B: TestBackend>() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    let Some(test) = Fixture::<B>::start().await else { return };
    test.create("ns", "a", "x", "n1").await;
    let mut decision = SetNode("n2");
    let (object, _) = is_send(test.store.decide(&test.things, KEY, None, &mut decision)).await.expect("updates");
    assert_eq!(object.field("spec.node"), Some("n2"));
    let known = test.store.cached(&test.things, KEY).expect("is known");
    assert_eq!(known.revision(), object.revision(), "own writes are known at once");
}

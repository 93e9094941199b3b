use super::*;
use crate::WatchQuery;

on_each_backend!(
    shows_changes_in_order,
    shows_what_a_selection_sees,
    begins_with_the_state,
    goes_on_from_a_revision,
    sends_bookmarks,
    one_write_is_one_object,
    a_crowd_misses_nothing,
);

const KEY: &str = "things/ns/a";

async fn shows_changes_in_order<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let mut watch = test.watch(WatchQuery::default()).await;
    let created = test.create("ns", "a", "x", "n1").await;
    let updated = test.set_node(KEY, "n2").await;
    let deleted = test.delete(KEY).await;
    assert_eq!(next(&mut watch).await, change(EventKind::Added, &created));
    assert_eq!(next(&mut watch).await, change(EventKind::Modified, &updated));
    assert_eq!(next(&mut watch).await, change(EventKind::Deleted, &deleted));
    assert!(watch.try_next().is_none());
}

async fn shows_what_a_selection_sees<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let select = async |selection| test.watch(WatchQuery { selection, ..WatchQuery::default() }).await;
    let mut on_n1 = select(fields("spec.node=n1")).await;
    let mut not_n1 = select(fields("spec.node!=n1")).await;
    let mut elsewhere = select(namespace("elsewhere")).await;
    let mut named = select(Selection { namespace: Some("ns".into()), ..fields("metadata.name=a") }).await;
    let mut labelled = select(labels("app=x")).await;
    test.create("ns", "b", "y", "n1").await;
    let created = test.create("ns", "a", "x", "").await;
    let bound = test.set_node(KEY, "n1").await;
    let moved = test.set_node(KEY, "n2").await;
    assert!(next(&mut on_n1).await.starts_with("Added b "));
    assert_eq!(next(&mut on_n1).await, change(EventKind::Added, &bound));
    let left = on_n1.next().await.expect("goes on");
    let Event::Change { kind: EventKind::Deleted, object } = left else { panic!("it left: {left:?}") };
    assert_eq!((object.revision(), object.field("spec.node")), (moved.revision(), Some("n1")));
    assert_eq!(next(&mut not_n1).await, change(EventKind::Added, &created));
    assert_eq!(next(&mut not_n1).await, format!("Deleted a {}", bound.revision()));
    assert_eq!(next(&mut not_n1).await, change(EventKind::Added, &moved));
    for watch in [&mut named, &mut labelled] {
        assert_eq!(next(watch).await, change(EventKind::Added, &created));
        assert_eq!(next(watch).await, change(EventKind::Modified, &bound));
        assert_eq!(next(watch).await, change(EventKind::Modified, &moved));
    }
    assert!(elsewhere.try_next().is_none());
}

async fn begins_with_the_state<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let a = test.create("ns", "a", "x", "").await;
    let b = test.create("ns", "b", "x", "").await;
    for (from, send_initial_events) in
        [(None, false), (Some(0), false), (None, true), (Some(0), true), (Some(b.revision()), true)]
    {
        let query = WatchQuery { from, send_initial_events, bookmarks: true, ..WatchQuery::default() };
        let mut watch = test.watch(query).await;
        assert_eq!(next(&mut watch).await, change(EventKind::Added, &a));
        assert_eq!(next(&mut watch).await, change(EventKind::Added, &b));
        if send_initial_events {
            assert_eq!(next(&mut watch).await, format!("InitialEnd {}", b.revision()));
        }
        assert!(watch.try_next().is_none());
    }
    let future = WatchQuery { from: Some(1 << 40), send_initial_events: true, ..WatchQuery::default() };
    let refused = test.store.watch(&test.things, &future).await;
    assert!(matches!(refused, Err(StorageError::TooLarge { .. })));
}

async fn goes_on_from_a_revision<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let a = test.create("ns", "a", "x", "").await;
    let b = test.create("ns", "b", "x", "").await;
    test.store.get(&test.things, KEY, Match::MostRecent).await.expect("has come back");
    let from = |from| WatchQuery { from: Some(from), ..WatchQuery::default() };
    let mut watch = test.watch(from(a.revision())).await;
    assert_eq!(next(&mut watch).await, change(EventKind::Added, &b));
    let mut later = test.watch(from(b.revision() + 1)).await;
    test.delete("things/ns/b").await;
    let c = test.create("ns", "c", "x", "").await;
    assert!(next(&mut watch).await.starts_with("Deleted b "));
    assert_eq!(next(&mut later).await, change(EventKind::Added, &c), "what came before is not shown");
    let (other, _stop) = test.another().await;
    let mut resumed = other.watch(&test.things, &from(a.revision())).await.expect("etcd still has it");
    assert_eq!(next(&mut resumed).await, change(EventKind::Added, &b));
    assert!(next(&mut resumed).await.starts_with("Deleted b "));
    assert_eq!(next(&mut resumed).await, change(EventKind::Added, &c));
    let d = test.create("ns", "d", "x", "").await;
    assert_eq!(next(&mut resumed).await, change(EventKind::Added, &d));
    let node = Selection { fields: fields("spec.node=n").fields, ..Selection::default() };
    let e = test.create("ns", "e", "x", "n").await;
    test.set_node("things/ns/e", "m").await;
    let (third, _stop) = test.another().await;
    let query = WatchQuery { selection: node, from: Some(d.revision()), ..WatchQuery::default() };
    let mut selected = third.watch(&test.things, &query).await.expect("etcd still has it");
    assert_eq!(next(&mut selected).await, change(EventKind::Added, &e));
    assert!(next(&mut selected).await.starts_with("Deleted e "), "its last state is known");
    test.backend.backend().await.compact(c.revision()).await.expect("compacts");
    let (late, _stop) = test.another().await;
    let refused = late.watch(&test.things, &from(a.revision())).await;
    assert!(matches!(refused, Err(StorageError::Expired { requested, .. }) if requested == a.revision()));
}

async fn sends_bookmarks<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let selection = namespace("elsewhere");
    let mut watch = test.watch(WatchQuery { selection, bookmarks: true, ..WatchQuery::default() }).await;
    let a = test.create("ns", "a", "x", "").await;
    test.store.get(&test.things, KEY, Match::MostRecent).await.expect("has come back");
    watch.ask_bookmark();
    assert_eq!(next(&mut watch).await, format!("Bookmark {}", a.revision()));
    let b = test.create("elsewhere", "b", "x", "").await;
    test.store.get(&test.things, KEY, Match::MostRecent).await.expect("has come back");
    watch.ask_bookmark();
    assert_eq!(next(&mut watch).await, change(EventKind::Added, &b));
    assert_eq!(next(&mut watch).await, format!("Bookmark {}", b.revision()));
    assert!(watch.try_next().is_none());
}

async fn one_write_is_one_object<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let (mut one, mut two) = (test.watch(WatchQuery::default()).await, test.watch(WatchQuery::default()).await);
    let created = test.create("ns", "a", "x", "").await;
    for watch in [&mut one, &mut two] {
        let Ok(Event::Change { object, .. }) = watch.next().await else { panic!("it was created") };
        assert!(Arc::ptr_eq(&object, &created));
    }
}

async fn a_crowd_misses_nothing<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let mut crowd = Vec::new();
    for at in 0..200 {
        let selection = if at % 2 == 0 { namespace("ns") } else { Selection::default() };
        crowd.push(test.watch(WatchQuery { selection, bookmarks: true, ..WatchQuery::default() }).await);
    }
    let first = test.create("ns", "a", "x", "").await;
    let mut want = vec![change(EventKind::Added, &first)];
    for node in ["n1", "n2", "n3"] {
        let changed = test.set_node(KEY, node).await;
        want.push(change(EventKind::Modified, &changed));
        if node == "n2" {
            // Due while the crowd may still be left to its work.
            test.store.get(&test.things, KEY, Match::MostRecent).await.expect("has come back");
            crowd.iter().for_each(Watch::ask_bookmark);
        }
    }
    for watch in &mut crowd {
        let mut seen = Vec::new();
        while seen.len() < want.len() {
            let item = next(watch).await;
            match item.strip_prefix("Bookmark ") {
                Some(revision) => {
                    let revision: u64 = revision.parse().expect("a revision");
                    let later = want[seen.len()..].iter().filter_map(|event| event.rsplit(' ').next()?.parse().ok());
                    assert!(later.min().is_none_or(|next: u64| revision < next), "{revision} runs ahead: {seen:?}");
                }
                None => seen.push(item),
            }
        }
        assert_eq!(seen, want);
    }
}

#[tokio::test]
async fn a_slow_watcher_is_cut_off() {
    let Some(test) = Fixture::<testing::MemoryBackend>::start().await else { return };
    let mut slow = test.watch(WatchQuery::default()).await;
    let first = test.create("ns", "a", "x", "").await;
    assert_eq!(next(&mut slow).await, change(EventKind::Added, &first));
    let big = "x".repeat(1 << 20);
    for _ in 0..80 {
        test.set_node(KEY, &big).await;
        test.set_node(KEY, "").await;
    }
    test.store.get(&test.things, KEY, Match::MostRecent).await.expect("has come back");
    for _ in 0..2 {
        assert!(next(&mut slow).await.starts_with("Error revision "));
    }
}

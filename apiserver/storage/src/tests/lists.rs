use super::*;

on_each_backend!(
    selects,
    pages_show_one_revision,
    the_past_is_listed,
    tokens_expire_with_compaction,
    waits_for_the_revision_asked_for,
    reads_what_another_server_wrote,
);

async fn fill<B: TestBackend>(test: &Fixture<B>) {
    for at in 0..12 {
        let (namespace, app, node) = (["even", "odd"][at % 2], ["x", "y", "z"][at % 3], format!("n{}", at % 6));
        test.create(namespace, &format!("t{at:02}"), app, &node).await;
    }
}

fn query(selection: Selection) -> ListQuery {
    ListQuery { selection, ..ListQuery::default() }
}

async fn selects<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    fill(&test).await;
    let all = test.list(&ListQuery::default()).await.expect("lists");
    assert_eq!(names(&all)[..7], ["t00", "t02", "t04", "t06", "t08", "t10", "t01"], "in key order");
    let named = |name: &str| Selection { namespace: Some("odd".into()), ..fields(&format!("metadata.name={name}")) };
    for (selection, expected) in [
        (namespace("odd"), vec!["t01", "t03", "t05", "t07", "t09", "t11"]),
        (namespace("none"), vec![]),
        (namespace("od"), vec![]),
        (labels("app=x"), vec!["t00", "t06", "t03", "t09"]),
        (labels("app in (x,z),app!=x"), vec!["t02", "t08", "t05", "t11"]),
        (labels("nothing"), vec![]),
        (Selection { namespace: Some("even".into()), ..labels("app=y") }, vec!["t04", "t10"]),
        (fields("spec.node=n3"), vec!["t03", "t09"]),
        (fields("spec.node!=n3,metadata.namespace=odd"), vec!["t01", "t05", "t07", "t11"]),
        (fields("metadata.name=t04"), vec!["t04"]),
        (named("t05"), vec!["t05"]),
        (named("t04"), vec![]),
    ] {
        let page = test.list(&query(selection.clone())).await.expect("lists");
        assert_eq!(names(&page), expected, "{selection:?}");
        let limited = ListQuery { limit: 100, ..query(selection) };
        assert_eq!(names(&test.list(&limited).await.expect("lists")), expected);
    }
    assert_eq!(test.store.cached_list(&test.things, Some("odd")).len(), 6);
    assert_eq!(test.store.cached_list(&test.things, None).len(), 12);
}

async fn pages_show_one_revision<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    fill(&test).await;
    for (selection, counts) in [(Selection::default(), true), (labels("app!=none"), false)] {
        let mut page = test.list(&ListQuery { limit: 5, ..query(selection.clone()) }).await.expect("lists");
        let (revision, mut seen, mut remaining) = (page.revision, page.items.len(), vec![page.remaining]);
        while !page.continue_token.is_empty() {
            // Changes between the pages do not show.
            test.create("odd", &format!("u{seen}"), "new", "").await;
            let gone = page.items.last().expect("a page has items").key().to_owned();
            test.delete(&gone).await;
            let token = page.continue_token.clone();
            let next = ListQuery { limit: 5, continue_token: token, ..query(selection.clone()) };
            page = test.list(&next).await.expect("lists");
            assert_eq!(page.revision, revision);
            assert!(page.items.iter().all(|object| object.revision() <= revision));
            seen += page.items.len();
            remaining.push(page.remaining);
        }
        assert_eq!(seen, 12);
        assert_eq!(remaining, if counts { [Some(7), Some(2), None] } else { [None; 3] });
        // As before, for the next round.
        for object in test.list(&ListQuery::default()).await.expect("lists").items {
            test.delete(object.key()).await;
        }
        fill(&test).await;
    }
}

async fn the_past_is_listed<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    fill(&test).await;
    let then = test.list(&ListQuery::default()).await.expect("lists").revision;
    test.delete("things/odd/t01").await;
    test.set_node("things/odd/t03", "elsewhere").await;
    test.create("odd", "t02", "x", "").await;
    let exactly = ListQuery { revision: Match::Exact(then), ..query(namespace("odd")) };
    let page = test.list(&exactly).await.expect("lists");
    assert_eq!((page.revision, names(&page)), (then, vec!["t01", "t03", "t05", "t07", "t09", "t11"]));
    assert_eq!(page.items[1].field("spec.node"), Some("n3"));
    // A server that started later asks etcd.
    let (other, _stop) = test.another().await;
    let from_etcd = other.list(&test.things, &ListQuery { limit: 4, ..exactly.clone() }).await.expect("lists");
    assert_eq!((names(&from_etcd), from_etcd.remaining), (vec!["t01", "t03", "t05", "t07"], Some(2)));
    assert_eq!(from_etcd.items[1].json(), page.items[1].json(), "both servers encode alike");
    let rest = ListQuery { limit: 4, continue_token: from_etcd.continue_token, ..query(namespace("odd")) };
    assert_eq!(names(&other.list(&test.things, &rest).await.expect("lists")), ["t09", "t11"]);
}

async fn tokens_expire_with_compaction<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    fill(&test).await;
    let page = test.list(&ListQuery { limit: 5, ..ListQuery::default() }).await.expect("lists");
    let now = test.create("odd", "u", "x", "").await.revision();
    test.backend.backend().await.compact(now).await.expect("compacts");
    test.store.core.set_compacted(now);
    let next = ListQuery { limit: 5, continue_token: page.continue_token, ..ListQuery::default() };
    let Err(StorageError::ExpiredContinue { continue_token }) = test.list(&next).await else {
        panic!("the revision is gone")
    };
    let rest = test.list(&ListQuery { continue_token, ..ListQuery::default() }).await.expect("goes on");
    assert_eq!(names(&rest), ["t10", "t01", "t03", "t05", "t07", "t09", "t11", "u"]);
    let exactly = ListQuery { revision: Match::Exact(page.revision), ..ListQuery::default() };
    assert!(matches!(test.list(&exactly).await, Err(StorageError::Expired { .. })));
}

async fn waits_for_the_revision_asked_for<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let created = test.create("odd", "a", "x", "").await;
    let at = |revision| ListQuery { revision, ..ListQuery::default() };
    let page = test.list(&at(Match::NotOlderThan(created.revision()))).await.expect("lists");
    assert_eq!((names(&page), page.revision), (vec!["a"], created.revision()));
    let future = created.revision() + 1000;
    for revision in [Match::NotOlderThan(future), Match::Exact(future)] {
        let error = test.list(&at(revision)).await.expect_err("never comes");
        let expected = format!("Too large resource version: {future}, current: {}", created.revision());
        assert_eq!(error.to_string(), expected);
    }
}

async fn reads_what_another_server_wrote<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let (other, _stop) = test.another().await;
    for at in 0..50 {
        let name = format!("t{at}");
        let created = test.create("ns", &name, "x", "").await;
        let seen = other.list(&test.things, &query(fields(&format!("metadata.name={name}")))).await.expect("lists");
        assert_eq!(seen.items[0].json(), created.json());
        let seen = other.get(&test.things, created.key(), Match::MostRecent).await.expect("reads");
        assert_eq!(seen.expect("is there").json(), created.json());
    }
    // Revisions of keys that are not ours do not hold readers up.
    let backend = test.backend.backend().await;
    backend.claim_compaction(0, 0).await.expect("writes");
    let page = test.list(&ListQuery::default()).await.expect("lists");
    assert_eq!(page.revision, backend.revision().await.expect("answers"));
}

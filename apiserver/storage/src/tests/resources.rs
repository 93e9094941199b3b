use super::*;
use crate::WatchQuery;
use apimachinery::resources::SelectableField;

on_each_backend!(resources_come_at_run_time, unknown_resources_are_refused);

async fn resources_come_at_run_time<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let widgets = testing::resource("example.com/widgets");
    let (first, _stop) = open(&test.backend, std::slice::from_ref(&widgets)).await;
    for at in 0..20 {
        let name = format!("w{at:02}");
        let value = testing::thing("ns", &name, "x", "n1");
        first.create(&widgets, &widgets.key("ns", &name), value, None).await.expect("is new");
    }
    test.store.add_resource(&widgets).await.expect("fills its cache");
    assert_eq!(test.store.cached_list(&widgets, Some("ns")).len(), 20);
    let mut watch = test.store.watch(&widgets, &WatchQuery::default()).await.expect("watches");
    for _ in 0..20 {
        assert!(next(&mut watch).await.starts_with("Added w"));
    }
    let value = testing::thing("ns", "later", "x", "n1");
    first.create(&widgets, &widgets.key("ns", "later"), value, None).await.expect("is new");
    assert!(next(&mut watch).await.starts_with("Added later "));
    let mut changed = resource_with_app(&widgets);
    Arc::get_mut(&mut changed).expect("not shared").storage_kind.version = "v2".into();
    test.store.add_resource(&changed).await.expect("takes the new field over");
    let selected = ListQuery { selection: fields("metadata.name=w03,spec.app="), ..ListQuery::default() };
    assert_eq!(names(&test.store.list(&changed, &selected).await.expect("lists")), ["w03"]);
}

fn resource_with_app(resource: &ResourceInfo) -> Arc<ResourceInfo> {
    let mut changed = testing::resource("example.com/widgets");
    let field = SelectableField { label: "spec.app".into(), paths: vec!["spec.app".into()], default: "".into() };
    let inner = Arc::get_mut(&mut changed).expect("not shared");
    inner.selectable_fields = resource.selectable_fields.iter().cloned().chain([field]).collect();
    changed
}

async fn unknown_resources_are_refused<B: TestBackend>() {
    let Some(test) = Fixture::<B>::start().await else { return };
    let unknown = testing::resource("unknown");
    let result = test.store.list(&unknown, &ListQuery::default()).await;
    assert!(matches!(result, Err(StorageError::Unknown { prefix }) if prefix == "unknown"));
    assert!(test.store.cached(&unknown, "unknown/ns/a").is_none());
}

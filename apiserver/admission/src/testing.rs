//! A store in memory with requests to it, for the plugins' tests.

use crate::Means;
use apimachinery::Value;
use apimachinery::codec::FieldValidation;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources;
use apimachinery::status::Status;
use apiserver_registry::admission::{Attributes, Chain, Operation, Plugin, Reinvocation};
use apiserver_registry::{Context, Registry, UserInfo, Verb};
use apiserver_storage::{Match, Store};
use component::Supervisor;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) struct Cluster {
    pub(crate) store: Store,
    _supervisor: Supervisor,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let supervisor = Supervisor::new();
        let store = Store::in_memory(resources::builtin(), supervisor.clone()).await.expect("a store");
        Self { store, _supervisor: supervisor }
    }

    pub(crate) fn means(&self) -> Means {
        Means {
            store: self.store.clone(),
            authorizer: None,
            supervisor: self._supervisor.clone(),
            metrics: Arc::default(),
        }
    }

    pub(crate) async fn add(&self, resource: &str, value: Value) {
        let (group, plural) = resource.split_once('/').expect("group/plural");
        let resource = resources::builtin().iter().find(|r| r.group == group && r.plural == plural).expect("served");
        let key = resource.key(value.namespace(), value.name());
        self.store.create(resource, &key, value, None).await.expect("created");
        // A consistent read returns when the cache has caught up.
        self.store.get(resource, &key, Match::MostRecent).await.expect("read");
    }
}

/// A request in the namespace `ns`.
pub(crate) fn context(resource: &str, subresource: &str, user: &str) -> Context {
    let (group, plural) = resource.split_once('/').expect("group/plural");
    let resource = resources::builtin().iter().find(|r| r.group == group && r.plural == plural).expect("served");
    Context {
        user: Arc::new(UserInfo { name: user.into(), groups: groups(user), ..UserInfo::default() }),
        verb: Verb::Create,
        resource: resource.clone(),
        subresource: resource.subresource(subresource).cloned(),
        namespace: if resource.namespaced { "ns".into() } else { String::new() },
        name: String::new(),
        dry_run: false,
        field_manager: String::new(),
        field_validation: FieldValidation::Warn,
        deadline: Instant::now() + Duration::from_secs(60),
        warnings: Default::default(),
        annotations: Default::default(),
    }
}

fn groups(user: &str) -> Vec<String> {
    match user.starts_with("system:node:") {
        true => vec!["system:nodes".into()],
        false => Vec::new(),
    }
}

/// Runs both steps of a plugin on an object; the object afterwards, or the refusal.
pub(crate) async fn run(
    plugin: &dyn Plugin,
    context: &Context,
    operation: Operation,
    object: Value,
    old: Value,
) -> Result<Value, Status> {
    let store = Store::in_memory(&[], Supervisor::new()).await.expect("a store");
    run_in(store, plugin, context, operation, object, old).await
}

/// The same, with a registry over this store.
pub(crate) async fn run_in(
    store: Store,
    plugin: &dyn Plugin,
    context: &Context,
    operation: Operation,
    object: Value,
    old: Value,
) -> Result<Value, Status> {
    let mut object = object;
    let name = if object.is_null() { old.name().to_owned() } else { object.name().to_owned() };
    let registry = Registry::new(store, Chain::default(), apiserver_registry::Options::default());
    let mut attributes = Attributes {
        registry: &registry,
        context,
        operation,
        name: &name,
        object: &mut object,
        old_object: &old,
        options: &Value::Null,
        reinvocation: Reinvocation::default(),
    };
    if plugin.handles(operation, context) {
        plugin.admit(&mut attributes).await?;
        plugin.validate(&attributes).await?;
    }
    Ok(object)
}

/// Creates an object through a plugin.
pub(crate) async fn create(plugin: &dyn Plugin, resource: &str, object: Value) -> Result<Value, Status> {
    run(plugin, &context(resource, "", "tester"), Operation::Create, object, Value::Null).await
}

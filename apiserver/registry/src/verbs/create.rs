//! POST of a new object.
//!
//! Upstream: `endpoints/handlers/create.go`, `registry/generic/registry/store.go` (`Create`).

use super::{Target, admit, check_escalation, options, reply, told_kind, unwritten_reply, validate};
use crate::admission::Operation;
use crate::failure::storage;
use crate::strategy::{self, Allocates, Dependents, Strategy};
use crate::{Body, Context, Registry, Reply, convert, decode, device_access, managed, metadata, params_access};
use apimachinery::Value;
use apimachinery::codec::fields;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apiserver_storage::{Match, Object, StorageError};

/// How often a generated name is drawn again because it is taken.
const NAME_ATTEMPTS: usize = 8;

pub(crate) async fn create(registry: &Registry, cx: &Context, body: Body) -> Result<Reply, Status> {
    let object = decode::object(cx, &body, &cx.resource.schema, &cx.resource.gvk())?;
    // The tree is all that is needed from here on.
    drop(body);
    insert(registry, cx, object).await
}

/// Creates a decoded object, and answers it as created.
pub(crate) async fn insert(registry: &Registry, cx: &Context, mut object: Value) -> Result<Reply, Status> {
    metadata::wipe(&mut object);
    metadata::ensure_namespace(cx, &mut object)?;
    if !cx.name.is_empty() {
        metadata::ensure_name(cx, &object)?;
    }
    rules::defaults::apply(&cx.resource, &mut object);
    let shares_labels = rules::defaults::share_labels(&cx.resource, &mut object);
    managed::track(cx, &Value::Null, &mut object);
    insert_tracked(registry, cx, object, shares_labels).await
}

/// Creates an object whose managed fields are known. Some share labels with their template.
pub(crate) async fn insert_tracked(
    registry: &Registry,
    cx: &Context,
    mut object: Value,
    shares_labels: bool,
) -> Result<Reply, Status> {
    let options = options(cx, "CreateOptions");
    admit(registry, cx, Operation::Create, &mut object, &Value::Null, &options).await?;
    if shares_labels {
        rules::defaults::unshare_labels(&mut object);
    }
    check_escalation(registry, cx, &object, &Value::Null).await?;
    let strategy = strategy::of(&cx.resource);
    prepare(registry, cx, strategy, &mut object);
    let stored = match strategy.allocates {
        Allocates::Nothing => store(registry, cx, strategy, object, &options).await?,
        // Allocation completes what validation wants to see.
        Allocates::ServiceAddresses => {
            let claim = registry.services.claim_new(cx, &mut object).await?;
            let result = store(registry, cx, strategy, object, &options).await;
            match &result {
                Ok(_) if !cx.dry_run => claim.keep().await,
                _ => claim.release().await,
            }
            result?
        }
    };
    Ok(Reply::Created(Box::new(stored)))
}

/// Validates and writes an object that is complete.
async fn store(
    registry: &Registry,
    cx: &Context,
    strategy: &Strategy,
    mut object: Value,
    options: &Value,
) -> Result<Reply, Status> {
    let mut errors = device_access::check_create(registry, cx, &object).await;
    errors.extend(rules::validation::create(&cx.resource, &object));
    errors.extend((strategy.check_create)(&object));
    if errors.is_empty() {
        errors.extend(params_access::check(registry, cx, &object, &Value::Null).await);
    }
    if !errors.is_empty() {
        return Err(Status::invalid(&told_kind(cx, &object), object.name(), &errors));
    }
    rules::warnings::create(&cx.resource, &object, &mut |text| cx.warn(text));
    (strategy.warn)(&object, None, &mut |text| cx.warn(text));
    validate(registry, cx, Operation::Create, &mut object, &Value::Null, options).await?;
    write(registry, cx, strategy, object).await
}

/// System fields, name, the resource's own preparation, and defaults for what came after decoding.
fn prepare(registry: &Registry, cx: &Context, strategy: &Strategy, object: &mut Value) {
    metadata::fill_new(object);
    let base = object.meta_str("generateName");
    if !base.is_empty() && object.name().is_empty() {
        let name = free_name(registry, cx, base);
        object.set_meta("name", name);
    }
    strategy.create(cx, object);
    rules::defaults::apply(&cx.resource, object);
}

/// A generated name that is not taken, as far as the cache knows: that spares keeping the object
/// for another attempt.
fn free_name(registry: &Registry, cx: &Context, base: &str) -> String {
    let mut name = metadata::generate_name(base);
    for _ in 1..NAME_ATTEMPTS {
        let target = Target::named(cx, &name);
        if registry.store.cached(&target.stored, &target.key).is_none() {
            break;
        }
        name = metadata::generate_name(base);
    }
    name
}

async fn write(registry: &Registry, cx: &Context, strategy: &Strategy, mut object: Value) -> Result<Reply, Status> {
    let resource = cx.resource.group_resource();
    let target = Target::named(cx, object.name());
    let generated = !object.meta_str("generateName").is_empty();
    if cx.dry_run {
        let existing = registry.store.get(&target.stored, &target.key, Match::MostRecent).await;
        return match existing.map_err(|error| storage(error, &resource, object.name()))? {
            Some(existing) => Err(taken(Status::already_exists(&resource, object.name()), generated, Some(&existing))),
            None => {
                fields::open(&mut object);
                Ok(unwritten_reply(cx, object))
            }
        };
    }
    metadata::prepare_stored(&mut object)?;
    let name = object.name().to_owned();
    let object = convert::stored(registry, &cx.resource, object).await?;
    match registry.store.create(&target.stored, &target.key, object, ttl(registry, strategy)).await {
        Ok(created) => Ok(reply(cx, convert::served(registry, &cx.resource, created).await?)),
        Err(error @ StorageError::Exists { .. }) => {
            let existing = registry.store.get(&target.stored, &target.key, Match::MostRecent).await.ok().flatten();
            Err(taken(storage(error, &resource, &name), generated, existing.as_deref()))
        }
        Err(error) => Err(storage(error, &resource, &name)),
    }
}

/// Says of a name that is taken where it came from if it was generated, and whether it will be free.
fn taken(mut status: Status, generated: bool, existing: Option<&Object>) -> Status {
    if generated {
        status.message.push_str(", the server was not able to generate a unique name for the object");
        // The next draw may be free.
        status.details.get_or_insert_default().retry_after_seconds = 1;
    }
    if existing.is_some_and(|object| object.value().is_deleting()) {
        status.message.insert_str(0, "object is being deleted: ");
    }
    status
}

/// The lease of objects that expire: events, the only ones without part in garbage collection.
pub(crate) fn ttl(registry: &Registry, strategy: &Strategy) -> Option<u64> {
    (strategy.dependents == Dependents::Unsupported).then_some(registry.options.event_ttl.as_secs())
}

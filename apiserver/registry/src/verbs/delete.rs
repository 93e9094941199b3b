//! DELETE: at once, after a grace period, or when the finalizers are gone.
//!
//! Upstream: `registry/generic/registry/store.go` (`Delete`), `registry/rest/delete.go`,
//! `pkg/registry/core/namespace/storage`.

mod options;
mod plan;

use super::{Target, reply, success, tree, validate, value_reply};
use crate::admission::Operation;
use crate::failure::Failure;
use crate::strategy::{self, Allocates, Deleted, Dependents, Strategy};
use crate::transaction::{self, Decide};
use crate::{Context, Registry, Reply, UserInfo, convert};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::{self, ResourceInfo};
use apimachinery::status::{Reason, Status};
use apiserver_storage::{Change, ListPage, ListQuery, Match, Object};
use async_trait::async_trait;
use futures::stream::FuturesOrdered;
use futures::{FutureExt as _, StreamExt as _};
use options::DeleteOptions;
use plan::Plan;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) async fn delete(registry: &Registry, cx: &Context, options: &Value) -> Result<Reply, Status> {
    let parsed = DeleteOptions::parse(options)?;
    rules::warnings::delete(&cx.resource, options, &mut |text| cx.warn(text));
    remove(registry, cx, &parsed, options).await
}

/// What a deletion did.
struct Removal {
    /// The object before.
    before: Value,
    /// The object after, if it is still there.
    after: Option<Value>,
}

async fn remove(registry: &Registry, cx: &Context, options: &DeleteOptions, raw: &Value) -> Result<Reply, Status> {
    remove_as(registry, cx, options, raw, Asks::Admission).await
}

async fn remove_as(
    registry: &Registry,
    cx: &Context,
    options: &DeleteOptions,
    raw: &Value,
    asks: Asks,
) -> Result<Reply, Status> {
    let target = Target::of(cx)?;
    let resource = cx.resource.group_resource();
    let strategy = strategy::of(&cx.resource);
    let dry_run = cx.dry_run || options.dry_run;
    let mut deletion =
        Deletion { registry, cx, strategy, options, raw, dry_run, admitted: asks == Asks::Nobody, removal: None };
    let object = transaction::run(&registry.store, &target, &mut deletion).await;
    let object = object.map_err(|failure| failure.status(&resource, &cx.name))?;
    let removal = deletion.removal;
    let Some(Removal { before, after }) = removal else {
        return Err(Status::internal("the object was not looked at"));
    };
    if after.is_none() && !dry_run {
        after_removal(registry, strategy, &before).await;
    }
    let stored = match dry_run {
        true => None,
        false => Some(convert::served(registry, &cx.resource, object).await?),
    };
    Ok(answer(cx, strategy, options, Answer { before, after, stored }))
}

/// Gives back what a removed object had outside of itself.
///
/// The endpoints of a service go at once, so that another service of its name does not begin with them.
pub(crate) async fn after_removal(registry: &Registry, strategy: &Strategy, object: &Value) {
    if strategy.allocates != Allocates::ServiceAddresses {
        return;
    }
    if let Some(endpoints) = resources::find("", "v1", "endpoints") {
        let cx = internal(endpoints, object.namespace(), object.name());
        match Box::pin(remove_as(registry, &cx, &DeleteOptions::default(), &json!({}), Asks::Nobody)).await {
            Err(status) if status.reason != Reason::NotFound => {
                let service = format!("{}/{}", object.namespace(), object.name());
                tracing::error!(service, %status, "endpoints of a deleted service could not be deleted");
            }
            _ => {}
        }
    }
    registry.services.release(object).await;
}

/// Whom a deletion asks for leave.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Admission,
    /// The server itself follows up on what has been admitted.
    Nobody,
}

/// One deletion, decided on the object's current state.
struct Deletion<'a> {
    registry: &'a Registry,
    cx: &'a Context,
    strategy: &'static Strategy,
    options: &'a DeleteOptions,
    raw: &'a Value,
    dry_run: bool,
    admitted: bool,
    removal: Option<Removal>,
}

#[async_trait]
impl Decide for Deletion<'_> {
    async fn decide(&mut self, current: &Arc<Object>) -> Result<Change, Failure> {
        let cx = self.cx;
        let served = convert::served(self.registry, &cx.resource, current.clone()).await?;
        let old = tree(cx, &served);
        self.options.check_preconditions(cx, &old, current.revision())?;
        if !self.admitted {
            admit_deletion(self.registry, cx, &old, self.raw).await?;
            self.admitted = true;
        }
        let mut before = old;
        let without_collector = Strategy { dependents: Dependents::Unsupported, ..*self.strategy };
        let strategy = if self.registry.options.has_garbage_collector { self.strategy } else { &without_collector };
        let (change, after) = match plan::plan(strategy, &before, self.options, jiff::Timestamp::now()) {
            Plan::Wait => (Change::Keep, Some(before.clone())),
            Plan::Mark(new) => {
                let stored = convert::stored(self.registry, &cx.resource, new.clone()).await?;
                (Change::Put(stored), Some(new))
            }
            // A trial shows the state that the object would have had last.
            Plan::Remove(last) if self.dry_run => {
                before = last;
                (Change::Keep, None)
            }
            Plan::Remove(last) => {
                (Change::Delete(Some(convert::stored(self.registry, &cx.resource, last).await?)), None)
            }
        };
        self.removal = Some(Removal { before, after });
        Ok(if self.dry_run { Change::Keep } else { change })
    }
}

async fn admit_deletion(registry: &Registry, cx: &Context, old: &Value, options: &Value) -> Result<(), Status> {
    super::admit(registry, cx, Operation::Delete, &mut Value::Null, old, options).await?;
    validate(registry, cx, Operation::Delete, &mut Value::Null, old, options).await
}

struct Answer {
    before: Value,
    after: Option<Value>,
    stored: Option<Arc<Object>>,
}

fn answer(cx: &Context, strategy: &Strategy, options: &DeleteOptions, answer: Answer) -> Reply {
    let Answer { before, after, stored } = answer;
    if after.is_none() && strategy.deleted == Deleted::Status {
        return success(Some(details(cx, &before)));
    }
    let stays = after.is_some();
    let last = match stored {
        // The last state, with the revision of the deletion.
        Some(stored) => reply(cx, stored),
        None => value_reply(cx, after.unwrap_or(before)),
    };
    match stays && options.wants_accepted() {
        true => Reply::Accepted(Box::new(last)),
        false => last,
    }
}

/// Upstream puts the resource where `kind` says kind.
fn details(cx: &Context, object: &Value) -> Value {
    let mut details = json!({"name": object.name(), "kind": cx.resource.plural.as_ref(), "uid": object.uid()});
    if !cx.resource.group.is_empty() {
        details["group"] = cx.resource.group.as_ref().into();
    }
    details
}

pub(crate) async fn delete_collection(
    registry: &Registry,
    cx: &Context,
    options: &Value,
    query: &ListQuery,
) -> Result<ListPage, Status> {
    let parsed = DeleteOptions::parse(options)?;
    rules::warnings::delete(&cx.resource, options, &mut |text| cx.warn(text));
    let page = super::read::list(registry, cx, query).await?;
    let mut running = FuturesOrdered::new();
    for object in &page.items {
        if running.len() >= registry.options.collection_workers {
            running.next().await.transpose()?;
        }
        running.push_back(remove_of_many(registry, cx, object.clone(), &parsed, options).boxed());
    }
    while let Some(removed) = running.next().await {
        removed?;
    }
    Ok(page)
}

/// Deletes one object of a collection, if it is still there.
async fn remove_of_many(
    registry: &Registry,
    cx: &Context,
    object: Arc<Object>,
    parsed: &DeleteOptions,
    options: &Value,
) -> Result<(), Status> {
    let one = single(cx, &object);
    match remove(registry, &one, parsed, options).await {
        // Somebody else was faster.
        Err(status) if status.reason == Reason::NotFound => {}
        result => drop(result?),
    }
    cx.warnings.lock().append(&mut one.warnings.lock());
    Ok(())
}

/// Deletes all objects of a resource on behalf of the server itself; how many are left.
pub(crate) async fn delete_all(registry: &Registry, resource: &Arc<ResourceInfo>) -> Result<usize, Status> {
    let cx = internal(resource, "", "");
    let query = ListQuery { revision: Match::MostRecent, ..ListQuery::default() };
    delete_collection(registry, &cx, &json!({}), &query).await?;
    Ok(super::read::list(registry, &cx, &query).await?.items.len())
}

/// A request of the server itself.
fn internal(resource: &Arc<ResourceInfo>, namespace: &str, name: &str) -> Context {
    Context {
        user: Arc::new(UserInfo {
            name: "system:apiserver".into(),
            groups: vec!["system:masters".into()],
            ..UserInfo::default()
        }),
        verb: crate::Verb::DeleteCollection,
        resource: resource.clone(),
        subresource: None,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        dry_run: false,
        field_manager: String::new(),
        field_validation: Default::default(),
        deadline: Instant::now() + INTERNAL_DEADLINE,
        warnings: Default::default(),
        annotations: None,
    }
}

/// How long a request of the server itself may take, such as one pass over a resource that is going.
const INTERNAL_DEADLINE: Duration = Duration::from_secs(60);

/// The request for one object of a collection.
fn single(cx: &Context, object: &Object) -> Context {
    Context {
        user: cx.user.clone(),
        verb: crate::Verb::DeleteCollection,
        resource: cx.resource.clone(),
        subresource: None,
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
        dry_run: cx.dry_run,
        field_manager: cx.field_manager.clone(),
        field_validation: cx.field_validation,
        deadline: cx.deadline,
        warnings: Default::default(),
        annotations: cx.annotations.clone(),
    }
}

/// Refuses another object, or another state of it, than the one that these `DeleteOptions` mean.
pub(crate) fn check_preconditions(cx: &Context, options: &Value, object: &Value, revision: u64) -> Result<(), Status> {
    DeleteOptions::parse(options)?.check_preconditions(cx, object, revision)
}

/// Deletes an object on behalf of a subresource: eviction.
pub(crate) async fn delete_with(registry: &Registry, cx: &Context, options: &Value) -> Result<(), Status> {
    remove(registry, cx, &DeleteOptions::parse(options)?, options).await.map(drop)
}

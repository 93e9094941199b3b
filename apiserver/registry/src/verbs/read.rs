//! GET, LIST, WATCH.

use super::{Target, reply};
use crate::failure::storage;
use crate::{Context, Registry, Reply, convert, subresources};
use apimachinery::status::Status;
use apiserver_storage::{ListPage, ListQuery, Match, Object, Watch, WatchQuery};
use std::sync::Arc;

pub(crate) async fn get(registry: &Registry, cx: &Context, at: Match) -> Result<Reply, Status> {
    let object = fetch(registry, cx, at).await?;
    match cx.subresource_name() {
        "scale" => subresources::scale::of(cx, &object),
        _ => Ok(reply(cx, object)),
    }
}

/// The stored object that the request names, or 404.
pub(crate) async fn fetch(registry: &Registry, cx: &Context, at: Match) -> Result<Arc<Object>, Status> {
    let resource = cx.resource.group_resource();
    if cx.resource.storage_prefix.is_empty() {
        return Err(Status::not_found(&resource, &cx.name));
    }
    let target = Target::of(cx);
    let found = registry.store.get(&target.stored, &target.key, at).await;
    let found = found.map_err(|error| storage(error, &resource, &cx.name))?;
    found.ok_or_else(|| Status::not_found(&resource, &cx.name))
}

pub(crate) async fn list(registry: &Registry, cx: &Context, query: &ListQuery) -> Result<ListPage, Status> {
    if cx.resource.storage_prefix.is_empty() {
        return Ok(ListPage { items: Vec::new(), revision: 0, continue_token: String::new(), remaining: None });
    }
    let stored = convert::stored_as(&cx.resource);
    let converted = convert::selection(&cx.resource, &query.selection);
    let page = match converted {
        None => registry.store.list(&stored, query).await,
        Some(selection) => registry.store.list(&stored, &ListQuery { selection, ..query.clone() }).await,
    };
    page.map_err(|error| storage(error, &cx.resource.group_resource(), ""))
}

pub(crate) async fn watch(registry: &Registry, cx: &Context, query: &WatchQuery) -> Result<Watch, Status> {
    if cx.resource.storage_prefix.is_empty() {
        return Err(Status::method_not_allowed());
    }
    let stored = convert::stored_as(&cx.resource);
    let watch = match convert::selection(&cx.resource, &query.selection) {
        None => registry.store.watch(&stored, query).await,
        Some(selection) => registry.store.watch(&stored, &WatchQuery { selection, ..query.clone() }).await,
    };
    watch.map_err(|error| storage(error, &cx.resource.group_resource(), ""))
}

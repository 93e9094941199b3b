//! GET, LIST, WATCH.

use super::{Target, check_path, reply};
use crate::failure::storage;
use crate::{Context, Registry, Reply, Watching, convert, subresources};
use apimachinery::status::Status;
use apiserver_storage::{ListPage, ListQuery, Match, Object, Selection, WatchQuery};
use std::sync::Arc;

pub(crate) async fn get(registry: &Registry, cx: &Context, at: Match) -> Result<Reply, Status> {
    let object = fetch(registry, cx, at).await?;
    let object = convert::served(registry, &cx.resource, object).await?;
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
    let target = Target::of(cx)?;
    let found = registry.store.get(&target.stored, &target.key, at).await;
    let found = found.map_err(|error| storage(error, &resource, &cx.name))?;
    found.ok_or_else(|| Status::not_found(&resource, &cx.name))
}

pub(crate) async fn list(registry: &Registry, cx: &Context, query: &ListQuery) -> Result<ListPage, Status> {
    if cx.resource.storage_prefix.is_empty() {
        return Ok(ListPage { items: Vec::new(), revision: 0, continue_token: String::new(), remaining: None });
    }
    check_path(&cx.resource, &cx.namespace, None)?;
    if cx.resource.custom.is_some() {
        return list_custom(registry, cx, query).await;
    }
    let stored = convert::stored_as(&cx.resource);
    let converted = convert::selection(&cx.resource, &query.selection);
    let page = match converted {
        None => registry.store.list(&stored, query).await,
        Some(selection) => registry.store.list(&stored, &ListQuery { selection, ..query.clone() }).await,
    };
    page.map_err(|error| storage(error, &cx.resource.group_resource(), ""))
}

/// Objects that are converted at once, at least, to find those that fields select.
const CONVERTED: usize = 500;

/// Custom resources are converted, and selected by fields after that if a webhook converts.
async fn list_custom(registry: &Registry, cx: &Context, query: &ListQuery) -> Result<ListPage, Status> {
    if let Some((filter, selection)) = convert::Filter::of(&cx.resource, &query.selection) {
        return list_filtered(registry, cx, query, &filter, selection).await;
    }
    let failed = |error| storage(error, &cx.resource.group_resource(), "");
    let mut page = registry.store.list(&cx.resource, query).await.map_err(failed)?;
    page.items = convert::served_all(registry, &cx.resource, page.items).await?;
    Ok(page)
}

/// Converts page by page until enough objects are selected.
async fn list_filtered(
    registry: &Registry,
    cx: &Context,
    query: &ListQuery,
    filter: &convert::Filter,
    selection: Selection,
) -> Result<ListPage, Status> {
    let resource = &cx.resource;
    let failed = |error| storage(error, &resource.group_resource(), "");
    // Any state is listed as a whole, as upstream does.
    let limit = if query.revision == Match::Any { 0 } else { query.limit };
    let at_once = if limit == 0 { 0 } else { limit.max(CONVERTED) };
    let mut next = ListQuery { selection, limit: at_once, ..query.clone() };
    let mut items: Vec<Arc<Object>> = Vec::new();
    loop {
        let page = registry.store.list(resource, &next).await.map_err(failed)?;
        let revision = page.revision;
        let converted = convert::served_all(registry, resource, page.items).await?;
        for object in converted.into_iter().filter(|object| filter.matches(object)) {
            if limit > 0 && items.len() == limit {
                let last = items.last().map_or("", |object| object.key());
                let continue_token = ListPage::token_after(resource, &next.selection, last, revision);
                return Ok(ListPage { items, revision, continue_token, remaining: None });
            }
            items.push(object);
        }
        if page.continue_token.is_empty() || limit > 0 && items.len() == limit {
            return Ok(ListPage { items, revision, continue_token: page.continue_token, remaining: None });
        }
        next.continue_token = page.continue_token;
    }
}

pub(crate) async fn watch(registry: &Arc<Registry>, cx: &Context, query: &WatchQuery) -> Result<Watching, Status> {
    if cx.resource.storage_prefix.is_empty() {
        return Err(Status::method_not_allowed());
    }
    check_path(&cx.resource, &cx.namespace, None)?;
    let stored = convert::stored_as(&cx.resource);
    let failed = |error| storage(error, &cx.resource.group_resource(), "");
    if let Some((filter, selection)) = convert::Filter::of(&cx.resource, &query.selection) {
        let query = WatchQuery { selection, ..query.clone() };
        let watch = registry.store.watch(&stored, &query).await.map_err(failed)?;
        let mut watching = Watching::of(registry, cx, watch, Some(filter));
        if query.from.is_some_and(|from| from > 0) && !query.send_initial_events {
            let present = registry.store.cached_list(&stored, query.selection.namespace.as_deref());
            watching.seed(&convert::served_all(registry, &cx.resource, present).await?);
        }
        return Ok(watching);
    }
    let watch = match convert::selection(&cx.resource, &query.selection) {
        None => registry.store.watch(&stored, query).await,
        Some(selection) => registry.store.watch(&stored, &WatchQuery { selection, ..query.clone() }).await,
    };
    Ok(Watching::of(registry, cx, watch.map_err(failed)?, None))
}

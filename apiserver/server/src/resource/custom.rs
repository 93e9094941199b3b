//! Which requests custom resources serve: no router stands before them, so that each is told what is wrong by them.
//!
//! Upstream: `apiextensions-apiserver/pkg/apiserver/customresource_handler.go`.

use super::{Route, verb};
use crate::chain::Exchange;
use apimachinery::resources::ResourceInfo;
use apimachinery::status::Status;
use apiserver_registry::Verb;
use std::sync::Arc;

/// The route of a request for a custom resource; `None` at paths where there is nothing.
pub(super) fn route(exchange: &Exchange<'_>, resource: Arc<ResourceInfo>) -> Result<Option<Route>, Status> {
    let info = exchange.info;
    let is_in_namespace = !info.namespace.is_empty() && info.resource != "namespaces";
    let reaches_all = matches!(info.verb, "list" | "watch");
    if is_in_namespace != resource.namespaced && !(resource.namespaced && reaches_all) {
        return Ok(None);
    }
    let subresource = match info.subresource {
        "" => None,
        name => match resource.subresource(name) {
            Some(found) => Some(found.clone()),
            None => return Err(Status::not_found(&resource.group_resource(), &info.name)),
        },
    };
    let unsupported = || Status::not_supported(&resource.group_resource(), info.verb);
    let verb = verb(info.verb).ok_or_else(unsupported)?;
    if subresource.is_some() && !matches!(verb, Verb::Get | Verb::Update | Verb::Patch) {
        return Err(unsupported());
    }
    if verb == Verb::Create && !resource.verbs.iter().any(|served| served == info.verb) {
        // All verbs are served otherwise.
        let message = format!("{} not allowed while custom resource definition is terminating", info.verb);
        return Err(Status { message, ..unsupported() });
    }
    if matches!(verb, Verb::Update | Verb::Patch) && info.name.is_empty() {
        return Err(Status::bad_request("name must be provided"));
    }
    Ok(Some(Route { verb, resource, subresource }))
}

//! Requests for resources: routing to the registry's verbs and encoding what they answer.
//!
//! Upstream: `apiserver/pkg/endpoints/handlers`, `apiserver/pkg/endpoints/installer.go`.

mod custom;

use crate::body::{self, Body};
use crate::chain::{Exchange, Incoming};
use crate::components;
use crate::encode::events::Encoder;
use crate::encode::{list, object};
use crate::negotiate::{self, Media, Offers, Output};
use crate::params::{self, ListOptions};
use crate::request_info::RequestInfo;
use crate::{deprecation, response, watch, websocket};
use apimachinery::resources::{self, ResourceInfo, Subresource};
use apimachinery::status::{Reason, Status};
use apiserver_registry::registry::Format;
use apiserver_registry::{Body as RequestBody, Context, PatchType, Reply, Verb};
use apiserver_storage::ListPage;
use http::header::{HeaderMap, USER_AGENT};
use http::{Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// A routed request.
struct Route {
    verb: Verb,
    resource: Arc<ResourceInfo>,
    subresource: Option<Subresource>,
}

/// 404 with upstream's words for API paths.
pub fn unknown() -> Status {
    Status::generic(404, Reason::NotFound, "the server could not find the requested resource")
}

/// Serves a request for a resource.
pub async fn serve<B: Incoming>(exchange: &Exchange<'_>, body: B) -> Result<Response<Body>, Status> {
    let Some(route) = route(exchange)? else { return Ok(response::not_found()) };
    if route.resource.custom.is_none() {
        negotiate::routed(&exchange.parts.headers, route.verb)?;
        named(exchange.info, &route)?;
    }
    exchange.warnings.lock().extend(deprecation::warning(&route.resource).map(str::to_owned));
    match route.verb {
        Verb::List => return serve_list(exchange, route).await,
        Verb::Watch => return serve_watch(exchange, route).await,
        _ => {}
    }
    if route.verb == Verb::Patch {
        // Upstream looks at this first of all.
        negotiate::patch_type(&exchange.parts.headers, &route.resource)?;
    }
    let output = negotiate::output_of(&exchange.parts.headers, exchange.query, offers(&route), &route.resource)?;
    let resource = route.resource.clone();
    let cx = context(exchange, route)?;
    let reply = match cx.verb {
        Verb::Get if components::is_meant(&resource) => {
            let value = components::get(exchange.server, &cx.name).await?;
            Reply::Value { value, ty: resource.schema.clone() }
        }
        Verb::Get => {
            params::refuse_export(exchange.query)?;
            exchange.server.registry.get(&cx, params::get_revision(exchange.query, &resource)?).await?
        }
        // Boxed, so that reading does not set aside the room that writing needs.
        _ => return Box::pin(serve_write(exchange, cx, body, output)).await,
    };
    answer(exchange, reply, &resource, output)
}

async fn serve_write<B: Incoming>(
    exchange: &Exchange<'_>,
    cx: Context,
    body: B,
    output: Output,
) -> Result<Response<Body>, Status> {
    let resource = cx.resource.clone();
    let reply = match cx.verb {
        Verb::Create => {
            negotiate::body_format(&exchange.parts.headers)?;
            let cx = with_write_options(cx, exchange, "CreateOptions")?;
            exchange.server.registry.create(&cx, read(exchange, body).await?).await?
        }
        Verb::Update => {
            let cx = with_write_options(cx, exchange, "UpdateOptions")?;
            exchange.server.registry.update(&cx, read(exchange, body).await?).await?
        }
        Verb::Patch => return serve_patch(exchange, cx, body, output).await,
        Verb::Delete => return serve_delete(exchange, cx, body, output).await,
        Verb::DeleteCollection => return serve_delete_collection(exchange, cx, body).await,
        Verb::Get | Verb::List | Verb::Watch | Verb::Connect => return Err(Status::method_not_allowed()),
    };
    answer(exchange, reply, &resource, output)
}

/// Finds the resource, and whether it serves the verb at this path. Where upstream's router knows no path of the group,
/// there is nothing.
fn route(exchange: &Exchange<'_>) -> Result<Option<Route>, Status> {
    let info = exchange.info;
    let registry = &exchange.server.registry;
    let Some(resource) = registry.resource(info.group, info.version, info.resource) else {
        return match is_routed(info.group) {
            true => Err(unknown()),
            false => Ok(None),
        };
    };
    if resource.custom.is_some() {
        return custom::route(exchange, resource);
    }
    let namespaced_path = info.is_in_namespace;
    let names_object = info.names_object();
    let misplaced = namespaced_path && !resource.namespaced || names_object && resource.namespaced && !namespaced_path;
    // Across namespaces there are lists only.
    let is_nowhere = resource.namespaced && !namespaced_path && !resource.verbs.iter().any(|verb| *verb == "list");
    if misplaced || is_nowhere || info.parts.len() > 3 || info.verb == "proxy" {
        return Err(unknown());
    }
    let subresource = match info.subresource {
        "" => None,
        name => Some(resource.subresource(name).cloned().ok_or_else(unknown)?),
    };
    if names_object && subresource.is_none() && !has_objects(&resource) {
        return Err(unknown());
    }
    let is_watched = subresource.is_none() && resource.verbs.iter().any(|verb| *verb == "watch");
    if info.says_verb && !is_watched {
        return Err(unknown());
    }
    let verb_name = match (info.verb, &subresource) {
        // The path is one object's, though the object has no name.
        ("list" | "watch", Some(_)) => "get",
        ("deletecollection", Some(_)) => "delete",
        (name, _) => name,
    };
    let verb = verb(verb_name).ok_or_else(Status::method_not_allowed)?;
    let served = subresource.as_ref().map_or(&resource.verbs, |s| &s.verbs);
    let acts_everywhere =
        matches!(verb, Verb::Create | Verb::DeleteCollection) && resource.namespaced && !namespaced_path;
    // A name in the path is none of create's business, and all of update's.
    let wrong_level = match verb {
        Verb::Create => names_object && subresource.is_none(),
        Verb::Update | Verb::Patch | Verb::Delete => !names_object,
        _ => false,
    };
    let is_head = exchange.parts.method == http::Method::HEAD;
    // Paths of watches are for reading only.
    let writes_watch = verb == Verb::Watch && exchange.parts.method != http::Method::GET;
    if is_head || writes_watch || acts_everywhere || wrong_level || !served.iter().any(|v| v == verb_name) {
        return Err(Status::method_not_allowed());
    }
    Ok(Some(Route { verb, resource, subresource }))
}

/// Refuses requests whose path leaves a name empty, as in `namespaces//pods/x`. What is made in no namespace is refused when
/// it is validated.
///
/// Upstream: `ContextBasedNaming` in `apiserver/pkg/endpoints/handlers/namer.go`.
fn named(info: &RequestInfo<'_>, route: &Route) -> Result<(), Status> {
    let needs_names = match route.verb {
        Verb::List | Verb::Watch => false,
        Verb::Create => route.subresource.is_some() || &*route.resource.plural == "bindings",
        _ => true,
    };
    if needs_names && info.is_in_namespace && info.namespace.is_empty() {
        return Err(Status::bad_request("Namespace parameter required."));
    }
    match route.subresource.is_some() && info.name.is_empty() {
        true => Err(Status::bad_request("name must be provided")),
        false => Ok(()),
    }
}

/// Whether upstream's router has paths of a group: of those that are built in.
fn is_routed(group: &str) -> bool {
    group.is_empty() || resources::builtin().iter().any(|resource| resource.group == group)
}

/// Whether there is a path for one object: of reviews there is none, as they can only be made.
fn has_objects(resource: &ResourceInfo) -> bool {
    resource.verbs.iter().any(|verb| matches!(&**verb, "get" | "update" | "patch" | "delete"))
}

fn verb(name: &str) -> Option<Verb> {
    Some(match name {
        "get" => Verb::Get,
        "list" => Verb::List,
        "watch" => Verb::Watch,
        "create" => Verb::Create,
        "update" => Verb::Update,
        "patch" => Verb::Patch,
        "delete" => Verb::Delete,
        "deletecollection" => Verb::DeleteCollection,
        _ => return None,
    })
}

/// Resources whose status upstream shows no Table of.
const STATUS_WITHOUT_TABLE: &[&str] = &["apiservices", "customresourcedefinitions", "resourceclaims"];

/// Reviews, which can only be created, and most subresources have no Table.
///
/// Upstream: which storage in `pkg/registry` has `ConvertToTable`.
fn offers(route: &Route) -> Offers {
    let can_be_read = route.resource.verbs.iter().any(|verb| *verb == "get");
    let has_table = match route.subresource.as_ref().map(|subresource| &*subresource.name) {
        None => can_be_read,
        Some("scale") => true,
        Some("status") => !STATUS_WITHOUT_TABLE.contains(&&*route.resource.plural),
        Some(_) => false,
    };
    if has_table { Offers::Object } else { Offers::Part }
}

fn context(exchange: &Exchange<'_>, route: Route) -> Result<Context, Status> {
    let info = exchange.info;
    let namespaced = route.resource.namespaced;
    Ok(Context {
        user: exchange.user.clone(),
        verb: route.verb,
        resource: route.resource,
        subresource: route.subresource,
        namespace: if namespaced { info.namespace.to_owned() } else { String::new() },
        // A field selector's name is a selection, not the object of the request.
        name: if info.names_object() { info.name.clone().into_owned() } else { String::new() },
        dry_run: false,
        field_manager: field_manager(exchange),
        field_validation: Default::default(),
        deadline: exchange.deadline,
        warnings: exchange.warnings.clone(),
        annotations: exchange.annotations.clone(),
    })
}

fn with_write_options(mut cx: Context, exchange: &Exchange<'_>, kind: &'static str) -> Result<Context, Status> {
    (cx.dry_run, cx.field_validation) = params::write_options(exchange.query, kind)?;
    Ok(cx)
}

/// `fieldManager`, or the user agent up to its first slash.
fn field_manager(exchange: &Exchange<'_>) -> String {
    match exchange.query.text("fieldManager") {
        "" => user_agent(&exchange.parts.headers),
        manager => manager.to_owned(),
    }
}

/// Longest manager name made of a user agent.
const MAX_MANAGER: usize = 128;

fn user_agent(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let first = agent.split('/').next().unwrap_or_default();
    first.chars().filter(|c| !c.is_control()).take(MAX_MANAGER).collect()
}

async fn read<B: Incoming>(exchange: &Exchange<'_>, body: B) -> Result<RequestBody, Status> {
    let format = negotiate::body_format(&exchange.parts.headers)?;
    Ok(RequestBody { bytes: body::read(&exchange.parts.headers, body).await?, format })
}

/// Options that may be left out; then nobody looks at what type they would have.
async fn read_options<B: Incoming>(exchange: &Exchange<'_>, body: B) -> Result<RequestBody, Status> {
    let bytes = body::read(&exchange.parts.headers, body).await?;
    let format = match bytes.is_empty() {
        true => Format::Json,
        false => negotiate::body_format(&exchange.parts.headers)?,
    };
    Ok(RequestBody { bytes, format })
}

async fn serve_list(exchange: &Exchange<'_>, route: Route) -> Result<Response<Body>, Status> {
    let output = negotiate::output_of(&exchange.parts.headers, exchange.query, Offers::List, &route.resource)?;
    let mut options = ListOptions::parse(exchange.query, &route.resource, false)?;
    let cx = context(exchange, route)?;
    options.restrict(&cx.namespace, "")?;
    let query = options.into_list()?;
    if output.misfit {
        return Err(misfit_of(&cx, true));
    }
    if components::is_meant(&cx.resource) {
        let items = components::list(exchange.server, &query.selection).await;
        let bytes = list::of_values(items, &cx.resource, output);
        return Ok(response::encoded(StatusCode::OK, output.media, Body::Full(bytes)));
    }
    let page = exchange.server.registry.list(&cx, &query).await?;
    list_answer(exchange, &cx, page, output)
}

fn list_answer(
    exchange: &Exchange<'_>,
    cx: &Context,
    page: ListPage,
    output: Output,
) -> Result<Response<Body>, Status> {
    output.check_rows(exchange.query)?;
    let source =
        list::Source { page, resource: cx.resource.clone(), registry: exchange.server.registry.clone(), output };
    Ok(response::encoded(StatusCode::OK, output.media, list::body(source)))
}

async fn serve_watch(exchange: &Exchange<'_>, route: Route) -> Result<Response<Body>, Status> {
    negotiate::acceptable(&exchange.parts.headers, &route.resource)?;
    let resource = route.resource.clone();
    let mut options = ListOptions::parse(exchange.query, &resource, true)?;
    let cx = context(exchange, route)?;
    options.restrict(&cx.namespace, &cx.name)?;
    let (query, timeout) = options.into_watch()?;
    let server = exchange.server;
    let watch = server.registry.watch(&cx, &query).await?;
    let output = negotiate::stream_output(&exchange.parts.headers, exchange.query, &resource)?;
    let lifetime = timeout.unwrap_or_else(|| lifetime(server.options.min_request_timeout));
    let encoder = Encoder::new(resource, server.registry.clone(), output);
    let guard = Box::new(server.metrics.long_running().take());
    let frames = watch::stream(watch, encoder, lifetime, server.watches.enter(), guard);
    let answer = response::with_type(StatusCode::OK, output.media.stream_content_type(), Body::Stream(frames));
    if websocket::is_asked(&exchange.parts.headers) {
        let framing = match output.media {
            Media::Protobuf => websocket::Framing::Frames,
            _ => websocket::Framing::Lines,
        };
        return websocket::serve(exchange, answer, framing);
    }
    Ok(answer)
}

/// Between the least lifetime and twice that, so that not all watches come back at once.
fn lifetime(least: Duration) -> Duration {
    least.mul_f64(1.0 + rand::random::<f64>())
}

async fn serve_patch<B: Incoming>(
    exchange: &Exchange<'_>,
    mut cx: Context,
    body: B,
    output: Output,
) -> Result<Response<Body>, Status> {
    let kind = negotiate::patch_type(&exchange.parts.headers, &cx.resource)?;
    (cx.dry_run, cx.field_validation) = params::patch_options(exchange.query, kind)?;
    let format = match kind {
        PatchType::Apply => Format::Yaml,
        _ => Format::Json,
    };
    let body = RequestBody { bytes: body::read(&exchange.parts.headers, body).await?, format };
    let reply = exchange.server.registry.patch(&cx, kind, exchange.query.flag("force"), body).await?;
    let resource = cx.resource.clone();
    answer(exchange, reply, &resource, output)
}

async fn serve_delete<B: Incoming>(
    exchange: &Exchange<'_>,
    mut cx: Context,
    body: B,
    output: Output,
) -> Result<Response<Body>, Status> {
    let options = params::delete_options(exchange.query, read_options(exchange, body).await?)?;
    cx.dry_run = params::is_dry_run(&options);
    let reply = exchange.server.registry.delete(&cx, &options).await?;
    let resource = cx.resource.clone();
    answer(exchange, reply, &resource, output)
}

async fn serve_delete_collection<B: Incoming>(
    exchange: &Exchange<'_>,
    mut cx: Context,
    body: B,
) -> Result<Response<Body>, Status> {
    let output = negotiate::output_of(&exchange.parts.headers, exchange.query, Offers::List, &cx.resource)?;
    let mut list = ListOptions::parse(exchange.query, &cx.resource, false)?;
    list.restrict(&cx.namespace, "")?;
    let options = params::delete_options(exchange.query, read_options(exchange, body).await?)?;
    cx.dry_run = params::is_dry_run(&options);
    let page = exchange.server.registry.delete_collection(&cx, &options, &list.into_list()?).await?;
    if output.misfit {
        return Err(misfit_of(&cx, true));
    }
    list_answer(exchange, &cx, page, output)
}

fn answer(
    exchange: &Exchange<'_>,
    reply: Reply,
    resource: &ResourceInfo,
    output: Output,
) -> Result<Response<Body>, Status> {
    let (code, reply) = unwrap(StatusCode::OK, reply);
    if output.misfit
        && let Some(refusal) = misfit(&reply, resource)
    {
        return Err(refusal);
    }
    output.check_rows(exchange.query)?;
    let bytes = match &reply {
        Reply::Value { value, ty } => object::value(value, ty, resource, output),
        Reply::Object(stored) => match exchange.server.registry.convert(resource, stored) {
            Some(value) => object::value(&value, &resource.schema, resource, output),
            None => object::stored(stored, resource, output),
        },
        // Not reached: `unwrap` has taken these off.
        Reply::Created(_) | Reply::Accepted(_) => Default::default(),
    };
    let media =
        if bytes.first() == Some(&b'{') && output.media == Media::Protobuf { Media::Json } else { output.media };
    Ok(response::encoded(code, media, Body::Full(bytes)))
}

/// What is said of an object that was to be shown as a list. What only says that it went well is shown as it is.
fn misfit(reply: &Reply, resource: &ResourceInfo) -> Option<Status> {
    let kind = match reply {
        Reply::Value { value, .. } => value.get("kind").and_then(|kind| kind.as_str()).unwrap_or_default(),
        _ => &*resource.kind,
    };
    match (kind, resource.custom.is_some()) {
        ("Status", _) => None,
        ("Scale", true) => Some(negotiate::misfit("v1", kind, false)),
        (_, true) => Some(Status::plain(500, Reason::Unknown, "content is not a list")),
        (_, false) => Some(negotiate::misfit(&resource.group, kind, false)),
    }
}

/// What is said of a list that was to be shown as an object.
fn misfit_of(cx: &Context, is_list: bool) -> Status {
    match cx.resource.custom.is_some() {
        true => negotiate::misfit("unstructured", "UnstructuredList", is_list),
        false => negotiate::misfit(&cx.resource.group, &cx.resource.list_kind, is_list),
    }
}

fn unwrap(code: StatusCode, reply: Reply) -> (StatusCode, Reply) {
    match reply {
        Reply::Created(inner) => unwrap(StatusCode::CREATED, *inner),
        Reply::Accepted(inner) => unwrap(StatusCode::ACCEPTED, *inner),
        reply => (code, reply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managers_of_user_agents() {
        for (agent, want) in
            [("kubectl/v1.32.0 (linux/amd64)", "kubectl"), ("Go-http-client/2.0", "Go-http-client"), ("", "")]
        {
            let headers = HeaderMap::from_iter([(USER_AGENT, agent.parse().expect("a value"))]);
            assert_eq!(user_agent(&headers), want);
        }
    }

    #[test]
    fn watches_end_at_different_times() {
        let least = Duration::from_secs(10);
        for _ in 0..100 {
            let life = lifetime(least);
            assert!(life >= least && life <= least * 2);
        }
    }
}

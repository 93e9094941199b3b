//! Whether a request is served now, later or not at all: priority and fairness, or plain limits of
//! requests in flight without it.
//!
//! Upstream: `apiserver/pkg/server/filters/{priority-and-fairness,maxinflight}.go`.

use crate::body::Body;
use crate::inflight::Place;
use crate::query::Query;
use crate::request_info::RequestInfo;
use crate::response;
use crate::server::Server;
use apiserver_fairness::{Admission, Request, Ticket, width};
use apiserver_registry::UserInfo;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, Response, StatusCode};

/// UID of the `FlowSchema` that a request matched.
const SCHEMA_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
/// UID of its `PriorityLevelConfiguration`.
const LEVEL_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");
/// The group that is not limited in flight.
const PRIVILEGED: &str = "system:masters";

/// What a request holds while it is served.
pub struct Permit {
    ticket: Option<Ticket>,
    /// Counts the request in flight.
    _place: Place,
}

impl Permit {
    /// Tells the client how its request was classified.
    pub fn mark(&self, response: &mut Response<Body>) {
        if let Some(ticket) = &self.ticket {
            let (schema, level) = ticket.uids();
            mark(response, schema, level);
        }
    }
}

/// Whether the start of a watch waits for its turn; what it sends later does not.
pub fn limits_watches(server: &Server, info: &RequestInfo<'_>) -> bool {
    server.fairness.is_some() && info.is_resource && info.verb == "watch"
}

/// Waits until the request may be served; the answer to it if it may not.
pub async fn enter(
    server: &Server,
    method: &Method,
    user: &UserInfo,
    info: &RequestInfo<'_>,
    query: &Query<'_>,
) -> Result<Permit, Response<Body>> {
    let places = match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => &server.readonly,
        _ => &server.mutating,
    };
    let Some(fairness) = &server.fairness else {
        let place = match places.try_take() {
            None if user.groups.iter().any(|g| g == PRIVILEGED) => Some(places.take()),
            place => place,
        };
        return place.map(|place| Permit { ticket: None, _place: place }).ok_or_else(|| too_many(server));
    };
    let request = Request {
        user,
        verb: info.verb,
        is_resource: info.is_resource,
        group: info.group,
        resource: info.resource,
        subresource: info.subresource,
        namespace: info.namespace,
        path: info.path,
    };
    match fairness.admit(&request, seats(server, info, query)).await {
        Admission::Served(ticket) => Ok(Permit { ticket: Some(ticket), _place: places.take() }),
        Admission::Refused { schema_uid, level_uid, .. } => {
            let mut response = too_many(server);
            mark(&mut response, schema_uid, level_uid);
            Err(response)
        }
    }
}

/// Lists are as wide as what they go through.
fn seats(server: &Server, info: &RequestInfo<'_>, query: &Query<'_>) -> u32 {
    let registry = &server.registry;
    match info.verb {
        "list" if info.name.is_empty() => registry
            .resource(info.group, info.version, info.resource)
            .filter(|resource| resource.is_stored())
            .map_or(width::ONE, |resource| {
                let limit = query.int("limit").ok().flatten().unwrap_or_default();
                width::list(registry.store.count(&resource), usize::try_from(limit).unwrap_or_default())
            }),
        _ => width::ONE,
    }
}

fn mark(response: &mut Response<Body>, schema: HeaderValue, level: HeaderValue) {
    response.headers_mut().insert(SCHEMA_UID, schema);
    response.headers_mut().insert(LEVEL_UID, level);
}

fn too_many(server: &Server) -> Response<Body> {
    server.metrics.refused();
    let text = "Too many requests, please try again later.\n";
    let mut response = response::text(StatusCode::TOO_MANY_REQUESTS, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

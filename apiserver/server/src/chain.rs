//! The filters that every request passes, top-down, in one function.
//!
//! Upstream: `apiserver/pkg/server/config.go` (`DefaultBuildHandlerChain`).

mod deadline;
mod failure;
mod labels;

use crate::audit::{Seen, Trail};
use crate::authorization::Selected;
use crate::body::{self, Body, BodyError};
use crate::flow::{self, Permit};
use crate::lifecycle::Farewell;
use crate::metrics::RequestLabels;
use crate::negotiate;
use crate::query::{self, Query};
use crate::request_info::{BadPath, RequestInfo};
use crate::rest::Rest;
use crate::server::Server;
use crate::{aggregated, authorization, compress, connect, debug, endpoints, impersonation, resource, response};
use apimachinery::status::Status;
use apiserver_auth::authentication::Credentials;
use apiserver_auth::{Authenticated, Decision};
use apiserver_registry::{Annotations, UserInfo, Warnings};
use bytes::Bytes;
use deadline::{is_long_running, timeout_of};
use failure::{By, Failure};
use futures::FutureExt;
use http::header::{CACHE_CONTROL, CONNECTION, EXPECT, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::{Either, Full};
use labels::labels;
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

/// Longest audit ID that is taken over from a client.
const MAX_AUDIT_ID: usize = 64;

/// What is said of a header whose token is not where it is looked for.
///
/// Upstream: `apiserver/pkg/authentication/request/bearertoken`.
const SPACED_TOKEN: &str =
    "the provided Authorization header contains extra space before the bearer token, and is ignored";

/// What the connection knows of its client.
#[derive(Debug, Default)]
pub struct Peer {
    /// The client's certificates, its own first.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Its address.
    pub address: Option<std::net::SocketAddr>,
    /// How the connection is told to end.
    pub farewell: Farewell,
}

/// A request body of any origin.
pub trait Incoming:
    http_body::Body<Data = Bytes, Error: Into<BodyError> + std::fmt::Display> + Send + Unpin + 'static
{
}
impl<B> Incoming for B where
    B: http_body::Body<Data = Bytes, Error: Into<BodyError> + std::fmt::Display> + Send + Unpin + 'static
{
}

/// A request on its way through the filters.
pub struct Exchange<'a> {
    /// The server.
    pub server: &'a Arc<Server>,
    /// The connection.
    pub peer: &'a Peer,
    /// The request's ID in audit events and in the answer.
    pub audit_id: &'a HeaderValue,
    /// Method, URI, headers; extensions hold the connection's upgrade.
    pub parts: &'a Parts,
    /// What it is about.
    pub info: &'a RequestInfo<'a>,
    /// Its query.
    pub query: &'a Query<'a>,
    /// Who asks, impersonation applied.
    pub user: Arc<UserInfo>,
    /// When it must be answered.
    pub deadline: Instant,
    /// What the handler has to say to the audit event; `None` if there is none.
    pub annotations: Option<Arc<Annotations>>,
    /// What the handler has to say to the client, whatever comes of the request.
    pub warnings: &'a Arc<Warnings>,
}

/// Answers a request. Never fails and never panics.
pub async fn handle<B: Incoming>(server: Arc<Server>, peer: Arc<Peer>, request: Request<B>) -> Response<Body> {
    let started = Instant::now();
    let path = request.uri().path();
    if !query::has_whole_escapes(path) || path.is_empty() && request.method() != Method::CONNECT {
        let mut response = response::unreadable();
        peer.farewell.translate(&mut response);
        return response;
    }
    if request.method() == Method::OPTIONS && request.uri().path() == "*" {
        // Go's server answers this for its handlers, which do not see it.
        return Response::new(Body::from(""));
    }
    if !is_expectation_met(&request) {
        let mut response = Response::new(Body::from(""));
        *response.status_mut() = http::StatusCode::EXPECTATION_FAILED;
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        peer.farewell.translate(&mut response);
        return response;
    }
    let (parts, body) = request.into_parts();
    let audit_id = audit_id(&parts);
    let warnings = Arc::default();
    let arrival = Arrival { server: &server, peer: &peer, audit_id: &audit_id, warnings: &warnings };
    let (added, answer) = server.options.browsers.greet(&parts.method, &parts.headers);
    let answer = match answer {
        Some(answer) => Ok((answer, RequestLabels::default())),
        None => AssertUnwindSafe(filter(arrival, parts, body)).catch_unwind().await,
    };
    let (mut response, mut labels) = answer.unwrap_or_else(|_| {
        let status = Status::internal("the handler of this request panicked; the details are in the server's log");
        (response::failure(&status, negotiate::Output::default()), RequestLabels::default())
    });
    labels.code = response.status().as_u16().into();
    labels.component = "apiserver";
    server.metrics.observe(labels, started.elapsed());
    peer.farewell.perhaps(server.options.goaway_chance);
    peer.farewell.translate(&mut response);
    response::add_warnings(&mut response, &warnings.lock());
    let is_early = response.extensions_mut().remove::<response::BeforeCaching>().is_some();
    let headers = response.headers_mut();
    headers.insert(response::AUDIT_ID, audit_id);
    headers.extend(added.into_iter().flatten());
    if !is_early {
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    }
    response
}

/// Whether the server can do what the request expects it to: to say that it goes on. Go's server knows of nothing else,
/// and asks in HTTP/1 only.
fn is_expectation_met<B>(request: &Request<B>) -> bool {
    let expected = request.headers().get(EXPECT).map(HeaderValue::as_bytes).unwrap_or_default();
    request.version() > http::Version::HTTP_11
        || expected.is_empty()
        || expected.split(|byte| *byte == b',').any(|word| word.trim_ascii().eq_ignore_ascii_case(b"100-continue"))
}

/// A request as it came, before anything is known of it.
struct Arrival<'a> {
    server: &'a Arc<Server>,
    peer: &'a Peer,
    audit_id: &'a HeaderValue,
    warnings: &'a Arc<Warnings>,
}

async fn filter<B: Incoming>(arrival: Arrival<'_>, mut parts: Parts, body: B) -> (Response<Body>, RequestLabels) {
    if let Some(refusal) = arrival.server.lifecycle.refusal(&parts) {
        return (refusal, RequestLabels::default());
    }
    let waits = parts.headers.contains_key(EXPECT);
    let body = Rest::new(body, waits, &arrival.server.supervisor);
    let uri = parts.uri.clone();
    let path: Cow<'_, str> = percent_decode_str(uri.path()).decode_utf8_lossy();
    let query = Query::parse(uri.query().unwrap_or_default());
    let server = arrival.server;
    let mut permit = None;
    let (answer, labels) = match RequestInfo::parse(&parts.method, &path, &query) {
        Err(BadPath { path }) => (Ok(response::bad_path(&uri, path)), RequestLabels::default()),
        Ok(info) => {
            let answer = admit(arrival, &mut parts, &info, &query, body, &mut permit).await;
            let found = answer.as_ref().is_ok_and(|r| r.status() != http::StatusCode::NOT_FOUND);
            (answer, labels(&info, &query, found))
        }
    };
    let mut response = answer.unwrap_or_else(|failure| {
        if failure.by == By::Clock {
            return response::timed_out();
        }
        let mut response = response::failure(&failure.status, negotiate::error_output(&parts.headers, &query));
        if failure.by == By::Filter {
            response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        response
    });
    if response.status() == http::StatusCode::UNAUTHORIZED && server.authenticator.basic_file.is_some() {
        let challenge = HeaderValue::from_static("Basic realm=\"kubernetes-master\"");
        response.headers_mut().insert(http::header::WWW_AUTHENTICATE, challenge);
    }
    response = compress::apply(&parts.headers, response);
    if let Some(permit) = permit {
        permit.mark(&mut response);
        response = keep(response, permit);
    }
    (response, labels)
}

/// Bodies that are made while they are sent keep their permit until then.
fn keep(response: Response<Body>, permit: Permit) -> Response<Body> {
    match response.body() {
        Body::Pieces { .. } | Body::Transformed(_) => {
            response.map(|body| Body::Guarded(Box::new((body, Box::new(permit) as Box<dyn Send>))))
        }
        _ => response,
    }
}

/// Authentication, and the audit of all that follows. What the request holds while it is served goes
/// to `permit`.
async fn admit<B: Incoming>(
    Arrival { server, peer, audit_id, warnings }: Arrival<'_>,
    parts: &mut Parts,
    info: &RequestInfo<'_>,
    query: &Query<'_>,
    body: B,
    permit: &mut Option<Permit>,
) -> Result<Response<Body>, Failure> {
    let deadline = match timeout_of(server, info, query) {
        Ok(timeout) => Instant::now() + timeout,
        Err(refusal) => {
            if let Some(trail) = trail(server, peer, audit_id, parts, info, None) {
                trail.refused(refusal.code, &refusal.message).await;
            }
            return Err(refusal.into());
        }
    };
    let credentials = Credentials { certificates: &peer.certificates, headers: &parts.headers, path: info.path };
    if credentials.has_spaced_token() {
        warnings.lock().push(SPACED_TOKEN.to_owned());
    }
    let user = match server.authenticator.authenticate(&credentials).await {
        Authenticated::User(user) => user,
        refused => {
            if let Authenticated::Rejected(why) = refused {
                tracing::error!(err = why, "Unable to authenticate the request");
            }
            if let Some(trail) = trail(server, peer, audit_id, parts, info, None) {
                trail.unauthenticated().await;
            }
            return Err(Status::unauthorized().into());
        }
    };
    let mut trail = trail(server, peer, audit_id, parts, info, Some(&user));
    if let Some(mut begun) = trail.take() {
        if !begun.received().await {
            begun.give_up();
            return Ok(unrecorded(parts));
        }
        trail = Some(begun);
    }
    let entry = Entry { server, peer, audit_id, warnings, parts, info, query, user, deadline, permit };
    match (entry.proceed(body, trail.as_mut()).await, trail) {
        (Ok(response), Some(trail)) => Ok(trail.answered(response, is_long_running(info)).await),
        (Err(failure), Some(trail)) => {
            trail.failed(&failure.status).await;
            Err(failure)
        }
        (answer, None) => answer,
    }
}

/// What a request gets that must be recorded and cannot be.
fn unrecorded(parts: &Parts) -> Response<Body> {
    let uri = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let text = format!("Internal Server Error: {uri:?}: failed to store audit event\n");
    response::text(http::StatusCode::INTERNAL_SERVER_ERROR, text)
}

fn trail(
    server: &Server,
    peer: &Peer,
    audit_id: &HeaderValue,
    parts: &Parts,
    info: &RequestInfo<'_>,
    user: Option<&UserInfo>,
) -> Option<Trail> {
    let audit = server.audit.as_ref()?;
    let audit_id = audit_id.to_str().unwrap_or_default();
    let seen = Seen { audit_id, uri: &parts.uri, headers: &parts.headers, address: peer.address };
    audit.begin(user, &authorization::attributes(info), &seen)
}

/// An authenticated request.
struct Entry<'a, 'b> {
    server: &'a Arc<Server>,
    peer: &'a Peer,
    audit_id: &'a HeaderValue,
    warnings: &'a Arc<Warnings>,
    parts: &'a mut Parts,
    info: &'a RequestInfo<'b>,
    query: &'a Query<'b>,
    user: Arc<UserInfo>,
    deadline: Instant,
    permit: &'a mut Option<Permit>,
}

impl Entry<'_, '_> {
    /// Impersonation to handler.
    async fn proceed<B: Incoming>(self, body: B, mut trail: Option<&mut Trail>) -> Result<Response<Body>, Failure> {
        let Entry { server, peer, audit_id, warnings, parts, info, query, user, deadline, permit } = self;
        let long_running = is_long_running(info);
        let acting = server.impersonation.effective(&user, &parts.headers, || Selected::of(info, query)).await;
        let acting = acting.map_err(Failure::of_filter)?;
        if let (Some(trail), Some(acting)) = (trail.as_deref_mut(), &acting) {
            trail.impersonated(acting);
        }
        let user = acting.map_or(user, |acting| acting.user);
        parts.headers.remove(http::header::AUTHORIZATION);
        impersonation::strip(&mut parts.headers);
        if !long_running || flow::limits_watches(server, info) {
            match flow::enter(server, &parts.method, &user, info, query).await {
                Ok(entered) => *permit = Some(entered),
                Err(refusal) => return Ok(refusal),
            }
        }
        let decision = authorization::check(&server.authorizer, &user, info, query).await;
        if let Some(trail) = trail.as_deref_mut() {
            note_decision(trail, &decision);
        }
        decision.map_err(Failure::of_filter)?;
        if !long_running && deadline <= Instant::now() {
            return Err(Failure::of_clock());
        }
        // A body that dribbles in does not keep its place longer than any other request.
        let body = tokio::time::timeout_at(deadline.into(), recorded(parts, info, body, trail.as_deref_mut()));
        let body = body.await.map_err(|_| Failure::of_clock())??;
        let annotations = trail.as_ref().map(|_| Arc::<Annotations>::default());
        let noted = annotations.clone();
        let exchange =
            Exchange { server, peer, audit_id, parts, info, query, user, deadline, annotations: noted, warnings };
        let answer = dispatch(exchange, body);
        let answer = match long_running {
            true => Ok(answer.await),
            false => tokio::time::timeout_at(deadline.into(), answer).await.map_err(|_| Failure::of_clock()),
        };
        if let (Some(trail), Some(annotations)) = (trail, annotations) {
            annotations.lock().iter().for_each(|(key, value)| trail.annotate(key, value.as_str()));
        }
        Ok(answer??)
    }
}

fn note_decision(trail: &mut Trail, decision: &Result<Decision, Status>) {
    let (word, reason) = match decision {
        Ok(decision) => ("allow", decision.reason()),
        Err(_) => ("forbid", String::new()),
    };
    trail.annotate("authorization.k8s.io/decision", word);
    trail.annotate("authorization.k8s.io/reason", reason);
}

/// The body, read first if it is to be written down.
async fn recorded<B: Incoming>(
    parts: &Parts,
    info: &RequestInfo<'_>,
    body: B,
    trail: Option<&mut Trail>,
) -> Result<Either<B, Full<Bytes>>, Status> {
    let writes = matches!(info.verb, "create" | "update" | "patch" | "delete" | "deletecollection");
    let tunnels = connect::Kind::of(info).is_some();
    match trail.filter(|trail| trail.wants_request() && info.is_resource && writes && !tunnels) {
        Some(trail) => {
            let bytes = body::read(&parts.headers, body).await?;
            trail.request(&parts.headers, &bytes);
            Ok(Either::Right(Full::new(bytes)))
        }
        None => Ok(Either::Left(body)),
    }
}

async fn dispatch<B: Incoming>(exchange: Exchange<'_>, body: B) -> Result<Response<Body>, Status> {
    if exchange.info.path.starts_with("//") {
        // No path that is served begins so, though what the request is about can be read off it.
        return Ok(response::not_found());
    }
    if let Some(route) = exchange.server.aggregator.route(exchange.info.path) {
        return Box::pin(aggregated::serve(&exchange, &route, body)).await;
    }
    // What is rare is boxed, so that all else need not set aside the room for it.
    match (exchange.info.is_resource, connect::Kind::of(exchange.info)) {
        (false, _) if exchange.server.options.profiling && debug::is_meant(exchange.info.path) => {
            Box::pin(debug::serve(&exchange, body)).await
        }
        (false, _) => Box::pin(endpoints::serve(&exchange)).await,
        (true, Some(kind)) => Box::pin(connect::serve(&exchange, kind, body)).await,
        (true, None) => resource::serve(&exchange, body).await,
    }
}

fn audit_id(parts: &Parts) -> HeaderValue {
    let given = parts.headers.get(response::AUDIT_ID);
    given.filter(|v| !v.is_empty() && v.len() <= MAX_AUDIT_ID).cloned().unwrap_or_else(|| {
        let mut buffer = uuid::Uuid::encode_buffer();
        let text: &str = uuid::Uuid::new_v4().hyphenated().encode_lower(&mut buffer);
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expects_to_go_on_only() {
        for (version, expected, want) in [
            (http::Version::HTTP_11, "", true),
            (http::Version::HTTP_11, "100-Continue", true),
            (http::Version::HTTP_11, "x, 100-continue", true),
            (http::Version::HTTP_11, "x", false),
            (http::Version::HTTP_2, "x", true),
        ] {
            let request = Request::builder().version(version).header(EXPECT, expected).body(()).expect("a request");
            assert_eq!(is_expectation_met(&request), want, "{version:?} {expected}");
        }
    }
}

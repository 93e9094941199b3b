//! What is known of one request so far, and the events that come of it.

use super::event::{Event, ObjectRef};
use super::policy::Judgement;
use super::{Audit, Level, Stage, objects};
use crate::body::Body;
use crate::impersonation::Acting;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apimachinery::{Value, time};
use apiserver_auth::Attributes;
use apiserver_auth::reviews::user_value;
use apiserver_registry::UserInfo;
use http::{HeaderMap, Response, header};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Longest user agent that is recorded whole.
const MAX_USER_AGENT: usize = 1024;

/// What the server sees of a request before its handler does.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Its audit ID.
    pub audit_id: &'a str,
    /// Path and query.
    pub uri: &'a http::Uri,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The other end of the connection.
    pub address: Option<SocketAddr>,
}

/// A request's trail. Dropped before its end it says so.
#[derive(Debug)]
pub struct Trail {
    audit: Arc<Audit>,
    rule: Judgement,
    event: Event,
    is_complete: bool,
}

impl Trail {
    pub(super) fn new(
        audit: Arc<Audit>,
        rule: Judgement,
        user: Option<&UserInfo>,
        asked: &Attributes<'_>,
        seen: &Seen<'_>,
    ) -> Self {
        let received = time::now_micro();
        let event = Event {
            kind: "Event",
            api_version: "audit.k8s.io/v1",
            level: rule.level,
            audit_id: seen.audit_id.to_owned(),
            stage: Stage::RequestReceived,
            request_uri: seen.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            verb: asked.verb.to_owned(),
            user: user.map(user_value).unwrap_or_else(|| json!({})),
            impersonated_user: None,
            authentication_metadata: None,
            source_ips: source_ips(seen),
            user_agent: user_agent(seen.headers),
            object_ref: asked.is_resource.then(|| object_ref(asked)),
            response_status: None,
            request_object: None,
            response_object: None,
            stage_timestamp: received.clone(),
            request_received_timestamp: received,
            annotations: BTreeMap::new(),
        };
        Self { audit, rule, event, is_complete: false }
    }

    /// The request has come in. `false` if that must be recorded and cannot be.
    pub async fn received(&mut self) -> bool {
        self.emit(Stage::RequestReceived).await
    }

    /// Says no more: the request is refused because it cannot be recorded.
    pub fn give_up(mut self) {
        self.audit.metrics.rejected();
        self.is_complete = true;
    }

    /// Whether the request's body is wanted.
    pub fn wants_request(&self) -> bool {
        self.rule.level >= Level::Request
    }

    /// Adds an annotation.
    pub fn annotate(&mut self, key: &str, value: impl Into<String>) {
        self.event.annotations.insert(key.to_owned(), value.into());
    }

    /// The request is made as somebody else.
    pub fn impersonated(&mut self, acting: &Acting) {
        self.event.impersonated_user = Some(user_value(&acting.user));
        self.event.authentication_metadata = acting.constraint.map(|verb| json!({"impersonationConstraint": verb}));
    }

    /// Records the request's body.
    pub fn request(&mut self, headers: &HeaderMap, bytes: &[u8]) {
        let Some(mut object) = objects::tree(content_type(headers), bytes) else { return };
        if let Some(reference) = &mut self.event.object_ref {
            for (known, given) in [
                (&mut reference.namespace, object.namespace()),
                (&mut reference.name, object.name()),
                (&mut reference.uid, object.uid()),
                (&mut reference.resource_version, object.resource_version()),
            ] {
                if known.is_empty() {
                    given.clone_into(known);
                }
            }
        }
        if self.rule.omit_managed_fields {
            objects::omit_managed_fields(&mut object);
        }
        self.event.request_object = Some(object);
    }

    /// The request failed.
    pub async fn failed(mut self, status: &Status) {
        self.event.response_status = Some(bare(status));
        if self.rule.level == Level::RequestResponse {
            self.event.response_object = Some(status.to_value());
        }
        self.complete().await;
    }

    /// The request failed before it was anybody's.
    pub async fn unauthenticated(mut self) {
        self.annotate("authentication.k8s.io/outcome", "failure");
        self.refused(401, "Authentication failed, no credentials provided").await;
    }

    /// The request is refused before it is known whose it is.
    pub async fn refused(mut self, code: u16, why: &str) {
        self.event.response_status = Some(json!({"metadata": {}, "code": code, "message": why}));
        self.is_complete = true;
        self.emit(Stage::ResponseStarted).await;
    }

    /// The request is answered; the trail of a long answer ends with its body.
    pub async fn answered(mut self, response: Response<Body>, is_long: bool) -> Response<Body> {
        self.event.response_status = Some(json!({"metadata": {}, "code": response.status().as_u16()}));
        if is_long {
            self.emit(Stage::ResponseStarted).await;
            return response.map(|body| Body::Guarded(Box::new((body, Box::new(Running(self)) as Box<dyn Send>))));
        }
        let (parts, mut body) = response.into_parts();
        if self.rule.level == Level::RequestResponse
            && let Some(bytes) = objects::collected(&mut body)
        {
            let object = objects::tree(content_type(&parts.headers), &bytes);
            self.event.response_object = object.map(|mut object| {
                if self.rule.omit_managed_fields {
                    objects::omit_managed_fields(&mut object);
                }
                object
            });
        }
        self.complete().await;
        Response::from_parts(parts, body)
    }

    async fn complete(&mut self) {
        self.is_complete = true;
        self.emit(Stage::ResponseComplete).await;
    }

    async fn emit(&mut self, stage: Stage) -> bool {
        !self.enter(stage) || self.audit.keep(&self.event).await
    }

    fn emit_later(&mut self, stage: Stage) {
        if self.enter(stage) {
            self.audit.keep_later(&self.event);
        }
    }

    /// Whether the stage is worth an event.
    fn enter(&mut self, stage: Stage) -> bool {
        self.event.stage = stage;
        self.event.stage_timestamp = time::now_micro();
        !self.rule.omit_stages.contains(&stage)
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        if self.is_complete {
            return;
        }
        let panicked = std::thread::panicking();
        let (code, why) = if panicked { (500, "APIServer panic'd") } else { (200, "Connection closed early") };
        self.event.response_status.get_or_insert_with(|| json!({"metadata": {}, "code": code, "message": why}));
        self.emit_later(if panicked { Stage::Panic } else { Stage::ResponseComplete });
    }
}

/// A trail that is complete when the answer has been sent.
struct Running(Trail);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.is_complete = true;
        self.0.emit_later(Stage::ResponseComplete);
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// A status without `kind` and `apiVersion`, as events have it.
fn bare(status: &Status) -> Value {
    let mut value = status.to_value();
    if let Some(members) = value.as_object_mut() {
        members.remove("kind");
        members.remove("apiVersion");
    }
    value
}

fn object_ref(asked: &Attributes<'_>) -> ObjectRef {
    ObjectRef {
        resource: asked.resource.to_owned(),
        namespace: asked.namespace.to_owned(),
        name: asked.name.to_owned(),
        api_group: asked.group.to_owned(),
        api_version: asked.version.to_owned(),
        subresource: asked.subresource.to_owned(),
        ..ObjectRef::default()
    }
}

fn user_agent(headers: &HeaderMap) -> String {
    let text = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match text.get(..MAX_USER_AGENT) {
        Some(start) if text.len() > MAX_USER_AGENT => format!("{start}...TRUNCATED"),
        _ => text.to_owned(),
    }
}

/// What proxies say, then what the connection says; all but the last can be made up.
fn source_ips(seen: &Seen<'_>) -> Vec<String> {
    let text = |name: &str| seen.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let is_address = |ip: &&str| ip.parse::<std::net::IpAddr>().is_ok();
    let forwarded = text("x-forwarded-for").split(',').map(str::trim).filter(is_address);
    let mut ips: Vec<String> = forwarded.map(str::to_owned).collect();
    let real = Some(text("x-real-ip")).filter(is_address).map(str::to_owned).filter(|ip| !ips.contains(ip));
    ips.extend(real);
    let own = seen.address.map(|a| a.ip().to_canonical().to_string());
    ips.extend(own.filter(|ip| ips.last() != Some(ip)));
    ips
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_agents() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "10.0.0.1, nonsense".parse().expect("a header"));
        headers.insert("user-agent", "a".repeat(2000).parse().expect("a header"));
        let uri = "/api".parse().expect("a URI");
        let seen = Seen { audit_id: "", uri: &uri, headers: &headers, address: Some(([10, 0, 0, 2], 1).into()) };
        assert_eq!(source_ips(&seen), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(user_agent(&headers).len(), MAX_USER_AGENT + "...TRUNCATED".len());
    }
}

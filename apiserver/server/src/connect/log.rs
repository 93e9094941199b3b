//! `pods/log`: the kubelet's stream, checked options, its refusals as `Status`.
//!
//! Upstream: `pkg/registry/core/pod/rest/log.go`, `pkg/apis/core/validation` (`ValidatePodLogOptions`).

use super::pod::{container, kubelet_of};
use super::{aim, cached, find, forward};
use crate::body::Body;
use crate::chain::{Exchange, Incoming};
use crate::negotiate::{self, Offers, SUPPORTED};
use crate::query::Query;
use crate::websocket;
use apimachinery::Value;
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::gvk::{GroupResource, GroupVersionKind};
use apimachinery::meta::ObjectMeta;
use apimachinery::status::{Reason, Status};
use form_urlencoded::Serializer;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};

/// Bytes of a kubelet's refusal that are passed on.
const MAX_REFUSAL: usize = 50_000;

pub(super) async fn serve<B: Incoming>(exchange: &Exchange<'_>, body: B) -> Result<Response<Body>, Status> {
    let info = exchange.info;
    let headers = &exchange.parts.headers;
    negotiate::routed_to(headers, &format!("text/plain, {SUPPORTED}"))?;
    negotiate::output(headers, exchange.query, Offers::Plain)?;
    let options = Options::parse(exchange.query)?;
    let pod = cached(exchange, "pods", info.namespace, &info.name)?.value();
    options.check(pod.name())?;
    let container = container(&pod, exchange.query.text("container"))?;
    let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    if node.is_empty() {
        let mut response = Response::new(Body::from(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let address = kubelet_of(exchange, node)?;
    let path = options.path(&pod, &container);
    let mut request = aim(exchange, &path, &address.to_string(), body)?;
    request.headers_mut().remove(http::header::ACCEPT_ENCODING);
    let in_messages = websocket::is_asked(&exchange.parts.headers);
    if in_messages {
        websocket::strip(request.headers_mut());
    }
    let io = exchange.server.kubelets.connect(&address).await?;
    let answer = forward(exchange, request, io).await;
    let answer = answer.map_err(|error| Status::internal(format!("Get \"https://{address}{path}\": {error}")))?;
    if !answer.status().is_success() {
        let resource = find("pods")?.group_resource();
        return Err(refusal(answer, &resource, pod.name()).await);
    }
    let mut answer = answer;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    match in_messages {
        true => websocket::serve(exchange, answer, websocket::Framing::Bytes),
        false => Ok(answer),
    }
}

/// The options that have a say in the kubelet's path.
#[derive(Debug, Default)]
struct Options {
    flags: Vec<&'static str>,
    since_seconds: Option<i64>,
    since_time: String,
    tail_lines: Option<i64>,
    limit_bytes: Option<i64>,
    stream: String,
}

impl Options {
    fn parse(query: &Query<'_>) -> Result<Self, Status> {
        let int = |key: &str| query.int(key).map_err(Status::bad_request);
        Ok(Self {
            flags: ["follow", "previous", "timestamps"].into_iter().filter(|f| query.flag(f)).collect(),
            since_seconds: int("sinceSeconds")?,
            since_time: query.text("sinceTime").to_owned(),
            tail_lines: int("tailLines")?,
            limit_bytes: int("limitBytes")?,
            stream: query.text("stream").to_owned(),
        })
    }

    fn check(&self, pod: &str) -> Result<(), Status> {
        let mut errors = Vec::new();
        let mut add = |field, kind| errors.push(FieldError { path: Path::new(field), kind });
        let invalid = |value: i64, why: &str| FieldErrorKind::Invalid(value.to_string(), why.into());
        if let Some(lines) = self.tail_lines.filter(|n| *n < 0) {
            add("tailLines", invalid(lines, "must be greater than or equal to 0"));
        }
        if let Some(bytes) = self.limit_bytes.filter(|n| *n < 1) {
            add("limitBytes", invalid(bytes, "must be greater than 0"));
        }
        match self.since_seconds {
            Some(_) if !self.since_time.is_empty() => {
                let why = "at most one of `sinceTime` or `sinceSeconds` may be specified";
                // Upstream names no field, which it prints as an element of nothing.
                add("[]", FieldErrorKind::Forbidden(why.into()));
            }
            Some(seconds) if seconds < 1 => add("sinceSeconds", invalid(seconds, "must be greater than 0")),
            _ => {}
        }
        if !matches!(self.stream.as_str(), "" | "All" | "Stdout" | "Stderr") {
            let allowed = ["All", "Stderr", "Stdout"].map(String::from).to_vec();
            add("stream", FieldErrorKind::NotSupported(format!("{:?}", self.stream), allowed));
        }
        match errors.is_empty() {
            true => Ok(()),
            false => Err(Status::invalid(&GroupVersionKind::new("", "v1", "PodLogOptions"), pod, &errors)),
        }
    }

    fn path(&self, pod: &Value, container: &str) -> String {
        let mut query = Serializer::new(String::new());
        for flag in &self.flags {
            query.append_pair(flag, "true");
        }
        for (key, value) in
            [("sinceSeconds", self.since_seconds), ("tailLines", self.tail_lines), ("limitBytes", self.limit_bytes)]
        {
            if let Some(value) = value {
                query.append_pair(key, &value.to_string());
            }
        }
        for (key, value) in [("sinceTime", &self.since_time), ("stream", &self.stream)] {
            if !value.is_empty() {
                query.append_pair(key, value);
            }
        }
        let path = format!("/containerLogs/{}/{}/{container}", pod.namespace(), pod.name());
        match query.finish() {
            none if none.is_empty() => path,
            query => format!("{path}?{query}"),
        }
    }
}

/// A kubelet's refusal in its own words.
async fn refusal(answer: Response<Body>, resource: &GroupResource, name: &str) -> Status {
    let code = answer.status().as_u16();
    let text = Limited::new(answer.into_body(), MAX_REFUSAL).collect().await;
    let text = text.map(|b| String::from_utf8_lossy(&b.to_bytes()).into_owned()).unwrap_or_default();
    match code {
        400 => Status::bad_request(text),
        500 => Status::internal(text),
        404 => {
            let message = format!("the server could not find the requested resource ({resource} {name}): {text}");
            Status::plain(404, Reason::NotFound, message)
        }
        401 | 403 => Status::plain(code, Reason::Forbidden, format!("the kubelet refused ({resource} {name}): {text}")),
        _ => Status::plain(code, Reason::Unknown, format!("the kubelet answered {code} ({resource} {name}): {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn options_are_checked() {
        for (query, want) in [
            ("", None),
            ("tailLines=0&limitBytes=1&sinceSeconds=1", None),
            (
                "tailLines=-1",
                Some(
                    "PodLogOptions \"p\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0",
                ),
            ),
            (
                "limitBytes=0",
                Some("PodLogOptions \"p\" is invalid: limitBytes: Invalid value: 0: must be greater than 0"),
            ),
            (
                "sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z",
                Some(
                    "PodLogOptions \"p\" is invalid: []: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
                ),
            ),
            (
                "sinceSeconds=0",
                Some("PodLogOptions \"p\" is invalid: sinceSeconds: Invalid value: 0: must be greater than 0"),
            ),
        ] {
            let options = Options::parse(&Query::parse(query)).expect("numbers");
            assert_eq!(options.check("p").err().map(|s| s.message).as_deref(), want, "{query}");
        }
        assert_eq!(Options::parse(&Query::parse("tailLines=x")).expect_err("no number").code, 400);
    }

    #[test]
    fn options_become_the_kubelets() {
        let pod = json!({"metadata": {"name": "p", "namespace": "a"}});
        let options = Options::parse(&Query::parse("follow=true&tailLines=5&previous=false")).expect("numbers");
        assert_eq!(options.path(&pod, "c"), "/containerLogs/a/p/c?follow=true&tailLines=5");
    }
}

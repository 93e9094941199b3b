//! Answers as values, and what is said of those that are none.
//!
//! Upstream: `client-go/rest/request.go`, `apimachinery/pkg/runtime/serializer/json`.

use super::unanswered::{self, CutShort};
use super::{Deadline, Route, refusal, watch};
use crate::writing::log_error;
use anyhow::bail;
use apimachinery::Value;
use apimachinery::codec::{NO_KIND, TYPE_META};
use bytes::Bytes;
use http::{HeaderMap, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use rules::patch::go_kind;

/// JSON, or Go's words for what is wrong with it.
pub(crate) fn parsed(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| watch::json_words(body, &error))
}

/// An answer in a form that nobody asked for.
#[derive(Clone, Debug, thiserror::Error)]
#[error("serializer for {0} doesn't exist")]
pub(super) struct NoSerializer(pub(super) String);

/// The media type of an answer that is no JSON, although that was asked for.
pub(super) fn foreign_media(headers: &HeaderMap, accept: &str) -> Option<String> {
    let media = headers.get(header::CONTENT_TYPE)?.to_str().ok().filter(|media| !media.is_empty())?;
    let essence = media.split(';').next().unwrap_or_default().trim();
    let is_json = essence.eq_ignore_ascii_case("application/json");
    (accept.contains("application/json") && !is_json).then(|| media.to_owned())
}

/// Whoever sends a refusal as a success refuses nevertheless.
fn is_refusal(value: &Value) -> bool {
    value["kind"] == "Status" && value["status"] == "Failure"
}

/// What is shown as it is must be an object and say its kind.
pub(crate) fn unstructured(body: &[u8]) -> anyhow::Result<Value> {
    let value = parsed(body).map_err(|why| anyhow::anyhow!(why))?;
    if !value.is_object() && !value.is_null() {
        bail!("json: cannot unmarshal {} into Go value of type unstructured.detector", go_kind(&value));
    }
    if value["kind"].as_str().unwrap_or_default().is_empty() {
        bail!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(body));
    }
    if is_refusal(&value) {
        return Err(refusal_in(&value));
    }
    Ok(value)
}

/// The refusal that was sent as a success, or why it cannot be read.
fn refusal_in(status: &Value) -> anyhow::Error {
    match refusal::mistyped(status) {
        Some(why) => anyhow::anyhow!("json: cannot unmarshal {why}"),
        None => refusal::of_status(200, status).into(),
    }
}

/// What stands behind the path of a resource must say what it is: a server that answers anything else is not believed.
pub(super) fn read_object(path: &str, body: &[u8]) -> anyhow::Result<Value> {
    let value = read_json(body)?;
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    if is_of_resource(path) && is_refusal(&value) {
        return Err(refusal_in(&value));
    }
    if !is_of_resource(path) || !kind.is_empty() {
        return Ok(value);
    }
    match value.is_object() {
        true => bail!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(body)),
        false => bail!("{NO_KIND}json: cannot unmarshal {} into Go value of type {TYPE_META}", go_kind(&value)),
    }
}

/// Whether a path leads into a group version: `/api/v1/...`, `/apis/apps/v1/...`.
pub(super) fn is_of_resource(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let mut parts = path.split('/').skip(1);
    let versions = match parts.next() {
        Some("api") => 1,
        Some("apis") => 2,
        _ => return false,
    };
    parts.nth(versions).is_some_and(|resource| !resource.is_empty())
}

/// An object; in Go's words, why it is none.
fn read_json(body: &[u8]) -> anyhow::Result<Value> {
    let value = parsed(body).map_err(|why| anyhow::anyhow!("{NO_KIND}{why}"))?;
    match value.is_null() {
        true => bail!("Object 'Kind' is missing in 'null'"),
        false => Ok(value),
    }
}

/// All of a body, if it comes in time. One that does not is told in the log, too, unless it is a stream that broke off.
pub(super) async fn whole(response: Response<Incoming>) -> anyhow::Result<Bytes> {
    let is_logged = response.version() != http::Version::HTTP_2;
    all(response).await.map_err(|cut| {
        if is_logged {
            log_error("request.go:1196", &format!("\"Unexpected error when reading response body\" err={:?}", cut.0));
        }
        cut.into()
    })
}

async fn all(response: Response<Incoming>) -> Result<Bytes, CutShort> {
    let deadline = response.extensions().get::<Deadline>().copied();
    let route = Route::of(&response);
    let body = response.into_body().collect();
    let body = match deadline {
        None => body.await,
        Some(Deadline(deadline)) => match tokio::time::timeout_at(deadline, body).await {
            Ok(body) => body,
            Err(_) => return Err(CutShort(unanswered::TOO_LONG.into())),
        },
    };
    Ok(body.map_err(|error| CutShort(unanswered::body(&error, &route)))?.to_bytes())
}

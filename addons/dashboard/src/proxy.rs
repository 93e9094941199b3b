//! `/k8s/…`: a page's requests, passed on to the apiserver with the viewer's credential.
//!
//! Of what a page sends only the method, the path, the body and four headers go on; of what the apiserver answers
//! only the status, the body and a few headers come back.

use crate::path::{self, PathError, Target};
use crate::server::{App, failure};
use crate::session::{Session, Use};
use crate::upstream::UpstreamError;
use crate::{guard, terminal};
use bytes::Bytes;
use component::serve::{Request, Response};
use futures::StreamExt as _;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Uri};
use http_body_util::{BodyExt as _, BodyStream, Limited, StreamBody};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// What the paths of the apiserver stand behind.
pub const PREFIX: &str = "/k8s";
/// Sent by requests that nobody's hand has caused, which do not make the session last longer.
const BACKGROUND: &str = "x-kube-dashboard-background";
/// Most bytes of a request's body: as many as the apiserver takes.
const LONGEST: usize = 3 << 20;
/// How long a body may take to come.
const SLOWEST: Duration = Duration::from_secs(30);

/// What goes to the apiserver.
const ASKED: [HeaderName; 3] = [header::ACCEPT, header::CONTENT_TYPE, header::ACCEPT_ENCODING];
/// What comes back; the warnings are the apiserver's about what was sent.
const ANSWERED: [HeaderName; 3] = [header::CONTENT_ENCODING, header::RETRY_AFTER, header::WARNING];
/// Kinds of content that browsers do not run.
const INERT: [&str; 3] = ["application/json", "application/yaml", "text/plain"];

/// Why a request is not passed on, or has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// Its path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// It did not come from the dashboard's pages.
    #[error(transparent)]
    Foreign(#[from] guard::Foreign),
    /// Its body.
    #[error("the request's body is longer than {LONGEST} bytes, or did not come in time")]
    Body,
    /// So many of the session are under way already.
    #[error("too many requests of this session are under way")]
    Busy,
    /// The apiserver.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl ProxyError {
    /// As the apiserver would say it.
    pub fn response(&self) -> Response {
        let (status, reason) = match self {
            Self::Path(_) | Self::Foreign(_) => (StatusCode::FORBIDDEN, "Forbidden"),
            Self::Body => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            Self::Busy => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
            Self::Upstream(_) => (StatusCode::BAD_GATEWAY, "ServiceUnavailable"),
        };
        failure(status, reason, &self.to_string())
    }
}

/// Answers `/k8s/…`.
pub async fn handle(app: App, request: Request) -> Response {
    let is_socket = streaming::tunnel::wants_upgrade(request.http.headers());
    let kind = if is_socket { guard::Kind::WebSocket } else { guard::Kind::Fetch };
    if let Err(foreign) = guard::check(request.http.headers(), guard::host(&request.http), kind) {
        return ProxyError::Foreign(foreign).response();
    }
    let usage = usage(request.http.headers());
    let session = match app.session(request.http.headers(), usage) {
        Ok(session) => session,
        Err(refusal) => return refusal,
    };
    match pass(&app, session, request.http, is_socket).await {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(%error, "not passed on");
            error.response()
        }
    }
}

fn usage(headers: &HeaderMap) -> Use {
    if headers.contains_key(BACKGROUND) { Use::Background } else { Use::Viewer }
}

async fn pass(
    app: &App,
    session: Session,
    request: http::Request<hyper::body::Incoming>,
    is_socket: bool,
) -> Result<Response, ProxyError> {
    let inner = request.uri().path().strip_prefix(PREFIX).ok_or(PathError::Outside)?;
    let target = path::check(request.method(), inner, request.uri().query(), is_socket)?;
    let uri = inner_uri(inner, request.uri().query())?;
    let place = session.places.clone().try_acquire_owned().map_err(|_| ProxyError::Busy)?;
    match target {
        Target::Terminal => Ok(terminal::open(app, &session, place, request, uri).await?),
        Target::Plain => {
            let request = outgoing(request, uri).await?;
            let response = app.upstream.send(&session, &app.sessions, request).await?;
            Ok(incoming(response, &session, place))
        }
    }
}

/// What is left of the address for the apiserver.
fn inner_uri(path: &str, query: Option<&str>) -> Result<Uri, PathError> {
    let text = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    text.parse().map_err(|_| PathError::Segment)
}

async fn outgoing(request: http::Request<hyper::body::Incoming>, uri: Uri) -> Result<http::Request<Bytes>, ProxyError> {
    let (parts, body) = request.into_parts();
    let body = tokio::time::timeout(SLOWEST, Limited::new(body, LONGEST).collect()).await;
    let body = body.map_err(|_| ProxyError::Body)?.map_err(|_| ProxyError::Body)?.to_bytes();
    let mut request = http::Request::new(body);
    *request.method_mut() = parts.method;
    *request.uri_mut() = uri;
    *request.headers_mut() = asked(&parts.headers);
    Ok(request)
}

fn asked(headers: &HeaderMap) -> HeaderMap {
    let mut sent = HeaderMap::new();
    for name in ASKED {
        if let Some(value) = headers.get(&name) {
            sent.insert(name, value.clone());
        }
    }
    // The apiserver compresses with gzip alone.
    if let Some(value) = sent.get_mut(header::ACCEPT_ENCODING) {
        let has_gzip = value.to_str().is_ok_and(|value| value.contains("gzip"));
        *value = HeaderValue::from_static(if has_gzip { "gzip" } else { "identity" });
    }
    sent
}

/// The apiserver's answer, which ends with the session at the latest.
fn incoming(response: http::Response<kube::client::Body>, session: &Session, place: OwnedSemaphorePermit) -> Response {
    let (parts, body) = response.into_parts();
    let end = session.end.clone().cancelled_owned();
    let frames = BodyStream::new(body.map_err(Into::into)).take_until(Box::pin(end)).map(move |frame| {
        let _held = &place;
        frame
    });
    let mut response = http::Response::new(StreamBody::new(frames).boxed_unsync());
    *response.status_mut() = parts.status;
    *response.headers_mut() = answered(&parts.headers);
    response
}

fn answered(headers: &HeaderMap) -> HeaderMap {
    let mut told = HeaderMap::new();
    for name in ANSWERED {
        for value in headers.get_all(&name) {
            told.append(name.clone(), value.clone());
        }
    }
    told.insert(header::CONTENT_TYPE, content_type(headers));
    told
}

/// What could be run is called bytes.
fn content_type(headers: &HeaderMap) -> HeaderValue {
    let found = headers.get(header::CONTENT_TYPE).filter(|value| {
        let media = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        INERT.iter().any(|inert| media.eq_ignore_ascii_case(inert))
    });
    found.cloned().unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().expect("a value"));
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn few_headers_go_on() {
        let sent = asked(&headers(&[
            ("accept", "application/json"),
            ("accept-encoding", "gzip, br"),
            ("authorization", "Bearer other"),
            ("impersonate-user", "admin"),
            ("x-remote-user", "admin"),
            ("cookie", "a=b"),
            ("host", "x"),
        ]));
        assert_eq!(sent, headers(&[("accept", "application/json"), ("accept-encoding", "gzip")]));
    }

    #[test]
    fn answers_are_never_run() {
        for (given, want) in [
            ("application/json", "application/json"),
            ("application/json;as=Table;v=v1;g=meta.k8s.io", "application/json;as=Table;v=v1;g=meta.k8s.io"),
            ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
            ("text/html", "application/octet-stream"),
            ("image/svg+xml", "application/octet-stream"),
            ("application/javascript", "application/octet-stream"),
        ] {
            assert_eq!(content_type(&headers(&[("content-type", given)])), want);
        }
        let told = answered(&headers(&[("set-cookie", "a=b"), ("warning", "299 - \"old\""), ("location", "x")]));
        assert_eq!(told, headers(&[("warning", "299 - \"old\""), ("content-type", "application/octet-stream")]));
    }
}

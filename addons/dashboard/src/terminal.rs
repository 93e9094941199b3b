//! Terminals: a WebSocket of a page, joined with one to the apiserver. Nothing in it is read here.

use crate::proxy::ProxyError;
use crate::server::App;
use crate::session::Session;
use crate::upstream::UpstreamError;
use component::serve::Response;
use futures::FutureExt as _;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty};
use streaming::tunnel;
use tokio::sync::OwnedSemaphorePermit;

/// What is spoken in it; a page could otherwise bring a token of its own as a protocol.
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
/// What goes to the apiserver beside the protocols.
const ASKED: [HeaderName; 4] =
    [header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION];
/// What comes back with an upgrade.
const ANSWERED: [HeaderName; 4] =
    [header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_ACCEPT, header::SEC_WEBSOCKET_PROTOCOL];

/// Passes an upgrade on; the terminal ends with the session at the latest.
pub async fn open(
    app: &App,
    session: &Session,
    place: OwnedSemaphorePermit,
    mut request: http::Request<hyper::body::Incoming>,
    uri: Uri,
) -> Result<Response, ProxyError> {
    *request.uri_mut() = uri;
    *request.headers_mut() = asked(request.headers());
    app.upstream.address(&mut request, &session.credential)?;
    let io = app.upstream.dial(&session.credential).await?;
    let forwarded = tunnel::forward(request, io).await;
    let tunnel::Forwarded { response, driver } =
        forwarded.map_err(|error| UpstreamError::Unreachable(error.to_string()))?;
    let end = session.end.clone();
    app.supervisor.spawn_until_stop("terminal", async move {
        let _held = place;
        futures::future::select(driver, end.cancelled().boxed()).await;
    });
    Ok(answer(response))
}

fn asked(headers: &HeaderMap) -> HeaderMap {
    let mut sent = HeaderMap::new();
    for name in ASKED {
        if let Some(value) = headers.get(&name) {
            sent.insert(name, value.clone());
        }
    }
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let offered: Vec<&str> = offered.flat_map(|value| value.split(',')).map(str::trim).collect();
    let spoken: Vec<&str> = PROTOCOLS.into_iter().filter(|protocol| offered.contains(protocol)).collect();
    if let Ok(value) = HeaderValue::from_str(&spoken.join(", ")) {
        sent.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
    sent
}

fn answer(response: http::Response<hyper::body::Incoming>) -> Response {
    let (parts, body) = response.into_parts();
    let is_open = parts.status == StatusCode::SWITCHING_PROTOCOLS;
    let body = match is_open {
        true => Empty::new().map_err(|never| match never {}).boxed_unsync(),
        false => body.map_err(Into::into).boxed_unsync(),
    };
    let mut response = http::Response::new(body);
    *response.status_mut() = parts.status;
    let headers = response.headers_mut();
    for name in ANSWERED.into_iter().filter(|_| is_open) {
        if let Some(value) = parts.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    if !is_open {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_no_protocol() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static("base64url.bearer.authorization.k8s.io.YQ, v4.channel.k8s.io, v5.channel.k8s.io"),
        );
        headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("k"));
        headers.insert("impersonate-user", HeaderValue::from_static("admin"));
        let sent = asked(&headers);
        assert_eq!(sent[header::SEC_WEBSOCKET_PROTOCOL], "v5.channel.k8s.io, v4.channel.k8s.io");
        assert_eq!(sent.len(), 2);
    }
}

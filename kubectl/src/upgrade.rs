//! Requests that become streams: WebSocket first, SPDY where the server refuses that.
//!
//! Upstream: `client-go/transport/{websocket,spdy}`, `client-go/tools/portforward/tunneling_dialer.go`.

use crate::http::{Client, Patience, Stream, Subject, refused};
use anyhow::{Context, anyhow, bail};
use apimachinery::Value;
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{HeaderName, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::future::ready;
use std::io;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};

/// The header that names what is spoken on SPDY's streams.
const PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// Longest answer that is told.
const MAX_ANSWER: usize = 64 << 10;

/// What a WebSocket carries whose messages are bytes of a SPDY connection.
const TUNNEL: &str = "SPDY/3.1+";

/// A switch of an upgrade, in the environment.
///
/// Upstream: `kubectl/pkg/cmd/util/helpers.go` (`FeatureGate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// `KUBECTL_REMOTE_COMMAND_WEBSOCKETS`.
    RemoteCommand,
    /// `KUBECTL_PORT_FORWARD_WEBSOCKETS`.
    PortForward,
}

impl Gate {
    /// Whether WebSockets are to be tried: unless somebody says otherwise.
    pub fn allows_websockets(self) -> bool {
        let name = match self {
            Gate::RemoteCommand => "KUBECTL_REMOTE_COMMAND_WEBSOCKETS",
            Gate::PortForward => "KUBECTL_PORT_FORWARD_WEBSOCKETS",
        };
        std::env::var(name).map_or(true, |value| value != "false")
    }
}

/// Why there is no WebSocket.
#[derive(Debug)]
pub enum NoWebSocket {
    /// The server answered something else: another protocol may do.
    Refused(anyhow::Error),
    /// The server cannot be talked to.
    Failed(anyhow::Error),
}

/// Opens a WebSocket for a sub-protocol.
pub async fn websocket(
    client: &Client,
    path: &str,
    protocol: &str,
) -> Result<WebSocketStream<Box<dyn Stream>>, NoWebSocket> {
    let request = websocket_request(client, path, protocol).map_err(NoWebSocket::Failed)?;
    let stream = client.dial().await.map_err(NoWebSocket::Failed)?;
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            let subject = Subject::of(&Method::GET, path);
            let refused = refused(response.status().as_u16(), response.headers(), body, &subject);
            Err(NoWebSocket::Refused(refused.into()))
        }
        // An answer without the sub-protocol is none.
        Err(error @ Error::Protocol(_)) => Err(NoWebSocket::Refused(error.into())),
        Err(error) => Err(NoWebSocket::Failed(anyhow::Error::from(error).context("opening the stream"))),
    }
}

fn websocket_request(client: &Client, path: &str, protocol: &str) -> anyhow::Result<http::Request<()>> {
    let scheme = if client.server().starts_with("https") { "wss" } else { "ws" };
    let host = client.server().split("://").nth(1).unwrap_or_default();
    let mut request = format!("{scheme}://{host}{path}").into_client_request()?;
    request.headers_mut().remove(header::HOST);
    for (name, value) in &client.headers()? {
        request.headers_mut().append(name.clone(), value.clone());
    }
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol.parse()?);
    Ok(request)
}

/// A SPDY connection whose bytes travel as messages of a WebSocket.
pub async fn tunnel(client: &Client, path: &str, protocol: &str) -> Result<Box<dyn Stream>, NoWebSocket> {
    let socket = websocket(client, path, &format!("{TUNNEL}{protocol}")).await?;
    let (sink, source) = socket.split();
    let bytes = source.filter_map(|message| {
        ready(match message {
            Ok(Message::Binary(bytes)) => Some(Ok(bytes)),
            Ok(_) => None,
            Err(error) => Some(Err(io::Error::other(error))),
        })
    });
    let sink =
        sink.sink_map_err(io::Error::other).with(|bytes: Bytes| ready(Ok::<_, io::Error>(Message::Binary(bytes))));
    Ok(Box::new(tokio::io::join(StreamReader::new(bytes), SinkWriter::new(CopyToBytes::new(sink)))))
}

/// What the server says instead of a stream.
///
/// Upstream: `streaming/pkg/httpstream/spdy/roundtripper.go` (`NewConnection`).
async fn not_upgraded(response: http::Response<Incoming>) -> anyhow::Error {
    let body = match Limited::new(response.into_body(), MAX_ANSWER).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return anyhow!("unable to upgrade connection: unable to read error from server response"),
    };
    anyhow!("unable to upgrade connection: {}", said(&body))
}

/// The message of a `Status`, or of something like it; or all of the text.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    let members = ["message", "error"].map(|key| object[key].as_str().unwrap_or_default());
    let said = members.into_iter().chain([&*text]).map(str::trim).find(|said| !said.is_empty());
    said.unwrap_or("empty server response").to_owned()
}

/// A SPDY connection.
pub async fn spdy(client: &Client, path: &str, protocol: &str) -> anyhow::Result<Box<dyn Stream>> {
    let headers = [(header::CONNECTION, "Upgrade"), (header::UPGRADE, "SPDY/3.1"), (PROTOCOL, protocol)];
    let response = client.ask(Patience::None, Method::POST, path, &headers, Bytes::new()).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(not_upgraded(response).await);
    }
    match response.headers().get(PROTOCOL).map(|taken| taken.to_str().unwrap_or_default().to_owned()) {
        Some(taken) if taken == protocol => {}
        taken => bail!("unable to upgrade connection: the server speaks {:?}", taken.unwrap_or_default()),
    }
    let upgraded = hyper::upgrade::on(response).await.context("unable to upgrade connection")?;
    Ok(Box::new(TokioIo::new(upgraded)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_instead_of_a_stream_is_told() {
        for (body, want) in [
            (r#"{"kind": "Status", "message": "pod p has no host"}"#, "pod p has no host"),
            (r#"{"message": " ", "error": "no"}"#, "no"),
            (r#"{"message": 5}"#, r#"{"message": 5}"#),
            (" no\n", "no"),
            ("", "empty server response"),
        ] {
            assert_eq!(said(body.as_bytes()), want, "{body}");
        }
    }
}

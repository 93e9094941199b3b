//! Answers as WebSocket messages: logs and watches, for clients that ask for them so, such as browsers.
//!
//! Upstream: `streaming/pkg/httpstream/wsstream` (`Reader`), `apiserver/pkg/endpoints/handlers/watch.go` (`HandleWS`).

use crate::body::Body;
use crate::chain::Exchange;
use apimachinery::status::{Reason, Status};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Buf, Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use streaming::tunnel;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

/// Bytes of a message of the client, which has nothing to say.
const MAX_RECEIVED: usize = 64 * 1024;

/// How a body becomes messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// As its pieces come, in the sub-protocol that the client chose.
    Bytes,
    /// One line each: a watch in JSON.
    Lines,
    /// One frame each, without the length in front of it: a watch in protobuf.
    Frames,
}

/// Whether the client asks for messages.
pub fn is_asked(headers: &HeaderMap) -> bool {
    let websocket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    tunnel::wants_upgrade(headers) && headers.get(UPGRADE).is_some_and(websocket)
}

/// Removes what asks for messages: who is asked next is to answer with a body.
pub fn strip(headers: &mut HeaderMap) {
    for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION] {
        headers.remove(name);
    }
}

/// Answers the handshake; the answer's body follows in messages until it ends or the client goes.
pub fn serve(exchange: &Exchange<'_>, answer: Response<Body>, framing: Framing) -> Result<Response<Body>, Status> {
    let handshake = Handshake::of(&exchange.parts.headers, framing)?;
    let upgrade = exchange.parts.extensions.get::<OnUpgrade>().cloned();
    let upgrade = upgrade.ok_or_else(|| Status::bad_request("WebSockets need HTTP/1.1"))?;
    let protocol = handshake.protocol;
    exchange.server.supervisor.spawn_until_stop("messages", async move {
        match upgrade.await {
            Ok(io) => send(io, answer.into_body(), framing, protocol).await,
            Err(error) => tracing::debug!(%error, "the connection did not become a WebSocket"),
        }
    });
    Ok(handshake.accepted())
}

/// What the client asked for, as far as it can have it.
#[derive(Debug)]
struct Handshake {
    accept: String,
    protocol: Protocol,
}

/// The sub-protocols of streams of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// None was asked for; messages are binary for bytes and as the data is for watches.
    Unnamed,
    Binary,
    Base64,
}

const PROTOCOLS: [(&str, Protocol); 2] =
    [("binary.k8s.io", Protocol::Binary), ("base64.binary.k8s.io", Protocol::Base64)];

impl Handshake {
    fn of(headers: &HeaderMap, framing: Framing) -> Result<Self, Status> {
        if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version.as_bytes() != b"13") {
            return Err(Status::bad_request("missing or bad WebSocket Version"));
        }
        let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| Status::bad_request("mismatch challenge/response"))?;
        let protocol = match framing {
            Framing::Bytes => choose(headers)?,
            Framing::Lines | Framing::Frames => Protocol::Unnamed,
        };
        Ok(Self { accept: derive_accept_key(key.as_bytes()), protocol })
    }

    fn accepted(&self) -> Response<Body> {
        let mut response = Response::new(Body::Full(Bytes::new()));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        if let Ok(accept) = HeaderValue::from_str(&self.accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some((name, _)) = PROTOCOLS.iter().find(|(_, protocol)| *protocol == self.protocol) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
        }
        response
    }
}

/// The first protocol of the client's that is known here.
fn choose(headers: &HeaderMap) -> Result<Protocol, Status> {
    let lists = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut asked = lists.flat_map(|list| list.split(',')).map(str::trim).filter(|name| !name.is_empty()).peekable();
    if asked.peek().is_none() {
        return Ok(Protocol::Unnamed);
    }
    let known = |name: &str| PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, protocol)| *protocol);
    asked.find_map(known).ok_or_else(|| {
        Status::plain(
            403,
            Reason::Forbidden,
            "requested protocol(s) are not supported: supports [binary.k8s.io base64.binary.k8s.io]",
        )
    })
}

async fn send(io: Upgraded, body: Body, framing: Framing, protocol: Protocol) {
    let config = WebSocketConfig::default().max_message_size(Some(MAX_RECEIVED)).max_frame_size(Some(MAX_RECEIVED));
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Server, Some(config)).await;
    let (mut sink, mut received) = socket.split();
    let sent = async {
        let ended = copy(body, framing, protocol, &mut sink).await;
        if ended.is_ok() {
            // The client may be gone by now.
            let _ = sink.close().await;
        }
    };
    // What the client says is ignored, but reading it is how its end is noticed.
    let ignored = async { while let Some(Ok(_)) = received.next().await {} };
    tokio::select! {
        () = sent => {}
        () = ignored => {}
    }
}

type Gone = tokio_tungstenite::tungstenite::Error;

async fn copy<S>(mut body: Body, framing: Framing, protocol: Protocol, sink: &mut S) -> Result<(), Gone>
where
    S: futures::Sink<Message, Error = Gone> + Unpin,
{
    if framing == Framing::Bytes {
        sink.send(message(Bytes::new(), framing, protocol)).await?;
    }
    let mut rest = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        if framing == Framing::Bytes {
            sink.send(message(data, framing, protocol)).await?;
            continue;
        }
        rest.extend_from_slice(&data);
        while let Some(item) = split(&mut rest, framing) {
            sink.feed(message(item, framing, protocol)).await?;
        }
        sink.flush().await?;
    }
    Ok(())
}

fn message(data: Bytes, framing: Framing, protocol: Protocol) -> Message {
    match (framing, protocol) {
        (Framing::Lines, _) => match data.try_into() {
            Ok(text) => Message::Text(text),
            // JSON is text; nothing else comes in lines.
            Err(_) => Message::Binary(Bytes::new()),
        },
        (_, Protocol::Base64) => Message::text(BASE64_STANDARD.encode(&data)),
        _ => Message::Binary(data),
    }
}

/// Takes the first whole item off.
fn split(rest: &mut BytesMut, framing: Framing) -> Option<Bytes> {
    match framing {
        Framing::Bytes => (!rest.is_empty()).then(|| rest.split().freeze()),
        Framing::Lines => {
            let end = memchr::memchr(b'\n', rest)?;
            Some(rest.split_to(end + 1).freeze())
        }
        Framing::Frames => {
            let length = rest.first_chunk().map(|head| u32::from_be_bytes(*head) as usize)?;
            if rest.len() < 4 + length {
                return None;
            }
            rest.advance(4);
            Some(rest.split_to(length).freeze())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(protocols: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let values = [(CONNECTION, "keep-alive, Upgrade"), (UPGRADE, "WebSocket"), (SEC_WEBSOCKET_VERSION, "13")];
        for (name, value) in values {
            headers.insert(name, HeaderValue::from_static(value));
        }
        // Key and answer of RFC 6455.
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        if let Some(protocols) = protocols {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(protocols).expect("a header"));
        }
        headers
    }

    #[test]
    fn agrees_on_a_protocol() {
        for (asked, want) in [
            (None, Ok(Protocol::Unnamed)),
            (Some("binary.k8s.io"), Ok(Protocol::Binary)),
            (Some("x, base64.binary.k8s.io"), Ok(Protocol::Base64)),
            (Some("x"), Err(403)),
        ] {
            let handshake = Handshake::of(&headers(asked), Framing::Bytes);
            assert_eq!(handshake.map(|h| h.protocol).map_err(|status| status.code), want, "{asked:?}");
        }
    }

    #[test]
    fn answers_the_handshake() {
        assert!(is_asked(&headers(None)));
        let answer = Handshake::of(&headers(Some("binary.k8s.io")), Framing::Bytes).expect("agreed").accepted();
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(answer.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(answer.headers()[SEC_WEBSOCKET_PROTOCOL], "binary.k8s.io");
        for missing in [SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION] {
            let mut headers = headers(None);
            headers.remove(missing);
            assert_eq!(Handshake::of(&headers, Framing::Bytes).map(drop).map_err(|status| status.code), Err(400));
        }
        let mut plain = headers(None);
        strip(&mut plain);
        assert!(plain.is_empty());
    }

    #[tokio::test]
    async fn bodies_become_messages() {
        let pieces = |pieces: &'static [&'static [u8]]| Body::Pieces {
            pieces: Box::new(pieces.iter().map(|piece| Bytes::from_static(piece))),
            length: None,
        };
        let binary = |data: &'static [u8]| Message::Binary(Bytes::from_static(data));
        for (body, framing, protocol, want) in [
            (
                pieces(&[b"a\nb", b"c"]),
                Framing::Bytes,
                Protocol::Binary,
                vec![binary(b""), binary(b"a\nb"), binary(b"c")],
            ),
            (pieces(&[b"abc"]), Framing::Bytes, Protocol::Base64, vec![Message::text(""), Message::text("YWJj")]),
            (
                pieces(&[b"{}\n{\"a\"", b":1}\n"]),
                Framing::Lines,
                Protocol::Unnamed,
                vec![Message::text("{}\n"), Message::text("{\"a\":1}\n")],
            ),
            (
                pieces(&[b"\0\0\0\x02ab\0\0\0", b"\x01c"]),
                Framing::Frames,
                Protocol::Unnamed,
                vec![binary(b"ab"), binary(b"c")],
            ),
        ] {
            let (sender, received) = futures::channel::mpsc::unbounded();
            let mut sink = sender.sink_map_err(|_| Gone::ConnectionClosed);
            copy(body, framing, protocol, &mut sink).await.expect("sent");
            drop(sink);
            assert_eq!(received.collect::<Vec<_>>().await, want, "{framing:?}");
        }
    }
}

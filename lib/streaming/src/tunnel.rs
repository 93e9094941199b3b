//! Passing one HTTP/1.1 request on over a fresh connection, with its upgrade if it asks for one.
//!
//! The caller owns the tasks: [`forward`] answers with the response and a [`Driver`] that must be
//! polled for as long as the body or the tunnel lives.
//!
//! Upstream: `apimachinery/pkg/util/proxy/upgradeaware.go`.

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use http::header::{CONNECTION, HeaderMap, HeaderName, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};

/// A request body of any origin.
pub type RequestBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Moves the bytes of one forwarded request; ends when the response body or the tunnel has ended.
pub type Driver = BoxFuture<'static, ()>;

/// Bytes buffered in each direction of a tunnel.
const BUFFER: usize = 16 * 1024;

/// Headers that concern one hop only and are not passed on.
const HOP_BY_HOP: &[&str] =
    &["keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"];

/// Why a request could not be passed on.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The other server did not speak HTTP, or went away before it answered.
    #[error("the server behind the proxy did not answer")]
    Exchange(#[source] hyper::Error),
}

/// The answer of the other server.
pub struct Forwarded {
    /// Status, headers and body as they came. With status 101 the body is empty and the bytes
    /// flow in the driver once the response has been sent to the client.
    pub response: Response<Incoming>,
    /// Must be polled until it ends.
    pub driver: Driver,
}

impl std::fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarded").field("response", &self.response).finish_non_exhaustive()
    }
}

/// Whether the client asks to leave HTTP on this connection.
pub fn wants_upgrade(headers: &HeaderMap) -> bool {
    let named = |value: &http::HeaderValue| {
        value.to_str().is_ok_and(|v| v.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade")))
    };
    headers.contains_key(UPGRADE) && headers.get_all(CONNECTION).iter().any(named)
}

/// Removes the headers that end at this hop; those of an upgrade stay.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let upgrade = wants_upgrade(headers);
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|token| token.trim().parse().ok())
        .filter(|name| *name != UPGRADE)
        .collect();
    for name in listed {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(*name);
    }
    match upgrade {
        true => drop(headers.insert(CONNECTION, http::HeaderValue::from_static("Upgrade"))),
        false => {
            headers.remove(CONNECTION);
            headers.remove(UPGRADE);
        }
    }
}

/// Sends `request` (its URI in origin form, its `Host` set) over `io` and waits for the head of
/// the answer. If the request asks for an upgrade and the other side agrees, the driver copies
/// bytes both ways between the client's connection and `io`. A refusal comes back as it is.
pub async fn forward<B, I>(mut request: Request<B>, io: I) -> Result<Forwarded, TunnelError>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let client = wants_upgrade(request.headers()).then(|| hyper::upgrade::on(&mut request));
    strip_hop_by_hop(request.headers_mut());
    let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
    let (mut sender, connection) =
        http1::handshake::<_, RequestBody>(TokioIo::new(io)).await.map_err(TunnelError::Exchange)?;
    let connection = connection.with_upgrades().map(drop).boxed();
    let answer = sender.send_request(request).boxed();
    let (mut response, connection) = match select(answer, connection).await {
        Either::Left((answer, connection)) => (answer.map_err(TunnelError::Exchange)?, Some(connection)),
        // The connection may end with the answer already on its way to us.
        Either::Right(((), answer)) => (answer.await.map_err(TunnelError::Exchange)?, None),
    };
    let driver = match (response.status(), client) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(client)) => {
            tunnel(client, hyper::upgrade::on(&mut response), connection).boxed()
        }
        _ => drive(connection).boxed(),
    };
    Ok(Forwarded { response, driver })
}

async fn drive(connection: Option<BoxFuture<'static, ()>>) {
    if let Some(connection) = connection {
        connection.await;
    }
}

async fn tunnel(client: OnUpgrade, server: OnUpgrade, connection: Option<BoxFuture<'static, ()>>) {
    let copy = async {
        match futures::try_join!(client, server) {
            Ok((client, server)) => {
                let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
                if let Err(error) = copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER).await {
                    tracing::debug!(%error, "tunnel ended");
                }
            }
            Err(error) => tracing::debug!(%error, "upgrade was not completed"),
        }
    };
    futures::join!(copy, drive(connection));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse::<HeaderName>().expect("a name"), v.parse().expect("a value"))).collect()
    }

    #[test]
    fn recognises_upgrades() {
        for (pairs, want) in [
            (&[("connection", "Upgrade"), ("upgrade", "SPDY/3.1")][..], true),
            (&[("connection", "keep-alive, upgrade"), ("upgrade", "websocket")], true),
            (&[("connection", "keep-alive"), ("upgrade", "websocket")], false),
            (&[("connection", "upgrade")], false),
        ] {
            assert_eq!(wants_upgrade(&headers(pairs)), want, "{pairs:?}");
        }
    }

    #[test]
    fn strips_what_ends_at_this_hop() {
        let mut plain =
            headers(&[("connection", "close, x-mine"), ("x-mine", "1"), ("te", "trailers"), ("accept", "*/*")]);
        strip_hop_by_hop(&mut plain);
        assert_eq!(plain, headers(&[("accept", "*/*")]));
        let mut upgrade =
            headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket"), ("keep-alive", "5")]);
        strip_hop_by_hop(&mut upgrade);
        assert_eq!(upgrade, headers(&[("upgrade", "websocket"), ("connection", "Upgrade")]));
    }
}

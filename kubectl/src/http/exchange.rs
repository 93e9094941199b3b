//! One request and its answer over a connection that is kept, and their lines in the log.
//!
//! Upstream: Go's `net/http` (`Transport.roundTrip`), `client-go/transport/round_trippers.go`.

use super::heard::{Heard, Listening};
use super::{Client, Opened, Route, Why, Wire, proxy, unanswered};
use bytes::Bytes;
use http::{Method, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most headers of an answer; a warning is one.
const MAX_HEADERS: usize = 4096;

impl Client {
    /// Sends a request through the connection that is open, or a new one; tells when there is one.
    pub(super) async fn exchange(
        &self,
        method: &Method,
        path: &str,
        extra: &[(header::HeaderName, &str)],
        body: &Bytes,
        reached: &AtomicBool,
    ) -> Result<Response<Incoming>, Why> {
        let build = || -> anyhow::Result<http::Request<Full<Bytes>>> {
            let forwarder = self.forwarder();
            // Who passes a request on must know where to.
            let origin = forwarder.map_or_else(String::new, |_| self.address.url.origin().ascii_serialization());
            let mut request =
                http::Request::builder().method(method.clone()).uri(format!("{origin}{}{path}", self.base_path()));
            if let Some(headers) = request.headers_mut() {
                *headers = self.headers()?;
                if let Some(authorization) = forwarder.and_then(proxy::authorization) {
                    headers.insert(header::PROXY_AUTHORIZATION, authorization.parse()?);
                }
                for (name, value) in extra {
                    headers.insert(name.clone(), value.parse()?);
                }
            }
            Ok(request.body(Full::new(body.clone()))?)
        };
        let build = || build().map_err(|error| Why::Broken(format!("{error:#}")));
        // Taken in a line of its own, so that the lock is free again.
        let idle = self.idle.lock().await.take();
        if let Some(mut wire) = idle {
            reached.store(true, Ordering::Relaxed);
            match pass(&mut wire.sender, build()?).await {
                Ok(mut response) => {
                    response.extensions_mut().insert(Route(wire.route.clone()));
                    *self.idle.lock().await = Some(wire);
                    return Ok(response);
                }
                // The server may have closed a connection that was not used for a while.
                Err(error) if unheard(&error, method, &wire.heard) => {}
                Err(error) => return Err(unanswered::exchange(&error, &wire.route, &wire.heard)),
            }
        }
        let mut wire = self.connect().await?;
        reached.store(true, Ordering::Relaxed);
        let answer = pass(&mut wire.sender, build()?).await;
        let mut response = answer.map_err(|error| unanswered::exchange(&error, &wire.route, &wire.heard))?;
        response.extensions_mut().insert(Route(wire.route.clone()));
        *self.idle.lock().await = Some(wire);
        Ok(response)
    }

    /// `-v=6` and above: what was asked, and what came of it.
    pub(super) fn log(
        &self,
        method: &Method,
        path: &str,
        headers: &[(header::HeaderName, &str)],
        response: &Response<Incoming>,
        took: std::time::Duration,
    ) {
        if self.connection.verbosity < 6 {
            return;
        }
        let (status, milliseconds) = (response.status(), took.as_millis());
        let url = format!("{}{path}", self.server());
        eprintln!("\"Response\" verb=\"{method}\" url=\"{url}\" status=\"{status}\" milliseconds={milliseconds}");
        if self.connection.verbosity >= 7 {
            // What the caller asks for; who it is stays out of the log.
            for (name, value) in headers {
                eprintln!("  > {name}: {value}");
            }
            for (name, value) in response.headers() {
                eprintln!("  {name}: {}", crate::print::harmless(&String::from_utf8_lossy(value.as_bytes())));
            }
        }
    }

    async fn connect(&self) -> Result<Wire, Why> {
        let opened = match self.forwarder() {
            Some(proxy) => proxy::enter(proxy, &self.tls_of_proxy()?).await,
            None => self.open().await,
        };
        let Opened { stream, route } = opened?;
        let heard = Heard::default();
        let stream = TokioIo::new(Listening { stream, listener: heard.clone() });
        let opened = hyper::client::conn::http1::Builder::new().max_headers(MAX_HEADERS).handshake(stream).await;
        let (sender, connection) = opened.map_err(|error| unanswered::exchange(&error, &route, &heard))?;
        // A command-line tool is its own supervisor: the task ends with the process.
        #[expect(clippy::disallowed_methods, reason = "one connection, owned by the process")]
        tokio::spawn(async move {
            // With what an upgrade leaves of it.
            let _ = connection.with_upgrades().await;
        });
        Ok(Wire { sender, route, heard })
    }
}

async fn pass(
    sender: &mut SendRequest<Full<Bytes>>,
    request: http::Request<Full<Bytes>>,
) -> hyper::Result<Response<Incoming>> {
    sender.ready().await?;
    sender.send_request(request).await
}

/// Whether the server did not get a request, or may get it twice.
fn unheard(error: &hyper::Error, method: &Method, heard: &Heard) -> bool {
    // Of an answer that began nothing more comes by asking again.
    let lost = error.is_incomplete_message() && heard.is_empty();
    error.is_canceled() || error.is_closed() || method.is_safe() && lost
}

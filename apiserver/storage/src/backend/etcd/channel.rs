//! How requests get to etcd: HTTP/2 with nothing in between.
//!
//! tonic's own channel passes a request on to a worker, which passes it on to a task of hyper's, which passes its head on to
//! the connection's task and its body only after that has sent the head. A write then takes two system calls and two
//! packets, each of which wakes etcd, and four tasks that wake each other on whatever threads are free. Here the
//! caller gives head and body to the connection, whose task sends them in one piece.
//!
//! Requests go to the members of the cluster in turn, but for those that cannot be reached.

mod body;
mod member;

use body::Received;
use bytes::Bytes;
use h2::SendStream;
use http_body::Body as _;
use member::{Member, Patience};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::BoxError;
use tower::util::BoxCloneSyncService;

use super::ending::LookAhead;
use crate::{StorageError, StoreConfig};

/// How soon a peer that is gone without a word is noticed.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeepAlive {
    /// Time between two questions whether it is there.
    pub(super) interval: Duration,
    /// How long it has to answer one.
    pub(super) timeout: Duration,
}

/// The members of a cluster.
struct Cluster {
    members: Vec<Member>,
    /// Counts requests, to take turns.
    turn: AtomicUsize,
}

/// A channel to a cluster. It connects when first used, and again whenever a connection breaks.
///
/// # Errors
/// An address or a certificate makes no sense.
pub(super) fn channel(config: &StoreConfig, keep_alive: KeepAlive) -> Result<etcd_client::Channel, StorageError> {
    let cluster = Arc::new(Cluster { members: member::all(config, keep_alive)?, turn: AtomicUsize::new(0) });
    let service = tower::service_fn(move |request: Request<Body>| {
        let cluster = cluster.clone();
        async move { cluster.send(request).await.map_err(BoxError::from) }
    });
    Ok(etcd_client::Channel::Custom(BoxCloneSyncService::new(service)))
}

impl Cluster {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let (member, mut line) = self.line().await?;
        let (mut head, body) = request.into_parts();
        head.uri = member.address(&head.uri)?;
        let (answer, stream) = line.send_request(Request::from_parts(head, ()), false).map_err(broken)?;
        Sending { body: LookAhead::new(body), stream }.begin();
        let (head, body) = answer.await.map_err(broken)?.into_parts();
        Ok(Response::from_parts(head, Body::new(Received::new(body))))
    }

    /// A connection to a member that can be reached.
    async fn line(&self) -> Result<(&Member, h2::client::SendRequest<Bytes>), Status> {
        let (others, first) = self.members.split_at(self.turn.fetch_add(1, Ordering::Relaxed) % self.members.len());
        let mut failed = None;
        // If none can be reached without trouble, each is tried whatever is known of it.
        for patience in [Patience::None, Patience::Any] {
            for member in first.iter().chain(others) {
                match member.line(patience).await {
                    Ok(Some(line)) => return Ok((member, line)),
                    Ok(None) => {}
                    Err(error) => failed = Some(error),
                }
            }
        }
        Err(Status::unavailable(failed.map(|error| error.to_string()).unwrap_or_default()))
    }
}

/// What a broken connection or stream is to callers.
fn broken(error: h2::Error) -> Status {
    Status::from_error(Box::new(error))
}

/// A request's body on its way.
struct Sending {
    body: LookAhead,
    stream: SendStream<Bytes>,
}

impl Sending {
    /// Sends what there is, which is all of it but for watches and leases.
    fn begin(mut self) {
        if self.poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending() {
            member::run(async move { std::future::poll_fn(|cx| self.poll(cx)).await });
        }
    }

    /// The connection keeps what etcd has no room for yet: the messages are small, and one is a whole object at most.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // Who has hung up gets no more.
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(());
            }
            let (data, is_last) = match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => (frame.into_data().unwrap_or_default(), self.body.is_end_stream()),
                None => (Bytes::new(), true),
                Some(Err(_)) => {
                    self.stream.send_reset(h2::Reason::CANCEL);
                    return Poll::Ready(());
                }
            };
            if self.stream.send_data(data, is_last).is_err() || is_last {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests;

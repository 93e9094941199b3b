//! What is left of a request's body when the answer is known before it: read and thrown away up to
//! a limit, because a client that still sends may lose the answer to a connection that is closed.
//!
//! Upstream: Go's `net/http` server, which reads on up to 256 KiB and closes slowly after that.

use bytes::{Buf, Bytes};
use component::Supervisor;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Most bytes that are thrown away: more than the largest request that is served.
const AT_MOST: usize = 4 * 1024 * 1024;
/// Longest time that they may take.
const LONGEST: Duration = Duration::from_secs(5);

/// A request's body. Dropped before its end, a task reads on.
#[derive(Debug)]
pub(crate) struct Rest<B: Body<Data = Bytes> + Unpin + Send + 'static> {
    body: Option<B>,
    /// Owns that task; none for a body that is empty.
    reader: Option<Supervisor>,
    /// Nothing has asked for it, so a client that asked first (`Expect: 100-continue`) sends nothing.
    is_untouched: bool,
    waits: bool,
}

impl<B: Body<Data = Bytes> + Unpin + Send + 'static> Rest<B> {
    /// `waits` is whether the client waits for a sign before it sends the body.
    pub(crate) fn new(body: B, waits: bool, supervisor: &Supervisor) -> Self {
        let reader = (!body.is_end_stream()).then(|| supervisor.clone());
        Self { body: Some(body), reader, is_untouched: true, waits }
    }
}

impl<B: Body<Data = Bytes> + Unpin + Send + 'static> Body for Rest<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.is_untouched = false;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl<B: Body<Data = Bytes> + Unpin + Send + 'static> Drop for Rest<B> {
    fn drop(&mut self) {
        let (Some(body), Some(reader)) = (self.body.take(), &self.reader) else { return };
        if body.is_end_stream() || (self.waits && self.is_untouched) {
            return;
        }
        reader.spawn_until_stop("rest of a request", async move {
            let _whatever_came = tokio::time::timeout(LONGEST, discard(body)).await;
        });
    }
}

async fn discard<B: Body<Data = Bytes> + Unpin>(mut body: B) {
    let mut left = AT_MOST;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Buf::remaining);
        match left.checked_sub(bytes) {
            Some(less) => left = less,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use http_body_util::StreamBody;
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A body of pieces that counts what is read of it.
    fn pieces(count: usize, read: Arc<AtomicUsize>) -> impl Body<Data = Bytes, Error = Infallible> + Unpin + Send {
        StreamBody::new(futures::stream::iter(0..count).map(move |_| {
            read.fetch_add(1, Ordering::Relaxed);
            Ok(Frame::data(Bytes::from_static(&[0; 1024])))
        }))
    }

    #[tokio::test]
    async fn what_is_left_is_read_within_limits() {
        for (count, waits, want) in [(10, false, 10), (10, true, 0), (100_000, false, AT_MOST / 1024 + 1)] {
            let (supervisor, read) = (Supervisor::new(), Arc::<AtomicUsize>::default());
            drop(Rest::new(pieces(count, read.clone()), waits, &supervisor));
            // The task runs on this thread, and its body is always ready.
            tokio::task::yield_now().await;
            supervisor.shutdown(Duration::from_secs(5)).await;
            assert_eq!(read.load(Ordering::Relaxed), want, "{count} {waits}");
        }
    }
}

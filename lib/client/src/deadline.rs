//! Deadlines of requests: a server that is reached, but stopped or stuck, must not hold its clients.

use http::{Request, Response};
use http_body::{Body, Frame};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use tower::BoxError;

/// How long an answer may take to begin. The server itself ends a request after 60 s.
const ANSWER: Duration = Duration::from_secs(65);
/// How long the next part of an answer may take. Watches and followed logs have no such limit:
/// they are quiet by nature, and a dead peer is noticed below them.
const PART: Duration = Duration::from_secs(30);

/// What a server failed to do in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeadlineError {
    /// No answer began.
    #[error("net/http: request canceled (Client.Timeout exceeded while awaiting headers): no answer within {0:?}")]
    Answer(Duration),
    /// An answer stopped in the middle.
    #[error("net/http: request canceled (Client.Timeout or context cancellation while reading body): silent for {0:?}")]
    Part(Duration),
}

/// Gives every request its deadlines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines;

impl<S> tower::Layer<S> for Deadlines {
    type Service = Timely<S>;

    fn layer(&self, inner: S) -> Timely<S> {
        Timely { inner }
    }
}

/// A service whose answers begin and go on in time.
#[derive(Clone, Debug)]
pub(crate) struct Timely<S> {
    inner: S,
}

type Answering<B> = Pin<Box<dyn Future<Output = Result<Response<Paced<B>>, BoxError>> + Send>>;

impl<S, A, B> tower::Service<Request<A>> for Timely<S>
where
    S: tower::Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: 'static,
{
    type Response = Response<Paced<B>>;
    type Error = BoxError;
    type Future = Answering<B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<A>) -> Answering<B> {
        let endless = is_endless(&request);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = tokio::time::timeout(ANSWER, answer).await.map_err(|_| DeadlineError::Answer(ANSWER))?;
            Ok(answer.map_err(Into::into)?.map(|body| Paced::new(body, (!endless).then_some(PART))))
        })
    }
}

/// Whether the answer has no end of its own: a watch, a followed log, an upgraded connection.
pub(crate) fn is_endless<A>(request: &Request<A>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let asked = |name: &str| {
        query.split('&').filter_map(|pair| pair.split_once('=')).any(|(key, value)| key == name && is_true(value))
    };
    asked("watch") || asked("follow") || request.headers().contains_key(http::header::UPGRADE)
}

fn is_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

/// A body whose next part must come in time.
pub(crate) struct Paced<B> {
    inner: B,
    limit: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl<B> Paced<B> {
    fn new(inner: B, limit: Option<Duration>) -> Self {
        Self { inner, limit: limit.map(|limit| (limit, Box::pin(tokio::time::sleep(limit)))) }
    }
}

impl<B> Body for Paced<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = &mut *self;
        let part = Pin::new(&mut this.inner).poll_frame(cx);
        let Some((limit, sleep)) = &mut this.limit else { return part.map_err(Into::into) };
        if part.is_ready() {
            sleep.as_mut().reset(Instant::now() + *limit);
            return part.map_err(Into::into);
        }
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Some(Err(DeadlineError::Part(*limit).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, StreamBody};
    use tower::{Layer as _, Service as _, ServiceExt as _};

    fn get(uri: &str) -> Request<()> {
        Request::get(uri).body(()).unwrap()
    }

    #[test]
    fn watches_and_followed_logs_have_no_end() {
        for (uri, endless) in [
            ("/api/v1/pods?watch=1", true),
            ("/api/v1/pods?a=b&watch=true&timeoutSeconds=290", true),
            ("/api/v1/namespaces/n/pods/p/log?follow=true", true),
            ("/api/v1/pods?watch=false", false),
            ("/api/v1/pods?labelSelector=watch", false),
            ("/api/v1/pods", false),
        ] {
            assert_eq!(is_endless(&get(uri)), endless, "{uri}");
        }
        let upgrade = Request::get("/exec").header(http::header::UPGRADE, "websocket").body(()).unwrap();
        assert!(is_endless(&upgrade));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_must_begin() {
        let silent = tower::service_fn(|_: Request<()>| std::future::pending::<Result<Response<String>, BoxError>>());
        let mut service = Deadlines.layer(silent);
        let error = service.ready().await.unwrap().call(get("/watch?watch=1")).await.err().unwrap();
        assert_eq!(error.downcast_ref(), Some(&DeadlineError::Answer(ANSWER)));
    }

    /// A part every 20 s, three in all, then silence.
    fn slow() -> impl Body<Data = Bytes, Error = BoxError> + Unpin {
        let parts = futures::stream::unfold(0, |n| async move {
            if n == 3 {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_secs(20)).await;
            Some((Ok(Frame::data(Bytes::from_static(b"x"))), n + 1))
        });
        StreamBody::new(Box::pin(parts))
    }

    async fn parts(uri: &str) -> (usize, Option<BoxError>) {
        let answer = tower::service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(slow())) });
        let mut body = Deadlines.layer(answer).oneshot(get(uri)).await.unwrap().into_body();
        let mut count = 0;
        loop {
            match tokio::time::timeout(Duration::from_secs(600), body.frame()).await {
                Ok(Some(Ok(_))) => count += 1,
                Ok(Some(Err(error))) => return (count, Some(error)),
                Ok(None) | Err(_) => return (count, None),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_must_go_on_and_a_watch_may_be_quiet() {
        let (count, error) = parts("/api/v1/pods").await;
        assert_eq!((count, error.unwrap().downcast_ref().copied()), (3, Some(DeadlineError::Part(PART))));
        let (count, error) = parts("/api/v1/pods?watch=1").await;
        assert!(count == 3 && error.is_none());
    }
}

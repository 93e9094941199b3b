//! How many requests a client sends: so many at once, then so many per second. The others wait.
//!
//! Upstream: `client-go/util/flowcontrol/throttle.go`.

use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// A limit on requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Time for one request.
    each: Duration,
    /// Requests that may be sent at once.
    burst: u32,
}

impl Rate {
    /// From `qps` and `burst`; less than zero is no limit, and zero what clients do when nobody says anything.
    pub fn of(qps: f32, burst: i32) -> Option<Self> {
        let qps = if qps == 0.0 { 5.0 } else { qps };
        let each = Duration::try_from_secs_f32(1.0 / qps).ok()?;
        let burst = u32::try_from(burst).ok().filter(|burst| *burst > 0).unwrap_or(10);
        Some(Self { each, burst })
    }
}

/// A layer that keeps requests to a rate.
#[derive(Clone, Debug)]
pub(crate) struct Limit(Option<Arc<Bucket>>);

/// Requests take their turns at fixed distances; up to a burst of them are saved.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    /// The turn of the next request, if none were saved.
    next: Mutex<Instant>,
}

impl Limit {
    pub(crate) fn to(rate: Option<Rate>) -> Self {
        Self(rate.map(|rate| Arc::new(Bucket { rate, next: Mutex::new(Instant::now()) })))
    }
}

impl Bucket {
    /// When the next request may be sent.
    fn turn(&self) -> Instant {
        let now = Instant::now();
        let saved = self.rate.each.saturating_mul(self.rate.burst.saturating_sub(1));
        let mut next = self.next.lock();
        let turn = (*next).max(now.checked_sub(saved).unwrap_or(now));
        *next = turn + self.rate.each;
        turn
    }
}

impl<S> tower::Layer<S> for Limit {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { inner, bucket: self.0.clone() }
    }
}

/// A service that waits for its turn.
#[derive(Clone, Debug)]
pub(crate) struct Limited<S> {
    inner: S,
    bucket: Option<Arc<Bucket>>,
}

type Answering<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl<S, R> tower::Service<R> for Limited<S>
where
    S: tower::Service<R> + Clone + Send + 'static,
    S::Future: Send,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answering<S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let turn = self.bucket.as_ref().map(|bucket| bucket.turn());
        match turn.filter(|turn| *turn > Instant::now()) {
            None => Box::pin(self.inner.call(request)),
            Some(turn) => {
                // The one that is ready serves; the clone takes its place.
                let clone = self.inner.clone();
                let mut ready = std::mem::replace(&mut self.inner, clone);
                Box::pin(async move {
                    tokio::time::sleep_until(turn).await;
                    ready.call(request).await
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower::{Layer as _, Service as _, ServiceExt as _};

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_others_one_by_one() {
        let answer = tower::service_fn(|(): ()| async { Ok::<_, std::convert::Infallible>(Instant::now()) });
        let mut limited = Limit::to(Rate::of(2.0, 3)).layer(answer);
        tokio::time::advance(Duration::from_secs(60)).await;
        let start = Instant::now();
        let mut times = Vec::new();
        for _ in 0..5 {
            let sent = limited.ready().await.unwrap().call(()).await.unwrap();
            times.push(sent.duration_since(start).as_millis());
        }
        assert_eq!(times, [0, 0, 0, 500, 1000]);
    }

    #[test]
    fn less_than_zero_is_no_limit() {
        assert_eq!(Rate::of(-1.0, 10), None);
        assert_eq!(Rate::of(0.0, 0), Rate::of(5.0, 10));
    }
}

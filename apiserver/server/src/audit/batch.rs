//! Events that wait until there are enough of them, or until they have waited long enough.
//!
//! Upstream: `apiserver/plugin/pkg/audit/buffered`.

use super::sink::{Counted, Encoded};
use component::Supervisor;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// `--audit-*-batch-*`.
#[derive(Clone, Debug)]
pub struct BatchOptions {
    /// Events that wait, at most; what comes on top is dropped.
    pub buffer: usize,
    /// Events that are sent at once, at most.
    pub max_size: usize,
    /// How long a batch that is not full waits.
    pub max_wait: Duration,
    /// How many batches are sent.
    pub throttle: Option<Throttle>,
}

/// How many batches are sent.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    /// Batches per second.
    pub qps: f64,
    /// Batches at once, if none were sent before.
    pub burst: f64,
}

/// Starts the task that sends what is put into the queue.
pub(super) fn start(
    backend: Arc<Counted>,
    options: BatchOptions,
    max_bytes: usize,
    supervisor: &Supervisor,
) -> mpsc::Sender<Encoded> {
    let (sender, queue) = mpsc::channel(options.buffer.max(1));
    let bucket = options.throttle.map(Bucket::new);
    let batches = Batches { backend, options, max_bytes, queue, bucket, supervisor: supervisor.clone() };
    supervisor.spawn("audit events", batches.run());
    sender
}

struct Batches {
    backend: Arc<Counted>,
    options: BatchOptions,
    max_bytes: usize,
    queue: mpsc::Receiver<Encoded>,
    bucket: Option<Bucket>,
    supervisor: Supervisor,
}

impl Batches {
    /// Sends until the supervisor stops and nothing is left.
    async fn run(mut self) {
        loop {
            let batch = self.collect().await;
            if batch.is_empty() {
                if self.supervisor.is_stopping() {
                    return;
                }
                continue;
            }
            if let Some(bucket) = &mut self.bucket {
                let wait = bucket.take(Instant::now());
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.supervisor.stopping() => {}
                }
            }
            self.send(batch).await;
        }
    }

    /// The next events: those that come in time after a first one. Empty if the supervisor stops and
    /// none are left.
    async fn collect(&mut self) -> Vec<Encoded> {
        let mut batch = Vec::new();
        let mut end = Instant::now();
        while batch.len() < self.options.max_size {
            let event = tokio::select! {
                biased;
                event = self.queue.recv() => event,
                () = self.supervisor.stopping() => return batch,
                () = tokio::time::sleep_until(end), if !batch.is_empty() => return batch,
            };
            match event {
                Some(event) => {
                    if batch.is_empty() {
                        end = Instant::now() + self.options.max_wait;
                    }
                    batch.push(event);
                }
                None => {
                    self.supervisor.stopping().await;
                    return batch;
                }
            }
        }
        batch
    }

    async fn send(&self, events: Vec<Encoded>) {
        for part in split(events, self.max_bytes) {
            let backend = self.backend.clone();
            let deliver = async move {
                backend.deliver(&part).await;
            };
            match self.backend.is_remote() {
                true => self.supervisor.spawn("audit batch", deliver),
                false => deliver.await,
            }
        }
    }
}

/// Batches of at most so many bytes; one event can be larger.
fn split(events: Vec<Encoded>, max_bytes: usize) -> Vec<Vec<Encoded>> {
    let (mut parts, mut bytes) = (vec![Vec::new()], 0usize);
    for event in events {
        let size = event.bytes.len();
        if bytes > 0 && bytes.saturating_add(size) > max_bytes {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes = bytes.saturating_add(size);
        if let Some(part) = parts.last_mut() {
            part.push(event);
        }
    }
    parts
}

/// A bucket of tokens.
#[derive(Debug)]
struct Bucket {
    throttle: Throttle,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn new(throttle: Throttle) -> Self {
        Self { throttle, tokens: throttle.burst, at: Instant::now() }
    }

    /// Takes a token; how long to wait for it.
    fn take(&mut self, now: Instant) -> Duration {
        let earned = now.duration_since(self.at).as_secs_f64() * self.throttle.qps;
        (self.tokens, self.at) = ((self.tokens + earned).min(self.throttle.burst) - 1.0, now);
        Duration::try_from_secs_f64(-self.tokens.min(0.0) / self.throttle.qps).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_cut_by_size() {
        let event = |size: usize| Encoded { audit_id: String::new(), bytes: vec![0; size] };
        let sizes = |events: &[usize], max| {
            let events = events.iter().map(|size| event(*size)).collect();
            split(events, max).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[4, 4, 4], 8), [2, 1]);
        assert_eq!(sizes(&[100, 4], 8), [1, 1]);
        assert_eq!(sizes(&[4, 4], usize::MAX), [2]);
    }

    #[test]
    fn tokens_are_earned() {
        let mut bucket = Bucket::new(Throttle { qps: 10.0, burst: 2.0 });
        let start = bucket.at;
        let waits = [0, 0, 0, 1000].map(|millis| bucket.take(start + Duration::from_millis(millis)).as_millis());
        assert_eq!(waits, [0, 0, 100, 0]);
    }
}

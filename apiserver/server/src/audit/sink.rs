//! One place for events: what is cut off of them, and whether a request waits until they are there.
//!
//! Upstream: `apiserver/pkg/server/options/audit.go`, `apiserver/plugin/pkg/audit/truncate`.

use super::batch::{self, BatchOptions};
use super::event::Event;
use super::{Level, Log, Metrics, Webhook};
use component::Supervisor;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Says that objects were taken out of an event.
const TRUNCATED: &str = "audit.k8s.io/truncated";

/// `--audit-log-mode`, `--audit-webhook-mode`.
#[derive(Clone, Debug)]
pub enum Mode {
    /// A request goes on once its event is there, or could not be brought there.
    Blocking,
    /// A request that cannot be recorded at its begin fails.
    BlockingStrict,
    /// A task of its own brings events there.
    Batch(BatchOptions),
}

/// `--audit-*-truncate-*`: what is too large loses its objects, and is dropped if that does not help.
#[derive(Clone, Copy, Debug)]
pub struct Truncate {
    /// Most bytes of an event.
    pub max_event: usize,
    /// Most bytes of events that are sent at once.
    pub max_batch: usize,
}

/// What brings events to where they are kept.
#[derive(Debug)]
pub enum Backend {
    /// A file.
    Log(Log),
    /// Another server.
    Webhook(Box<Webhook>),
}

/// An event as its backend wants it.
#[derive(Clone, Debug)]
pub(super) struct Encoded {
    pub(super) audit_id: String,
    pub(super) bytes: Vec<u8>,
}

/// A backend that counts what does not reach it.
#[derive(Debug)]
pub(super) struct Counted {
    backend: Backend,
    metrics: Metrics,
}

/// A place for events.
#[derive(Debug)]
pub struct Sink {
    backend: Arc<Counted>,
    truncate: Option<Truncate>,
    way: Way,
    supervisor: Supervisor,
}

#[derive(Debug)]
enum Way {
    Direct { strict: bool },
    Queue(mpsc::Sender<Encoded>),
}

impl Sink {
    /// Its tasks hang on the supervisor.
    pub fn new(
        backend: Backend,
        mode: Mode,
        truncate: Option<Truncate>,
        metrics: &Metrics,
        supervisor: &Supervisor,
    ) -> Self {
        let backend = Arc::new(Counted { backend, metrics: metrics.clone() });
        let way = match mode {
            Mode::Blocking => Way::Direct { strict: false },
            Mode::BlockingStrict => Way::Direct { strict: true },
            Mode::Batch(options) => {
                let most = truncate.map_or(usize::MAX, |truncate| truncate.max_batch);
                Way::Queue(batch::start(backend.clone(), options, most, supervisor))
            }
        };
        Self { backend, truncate, way, supervisor: supervisor.clone() }
    }

    /// Brings an event to its place, or on its way there. `false` if that failed and must not.
    pub(super) async fn keep(&self, event: &Event) -> bool {
        let Some(encoded) = self.encode(event) else { return true };
        match &self.way {
            Way::Queue(queue) => {
                self.push(queue, encoded);
                true
            }
            Way::Direct { strict } => self.backend.deliver(&[encoded]).await || !strict,
        }
    }

    /// Like [`Self::keep`], where nobody can wait.
    pub(super) fn keep_later(&self, event: &Event) {
        let Some(encoded) = self.encode(event) else { return };
        match (&self.way, &self.backend.backend) {
            (Way::Queue(queue), _) => self.push(queue, encoded),
            (Way::Direct { .. }, Backend::Log(log)) => drop(self.backend.write(log, &[encoded])),
            (Way::Direct { .. }, Backend::Webhook(_)) => {
                let backend = self.backend.clone();
                self.supervisor.spawn("audit event", async move {
                    backend.deliver(&[encoded]).await;
                });
            }
        }
    }

    /// The event as bytes; `None` if it is too large.
    fn encode(&self, event: &Event) -> Option<Encoded> {
        let encoded = self.backend.encode(event);
        let Some(limit) = self.truncate.map(|truncate| truncate.max_event) else { return Some(encoded) };
        if encoded.bytes.len() <= limit {
            return Some(encoded);
        }
        if event.level >= Level::Request {
            let mut event = Event { request_object: None, response_object: None, ..event.clone() };
            event.annotations.insert(TRUNCATED.to_owned(), "true".to_owned());
            let shorter = self.backend.encode(&event);
            if shorter.bytes.len() <= limit {
                return Some(shorter);
            }
        }
        tracing::error!(audit_id = event.audit_id, "event is too large even after truncating");
        self.backend.metrics.lost("truncate", 1);
        None
    }

    fn push(&self, queue: &mpsc::Sender<Encoded>, encoded: Encoded) {
        if let Err(error) = queue.try_send(encoded) {
            let (mpsc::error::TrySendError::Full(event) | mpsc::error::TrySendError::Closed(event)) = error;
            tracing::error!(audit_id = event.audit_id, "audit buffer queue blocked, event dropped");
            self.backend.metrics.lost("buffered", 1);
        }
    }
}

impl Counted {
    fn encode(&self, event: &Event) -> Encoded {
        let bytes = match &self.backend {
            Backend::Log(log) => log.encode(event),
            // In a list, items do not say what they are.
            Backend::Webhook(_) => {
                serde_json::to_vec(&Event { kind: "", api_version: "", ..event.clone() }).unwrap_or_default()
            }
        };
        Encoded { audit_id: event.audit_id.clone(), bytes }
    }

    /// Whether all events are where they belong.
    pub(super) async fn deliver(&self, events: &[Encoded]) -> bool {
        match &self.backend {
            Backend::Log(log) => self.write(log, events),
            Backend::Webhook(webhook) => {
                let is_there = webhook.post(events).await;
                self.metrics.lost("webhook", if is_there { 0 } else { events.len() });
                is_there
            }
        }
    }

    fn write(&self, log: &Log, events: &[Encoded]) -> bool {
        let lost = events.iter().filter(|event| !log.write(event)).count();
        self.metrics.lost("log", lost);
        lost == 0
    }

    /// Whether the next batch need not wait until this one is delivered.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self.backend, Backend::Webhook(_))
    }
}

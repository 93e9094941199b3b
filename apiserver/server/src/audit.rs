//! Audit: who did what, in events that a policy chooses, to a log that rotates and to a webhook.
//!
//! Without a policy nothing of this is on a request's path.
//!
//! Upstream: `apiserver/pkg/audit`, `apiserver/pkg/endpoints/filters/audit.go`.

mod batch;
mod event;
mod log;
mod metrics;
mod objects;
mod policy;
mod sink;
mod trail;
mod webhook;

pub use batch::{BatchOptions, Throttle};
pub use event::Stage;
pub use log::{Format, Log, LogOptions};
pub use metrics::Metrics;
pub use policy::{Level, Policy};
pub use sink::{Backend, Mode, Sink, Truncate};
pub use trail::{Seen, Trail};
pub use webhook::Webhook;

use apiserver_auth::Attributes;
use apiserver_registry::UserInfo;
use event::Event;
use std::sync::Arc;

/// The configured audit.
#[derive(Debug)]
pub struct Audit {
    /// What is worth an event.
    pub policy: Policy,
    /// Where events go.
    pub sinks: Vec<Sink>,
    /// What is counted of it; its sinks count with the same ones.
    pub metrics: Metrics,
}

impl Audit {
    /// The trail of a request, if the policy wants one. `None` for the request's user if it could
    /// not be authenticated.
    pub fn begin(self: &Arc<Self>, user: Option<&UserInfo>, asked: &Attributes<'_>, seen: &Seen<'_>) -> Option<Trail> {
        let rule = self.policy.judge(user, asked);
        self.metrics.judged(rule.level);
        (rule.level != Level::None).then(|| Trail::new(self.clone(), rule, user, asked, seen))
    }

    /// Hands an event to all sinks. `false` if one that is strict could not keep it.
    async fn keep(&self, event: &Event) -> bool {
        self.metrics.event();
        let mut kept = true;
        for sink in &self.sinks {
            kept &= sink.keep(event).await;
        }
        kept
    }

    /// Hands an event to all sinks without waiting for any.
    fn keep_later(&self, event: &Event) {
        self.metrics.event();
        self.sinks.iter().for_each(|sink| sink.keep_later(event));
    }
}

//! What is counted of the audit, with upstream's names.
//!
//! Upstream: `apiserver/pkg/audit/metrics.go`.

use super::Level;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LevelLabels {
    level: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabels {
    plugin: &'static str,
}

/// Counters of events and of what became of them. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    events: Counter,
    errors: Family<PluginLabels, Counter>,
    levels: Family<LevelLabels, Counter>,
    rejected: Counter,
}

impl Metrics {
    /// Adds the counters.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "apiserver_audit_event",
            "Counter of audit events generated and sent to the audit backend",
            self.events.clone(),
        );
        registry.register(
            "apiserver_audit_error",
            "Counter of audit events that were not recorded, by the plugin that failed",
            self.errors.clone(),
        );
        registry.register("apiserver_audit_level", "Counter of requests by their audit level", self.levels.clone());
        registry.register(
            "apiserver_audit_requests_rejected",
            "Counter of requests rejected because they could not be recorded",
            self.rejected.clone(),
        );
    }

    /// An event goes to the sinks.
    pub(super) fn event(&self) {
        self.events.inc();
    }

    /// These many events are lost to one of them.
    pub(super) fn lost(&self, plugin: &'static str, events: usize) {
        if events > 0 {
            self.errors.get_or_create(&PluginLabels { plugin }).inc_by(events as u64);
        }
    }

    /// The policy has judged a request.
    pub(super) fn judged(&self, level: Level) {
        let level = match level {
            Level::None => "None",
            Level::Metadata => "Metadata",
            Level::Request => "Request",
            Level::RequestResponse => "RequestResponse",
        };
        self.levels.get_or_create(&LevelLabels { level }).inc();
    }

    /// A request is refused because it cannot be recorded.
    pub(super) fn rejected(&self) {
        self.rejected.inc();
    }
}

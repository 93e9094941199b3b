//! Metrics that are read from the queue and the cache when somebody looks.

use crate::queue::{Queue, Statistics};
use crate::scheduler::Sizes;
use component::metrics::gauges;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// Where to look.
pub(super) struct Gathered {
    queue: Queue,
    sizes: Box<dyn Fn() -> Sizes + Send + Sync>,
}

impl Gathered {
    pub(super) fn new(queue: Queue, sizes: impl Fn() -> Sizes + Send + Sync + 'static) -> Self {
        Self { queue, sizes: Box::new(sizes) }
    }
}

impl std::fmt::Debug for Gathered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gathered")
    }
}

impl Collector for Gathered {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let lengths = self.queue.lengths();
        let pending = [
            ([("queue", "active")], lengths.active),
            ([("queue", "backoff")], lengths.backoff),
            ([("queue", "unschedulable")], lengths.unschedulable),
            ([("queue", "gated")], lengths.gated),
        ];
        gauges(&mut encoder, "scheduler_pending_pods", "Number of pending pods, by the queue type", pending)?;
        let Sizes { nodes, pods, assumed } = (self.sizes)();
        let sizes = [([("type", "nodes")], nodes), ([("type", "pods")], pods), ([("type", "assumed_pods")], assumed)];
        let help = "Number of nodes, pods, and assumed (bound) pods in the scheduler cache";
        gauges(&mut encoder, "scheduler_cache_size", help, sizes)?;
        let Statistics { rejected, recent, incoming } = self.queue.statistics();
        let rejected = rejected
            .into_iter()
            .map(|((plugin, profile), n)| ([("plugin", plugin.to_owned()), ("profile", profile)], n));
        let help = "The number of unschedulable pods, for each plugin that rejected them";
        gauges(&mut encoder, "scheduler_unschedulable_pods", help, rejected)?;
        let recent = recent.into_iter().map(|(event, number)| ([("event", event)], number));
        let help = "Number of events currently tracked in the scheduling queue";
        gauges(&mut encoder, "scheduler_inflight_events", help, recent)?;
        let help = "Number of pods added to scheduling queues by event and queue type";
        let name = "scheduler_queue_incoming_pods";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for ((queue, event), number) in incoming {
            ConstCounter::new(number).encode(family.encode_family(&[("queue", queue), ("event", event)])?)?;
        }
        Ok(())
    }
}

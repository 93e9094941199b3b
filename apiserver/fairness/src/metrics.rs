//! `apiserver_flowcontrol_*`.
//!
//! Upstream: `apiserver/pkg/util/flowcontrol/metrics`.

use crate::fairness::Fairness;
use crate::queues::Refusal;
use crate::state::{Configured, Schema};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What is counted of a schema.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    served: AtomicU64,
    waiting: AtomicU64,
    refused: [AtomicU64; 3],
}

const REFUSALS: [Refusal; 3] = [Refusal::ConcurrencyLimit, Refusal::QueueFull, Refusal::TimeOut];

/// Counts a request as waiting until it is dropped.
pub(crate) struct Arriving<'a>(&'a Counts);

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

impl Counts {
    pub(crate) fn arrive(&self) -> Arriving<'_> {
        self.waiting.fetch_add(1, Relaxed);
        Arriving(self)
    }

    pub(crate) fn served(&self) {
        self.served.fetch_add(1, Relaxed);
    }

    pub(crate) fn all_served(&self) -> u64 {
        self.served.load(Relaxed)
    }

    pub(crate) fn now_waiting(&self) -> u64 {
        self.waiting.load(Relaxed)
    }

    pub(crate) fn timed_out(&self) -> u64 {
        self.refused[2].load(Relaxed)
    }

    pub(crate) fn all_refused(&self) -> u64 {
        self.refused.iter().map(|r| r.load(Relaxed)).sum()
    }

    pub(crate) fn refused(&self, why: Refusal) {
        if let Some(at) = REFUSALS.iter().position(|r| *r == why) {
            self.refused[at].fetch_add(1, Relaxed);
        }
    }
}

/// Serves the metrics of a server's fairness.
pub fn register(fairness: &Arc<Fairness>, registry: &mut Registry) {
    registry.register_collector(Box::new(Flowcontrol(fairness.clone())));
}

#[derive(Debug)]
struct Flowcontrol(Arc<Fairness>);

#[derive(Clone, Debug, EncodeLabelSet)]
struct SchemaLabels {
    priority_level: String,
    flow_schema: String,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct RefusedLabels {
    priority_level: String,
    flow_schema: String,
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct LevelLabels {
    priority_level: String,
}

type SchemaNumber = fn(&Counts) -> u64;
type LevelNumber = fn(&Configured) -> f64;

const LEVELS: &[(&str, &str, LevelNumber)] = &[
    ("nominal_limit_seats", "Nominal number of execution seats configured for each priority level", |l| {
        l.seats.nominal.into()
    }),
    (
        "lower_limit_seats",
        "Configured lower bound on number of execution seats available to each priority level",
        |l| l.seats.min.into(),
    ),
    (
        "upper_limit_seats",
        "Configured upper bound on number of execution seats available to each priority level",
        |l| l.seats.max.into(),
    ),
    ("current_limit_seats", "current derived number of execution seats available to each priority level", |l| {
        l.level.load().limit.into()
    }),
    ("current_executing_seats", "Concurrency (number of seats) occupied by the currently executing requests", |l| {
        l.level.load().seats.into()
    }),
    (
        "current_inqueue_seats",
        "Number of seats currently pending in queues of the API Priority and Fairness subsystem",
        |l| l.level.load().wanted.into(),
    ),
    ("current_executing_requests", "Number of requests in initial execution stage", |l| l.level.load().running as f64),
];

impl Collector for Flowcontrol {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let state = self.0.state();
        for (name, help, number) in LEVELS {
            let name = format!("apiserver_flowcontrol_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            for level in &state.levels {
                let labels = LevelLabels { priority_level: level.config.name.clone() };
                ConstGauge::new(number(level)).encode(family.encode_family(&labels)?)?;
            }
        }
        let counters: [(&str, &str, SchemaNumber); 1] = [(
            "apiserver_flowcontrol_dispatched_requests",
            "Number of requests executed by API Priority and Fairness subsystem",
            Counts::all_served,
        )];
        for (name, help, number) in counters {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for schema in state.schemas() {
                ConstCounter::new(number(&schema.counts)).encode(family.encode_family(&labels(schema))?)?;
            }
        }
        refused(&mut encoder, state.schemas())?;
        let help = "Number of requests currently pending in queues of the API Priority and Fairness subsystem";
        let name = "apiserver_flowcontrol_current_inqueue_requests";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for schema in state.schemas() {
            let waiting = schema.counts.waiting.load(Relaxed) as f64;
            ConstGauge::new(waiting).encode(family.encode_family(&labels(schema))?)?;
        }
        Ok(())
    }
}

fn refused(encoder: &mut DescriptorEncoder<'_>, schemas: &[Arc<Schema>]) -> Result<(), fmt::Error> {
    let help = "Number of requests rejected by API Priority and Fairness subsystem";
    let name = "apiserver_flowcontrol_rejected_requests";
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for schema in schemas {
        for (why, count) in REFUSALS.iter().zip(&schema.counts.refused) {
            let count = count.load(Relaxed);
            if count == 0 {
                continue;
            }
            let SchemaLabels { priority_level, flow_schema } = labels(schema);
            let labels = RefusedLabels { priority_level, flow_schema, reason: why.as_str() };
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn labels(schema: &Schema) -> SchemaLabels {
    SchemaLabels { priority_level: schema.level.name.clone(), flow_schema: schema.config.name.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::Request;
    use apiserver_registry::UserInfo;
    use std::time::Duration;

    #[tokio::test]
    async fn counts_by_level_and_schema() {
        let fairness = Arc::new(Fairness::new(1, Duration::from_secs(4)));
        let user = UserInfo { groups: vec!["system:authenticated".into()], ..UserInfo::default() };
        let request = Request {
            user: &user,
            verb: "get",
            is_resource: false,
            group: "",
            resource: "",
            subresource: "",
            namespace: "",
            path: "/version",
        };
        let _first = fairness.admit(&request, 1).await;
        let _refused = fairness.admit(&request, 1).await;
        let mut registry = Registry::default();
        register(&fairness, &mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        for line in [
            "apiserver_flowcontrol_current_executing_requests{priority_level=\"catch-all\"} 1",
            "apiserver_flowcontrol_dispatched_requests_total{priority_level=\"catch-all\",flow_schema=\"catch-all\"} 1",
            "apiserver_flowcontrol_rejected_requests_total{priority_level=\"catch-all\",flow_schema=\"catch-all\",reason=\"concurrency-limit\"} 1",
            "apiserver_flowcontrol_current_inqueue_requests{priority_level=\"catch-all\",flow_schema=\"catch-all\"} 0",
        ] {
            assert!(text.lines().any(|l| l.starts_with(line)), "{line} in {text}");
        }
    }
}

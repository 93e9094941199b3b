//! What the proxy counts, by upstream's names.
//!
//! Upstream: `pkg/proxy/metrics/metrics.go`.

use crate::backend::{Extent, Mode};
use crate::model;
use component::metrics::Registry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByFamily {
    ip_family: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByTable {
    ip_family: &'static str,
    table: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPolicy {
    ip_family: &'static str,
    traffic_policy: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCode {
    code: u16,
}

type Seconds = Gauge<f64, AtomicU64>;
type Histograms = Family<ByFamily, Histogram, fn() -> Histogram>;

/// All metrics. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sync: Histograms,
    full_sync: Histograms,
    partial_sync: Histograms,
    programming: Histograms,
    synced: Family<ByFamily, Seconds>,
    queued: Family<ByFamily, Seconds>,
    endpoints_pending: Gauge,
    endpoints_total: Counter,
    services_pending: Gauge,
    services_total: Counter,
    no_local_endpoints: Family<ByPolicy, Gauge>,
    iptables_rules: Family<ByTable, Gauge>,
    iptables_rules_last: Family<ByTable, Gauge>,
    iptables_failures: Family<ByFamily, Counter>,
    iptables_partial_failures: Family<ByFamily, Counter>,
    nftables_failures: Family<ByFamily, Counter>,
    nftables_cleanup_failures: Family<ByFamily, Counter>,
    conntrack: Histograms,
    conntrack_deleted: Family<ByFamily, Counter>,
    healthz: Family<ByCode, Counter>,
    livez: Family<ByCode, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Inner {
            sync: Family::new_with_constructor(sync_histogram),
            full_sync: Family::new_with_constructor(sync_histogram),
            partial_sync: Family::new_with_constructor(sync_histogram),
            programming: Family::new_with_constructor(programming_histogram),
            synced: Family::default(),
            queued: Family::default(),
            endpoints_pending: Gauge::default(),
            endpoints_total: Counter::default(),
            services_pending: Gauge::default(),
            services_total: Counter::default(),
            no_local_endpoints: Family::default(),
            iptables_rules: Family::default(),
            iptables_rules_last: Family::default(),
            iptables_failures: Family::default(),
            iptables_partial_failures: Family::default(),
            nftables_failures: Family::default(),
            nftables_cleanup_failures: Family::default(),
            conntrack: Family::new_with_constructor(sync_histogram),
            conntrack_deleted: Family::default(),
            healthz: Family::default(),
            livez: Family::default(),
        }))
    }
}

/// From 1 ms in powers of two to 16 s.
fn sync_histogram() -> Histogram {
    Histogram::new((0..15).map(|power| 0.001 * f64::from(1 << power)))
}

/// Seconds up to one minute, then coarser up to five.
fn programming_histogram() -> Histogram {
    let fine = [0.25, 0.5].into_iter().chain((1..60).map(f64::from));
    let coarse = (60..120).step_by(5).chain((120..=300).step_by(30)).map(f64::from);
    Histogram::new(fine.chain(coarse))
}

fn by(family: model::Family) -> ByFamily {
    ByFamily { ip_family: family.as_str() }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

impl Metrics {
    /// Makes those that the mode has visible.
    pub fn register(&self, registry: &mut Registry, mode: Mode) {
        let m = &*self.0;
        let mut add =
            |name: &str, help: &str, metric: Metric<'_>| metric.register(registry, &format!("kubeproxy_{name}"), help);
        add("sync_proxy_rules_duration_seconds", "SyncProxyRules latency in seconds", Metric::Histograms(&m.sync));
        add(
            "sync_proxy_rules_last_timestamp_seconds",
            "The last time proxy rules were successfully synced",
            Metric::Seconds(&m.synced),
        );
        add(
            "sync_proxy_rules_last_queued_timestamp_seconds",
            "The last time a sync of proxy rules was queued",
            Metric::Seconds(&m.queued),
        );
        add(
            "network_programming_duration_seconds",
            "In Cluster Network Programming Latency in seconds",
            Metric::Histograms(&m.programming),
        );
        add(
            "sync_proxy_rules_endpoint_changes_pending",
            "Pending proxy rules Endpoint changes",
            Metric::Gauge(&m.endpoints_pending),
        );
        add(
            "sync_proxy_rules_endpoint_changes",
            "Cumulative proxy rules Endpoint changes",
            Metric::Counter(&m.endpoints_total),
        );
        add(
            "sync_proxy_rules_service_changes_pending",
            "Pending proxy rules Service changes",
            Metric::Gauge(&m.services_pending),
        );
        add(
            "sync_proxy_rules_service_changes",
            "Cumulative proxy rules Service changes",
            Metric::Counter(&m.services_total),
        );
        add(
            "sync_proxy_rules_no_local_endpoints_total",
            "Number of services with a Local traffic policy and no endpoints",
            Metric::ByPolicy(&m.no_local_endpoints),
        );
        add("proxy_healthz", "Cumulative proxy healthz HTTP status", Metric::ByCode(&m.healthz));
        add("proxy_livez", "Cumulative proxy livez HTTP status", Metric::ByCode(&m.livez));
        add(
            "sync_full_proxy_rules_duration_seconds",
            "SyncProxyRules latency in seconds for full resyncs",
            Metric::Histograms(&m.full_sync),
        );
        add(
            "sync_partial_proxy_rules_duration_seconds",
            "SyncProxyRules latency in seconds for partial resyncs",
            Metric::Histograms(&m.partial_sync),
        );
        add(
            "conntrack_reconciler_sync_duration_seconds",
            "ReconcileConntrackFlowsLatency latency in seconds",
            Metric::Histograms(&m.conntrack),
        );
        add(
            "conntrack_reconciler_deleted_entries",
            "Cumulative conntrack flows deleted by conntrack reconciler",
            Metric::ByFamily(&m.conntrack_deleted),
        );
        match mode {
            Mode::Iptables => {
                add(
                    "sync_proxy_rules_iptables_restore_failures",
                    "Cumulative proxy iptables restore failures",
                    Metric::ByFamily(&m.iptables_failures),
                );
                add(
                    "sync_proxy_rules_iptables_partial_restore_failures",
                    "Cumulative proxy iptables partial restore failures",
                    Metric::ByFamily(&m.iptables_partial_failures),
                );
                add(
                    "sync_proxy_rules_iptables_total",
                    "Total number of iptables rules owned by kube-proxy",
                    Metric::ByTable(&m.iptables_rules),
                );
                add(
                    "sync_proxy_rules_iptables_last",
                    "Number of iptables rules written by kube-proxy in last sync",
                    Metric::ByTable(&m.iptables_rules_last),
                );
            }
            Mode::Ipvs | Mode::Userspace => add(
                "sync_proxy_rules_iptables_restore_failures",
                "Cumulative proxy iptables restore failures",
                Metric::ByFamily(&m.iptables_failures),
            ),
            Mode::Nftables => {
                add(
                    "sync_proxy_rules_nftables_sync_failures",
                    "Cumulative proxy nftables sync failures",
                    Metric::ByFamily(&m.nftables_failures),
                );
                add(
                    "sync_proxy_rules_nftables_cleanup_failures",
                    "Cumulative proxy nftables cleanup failures",
                    Metric::ByFamily(&m.nftables_cleanup_failures),
                );
            }
        }
    }

    /// A sync is wanted.
    pub fn queued(&self, family: model::Family) {
        self.0.queued.get_or_create(&by(family)).set(now());
    }

    /// A sync took this long, and succeeded or failed.
    pub fn synced(&self, family: model::Family, took: Duration, extent: Extent, succeeded: bool) {
        let took = took.as_secs_f64();
        self.0.sync.get_or_create(&by(family)).observe(took);
        let kind = if extent == Extent::Full { &self.0.full_sync } else { &self.0.partial_sync };
        kind.get_or_create(&by(family)).observe(took);
        if succeeded {
            self.0.synced.get_or_create(&by(family)).set(now());
        }
    }

    /// The endpoints of a Service changed this long before the rules said so.
    pub fn programmed(&self, family: model::Family, after: Duration) {
        self.0.programming.get_or_create(&by(family)).observe(after.as_secs_f64());
    }

    /// A Service changed.
    pub fn service_changed(&self) {
        self.0.services_total.inc();
    }

    /// Endpoints changed.
    pub fn endpoints_changed(&self) {
        self.0.endpoints_total.inc();
    }

    /// How many changes wait to be written.
    pub fn pending(&self, services: usize, endpoints: usize) {
        self.0.services_pending.set(i64::try_from(services).unwrap_or(i64::MAX));
        self.0.endpoints_pending.set(i64::try_from(endpoints).unwrap_or(i64::MAX));
    }

    /// How many ports drop traffic here, of traffic to cluster IPs and from outside.
    pub fn no_local_endpoints(&self, family: model::Family, internal: usize, external: usize) {
        for (traffic_policy, count) in [("internal", internal), ("external", external)] {
            let labels = ByPolicy { traffic_policy, ip_family: family.as_str() };
            self.0.no_local_endpoints.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Rules that there are, and that were written, in `filter` and `nat`.
    pub fn iptables_rules(&self, family: model::Family, all: [usize; 2], written: [usize; 2]) {
        for (i, table) in ["filter", "nat"].into_iter().enumerate() {
            let labels = ByTable { table, ip_family: family.as_str() };
            self.0.iptables_rules.get_or_create(&labels).set(i64::try_from(all[i]).unwrap_or(i64::MAX));
            self.0.iptables_rules_last.get_or_create(&labels).set(i64::try_from(written[i]).unwrap_or(i64::MAX));
        }
    }

    /// Rules could not be written.
    pub fn iptables_failure(&self, family: model::Family, was_full: bool) {
        self.0.iptables_failures.get_or_create(&by(family)).inc();
        if !was_full {
            self.0.iptables_partial_failures.get_or_create(&by(family)).inc();
        }
    }

    /// A transaction failed.
    pub fn nftables_failure(&self, family: model::Family) {
        self.0.nftables_failures.get_or_create(&by(family)).inc();
    }

    /// Chains that nobody needs could not be removed.
    pub fn nftables_cleanup_failure(&self, family: model::Family) {
        self.0.nftables_cleanup_failures.get_or_create(&by(family)).inc();
    }

    /// Connections were compared with endpoints.
    pub fn reconciled(&self, family: model::Family, took: Duration, deleted: u64) {
        self.0.conntrack.get_or_create(&by(family)).observe(took.as_secs_f64());
        self.0.conntrack_deleted.get_or_create(&by(family)).inc_by(deleted);
    }

    /// `/healthz` answered.
    pub fn healthz(&self, code: http::StatusCode) {
        self.0.healthz.get_or_create(&ByCode { code: code.as_u16() }).inc();
    }

    /// `/livez` answered.
    pub fn livez(&self, code: http::StatusCode) {
        self.0.livez.get_or_create(&ByCode { code: code.as_u16() }).inc();
    }
}

/// The shapes that metrics have.
enum Metric<'a> {
    Histograms(&'a Histograms),
    Seconds(&'a Family<ByFamily, Seconds>),
    Gauge(&'a Gauge),
    Counter(&'a Counter),
    ByFamily(&'a Family<ByFamily, Counter>),
    ByTable(&'a Family<ByTable, Gauge>),
    ByPolicy(&'a Family<ByPolicy, Gauge>),
    ByCode(&'a Family<ByCode, Counter>),
}

impl Metric<'_> {
    fn register(self, registry: &mut Registry, name: &str, help: &str) {
        match self {
            Self::Histograms(m) => registry.register(name, help, m.clone()),
            Self::Seconds(m) => registry.register(name, help, m.clone()),
            Self::Gauge(m) => registry.register(name, help, m.clone()),
            Self::Counter(m) => registry.register(name, help, m.clone()),
            Self::ByFamily(m) => registry.register(name, help, m.clone()),
            Self::ByTable(m) => registry.register(name, help, m.clone()),
            Self::ByPolicy(m) => registry.register(name, help, m.clone()),
            Self::ByCode(m) => registry.register(name, help, m.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(mode: Mode) -> String {
        let metrics = Metrics::default();
        let family = model::Family::V4;
        metrics.queued(family);
        metrics.synced(family, Duration::from_millis(3), Extent::Partial, true);
        metrics.iptables_rules(family, [5, 9], [1, 2]);
        metrics.healthz(http::StatusCode::OK);
        metrics.service_changed();
        metrics.nftables_failure(family);
        let mut registry = Registry::default();
        metrics.register(&mut registry, mode);
        component::metrics::encode(&registry)
    }

    #[test]
    fn names_are_upstreams() {
        let text = text(Mode::Iptables);
        for line in [
            "kubeproxy_sync_proxy_rules_duration_seconds_bucket{le=\"0.004\",ip_family=\"IPv4\"} 1",
            "kubeproxy_sync_partial_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"} 1",
            "kubeproxy_sync_proxy_rules_iptables_total{ip_family=\"IPv4\",table=\"nat\"} 9",
            "kubeproxy_sync_proxy_rules_iptables_last{ip_family=\"IPv4\",table=\"filter\"} 1",
            "kubeproxy_proxy_healthz_total{code=\"200\"} 1",
            "kubeproxy_sync_proxy_rules_service_changes_total 1",
            "kubeproxy_sync_proxy_rules_endpoint_changes_pending 0",
        ] {
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        }
    }

    #[test]
    fn each_mode_shows_its_own() {
        assert!(
            !text(Mode::Nftables).contains("iptables") && text(Mode::Nftables).contains("nftables_sync_failures_total")
        );
        assert!(!text(Mode::Iptables).contains("nftables"));
    }
}

//! The metrics registry of a process, with the metrics that every component has.
//!
//! Upstream: `component-base/metrics`.

mod exposition;
mod limits;
mod protobuf;
mod shapes;

pub use exposition::expose;
pub use limits::{MetricFlagError, MetricFlags};
pub use shapes::{Bounds, Durations, Exponential, Histograms, PlainCounter, SECONDS, gauge, gauges};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
pub use prometheus_client::registry::Registry;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    major: &'static str,
    minor: &'static str,
    git_version: &'static str,
    git_commit: &'static str,
    git_tree_state: &'static str,
    build_date: &'static str,
    go_version: &'static str,
    compiler: &'static str,
    platform: String,
}

/// A registry with the process's, the build's and the client's metrics.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process));
    let build = Family::<Build, Gauge>::default();
    build.get_or_create(&this_build()).set(1);
    let help = "A metric with a constant '1' value labeled by version and platform on which Kubernetes was built";
    registry.register("kubernetes_build_info", help, build);
    let disabled = Counter::<u64>::default();
    disabled.inc_by(limits::disabled());
    registry.register("disabled_metrics", "The count of disabled metrics", disabled);
    client::metrics::register(&mut registry);
    registry
}

fn this_build() -> Build {
    Build {
        major: crate::version::MAJOR,
        minor: crate::version::MINOR,
        git_version: crate::version::git_version(),
        git_commit: "unknown",
        git_tree_state: "clean",
        build_date: "1970-01-01T00:00:00Z",
        go_version: "none",
        compiler: "rustc",
        platform: format!("{}/{}", std::env::consts::OS, crate::version::architecture()),
    }
}

/// The registry in Prometheus' text format 0.0.4. The crate writes OpenMetrics, which names a
/// counter's family without `_total`, ends a help with a dot and a text with `# EOF`. What it does not know the type of
/// is a [`PlainCounter`]. What flags say about metrics is heeded here.
pub fn encode(registry: &Registry) -> String {
    let mut open = String::new();
    if prometheus_client::encoding::text::encode(&mut open, registry).is_err() {
        tracing::error!("metrics cannot be encoded");
    }
    let counters: std::collections::HashSet<&str> =
        open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let head = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        let name = head.and_then(|head| head.split(' ').next()).filter(|name| counters.contains(name));
        match name {
            Some(name) => text.push_str(&line.replacen(name, &format!("{name}_total"), 1)),
            None => match line.strip_suffix(" unknown").filter(|_| line.starts_with("# TYPE ")) {
                Some(plain) => {
                    text.push_str(plain);
                    text.push_str(" counter");
                }
                None => text.push_str(line),
            },
        }
        text.push('\n');
    }
    limits::limited(text)
}

/// `process_*`, read from /proc at each scrape.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(sample) = Sample::take() else { return Ok(()) };
        let cpu = ConstCounter::new(sample.cpu_seconds);
        let kind = prometheus_client::metrics::MetricType::Counter;
        let help = "Total user and system CPU time spent in seconds";
        cpu.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, kind)?)?;
        let gauges = [
            ("process_resident_memory_bytes", "Resident memory size in bytes", sample.resident),
            ("process_virtual_memory_bytes", "Virtual memory size in bytes", sample.virtual_size),
            ("process_start_time_seconds", "Start time of the process since unix epoch in seconds", sample.started),
            ("process_open_fds", "Number of open file descriptors", sample.open_files),
            ("process_max_fds", "Maximum number of open file descriptors", sample.max_files),
        ];
        for (name, help, value) in gauges {
            let kind = prometheus_client::metrics::MetricType::Gauge;
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        Ok(())
    }
}

/// When this process was started; the present moment where that cannot be found out.
pub fn process_start() -> SystemTime {
    Sample::take().map_or_else(SystemTime::now, |sample| UNIX_EPOCH + Duration::from_secs_f64(sample.started.max(0.0)))
}

struct Sample {
    cpu_seconds: f64,
    resident: f64,
    virtual_size: f64,
    started: f64,
    open_files: f64,
    max_files: f64,
}

impl Sample {
    fn take() -> Option<Self> {
        let process = procfs::process::Process::myself().ok()?;
        let stat = process.stat().ok()?;
        let ticks = procfs::ticks_per_second() as f64;
        let limit = process.limits().ok()?.max_open_files.soft_limit;
        let max_files = match limit {
            procfs::process::LimitValue::Value(limit) => limit as f64,
            procfs::process::LimitValue::Unlimited => f64::INFINITY,
        };
        Some(Self {
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
            resident: (stat.rss * procfs::page_size()) as f64,
            virtual_size: stat.vsize as f64,
            started: procfs::boot_time_secs().ok()? as f64 + stat.starttime as f64 / ticks,
            open_files: process.fd_count().ok()? as f64,
            max_files,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_prometheus_not_openmetrics() {
        let mut registry = Registry::default();
        let requests = Counter::<u64>::default();
        requests.inc();
        registry.register("requests", "All requests", requests);
        assert_eq!(
            encode(&registry),
            "# HELP requests_total All requests.\n# TYPE requests_total counter\nrequests_total 1\n"
        );
    }

    #[test]
    fn every_component_has_process_and_build_metrics() {
        let text = encode(&registry());
        for name in [
            "process_cpu_seconds_total ",
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "kubernetes_build_info{",
        ] {
            assert!(text.lines().any(|line| line.starts_with(name)), "no {name} in {text}");
        }
    }
}

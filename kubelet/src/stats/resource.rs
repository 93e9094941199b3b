//! `/metrics/resource`: processor and memory of the node, its pods and containers, with the times at which
//! they were measured.
//!
//! Upstream: `pkg/kubelet/metrics/collectors/resource_metrics.go`.

use super::types::{ContainerStats, Cpu, Memory, PodReference, PodStats, Summary, Swap, Time};
use std::fmt::Write as _;

/// What follows a metric's name.
struct Sample {
    labels: String,
    value: f64,
    /// Absent where upstream gives none.
    time: Option<Time>,
}

/// A metric: name, kind, stability and help as upstream has them.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: Vec<Sample>,
}

/// The text that is answered.
pub fn text(summary: &Summary) -> String {
    let mut out = String::new();
    for family in families(summary).iter().filter(|family| !family.samples.is_empty()) {
        let Family { name, kind, help, samples } = family;
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for Sample { labels, value, time } in samples {
            let _ = write!(out, "{name}{labels} {value}");
            if let Some(Time(Some(time))) = time {
                let _ = write!(out, " {}", time.as_millisecond());
            }
            out.push('\n');
        }
    }
    out
}

/// The text where nothing could be measured.
pub fn failed() -> String {
    let mut out = String::new();
    for (name, help) in ERRORS {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} 1");
    }
    out
}

const ERRORS: [(&str, &str); 2] = [
    ("resource_scrape_error", "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise"),
    (
        "scrape_error",
        "[ALPHA] (Deprecated since 1.29.0) 1 if there was an error while getting container metrics, 0 otherwise",
    ),
];

fn families(summary: &Summary) -> Vec<Family> {
    let containers = || {
        let of =
            |pod: &'_ PodStats| pod.containers.iter().map(|c| (labels(pod, Some(c)), c.clone())).collect::<Vec<_>>();
        summary.pods.iter().flat_map(of)
    };
    let of_containers = |sample: fn(String, &ContainerStats) -> Option<Sample>| {
        containers().filter_map(|(labels, container)| sample(labels, &container)).collect()
    };
    let of_pods = |sample: fn(String, &PodStats) -> Option<Sample>| {
        summary.pods.iter().filter_map(|pod| sample(labels(pod, None), pod)).collect()
    };
    let node = &summary.node;
    let family = |name, kind, help, samples| Family { name, kind, help, samples };
    let mut all = vec![
        family(
            "container_cpu_usage_seconds_total",
            "counter",
            "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
            of_containers(|labels, c| cpu(labels, c.cpu.as_ref())),
        ),
        family(
            "container_memory_working_set_bytes",
            "gauge",
            "[STABLE] Current working set of the container in bytes",
            of_containers(|labels, c| memory(labels, c.memory.as_ref())),
        ),
        family(
            "container_start_time_seconds",
            "gauge",
            "[STABLE] Start time of the container since unix epoch in seconds",
            of_containers(|labels, c| start(labels, c.start_time)),
        ),
        family(
            "container_swap_usage_bytes",
            "gauge",
            "[ALPHA] Current amount of the container swap usage in bytes. Reported only on non-windows systems",
            of_containers(|labels, c| swap(labels, c.swap.as_ref())),
        ),
        family(
            "node_cpu_usage_seconds_total",
            "counter",
            "[STABLE] Cumulative cpu time consumed by the node in core-seconds",
            cpu(String::new(), node.cpu.as_ref()).into_iter().collect(),
        ),
        family(
            "node_memory_working_set_bytes",
            "gauge",
            "[STABLE] Current working set of the node in bytes",
            memory(String::new(), node.memory.as_ref()).into_iter().collect(),
        ),
        family(
            "node_swap_usage_bytes",
            "gauge",
            "[ALPHA] Current swap usage of the node in bytes. Reported only on non-windows systems",
            swap(String::new(), node.swap.as_ref()).into_iter().collect(),
        ),
        family(
            "pod_cpu_usage_seconds_total",
            "counter",
            "[STABLE] Cumulative cpu time consumed by the pod in core-seconds",
            of_pods(|labels, pod| cpu(labels, pod.cpu.as_ref())),
        ),
        family(
            "pod_memory_working_set_bytes",
            "gauge",
            "[STABLE] Current working set of the pod in bytes",
            of_pods(|labels, pod| memory(labels, pod.memory.as_ref())),
        ),
        family(
            "pod_swap_usage_bytes",
            "gauge",
            "[ALPHA] Current amount of the pod swap usage in bytes. Reported only on non-windows systems",
            of_pods(|labels, pod| swap(labels, pod.swap.as_ref())),
        ),
    ];
    let none =
        |(name, help)| family(name, "gauge", help, vec![Sample { labels: String::new(), value: 0.0, time: None }]);
    all.extend(ERRORS.map(none));
    all
}

fn labels(pod: &PodStats, container: Option<&ContainerStats>) -> String {
    let PodReference { name, namespace, .. } = &pod.pod_ref;
    match container {
        Some(container) => {
            format!("{{container=\"{}\",namespace=\"{namespace}\",pod=\"{name}\"}}", container.name)
        }
        None => format!("{{namespace=\"{namespace}\",pod=\"{name}\"}}"),
    }
}

fn cpu(labels: String, cpu: Option<&Cpu>) -> Option<Sample> {
    let cpu = cpu?;
    Some(Sample { labels, value: cpu.usage_core_nano_seconds as f64 / 1e9, time: Some(cpu.time) })
}

fn memory(labels: String, memory: Option<&Memory>) -> Option<Sample> {
    let memory = memory?;
    Some(Sample { labels, value: memory.working_set_bytes? as f64, time: Some(memory.time) })
}

fn swap(labels: String, swap: Option<&Swap>) -> Option<Sample> {
    let swap = swap?;
    Some(Sample { labels, value: swap.swap_usage_bytes as f64, time: Some(swap.time) })
}

fn start(labels: String, time: Time) -> Option<Sample> {
    Some(Sample { labels, value: time.0?.as_nanosecond() as f64 / 1e9, time: None })
}

#[cfg(test)]
mod tests {
    use super::super::types::NodeStats;
    use super::*;
    use k8s_openapi::jiff::Timestamp;

    #[test]
    fn samples_carry_the_times_of_their_measurement() {
        let time = Time(Timestamp::from_millisecond(5000).ok());
        let cpu = Some(Cpu { time, usage_nano_cores: None, usage_core_nano_seconds: 1_500_000_000 });
        let memory = Some(Memory { time, working_set_bytes: Some(7), ..Memory::default() });
        let container = ContainerStats { name: "c".into(), start_time: time, cpu, memory, ..ContainerStats::default() };
        let pod = PodStats {
            pod_ref: PodReference { name: "p".into(), namespace: "n".into(), uid: "u".into() },
            containers: vec![container],
            memory,
            ..PodStats::default()
        };
        let summary = Summary { node: NodeStats { cpu, ..NodeStats::default() }, pods: vec![pod] };
        let text = text(&summary);
        for line in [
            "# TYPE container_cpu_usage_seconds_total counter",
            "container_cpu_usage_seconds_total{container=\"c\",namespace=\"n\",pod=\"p\"} 1.5 5000",
            "container_memory_working_set_bytes{container=\"c\",namespace=\"n\",pod=\"p\"} 7 5000",
            "container_start_time_seconds{container=\"c\",namespace=\"n\",pod=\"p\"} 5",
            "node_cpu_usage_seconds_total 1.5 5000",
            "pod_memory_working_set_bytes{namespace=\"n\",pod=\"p\"} 7 5000",
            "resource_scrape_error 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("pod_cpu_usage") && !text.contains("swap"), "{text}");
        assert!(failed().contains("\nresource_scrape_error 1\n"));
    }
}

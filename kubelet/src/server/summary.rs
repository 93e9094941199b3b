//! Usage of the node and its pods: `/stats/summary` and `/metrics/resource`.
//!
//! Upstream: `pkg/kubelet/server/stats`, `pkg/kubelet/metrics/collectors/resource_metrics.go`.

use super::{Api, ApiError};
use crate::node::machine;
use crate::runtime::stats::Usage;
use component::serve::{Request, Response, router};
use http::StatusCode;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

pub(super) async fn serve(api: Arc<Api>, _: Request) -> Result<Response, ApiError> {
    let usage = api.runtime.usage().await?;
    let mut pods: BTreeMap<&str, Vec<&Usage>> = BTreeMap::new();
    for u in &usage {
        pods.entry(&u.uid).or_default().push(u);
    }
    let pods: Vec<Value> = pods.into_values().map(|all| pod(&all)).collect();
    let now = Timestamp::now().to_string();
    let (total, free) = (machine::memory_info("MemTotal"), machine::memory_info("MemAvailable"));
    let node = json!({
        "nodeName": api.node.name(),
        "startTime": now,
        "cpu": { "time": now, "usageCoreNanoSeconds": node_cpu_nanos() },
        "memory": { "time": now, "availableBytes": free, "usageBytes": total - free, "workingSetBytes": total - free },
    });
    Ok(router::json(StatusCode::OK, &json!({ "node": node, "pods": pods })))
}

fn pod(all: &[&Usage]) -> Value {
    let first = all[0];
    let now = Timestamp::now().to_string();
    let sum = |f: fn(&Usage) -> u64| all.iter().map(|u| f(u)).sum::<u64>();
    let container = |u: &&Usage| {
        json!({
            "name": u.container,
            "cpu": { "time": now, "usageCoreNanoSeconds": u.cpu_nanos },
            "memory": { "time": now, "workingSetBytes": u.memory },
        })
    };
    json!({
        "podRef": { "name": first.pod, "namespace": first.namespace, "uid": first.uid },
        "startTime": now,
        "containers": all.iter().map(container).collect::<Vec<_>>(),
        "cpu": { "time": now, "usageCoreNanoSeconds": sum(|u| u.cpu_nanos) },
        "memory": { "time": now, "workingSetBytes": sum(|u| u.memory) },
    })
}

pub(super) async fn resource_metrics(api: Arc<Api>, _: Request) -> Result<Response, ApiError> {
    let usage = api.runtime.usage().await?;
    let memory = machine::memory_info("MemTotal") - machine::memory_info("MemAvailable");
    Ok(router::text(StatusCode::OK, exposition(&usage, node_cpu_nanos(), memory)))
}

fn exposition(usage: &[Usage], node_cpu: u64, node_memory: i64) -> String {
    let mut out = String::new();
    let seconds = |nanos: u64| nanos as f64 / 1e9;
    header(
        &mut out,
        "container_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed by the container in core-seconds",
    );
    for u in usage {
        let _ =
            writeln!(out, "container_cpu_usage_seconds_total{} {} {}", labels(u), seconds(u.cpu_nanos), u.at_millis);
    }
    header(&mut out, "container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes");
    for u in usage {
        let _ = writeln!(out, "container_memory_working_set_bytes{} {} {}", labels(u), u.memory, u.at_millis);
    }
    header(
        &mut out,
        "node_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed by the node in core-seconds",
    );
    let _ = writeln!(out, "node_cpu_usage_seconds_total {}", seconds(node_cpu));
    header(&mut out, "node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes");
    let _ = writeln!(out, "node_memory_working_set_bytes {node_memory}");
    header(
        &mut out,
        "resource_scrape_error",
        "gauge",
        "1 if there was an error while getting container metrics, 0 otherwise",
    );
    out.push_str("resource_scrape_error 0\n");
    out
}

fn header(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} [STABLE] {help}\n# TYPE {name} {kind}");
}

fn labels(u: &Usage) -> String {
    format!("{{container=\"{}\",namespace=\"{}\",pod=\"{}\"}}", u.container, u.namespace, u.pod)
}

/// The busy time of all processors since boot; the kernel counts in hundredths of a second.
fn node_cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    let idle = ticks.get(3).copied().unwrap_or(0) + ticks.get(4).copied().unwrap_or(0);
    ticks.iter().take(8).sum::<u64>().saturating_sub(idle) * 10_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_carry_their_sample_times() {
        let u = Usage {
            uid: "u".into(),
            pod: "p".into(),
            namespace: "n".into(),
            container: "c".into(),
            cpu_nanos: 1_500_000_000,
            memory: 7,
            at_millis: 5,
            ..Usage::default()
        };
        let text = exposition(&[u], 0, 0);
        assert!(
            text.contains("container_cpu_usage_seconds_total{container=\"c\",namespace=\"n\",pod=\"p\"} 1.5 5\n"),
            "{text}"
        );
    }
}

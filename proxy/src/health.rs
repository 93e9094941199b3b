//! Whether the rules keep up with the cluster, for `/healthz` and `/livez`, and whether load balancers
//! should send traffic to this node.
//!
//! Upstream: `pkg/proxy/healthcheck/proxy_health.go`.

use crate::metrics::Metrics;
use crate::model::Family;
use client::Informer;
use component::serve::{Response, Router, router};
use http::StatusCode;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The autoscaler's mark on nodes that it is about to remove.
const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";

/// The state of all families.
#[derive(Debug)]
pub struct Health {
    /// A change that waits longer than this is a failure.
    patience: Duration,
    families: Mutex<BTreeMap<&'static str, Progress>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    updated: Option<Timestamp>,
    /// Since when the oldest change waits.
    waiting: Option<Timestamp>,
}

/// How it stands, as the body of an answer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    last_updated: Timestamp,
    current_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_eligible: Option<bool>,
    /// All families keep up.
    pub healthy: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    status: BTreeMap<&'static str, FamilyReport>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FamilyReport {
    last_updated: Timestamp,
    healthy: bool,
}

impl Health {
    /// Nothing has been written yet, which is no failure. `period` is `syncPeriod`; changes may wait twice as long.
    pub fn new(period: Duration) -> Self {
        Self { patience: period * 2, families: Mutex::default() }
    }

    /// A change waits to be written.
    pub fn queued(&self, family: Family) {
        self.families.lock().entry(family.as_str()).or_default().waiting.get_or_insert_with(Timestamp::now);
    }

    /// All changes are written.
    pub fn updated(&self, family: Family) {
        *self.families.lock().entry(family.as_str()).or_default() =
            Progress { updated: Some(Timestamp::now()), waiting: None };
    }

    /// How it stands.
    pub fn report(&self) -> Report {
        self.report_at(Timestamp::now())
    }

    fn report_at(&self, now: Timestamp) -> Report {
        let families = self.families.lock();
        let started = families.iter().filter_map(|(name, progress)| Some((*name, progress.updated?, progress.waiting)));
        let is_late = |since: Timestamp| now.duration_since(since).unsigned_abs() >= self.patience && since < now;
        let status: BTreeMap<_, _> = started
            .map(|(name, last_updated, waiting)| {
                (name, FamilyReport { last_updated, healthy: !waiting.is_some_and(is_late) })
            })
            .collect();
        Report {
            // Go's zero time stands for never.
            last_updated: status.values().map(|s| s.last_updated).max().unwrap_or_else(never),
            current_time: now,
            node_eligible: None,
            healthy: status.values().all(|s| s.healthy),
            status,
        }
    }
}

fn never() -> Timestamp {
    "0001-01-01T00:00:00Z".parse().unwrap_or_default()
}

/// Whether load balancers should send traffic here: the node is there and stays.
pub fn is_eligible(node: Option<&Node>) -> bool {
    let Some(node) = node.filter(|node| node.metadata.deletion_timestamp.is_none()) else { return false };
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    !taints.into_iter().flatten().any(|taint| taint.key == TO_BE_DELETED)
}

/// `/healthz`, which also says no when the node is about to go, and `/livez`.
pub fn router(health: Arc<Health>, node: Informer<Node>, name: String, metrics: Metrics) -> Router {
    let (for_liveness, count_liveness) = (health.clone(), metrics.clone());
    Router::new()
        .get("/healthz", move |_| {
            let eligible = is_eligible(node.get("", &name).as_deref());
            let response = answer(health.report(), Some(eligible));
            metrics.healthz(response.status());
            response
        })
        .get("/livez", move |_| {
            let response = answer(for_liveness.report(), None);
            count_liveness.livez(response.status());
            response
        })
}

fn answer(mut report: Report, eligible: Option<bool>) -> Response {
    report.node_eligible = eligible;
    let code = match report.healthy && eligible != Some(false) {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    if code == StatusCode::OK {
        // Older clients expect a recent time of whoever is well.
        report.last_updated = report.current_time;
    }
    router::json(code, &report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_family_is_ill_when_a_change_waits_too_long() {
        let health = Health::new(Duration::from_secs(30));
        assert!(health.report().healthy);
        health.updated(Family::V4);
        health.updated(Family::V6);
        health.queued(Family::V6);
        let at = |seconds| health.report_at(Timestamp::now() + Duration::from_secs(seconds));
        assert!(at(59).healthy);
        let late = serde_json::to_value(at(61)).expect("JSON");
        assert_eq!((&late["healthy"], &late["status"]["IPv4"]["healthy"]), (&json!(false), &json!(true)));
        assert_eq!(late["status"]["IPv6"]["healthy"], json!(false));
        health.updated(Family::V6);
        assert!(at(61).healthy);
    }

    #[test]
    fn the_answer_says_whether_the_node_stays() {
        let health = Health::new(Duration::from_secs(30));
        assert_eq!(answer(health.report(), Some(true)).status(), 200);
        assert_eq!(answer(health.report(), Some(false)).status(), 503);
        assert_eq!(answer(health.report(), None).status(), 200);
        let text = serde_json::to_string(&health.report()).expect("JSON");
        assert!(text.starts_with(r#"{"lastUpdated":"0001-01-01T00:00:00Z","currentTime":""#), "{text}");
        assert!(text.ends_with(r#","healthy":true}"#), "{text}");
    }

    #[test]
    fn nodes_that_go_are_not_eligible() {
        let node = |value| serde_json::from_value::<Node>(value).expect("a Node");
        assert!(!is_eligible(None));
        assert!(is_eligible(Some(&node(json!({"metadata": {"name": "n"}})))));
        let going = json!({"metadata": {"name": "n", "deletionTimestamp": "2025-01-01T00:00:00Z"}});
        assert!(!is_eligible(Some(&node(going))));
        for (key, want) in [("other", true), (TO_BE_DELETED, false)] {
            let tainted =
                json!({"metadata": {"name": "n"}, "spec": {"taints": [{"key": key, "effect": "NoSchedule"}]}});
            assert_eq!(is_eligible(Some(&node(tainted))), want, "{key}");
        }
    }
}

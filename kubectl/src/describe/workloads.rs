//! Workloads that make pods, except deployments and jobs.

use super::pod::controlled_by;
use super::sections::{Sections, joined, shown};
use super::source::Source;
use super::times::stamp;
use super::{selector, template, volume_claims};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;
use std::fmt;

/// How many pods of a workload are where in their life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pods {
    running: usize,
    waiting: usize,
    succeeded: usize,
    failed: usize,
}

impl Pods {
    /// Those that a workload controls.
    pub(super) async fn of(source: &Source<'_>, workload: &Value, selector: &str) -> anyhow::Result<Self> {
        let pods = source.pods(workload.namespace(), selector).await?;
        Ok(Self::count(&pods, workload.uid()))
    }

    fn count(pods: &[Value], owner: &str) -> Self {
        let owned = pods.iter().filter(|pod| pod.controller().is_some_and(|c| c.uid == owner));
        let mut counts = Self::default();
        for pod in owned {
            match pod["status"].text("phase") {
                "Running" => counts.running += 1,
                "Pending" => counts.waiting += 1,
                "Succeeded" => counts.succeeded += 1,
                "Failed" => counts.failed += 1,
                _ => {}
            }
        }
        counts
    }
}

impl fmt::Display for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { running, waiting, succeeded, failed } = self;
        write!(f, "{running} Running / {waiting} Waiting / {succeeded} Succeeded / {failed} Failed")
    }
}

pub(super) fn replication_controller(out: &mut Sections, controller: &Value, pods: Pods) {
    let (spec, status) = (&controller["spec"], &controller["status"]);
    out.field(0, "Name", controller.name());
    out.field(0, "Namespace", controller.namespace());
    out.field(0, "Selector", joined(spec.object("selector")));
    out.labels("Labels", controller.labels());
    out.annotations("Annotations", controller.annotations());
    replicas(out, spec, status);
    out.field(0, "Pods Status", pods);
    template::write(out, &spec["template"]);
    conditions(out, status);
}

/// Pods that could not be counted are told in place, as upstream does for this kind alone.
pub(super) fn replica_set(out: &mut Sections, set: &Value, pods: anyhow::Result<Pods>) {
    let (spec, status) = (&set["spec"], &set["status"]);
    out.field(0, "Name", set.name());
    out.field(0, "Namespace", set.namespace());
    out.field(0, "Selector", selector::shown(spec.at("selector")));
    out.labels("Labels", set.labels());
    out.annotations("Annotations", set.annotations());
    controlled_by(out, set);
    replicas(out, spec, status);
    match pods {
        Ok(pods) => out.field(0, "Pods Status", pods),
        Err(error) => out.field(0, "Pods Status", format_args!("error in fetching pods: {error}")),
    }
    template::write(out, &spec["template"]);
    conditions(out, status);
}

fn replicas(out: &mut Sections, spec: &Value, status: &Value) {
    let (current, desired) = (status.int("replicas"), spec.int("replicas"));
    out.field(0, "Replicas", format_args!("{current} current / {desired} desired"));
}

/// Conditions with their reasons.
pub(super) fn conditions(out: &mut Sections, status: &Value) {
    let conditions = status.items("conditions");
    if conditions.is_empty() {
        return;
    }
    out.line(0, "Conditions:");
    out.head(1, &["Type", "Status", "Reason"]);
    for c in conditions {
        out.line(1, format_args!("{} \t{}\t{}", c.text("type"), c.text("status"), c.text("reason")));
    }
}

pub(super) fn daemon_set(out: &mut Sections, set: &Value, pods: Pods) {
    let (spec, status) = (&set["spec"], &set["status"]);
    out.field(0, "Name", set.name());
    out.field(0, "Namespace", set.namespace());
    out.field(0, "Selector", selector::text(spec.at("selector")));
    out.field(0, "Node-Selector", joined(spec["template"]["spec"].object("nodeSelector")));
    out.labels("Labels", set.labels());
    out.annotations("Annotations", set.annotations());
    for (title, member) in [
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ] {
        out.line(0, format_args!("{title}: {}", status.int(member)));
    }
    out.field(0, "Pods Status", pods);
    template::write(out, &spec["template"]);
}

pub(super) fn stateful_set(out: &mut Sections, set: &Value, pods: Pods) {
    let (spec, status) = (&set["spec"], &set["status"]);
    out.field(0, "Name", set.name());
    out.field(0, "Namespace", set.namespace());
    out.field(0, "CreationTimestamp", stamp(set.meta_str("creationTimestamp")));
    out.field(0, "Selector", selector::text(spec.at("selector")));
    out.labels("Labels", set.labels());
    out.annotations("Annotations", set.annotations());
    let (desired, total) = (spec.int("replicas"), status.int("replicas"));
    out.field(0, "Replicas", format_args!("{desired} desired | {total} total"));
    let strategy = &spec["updateStrategy"];
    out.field(0, "Update Strategy", strategy.text("type"));
    let rolling = &strategy["rollingUpdate"];
    if let Some(partition) = rolling.at("partition") {
        out.field(1, "Partition", shown(partition));
        if let Some(limit) = rolling.at("maxUnavailable") {
            out.field(1, "MaxUnavailable", shown(limit));
        }
    }
    out.field(0, "Pods Status", pods);
    template::write(out, &spec["template"]);
    volume_claims::templates(out, spec.items("volumeClaimTemplates"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn counts_own_pods_only() {
        let pod = |owner: &str, phase: &str| json!({"metadata": {"ownerReferences": [{"uid": owner, "controller": true}]}, "status": {"phase": phase}});
        let pods =
            [pod("1", "Running"), pod("2", "Running"), pod("1", "Failed"), json!({"status": {"phase": "Running"}})];
        assert_eq!(Pods::count(&pods, "1").to_string(), "1 Running / 0 Waiting / 0 Succeeded / 1 Failed");
    }
}

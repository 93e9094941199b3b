//! Pods.

use super::cell::{Cell, Part};
use super::column::{AGE, NAME, text};
use super::words::{NONE, holds, or};
use super::{Printer, age, name};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use jiff::Timestamp;

pub(super) static POD: Printer = Printer {
    columns: &[
        NAME,
        text("Ready", "How many of the containers are ready."),
        text("Status", "The phase, or what keeps the containers from running."),
        text("Restarts", "How often the containers were restarted, and when last."),
        AGE,
        text("IP", "The pod's address.").wide(),
        text("Node", "The node it is bound to.").wide(),
        text("Nominated Node", "The node on which pods were evicted to make room for it.").wide(),
        text("Readiness Gates", "How many of the additional readiness conditions hold.").wide(),
    ],
    row,
};

fn row(pod: &Value) -> Vec<Cell> {
    let (spec, status) = (pod.at("spec"), pod.at("status"));
    let summary = summary(pod);
    let of = |part: Option<&Value>, key| Cell::text(or(part.map_or("", |p| p.text(key)), NONE));
    vec![
        name(pod),
        Cell::text(format!("{}/{}", summary.ready, summary.total)),
        Cell::text(summary.reason),
        summary.restarts.cell(),
        age(pod),
        Cell::text(or(address(status), NONE)),
        of(spec, "nodeName"),
        of(status, "nominatedNodeName"),
        Cell::text(gates(pod)),
    ]
}

/// What a pod's containers come to.
struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: Restarts,
}

/// Restarts so far, and the last of them.
#[derive(Clone, Copy, Default)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += status.int("restartCount");
        let ended = status.at("lastState").and_then(|s| s.at("terminated")).map(|t| t.text("finishedAt"));
        self.last = self.last.max(ended.and_then(|time| time.parse().ok()));
    }

    fn cell(self) -> Cell {
        match self.last {
            Some(last) if self.count != 0 => Cell::Timed(vec![
                Part::Text(format!("{} (", self.count)),
                Part::Since(last),
                Part::Text(" ago)".into()),
            ]),
            _ => Cell::text(self.count.to_string()),
        }
    }
}

fn summary(pod: &Value) -> Summary {
    let spec_list = |key| pod.at("spec").map(|s| s.items(key)).unwrap_or_default();
    let sidecars = spec_list("initContainers").iter().filter(|c| is_sidecar(c)).count();
    let mut summary = Summary {
        ready: 0,
        total: spec_list("containers").len() + sidecars,
        reason: phase(pod),
        restarts: Restarts::default(),
    };
    let (sidecar_restarts, initializing) = init(pod, spec_list("initContainers"), &mut summary);
    if !initializing || holds(pod, "Initialized") {
        summary.restarts = sidecar_restarts;
        main(pod, &mut summary);
    }
    if pod.is_deleting() {
        deleting(pod, &mut summary.reason);
    }
    summary
}

/// The reason before the containers are looked at.
fn phase(pod: &Value) -> String {
    let gated = pod.at("status").is_some_and(|s| {
        s.items("conditions").iter().any(|c| c.text("type") == "PodScheduled" && c.text("reason") == "SchedulingGated")
    });
    match (gated, pod.at("status")) {
        (true, _) => "SchedulingGated".into(),
        (false, Some(status)) => or(status.text("reason"), status.text("phase")).to_owned(),
        (false, None) => String::new(),
    }
}

fn is_sidecar(container: &Value) -> bool {
    container.text("restartPolicy") == "Always"
}

/// Looks at the init containers up to the first that is not done; returns the sidecars' restarts
/// and whether the pod is still initializing.
fn init(pod: &Value, specs: &[Value], summary: &mut Summary) -> (Restarts, bool) {
    let mut sidecar_restarts = Restarts::default();
    let statuses = pod.at("status").map(|s| s.items("initContainerStatuses")).unwrap_or_default();
    for (index, status) in statuses.iter().enumerate() {
        summary.restarts.add(status);
        let sidecar = specs.iter().any(|c| c.text("name") == status.text("name") && is_sidecar(c));
        if sidecar {
            sidecar_restarts.add(status);
        }
        match init_stage(status, sidecar) {
            InitStage::Done => continue,
            InitStage::Serving => {
                summary.ready += usize::from(status.flag("ready"));
                continue;
            }
            InitStage::Stuck(why) => summary.reason = format!("Init:{why}"),
            InitStage::Running => summary.reason = format!("Init:{index}/{}", specs.len()),
        }
        return (sidecar_restarts, true);
    }
    (sidecar_restarts, false)
}

enum InitStage {
    /// It ended well.
    Done,
    /// A sidecar that has started.
    Serving,
    /// It failed or cannot start.
    Stuck(String),
    /// It is at work, or about to be.
    Running,
}

fn init_stage(status: &Value, sidecar: bool) -> InitStage {
    let state = |key| status.at("state").and_then(|s| s.at(key));
    let terminated = state("terminated");
    match (terminated, state("waiting")) {
        (Some(end), _) if end.int("exitCode") == 0 => InitStage::Done,
        _ if sidecar && status.flag("started") => InitStage::Serving,
        (Some(end), _) => InitStage::Stuck(ending(end)),
        (None, Some(wait)) if !matches!(wait.text("reason"), "" | "PodInitializing") => {
            InitStage::Stuck(wait.text("reason").to_owned())
        }
        _ => InitStage::Running,
    }
}

/// Why a container ended.
fn ending(end: &Value) -> String {
    match (end.text("reason"), end.int("signal")) {
        ("", 0) => format!("ExitCode:{}", end.int("exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

/// Looks at the containers, the first of which has the last word.
fn main(pod: &Value, summary: &mut Summary) {
    let mut running = false;
    for status in pod.at("status").map(|s| s.items("containerStatuses")).unwrap_or_default().iter().rev() {
        summary.restarts.add(status);
        let state = |key| status.at("state").and_then(|s| s.at(key));
        if let Some(wait) = state("waiting").filter(|w| !w.text("reason").is_empty()) {
            summary.reason = wait.text("reason").to_owned();
        } else if let Some(end) = state("terminated") {
            summary.reason = ending(end);
        } else if status.flag("ready") && state("running").is_some() {
            running = true;
            summary.ready += 1;
        }
    }
    // Some ended, some still run.
    if summary.reason == "Completed" && running {
        summary.reason = if holds(pod, "Ready") { "Running" } else { "NotReady" }.into();
    }
}

fn deleting(pod: &Value, reason: &mut String) {
    let status = |key| pod.at("status").map_or("", |s| s.text(key));
    if status("reason") == "NodeLost" {
        *reason = "Unknown".into();
    } else if !matches!(status("phase"), "Succeeded" | "Failed") {
        *reason = "Terminating".into();
    }
}

fn address(status: Option<&Value>) -> &str {
    let Some(status) = status else { return "" };
    status.items("podIPs").first().map_or(status.text("podIP"), |a| a.text("ip"))
}

fn gates(pod: &Value) -> String {
    let gates = pod.at("spec").map(|s| s.items("readinessGates")).unwrap_or_default();
    match gates.len() {
        0 => NONE.into(),
        all => format!("{}/{all}", gates.iter().filter(|g| holds(pod, g.text("conditionType"))).count()),
    }
}

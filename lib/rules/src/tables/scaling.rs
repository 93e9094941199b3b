//! Autoscalers and disruption budgets.

use super::cell::Cell;
use super::column::{AGE, Column, NAME, date, number as numbers, text};
use super::words::{NONE, UNKNOWN, UNSET, number, scalar};
use super::{Printer, age, name};
use crate::tree::Tree;
use apimachinery::Value;

pub(super) static DISRUPTION_BUDGET: Printer = Printer {
    columns: &[
        NAME,
        text("Min Available", "How many pods must stay."),
        text("Max Unavailable", "How many pods may be missing."),
        numbers("Allowed Disruptions", "How many pods may be evicted now."),
        AGE,
    ],
    row: |budget| {
        let limit = |key| Cell::text(scalar(budget.at("spec").and_then(|s| s.at(key)), "N/A"));
        vec![
            name(budget),
            limit("minAvailable"),
            limit("maxUnavailable"),
            number(budget.at("status"), "disruptionsAllowed"),
            age(budget),
        ]
    },
};

const DESIRED: &str = "replicas is the desired number of instances for the scaled object.";
const AVAILABLE: &str = "replicas is the actual number of observed instances of the scaled object.";

/// The columns of a scale. Those of custom resources are told in words of their own.
pub(super) static SCALE: &[Column<'static>] =
    &[Column { format: "", ..NAME }, numbers("Desired", DESIRED), numbers("Available", AVAILABLE), AGE];

/// The columns of a custom resource's scale.
pub(super) static CUSTOM_SCALE: &[Column<'static>] = &[
    NAME,
    numbers("Desired", "Number of desired replicas"),
    numbers("Available", "Number of actual replicas"),
    date("Age", AGE.description),
];

/// The cells of either.
pub(super) fn scale_row(scale: &Value) -> Vec<Cell> {
    let replicas = |key| number(scale.at(key), "replicas");
    vec![name(scale), replicas("spec"), replicas("status"), age(scale)]
}

pub(super) static AUTOSCALER: Printer = Printer {
    columns: &[
        NAME,
        text("Reference", "What is scaled."),
        text("Targets", "Present and desired values of the metrics."),
        text("MinPods", "The fewest pods there may be."),
        text("MaxPods", "The most pods there may be."),
        text("Replicas", "How many pods there are."),
        AGE,
    ],
    row: autoscaler,
};

fn autoscaler(object: &Value) -> Vec<Cell> {
    let spec = object.at("spec").unwrap_or(&Value::Null);
    let target = spec.at("scaleTargetRef").map(|t| format!("{}/{}", t.text("kind"), t.text("name")));
    vec![
        name(object),
        Cell::text(target.unwrap_or_default()),
        Cell::text(targets(object, spec)),
        Cell::text(scalar(spec.at("minReplicas"), UNSET)),
        number(Some(spec), "maxReplicas"),
        number(object.at("status"), "currentReplicas"),
        age(object),
    ]
}

fn targets(object: &Value, spec: &Value) -> String {
    let status = object.at("status").unwrap_or(&Value::Null);
    // The old version knows but the processor.
    if let Some(percent) = spec.at("targetCPUUtilizationPercentage") {
        let current = status.at("currentCPUUtilizationPercentage");
        return format!("cpu: {}/{percent}%", current.map_or(UNKNOWN.into(), |c| format!("{c}%")));
    }
    let metrics = spec.items("metrics");
    let current = status.items("currentMetrics");
    let shown: Vec<String> =
        metrics.iter().take(2).enumerate().map(|(i, metric)| target(metric, current.get(i))).collect();
    match metrics.len() {
        0 => NONE.into(),
        n @ 3.. => format!("{} + {} more...", shown.join(", "), n - 2),
        _ => shown.join(", "),
    }
}

fn target(metric: &Value, status: Option<&Value>) -> String {
    let kind = metric.text("type");
    let member = match kind {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".into(),
    };
    let source = metric.at(member).unwrap_or(&Value::Null);
    let want = source.at("target").unwrap_or(&Value::Null);
    let current = status.and_then(|s| s.at(member)).and_then(|s| s.at("current")).unwrap_or(&Value::Null);
    let pair = |key| format!("{}/{}", scalar(current.at(key), UNKNOWN), scalar(want.at(key), ""));
    match kind {
        "Pods" => pair("averageValue"),
        "External" | "Object" if want.has("averageValue") => format!("{} (avg)", pair("averageValue")),
        "External" | "Object" => pair("value"),
        _ if want.has("averageValue") => format!("{}: {}", source.text("name"), pair("averageValue")),
        _ => format!("{}: {}", source.text("name"), utilization(current, want)),
    }
}

fn utilization(current: &Value, want: &Value) -> String {
    let percent = |value: &Value, instead: &str| {
        value.at("averageUtilization").map_or(instead.to_owned(), |percent| format!("{percent}%"))
    };
    format!("{}/{}", percent(current, UNKNOWN), percent(want, "<auto>"))
}

//! What the status of a set of pods may say.

use super::super::check::{At, Report};
use super::super::values::not_negative;
use crate::tree::Tree;
use apimachinery::Value;

const STATUS: At<'static> = At::root("status");

fn of(object: &Value) -> &Value {
    object.at("status").unwrap_or(&Value::Null)
}

pub(in super::super) fn deployment(new: &Value, old: &Value, out: &mut Report) {
    const COUNTS: [&str; 8] = [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ];
    counts(of(new), &COUNTS, out);
    within(of(new), &["updatedReplicas", "readyReplicas", "availableReplicas"], "readyReplicas", out);
    collisions(of(new), of(old), out);
}

pub(in super::super) fn replica_set(new: &Value, _: &Value, out: &mut Report) {
    const COUNTS: [&str; 6] = [
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "observedGeneration",
        "terminatingReplicas",
    ];
    counts(of(new), &COUNTS, out);
    within(of(new), &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"], "readyReplicas", out);
}

pub(in super::super) fn stateful_set(new: &Value, old: &Value, out: &mut Report) {
    const COUNTS: [&str; 7] = [
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ];
    counts(of(new), &COUNTS, out);
    const PARTS: [&str; 4] = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    within(of(new), &PARTS, "status.readyReplicas", out);
    collisions(of(new), of(old), out);
}

pub(in super::super) fn daemon_set(new: &Value, old: &Value, out: &mut Report) {
    const COUNTS: [&str; 9] = [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ];
    counts(of(new), &COUNTS, out);
    collisions(of(new), of(old), out);
}

fn counts(status: &Value, keys: &[&str], out: &mut Report) {
    for key in keys {
        not_negative(&STATUS, status, key, out);
    }
}

/// Parts are no more than the whole, and what is available is ready; upstream names that one in two ways.
fn within(status: &Value, parts: &[&str], ready: &str, out: &mut Report) {
    for key in parts.iter().filter(|key| status.int(key) > status.int("replicas")) {
        out.invalid(&STATUS.child(key), status.int(key), "cannot be greater than status.replicas");
    }
    let available = status.int("availableReplicas");
    if available > status.int("readyReplicas") {
        out.invalid(&STATUS.child("availableReplicas"), available, format!("cannot be greater than {ready}"));
    }
}

/// Names of children are never tried again.
fn collisions(new: &Value, old: &Value, out: &mut Report) {
    let count = |status: &Value| status.at("collisionCount").and_then(Value::as_i64);
    let (after, before) = (count(new), count(old));
    if before.is_some_and(|before| after.is_none_or(|after| after < before)) {
        out.invalid(&STATUS.child("collisionCount"), after.unwrap_or_default(), "cannot be decremented");
    }
}

//! What a job's status may say, and how it may change: whoever manages the job, a job that has ended stays so.

use super::super::check::{At, IMMUTABLE, Report, same};
use super::super::printed::Internal;
use super::super::values::not_negative;
use super::super::workloads::spec_of;
use super::indexes;
use crate::tree::Tree;
use apimachinery::Value;

const STATUS: At<'static> = At::root("status");

/// Whether a condition of this type is true.
pub(super) fn holds(status: &Value, kind: &str) -> bool {
    condition_is(status, kind, "True")
}

fn condition_is(status: &Value, kind: &str, value: &str) -> bool {
    status.items("conditions").iter().any(|c| c.text("type") == kind && c.text("status") == value)
}

fn is_finished(status: &Value) -> bool {
    holds(status, "Complete") || holds(status, "Failed")
}

/// A job's new status and the one before; most rules are about what has changed.
struct Change<'a> {
    spec: &'a Value,
    new: &'a Value,
    old: &'a Value,
}

impl Change<'_> {
    fn of(&self, key: &str) -> bool {
        !same(self.new.at(key), self.old.at(key))
    }

    fn of_condition(&self, kind: &str) -> bool {
        holds(self.new, kind) != holds(self.old, kind)
    }

    fn of_end(&self) -> bool {
        is_finished(self.new) != is_finished(self.old)
    }
}

pub(in super::super) fn job_status(new: &Value, old: &Value, out: &mut Report) {
    let null = &Value::Null;
    let change =
        Change { spec: spec_of(new), new: new.at("status").unwrap_or(null), old: old.at("status").unwrap_or(null) };
    for key in ["active", "succeeded", "failed", "ready", "terminating"] {
        not_negative(&STATUS, change.new, key, out);
    }
    uncounted(change.new, out);
    completion(&change, out);
    times(&change, out);
    endings(&change, out);
    finished(&change, out);
    lists(&change, out);
    pods(&change, out);
    success_criteria(&change, out);
    transitions(&change, out);
    late_criteria(&change, out);
}

/// Pods that have ended and are not counted yet are listed once.
fn uncounted(status: &Value, out: &mut Report) {
    let Some(pods) = status.at("uncountedTerminatedPods") else { return };
    let at = STATUS.child("uncountedTerminatedPods");
    let mut seen: Vec<&str> = Vec::new();
    for key in ["succeeded", "failed"] {
        let at = at.child(key);
        for (index, uid) in pods.texts(key).enumerate() {
            if uid.is_empty() {
                out.invalid(&at.index(index), uid, "must not be empty");
            } else if seen.contains(&uid) {
                out.duplicate(&at.index(index), uid);
            } else {
                seen.push(uid);
            }
        }
    }
}

fn wrong_conditions(out: &mut Report, detail: &str) {
    out.invalid_whole(&STATUS.child("conditions"), detail);
}

fn completion(change: &Change<'_>, out: &mut Report) {
    let complete = holds(change.new, "Complete");
    if !complete {
        return;
    }
    let changed = change.of_condition("Complete");
    if (changed || change.of_condition("Failed")) && holds(change.new, "Failed") {
        wrong_conditions(out, "cannot set Complete=True and Failed=true conditions");
    }
    if (changed || change.of_condition("FailureTarget")) && holds(change.new, "FailureTarget") {
        wrong_conditions(out, "cannot set Complete=True and FailureTarget=true conditions");
    }
}

fn times(change: &Change<'_>, out: &mut Report) {
    let at = STATUS.child("completionTime");
    let (completed, started) = (change.new.at("completionTime"), change.new.at("startTime"));
    if change.of_condition("Complete") || change.of("completionTime") {
        match (completed, holds(change.new, "Complete")) {
            (Some(time), false) => {
                out.invalid(&at, time, "cannot set completionTime when there is no Complete=True condition");
            }
            (None, true) => out.required(&at, "completionTime is required for Complete jobs"),
            _ => {}
        }
    }
    if (change.of("startTime") || change.of("completionTime"))
        && let (Some(completed), Some(started)) = (completed, started)
        // Both are in the one form that sorts.
        && completed.as_str() < started.as_str()
    {
        out.invalid(&at, completed, "must be equal to or after `startTime`");
    }
}

/// An ending is announced before it is there.
fn endings(change: &Change<'_>, out: &mut Report) {
    let failed = holds(change.new, "Failed") && !holds(change.new, "FailureTarget");
    if (change.of_condition("Failed") || change.of("failedIndexes")) && failed {
        wrong_conditions(out, "cannot set Failed=True condition without the FailureTarget=true condition");
    }
    let complete = holds(change.new, "Complete") && !holds(change.new, "SuccessCriteriaMet");
    if (change.of_condition("Complete") || change.of_condition("SuccessCriteriaMet")) && complete {
        wrong_conditions(out, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition");
    }
}

fn finished(change: &Change<'_>, out: &mut Report) {
    if !is_finished(change.new) {
        return;
    }
    let (new, ended) = (change.new, change.of_end());
    if (ended || change.of("active")) && new.int("active") > 0 {
        out.invalid(&STATUS.child("active"), new.int("active"), "active>0 is invalid for finished job");
    }
    let never_ran = change.spec.flag("suspend") && change.spec.at("completions").and_then(Value::as_i64) == Some(0);
    if (ended || change.of("startTime")) && !never_ran && !new.has("startTime") {
        out.required(&STATUS.child("startTime"), "startTime is required for finished job");
    }
    if (ended || change.of("uncountedTerminatedPods"))
        && let Some(pods) = new.at("uncountedTerminatedPods")
        && !(pods.items("succeeded").is_empty() && pods.items("failed").is_empty())
    {
        let shown = Internal(Some(pods), "@batch.UncountedTerminatedPods");
        out.invalid(&STATUS.child("uncountedTerminatedPods"), shown, "must be empty for finished job");
    }
}

fn lists(change: &Change<'_>, out: &mut Report) {
    let (spec, new) = (change.spec, change.new);
    let (completed, failed) = (new.text("completedIndexes"), new.at("failedIndexes").and_then(Value::as_str));
    let completions = spec.at("completions").and_then(Value::as_i64);
    let (completed_at, failed_at) = (STATUS.child("completedIndexes"), STATUS.child("failedIndexes"));
    let (completed_changed, failed_changed) = (change.of("completedIndexes"), change.of("failedIndexes"));
    let per_index = spec.has("backoffLimitPerIndex");
    if let Some(Err(why)) = completions.filter(|_| completed_changed).map(|max| indexes::count(completed, max)) {
        out.invalid(&completed_at, completed, format!("error parsing completedIndexes: {why}"));
    }
    if let (Some(max), Some(list), true) = (completions, failed, failed_changed && per_index)
        && let Err(why) = indexes::count(list, max)
    {
        out.invalid(&failed_at, list, format!("error parsing failedIndexes: {why}"));
    }
    if completed_changed && !completed.is_empty() && spec.text("completionMode") != "Indexed" {
        let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
        out.invalid(&completed_at, completed, detail);
    }
    let Some(failed) = failed else { return };
    if failed_changed && !per_index {
        out.invalid(&failed_at, failed, "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
    }
    if (failed_changed || completed_changed)
        && let Some(index) = completions.and_then(|max| indexes::shared(completed, failed, max))
    {
        let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
        out.invalid(&failed_at, failed, detail);
    }
}

fn pods(change: &Change<'_>, out: &mut Report) {
    let (new, terminating) = (change.new, change.new.int("terminating"));
    if (change.of_end() || change.of("terminating")) && terminating > 0 && is_finished(new) {
        out.invalid(&STATUS.child("terminating"), terminating, "terminating>0 is invalid for finished job");
    }
    let changed = change.of("ready") || change.of("active");
    if changed && new.has("ready") && new.int("ready") > new.int("active") {
        out.invalid(&STATUS.child("ready"), new.int("ready"), "cannot set more ready pods than active");
    }
}

fn success_criteria(change: &Change<'_>, out: &mut Report) {
    let met = holds(change.new, "SuccessCriteriaMet");
    if met && holds(change.new, "Failed") {
        wrong_conditions(out, "cannot set SuccessCriteriaMet=True and Failed=true conditions");
    }
    if met && holds(change.new, "FailureTarget") {
        wrong_conditions(out, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
    }
    if change.spec.has("successPolicy") && !met && holds(change.new, "Complete") {
        wrong_conditions(out, "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True");
    }
}

fn transitions(change: &Change<'_>, out: &mut Report) {
    let (spec, new, old) = (change.spec, change.new, change.old);
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if holds(old, kind) && !holds(new, kind) {
            wrong_conditions(out, &format!("cannot disable the terminal {kind}=True condition"));
        }
    }
    // An indexed job with as many completions as pods at a time can shrink.
    let shrinks = spec.text("completionMode") == "Indexed" && same(spec.at("completions"), spec.at("parallelism"));
    for (key, checked) in [("failed", true), ("succeeded", !shrinks)] {
        if checked && new.int(key) < old.int(key) {
            out.invalid(&STATUS.child(key), new.int(key), format!("cannot decrease the {key} counter"));
        }
    }
    if new.has("completionTime") && old.has("completionTime") && change.of("completionTime") {
        let time = new.at("completionTime").unwrap_or(&Value::Null);
        out.invalid(&STATUS.child("completionTime"), time, IMMUTABLE);
    }
    let resumes = holds(old, "Suspended") && condition_is(new, "Suspended", "False");
    if old.has("startTime") && change.of("startTime") && !resumes && !spec.flag("suspend") {
        let time = new.at("startTime").unwrap_or(&Value::Null);
        out.invalid(&STATUS.child("startTime"), time, "field is immutable for unsuspended job once set");
    }
}

fn late_criteria(change: &Change<'_>, out: &mut Report) {
    let (new, old) = (holds(change.new, "SuccessCriteriaMet"), holds(change.old, "SuccessCriteriaMet"));
    if old && !new {
        wrong_conditions(out, "cannot disable the SuccessCriteriaMet=True condition");
    }
    if holds(change.old, "Complete") && !old && new {
        wrong_conditions(out, "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions");
    }
}

//! Jobs and cron jobs.

use super::pod::controlled_by;
use super::sections::{Sections, or_unset, shown, yes};
use super::times::{between, stamp};
use super::{selector, template};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;

/// Completed indexes are shown up to about so many bytes.
const MAX_INDEXES: usize = 50;

pub(super) fn job(out: &mut Sections, job: &Value) {
    let (spec, status) = (&job["spec"], &job["status"]);
    out.field(0, "Name", job.name());
    out.field(0, "Namespace", job.namespace());
    out.field(0, "Selector", selector::text(spec.at("selector")));
    out.labels("Labels", job.labels());
    out.annotations("Annotations", job.annotations());
    controlled_by(out, job);
    if let Some(parallelism) = spec.at("parallelism") {
        out.field(0, "Parallelism", shown(parallelism));
    }
    out.field(0, "Completions", or_unset(spec.at("completions")));
    for (title, member) in [
        ("Completion Mode", "completionMode"),
        ("Suspend", "suspend"),
        ("Backoff Limit", "backoffLimit"),
        ("TTL Seconds After Finished", "ttlSecondsAfterFinished"),
    ] {
        if let Some(value) = spec.at(member) {
            out.field(0, title, shown(value));
        }
    }
    let (begin, end) = (status.text("startTime"), status.text("completionTime"));
    if !begin.is_empty() {
        out.field(0, "Start Time", stamp(begin));
    }
    if !end.is_empty() {
        out.field(0, "Completed At", stamp(end));
    }
    if !begin.is_empty() && !end.is_empty() {
        out.field(0, "Duration", between(begin, end));
    }
    if let Some(seconds) = spec.at("activeDeadlineSeconds") {
        out.field(0, "Active Deadline Seconds", format_args!("{seconds}s"));
    }
    pods(out, status);
    if spec.text("completionMode") == "Indexed" {
        out.field(0, "Completed Indexes", indexes(status.text("completedIndexes")));
    }
    template::write(out, &spec["template"]);
}

fn pods(out: &mut Sections, status: &Value) {
    let ready = status.at("ready").map(|ready| format!(" ({ready} Ready)")).unwrap_or_default();
    let (active, succeeded, failed) = (status.int("active"), status.int("succeeded"), status.int("failed"));
    out.field(0, "Pods Statuses", format_args!("{active} Active{ready} / {succeeded} Succeeded / {failed} Failed"));
}

fn indexes(indexes: &str) -> String {
    if indexes.is_empty() {
        return "<none>".into();
    }
    let comma = indexes.get(MAX_INDEXES..).and_then(|rest| rest.find(','));
    match comma {
        Some(at) => format!("{}...", &indexes[..=MAX_INDEXES + at]),
        None => indexes.to_owned(),
    }
}

pub(super) fn cron_job(out: &mut Sections, job: &Value) {
    let (spec, status) = (&job["spec"], &job["status"]);
    out.field(0, "Name", job.name());
    out.field(0, "Namespace", job.namespace());
    out.labels("Labels", job.labels());
    out.annotations("Annotations", job.annotations());
    out.field(0, "Schedule", spec.text("schedule"));
    out.field(0, "Concurrency Policy", spec.text("concurrencyPolicy"));
    out.field(0, "Suspend", spec.at("suspend").and_then(Value::as_bool).map_or("<unset>", yes));
    out.field(0, "Time Zone", or_unset(spec.at("timeZone")));
    out.field(0, "Successful Job History Limit", or_unset(spec.at("successfulJobsHistoryLimit")));
    out.field(0, "Failed Job History Limit", or_unset(spec.at("failedJobsHistoryLimit")));
    let deadline = spec.at("startingDeadlineSeconds").map(|seconds| format!("{seconds}s"));
    out.field(0, "Starting Deadline Seconds", deadline.unwrap_or_else(|| "<unset>".into()));
    job_template(out, &spec["jobTemplate"]["spec"]);
    let last = status.at("lastScheduleTime").and_then(Value::as_str).map(stamp);
    out.field(0, "Last Schedule Time", last.unwrap_or_else(|| "<unset>".into()));
    let active: Vec<&str> = status.items("active").iter().map(|job| job.text("name")).collect();
    out.field(0, "Active Jobs", super::sections::or_none(active.join(", ")));
}

fn job_template(out: &mut Sections, spec: &Value) {
    let chosen = spec.at("selector").map(|s| selector::text(Some(s)));
    out.field(0, "Selector", chosen.unwrap_or_else(|| "<unset>".into()));
    out.field(0, "Parallelism", or_unset(spec.at("parallelism")));
    out.field(0, "Completions", or_unset(spec.at("completions")));
    if let Some(seconds) = spec.at("activeDeadlineSeconds") {
        out.field(0, "Active Deadline Seconds", format_args!("{seconds}s"));
    }
    template::write(out, &spec["template"]);
}

#[cfg(test)]
mod tests {
    #[test]
    fn many_indexes_are_cut() {
        let many = (0..40).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
        assert!(super::indexes(&many).ends_with("18,19,...") || super::indexes(&many).ends_with(",..."));
        assert_eq!((super::indexes(""), super::indexes("1-5")), ("<none>".into(), "1-5".into()));
    }
}

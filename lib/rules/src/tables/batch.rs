//! Jobs and cron jobs.

use super::cell::Cell;
use super::column::{AGE, CONTAINERS, IMAGES, NAME, SELECTOR, flag, number as numbers, text};
use super::duration::human;
use super::words::{NONE, UNSET, containers, count, holds, or, selector, template};
use super::{Printer, age, name};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

pub(super) static JOB: Printer = Printer {
    columns: &[
        NAME,
        text("Status", "How the job stands."),
        text("Completions", "How many of the pods have succeeded."),
        text("Duration", "How long the job has run."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: job,
};

fn job(job: &Value) -> Vec<Cell> {
    let [names, images] = containers(template(job));
    vec![
        name(job),
        Cell::text(status(job)),
        Cell::text(completions(job)),
        duration(job),
        age(job),
        names,
        images,
        Cell::text(selector(job.at("spec").and_then(|s| s.at("selector")))),
    ]
}

fn status(job: &Value) -> &'static str {
    let held = |kinds: &[&'static str]| kinds.iter().copied().find(|kind| holds(job, kind));
    if let Some(end) = held(&["Complete", "Failed"]) {
        return end;
    }
    if job.is_deleting() {
        return "Terminating";
    }
    held(&["Suspended", "FailureTarget", "SuccessCriteriaMet"]).unwrap_or("Running")
}

fn completions(job: &Value) -> String {
    let succeeded = job.at("status").map_or(0, |s| s.int("succeeded"));
    let spec = |key| job.at("spec").and_then(|s| s.at(key)).and_then(Value::as_i64);
    match (spec("completions"), spec("parallelism")) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, Some(parallel @ 2..)) => format!("{succeeded}/1 of {parallel}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn duration(job: &Value) -> Cell {
    let time = |key| job.at("status").and_then(|s| s.text(key).parse().ok());
    match (time("startTime"), time("completionTime")) {
        (None, _) => Cell::text(""),
        (Some(start), None) => Cell::Since(start),
        (Some(start), Some(end)) => Cell::text(human(end, start)),
    }
}

pub(super) static CRON_JOB: Printer = Printer {
    columns: &[
        NAME,
        text("Schedule", "When it starts jobs, in cron's form."),
        text("Timezone", "The time zone of the schedule."),
        flag("Suspend", "Whether no more jobs are started."),
        numbers("Active", "How many of its jobs run."),
        text("Last Schedule", "When it last started a job."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: cron_job,
};

fn cron_job(job: &Value) -> Vec<Cell> {
    let (spec, status) = (job.at("spec").unwrap_or(&Value::Null), job.at("status").unwrap_or(&Value::Null));
    let job_spec = spec.at("jobTemplate").and_then(|t| t.at("spec"));
    let [names, images] = containers(job_spec.and_then(|s| s.at("template")).and_then(|t| t.at("spec")));
    let last = status.text("lastScheduleTime");
    vec![
        name(job),
        Cell::text(spec.text("schedule")),
        Cell::text(or(spec.text("timeZone"), NONE)),
        Cell::text(suspended(spec)),
        Cell::Value(count(status, "active").into()),
        if last.is_empty() { Cell::text(NONE) } else { Cell::since(last) },
        age(job),
        names,
        images,
        Cell::text(selector(job_spec.and_then(|s| s.at("selector")))),
    ]
}

fn suspended(spec: &Value) -> &'static str {
    match spec.at("suspend").and_then(Value::as_bool) {
        Some(true) => "True",
        Some(false) => "False",
        None => UNSET,
    }
}

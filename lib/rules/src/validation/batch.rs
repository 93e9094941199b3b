//! Jobs and cron jobs.
//!
//! Upstream: `pkg/apis/batch/validation/validation.go`.

use super::check::{At, Report, same};
use super::pod;
use super::values::{not_negative, selector};
use super::workloads::{matches, spec_of};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const SPEC: At<'static> = At::root("spec");

pub(super) fn job(object: &Value, out: &mut Report) {
    let spec = spec_of(object);
    job_spec(&SPEC, spec, out);
    let at = SPEC.child("selector");
    match spec.at("selector") {
        None => out.required(&at, ""),
        value => selector(&at, value, out),
    }
    let template = spec.at("template").unwrap_or(&Value::Null);
    if !matches(spec.at("selector"), template) {
        let at = SPEC.child("template");
        let labels = template.metadata().and_then(|m| m.at("labels")).unwrap_or(&Value::Null);
        let at = at.child("metadata");
        out.invalid(&at.child("labels"), labels, "`selector` does not match template `labels`");
    }
}

/// What a job's and a cron job's specification share.
fn job_spec(at: &At<'_>, spec: &Value, out: &mut Report) {
    const COUNTS: [&str; 7] = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    for key in COUNTS {
        not_negative(at, spec, key, out);
    }
    let indexed = spec.text("completionMode") == "Indexed";
    out.one_of_or_empty(&at.child("completionMode"), spec.text("completionMode"), &["NonIndexed", "Indexed"]);
    if indexed && !spec.has("completions") {
        out.required(&at.child("completions"), "when completion mode is Indexed");
    }
    if !indexed && spec.has("backoffLimitPerIndex") {
        let limit = spec.int("backoffLimitPerIndex");
        out.invalid(&at.child("backoffLimitPerIndex"), limit, "requires indexed completion mode");
    }
    if spec.has("podFailurePolicy") && spec.at("template").and_then(|t| t.at("spec")).is_some_and(restarts) {
        let detail = "only \"Never\" is supported when podFailurePolicy is specified";
        let policy = "OnFailure";
        let template = at.child("template");
        let template = template.child("spec");
        out.invalid(&template.child("restartPolicy"), policy, detail);
    }
    let template = spec.at("template").unwrap_or(&Value::Null);
    let at = at.child("template");
    pod::template(&at, template, out);
    let at = at.child("spec");
    let policy = template.at("spec").map_or("", |s| s.text("restartPolicy"));
    match policy {
        "" | "Always" => {
            out.required(&at.child("restartPolicy"), "valid values: \"OnFailure\", \"Never\"");
        }
        "OnFailure" | "Never" => {}
        other => out.not_supported(&at.child("restartPolicy"), other, &["OnFailure", "Never"]),
    }
}

fn restarts(spec: &Value) -> bool {
    spec.text("restartPolicy") == "OnFailure"
}

pub(super) fn job_update(new: &Value, old: &Value, out: &mut Report) {
    let (new_spec, old_spec) = (spec_of(new), spec_of(old));
    let indexed = new_spec.text("completionMode") == "Indexed";
    // An indexed job may grow and shrink with its parallelism.
    let elastic = indexed && same(new_spec.at("completions"), new_spec.at("parallelism"));
    if !elastic {
        out.immutable(&SPEC.child("completions"), new_spec.at("completions"), old_spec.at("completions"));
    }
    for key in ["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
    {
        out.immutable(&SPEC.child(key), new_spec.at(key), old_spec.at(key));
    }
    let suspended = old_spec.flag("suspend");
    if !suspended {
        out.immutable(&SPEC.child("template"), new_spec.at("template"), old_spec.at("template"));
    }
}

pub(super) fn cron_job(object: &Value, out: &mut Report) {
    let spec = spec_of(object);
    let schedule = spec.text("schedule");
    let at = SPEC.child("schedule");
    match schedule {
        "" => out.required(&at, ""),
        text if text.contains("TZ") => {
            out.invalid(&at, text, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
        }
        text => {
            if let Some(finding) = schedule_error(text) {
                out.invalid(&at, text, finding);
            }
        }
    }
    let zone = spec.text("timeZone");
    if spec.has("timeZone") && jiff::tz::TimeZone::get(zone).is_err() {
        out.invalid(&SPEC.child("timeZone"), zone, format!("unknown time zone {zone}"));
    }
    for key in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        not_negative(&SPEC, spec, key, out);
    }
    let policy = spec.text("concurrencyPolicy");
    out.one_of(&SPEC.child("concurrencyPolicy"), policy, &["Allow", "Forbid", "Replace"]);
    let template = SPEC.child("jobTemplate");
    let job = spec.at("jobTemplate").and_then(|t| t.at("spec")).unwrap_or(&Value::Null);
    job_spec(&template.child("spec"), job, out);
}

/// What is wrong with a schedule in cron's form.
fn schedule_error(text: &str) -> Option<String> {
    const NAMED: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
    if let Some(every) = text.strip_prefix("@every ") {
        let right = every.ends_with(['h', 'm', 's']) && every.starts_with(|c: char| c.is_ascii_digit());
        return (!right).then(|| format!("failed to parse duration {text}"));
    }
    if text.starts_with('@') {
        return (!NAMED.contains(&text)).then(|| format!("unrecognized descriptor: {text}"));
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != 5 {
        return Some(format!("expected exactly 5 fields, found {}: {fields:?}", fields.len()));
    }
    const BOUNDS: [(u32, u32, &[&str]); 5] = [
        (0, 59, &[]),
        (0, 23, &[]),
        (1, 31, &[]),
        (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
        (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
    ];
    let wrong = fields.iter().zip(BOUNDS).find(|(field, bounds)| !field.split(',').all(|part| is_range(part, *bounds)));
    wrong.map(|(field, _)| {
        format!("failed to parse int from {field}: strconv.Atoi: parsing \"{field}\": invalid syntax")
    })
}

/// `*`, `5`, `1-5`, with or without `/2`.
fn is_range(part: &str, (min, max, names): (u32, u32, &[&str])) -> bool {
    let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
    let number = |text: &str| {
        let named = names.iter().position(|name| text.eq_ignore_ascii_case(name)).map(|i| i as u32 + min);
        named.or_else(|| text.parse().ok()).filter(|n| (min..=max).contains(n))
    };
    let right = match range.split_once('-') {
        Some((from, to)) => matches!((number(from), number(to)), (Some(from), Some(to)) if from <= to),
        None => matches!(range, "*" | "?") || number(range).is_some(),
    };
    right && step.is_none_or(|step| step.parse::<u32>().is_ok_and(|n| n > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules() {
        for text in ["* * * * *", "*/1 * * * ?", "0 0-12/2 1,15 jan-mar MON", "@daily", "@every 1h30m"] {
            assert_eq!(schedule_error(text), None, "{text}");
        }
        for text in ["", "* * * *", "60 * * * *", "* * 0 * *", "a * * * *", "*/0 * * * *", "5-1 * * * *", "@never"] {
            assert!(schedule_error(text).is_some(), "{text}");
        }
    }
}

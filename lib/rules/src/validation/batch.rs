//! Jobs and cron jobs.
//!
//! Upstream: `pkg/apis/batch/validation/validation.go`.

mod indexes;
mod job;
mod policies;
mod schedule;
mod status;
mod template;
#[cfg(test)]
mod tests;

pub(super) use job::{job, job_update};
pub(super) use status::job_status;

use super::check::{At, Report, same};
use super::printed::Internal;
use super::values::not_negative;
use super::workloads::spec_of;
use crate::tree::Tree;
use apimachinery::Value;

const SPEC: At<'static> = At::root("spec");

pub(super) fn cron_job(object: &Value, out: &mut Report) {
    cron_spec(spec_of(object), None, out);
}

pub(super) fn cron_job_update(new: &Value, old: &Value, out: &mut Report) {
    cron_spec(spec_of(new), Some(spec_of(old)), out);
}

fn cron_spec(spec: &Value, before: Option<&Value>, out: &mut Report) {
    let zone = spec.at("timeZone").and_then(Value::as_str);
    match spec.text("schedule") {
        "" => out.required(&SPEC.child("schedule"), ""),
        text => schedule_format(text, before.is_some_and(|old| old.text("schedule").contains("TZ")), zone, out),
    }
    not_negative(&SPEC, spec, "startingDeadlineSeconds", out);
    if before.is_none_or(|old| !same(old.at("timeZone"), spec.at("timeZone")))
        && let Some(zone) = zone
    {
        time_zone(zone, out);
    }
    let policy = spec.text("concurrencyPolicy");
    out.one_of(&SPEC.child("concurrencyPolicy"), policy, &["Allow", "Forbid", "Replace"]);
    let at = SPEC.child("jobTemplate");
    job_template(&at.child("spec"), spec.at("jobTemplate").map_or(&Value::Null, spec_of), out);
    not_negative(&SPEC, spec, "successfulJobsHistoryLimit", out);
    not_negative(&SPEC, spec, "failedJobsHistoryLimit", out);
}

fn schedule_format(text: &str, had_zone: bool, zone: Option<&str>, out: &mut Report) {
    let at = SPEC.child("schedule");
    if let Some(finding) = schedule::error(text) {
        out.invalid(&at, text, finding);
    }
    match (text.contains("TZ"), had_zone) {
        (true, true) if zone.is_some() => {
            out.invalid(&at, text, "cannot use both timeZone field and TZ or CRON_TZ in schedule");
        }
        (true, false) => out.invalid(&at, text, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
        _ => {}
    }
}

fn time_zone(zone: &str, out: &mut Report) {
    let at = SPEC.child("timeZone");
    if zone.is_empty() {
        return out.invalid(&at, zone, "timeZone must be nil or non-empty string");
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-_+".contains(&b);
    let is_name = |part: &str| {
        !matches!(part, "" | "." | "..") && !part.starts_with('-') && part.len() <= 14 && part.bytes().all(allowed)
    };
    if !zone.split('/').all(is_name) {
        return out.invalid(&at, zone, format!("unknown time zone {zone}"));
    }
    if zone.eq_ignore_ascii_case("Local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        out.invalid(&at, zone, detail);
    }
    if let Some(why) = zone_error(zone) {
        out.invalid(&at, zone, why);
    }
}

/// Why there is no time zone of this name; case matters.
fn zone_error(zone: &str) -> Option<String> {
    let known = || jiff::tz::TimeZone::get(zone).is_ok_and(|found| found.iana_name() == Some(zone));
    (!matches!(zone, "" | "UTC" | "Local") && !known()).then(|| format!("unknown time zone {zone}"))
}

/// Jobs of a cron job choose their pods by themselves.
fn job_template(at: &At<'_>, spec: &Value, out: &mut Report) {
    job::job_spec(at, spec, out);
    if let Some(selector) = spec.at("selector") {
        out.invalid(&at.child("selector"), Internal(Some(selector), "L"), "`selector` will be auto-generated");
    }
    if spec.flag("manualSelector") {
        out.not_supported(&at.child("manualSelector"), true, &["nil", "false"]);
    }
}

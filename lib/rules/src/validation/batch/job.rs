//! Jobs: their specification, and what may change of it.

use super::super::check::{At, Report, same};
use super::super::names::{domain_prefixed_path, label};
use super::super::pod;
use super::super::printed::Internal;
use super::super::values::{has_wrong_value, not_negative, selector};
use super::super::workloads::{Selection, mismatch, selection, spec_of};
use super::{SPEC, policies, template};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const MAX_MANAGER: usize = 63;
/// What an indexed job may have at most.
const MAX_PARALLELISM: i64 = 100_000;
const MAX_FAILED: i64 = 100_000;
/// Above this number of completions, limits per index have less room.
const MANY_COMPLETIONS: i64 = 100_000;
const MAX_OF_MANY: i64 = 10_000;
const PREFIXED: [&str; 2] = ["batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"];
const PLAIN: [&str; 2] = ["controller-uid", "job-name"];

/// What an update tolerates because the stored job has it.
#[derive(Clone, Copy)]
struct Leniency {
    /// A selector with wrong values.
    selector: bool,
    /// A template without the labels that have a prefix.
    labels: bool,
}

pub(in super::super) fn job(object: &Value, out: &mut Report) {
    whole(object, Leniency { selector: false, labels: false }, out);
}

pub(in super::super) fn job_update(new: &Value, old: &Value, out: &mut Report) {
    let (spec, before) = (spec_of(new), spec_of(old));
    let labels = before.at("template").and_then(Value::labels);
    let lenient = Leniency {
        selector: has_wrong_value(before.at("selector")) && same(spec.at("selector"), before.at("selector")),
        labels: !PREFIXED.iter().all(|key| labels.is_some_and(|l| l.contains_key(*key))),
    };
    whole(new, lenient, out);
    // Upstream has the specification checked by two functions, and says what is wrong twice.
    selecting_spec(spec, lenient, out);
    completions(spec, before, out);
    let (selected, then) = (spec.at("selector"), before.at("selector"));
    out.immutable_shown(&SPEC.child("selector"), selected, then, Internal(selected, "L"));
    template::update(new, old, out);
    for (key, form) in [
        ("completionMode", "p"),
        ("podFailurePolicy", "*@batch.PodFailurePolicy"),
        ("backoffLimitPerIndex", "p"),
        ("managedBy", "p"),
        ("successPolicy", "*@batch.SuccessPolicy"),
    ] {
        let (now, then) = (spec.at(key), before.at(key));
        out.immutable_shown(&SPEC.child(key), now, then, Internal(now, form));
    }
}

fn whole(object: &Value, lenient: Leniency, out: &mut Report) {
    let spec = spec_of(object);
    generated_selector(object, lenient, out);
    selecting_spec(spec, lenient, out);
    let completions = spec.int("completions");
    if is_indexed(spec) && completions > 0 {
        // Pods are named after the job and their index.
        let name = object.name();
        let longest = format!("{name}-{}", completions - 1);
        if !label(&longest).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS label: {longest}");
            out.invalid(&At::root("metadata").child("name"), name, detail);
        }
    }
}

fn is_indexed(spec: &Value) -> bool {
    spec.text("completionMode") == "Indexed"
}

/// A selector that the apiserver has made selects the job's own pods, and no others.
fn generated_selector(object: &Value, lenient: Leniency, out: &mut Report) {
    let spec = spec_of(object);
    let Some(selector) = spec.at("selector").filter(|_| !spec.flag("manualSelector")) else { return };
    let (uid, name) = (object.uid(), object.name());
    if uid.is_empty() {
        out.required(&At::root("metadata").child("uid"), "");
    }
    let prefixed = PREFIXED.iter().filter(|_| !lenient.labels);
    let expected = || PLAIN.iter().chain(prefixed.clone()).zip([uid, name].into_iter().cycle());
    let at = SPEC.child("template");
    let at = at.child("metadata");
    let at = at.child("labels");
    let labels = spec.at("template").and_then(Value::labels);
    for (key, value) in expected() {
        match labels.and_then(|l| l.at(key)) {
            None => out.required(&at.key(key), &format!("must be '{value}'")),
            Some(given) if given.as_str() == Some(value) => {}
            Some(_) => {
                let labels = Value::Object(labels.cloned().unwrap_or_default());
                out.invalid(&at.key(key), &labels, format!("must be '{value}'"));
            }
        }
    }
    let made: apimachinery::Map = expected().map(|(key, value)| ((*key).to_owned(), value.into())).collect();
    if selection(Some(selector), Some(&made)) == Selection::Differs {
        out.invalid(&SPEC.child("selector"), Internal(Some(selector), "L"), "`selector` not auto-generated");
    }
}

fn selecting_spec(spec: &Value, lenient: Leniency, out: &mut Report) {
    job_spec(&SPEC, spec, out);
    let at = SPEC.child("selector");
    match spec.at("selector") {
        None => out.required(&at, ""),
        Some(_) if lenient.selector => {}
        value => selector(&at, value, out),
    }
    let template = spec.at("template").unwrap_or(&Value::Null);
    if selection(spec.at("selector"), template.labels()) == Selection::Differs {
        mismatch(&SPEC.child("template"), template, out);
    }
}

/// What a job's and a cron job's specification share.
pub(super) fn job_spec(at: &At<'_>, spec: &Value, out: &mut Report) {
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
    if spec.has("maxFailedIndexes") && !spec.has("backoffLimitPerIndex") {
        out.required(&at.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
    if let Some(manager) = spec.at("managedBy").and_then(Value::as_str) {
        managed_by(&at.child("managedBy"), manager, out);
    }
    let mode = spec.at("completionMode").and_then(Value::as_str);
    match mode {
        Some("Indexed") => indexed(at, spec, out),
        None | Some("NonIndexed") => {
            for key in ["backoffLimitPerIndex", "maxFailedIndexes"].into_iter().filter(|key| spec.has(key)) {
                out.invalid(&at.child(key), spec.int(key), "requires indexed completion mode");
            }
        }
        Some(other) => out.not_supported(&at.child("completionMode"), other, &["NonIndexed", "Indexed"]),
    }
    policies::all(at, spec, out);
    let template = spec.at("template").unwrap_or(&Value::Null);
    let at = at.child("template");
    pod::template(&at, template, out);
    let at = at.child("spec");
    let at = at.child("restartPolicy");
    match template.at("spec").map_or("", |s| s.text("restartPolicy")) {
        "" | "Always" => out.required(&at, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if spec.has("podFailurePolicy") => {
            out.invalid(&at, "OnFailure", "only \"Never\" is supported when podFailurePolicy is specified");
        }
        "OnFailure" | "Never" => {}
        other => out.not_supported(&at, other, &["OnFailure", "Never"]),
    }
}

/// Who runs the job: a path that begins with a domain.
fn managed_by(at: &At<'_>, manager: &str, out: &mut Report) {
    match manager.is_empty() {
        true => out.required(at, ""),
        false => domain_prefixed_path(manager).into_iter().for_each(|(part, why)| out.invalid(at, part, why)),
    }
    if manager.len() > MAX_MANAGER {
        out.too_long(at, MAX_MANAGER);
    }
}

fn indexed(at: &At<'_>, spec: &Value, out: &mut Report) {
    let get = |key: &str| spec.at(key).and_then(Value::as_i64);
    let (completions, parallelism, failed) = (get("completions"), get("parallelism"), get("maxFailedIndexes"));
    let above = |number: Option<i64>, max: i64| number.filter(|number| *number > max);
    if completions.is_none() {
        out.required(&at.child("completions"), "when completion mode is Indexed");
    }
    if let Some(number) = above(parallelism, MAX_PARALLELISM) {
        let detail = format!("must be less than or equal to {MAX_PARALLELISM} when completion mode is Indexed");
        out.invalid(&at.child("parallelism"), number, detail);
    }
    let failed_at = at.child("maxFailedIndexes");
    if let Some(number) = completions.and_then(|completions| above(failed, completions)) {
        out.invalid(&failed_at, number, "must be less than or equal to completions");
    }
    if let Some(number) = above(failed, MAX_FAILED) {
        out.invalid(&failed_at, number, format!("must be less than or equal to {MAX_FAILED}"));
    }
    if above(completions, MANY_COMPLETIONS).is_none() || !spec.has("backoffLimitPerIndex") {
        return;
    }
    if failed.is_none() {
        let detail = format!("must be specified when completions is above {MANY_COMPLETIONS}");
        out.required(&failed_at, &detail);
    }
    for (key, number) in [("parallelism", parallelism), ("maxFailedIndexes", failed)] {
        if let Some(number) = above(number, MAX_OF_MANY) {
            let detail = format!(
                "must be less than or equal to {MAX_OF_MANY} when completions are above {MANY_COMPLETIONS} and used \
                 with backoff limit per index"
            );
            out.invalid(&at.child(key), number, detail);
        }
    }
}

/// An indexed job grows and shrinks with its parallelism, others not at all.
fn completions(spec: &Value, before: &Value, out: &mut Report) {
    let (at, completions) = (SPEC.child("completions"), spec.at("completions"));
    match completions {
        _ if !is_indexed(spec) => out.immutable(&at, completions, before.at("completions")),
        Some(number) if Some(number) != before.at("completions") && Some(number) != spec.at("parallelism") => {
            out.invalid(&at, number, "can only be modified in tandem with spec.parallelism");
        }
        _ => {}
    }
}

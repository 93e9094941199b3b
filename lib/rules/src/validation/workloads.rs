//! Deployments, replica sets, stateful sets, daemon sets and replication controllers.
//!
//! Upstream: `pkg/apis/apps/validation/validation.go`.

mod stateful;
pub(super) mod status;
#[cfg(test)]
mod tests;

pub(super) use stateful::{stateful_set, stateful_set_update};

use super::check::{At, Report, same};
use super::pod;
use super::printed::Internal;
use super::values::{count_or_percent, has_wrong_value, is_zero, not_above_all, not_negative, selector, selects_all};
use crate::tree::Tree;
use apimachinery::meta::ObjectMeta;
use apimachinery::selector::LabelSelector;
use apimachinery::{Map, Value};

const SPEC: At<'static> = At::root("spec");
const MISMATCH: &str = "`selector` does not match template `labels`";

pub(super) fn spec_of(object: &Value) -> &Value {
    object.at("spec").unwrap_or(&Value::Null)
}

pub(super) fn deployment(object: &Value, out: &mut Report) {
    let spec = spec_of(object);
    not_negative(&SPEC, spec, "replicas", out);
    selected_template(spec, out);
    strategy(&SPEC.child("strategy"), spec.at("strategy").unwrap_or(&Value::Null), out);
    for key in ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
        not_negative(&SPEC, spec, key, out);
    }
    if let Some(deadline) = spec.at("progressDeadlineSeconds").and_then(Value::as_i64)
        && deadline <= spec.int("minReadySeconds")
    {
        out.invalid(&SPEC.child("progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds");
    }
}

pub(super) fn replica_set(object: &Value, out: &mut Report) {
    let spec = spec_of(object);
    not_negative(&SPEC, spec, "replicas", out);
    not_negative(&SPEC, spec, "minReadySeconds", out);
    selected_template(spec, out);
}

pub(super) fn daemon_set(object: &Value, out: &mut Report) {
    daemon_spec(spec_of(object), true, out);
}

pub(super) fn daemon_set_update(new: &Value, old: &Value, out: &mut Report) {
    selector_update(new, old, out);
    let (spec, before) = (spec_of(new).at("selector"), spec_of(old).at("selector"));
    // A selector that was wrong already may stay.
    daemon_spec(spec_of(new), !(has_wrong_value(before) && same(spec, before)), out);
}

fn daemon_spec(spec: &Value, check_selector: bool, out: &mut Report) {
    let (at, chosen) = (SPEC.child("selector"), spec.at("selector"));
    let template_at = SPEC.child("template");
    let template = spec.at("template").unwrap_or(&Value::Null);
    if check_selector {
        selector(&at, chosen, out);
    }
    if selection(chosen, template.labels()) == Selection::Differs {
        mismatch(&template_at, template, out);
    }
    if let Some(value) = chosen.filter(|value| selects_all(Some(value))) {
        out.invalid(&at, value, "empty selector is invalid for daemonset");
    }
    running_template(&template_at, template, "DaemonSet", out);
    not_negative(&SPEC, spec, "minReadySeconds", out);
    daemon_strategy(&SPEC.child("updateStrategy"), spec.at("updateStrategy").unwrap_or(&Value::Null), out);
    not_negative(&SPEC, spec, "revisionHistoryLimit", out);
}

fn daemon_strategy(at: &At<'_>, strategy: &Value, out: &mut Report) {
    let rolling_at = at.child("rollingUpdate");
    let rolling = match (strategy.text("type"), strategy.at("rollingUpdate")) {
        ("OnDelete", _) => return,
        ("RollingUpdate", Some(rolling)) => rolling,
        ("RollingUpdate", None) => return out.required(&rolling_at, ""),
        _ => {
            let shown = Internal(Some(strategy), "@apps.DaemonSetUpdateStrategy");
            return out.not_supported(at, shown, &["RollingUpdate", "OnDelete"]);
        }
    };
    let keys = ["maxUnavailable", "maxSurge"];
    for check in [count_or_percent, not_above_all] {
        for (key, value) in keys.iter().filter_map(|key| Some((key, rolling.at(key)?))) {
            check(&rolling_at.child(key), value, out);
        }
    }
    let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
    match (is_zero(unavailable), is_zero(surge)) {
        (true, true) => out.required(&rolling_at.child("maxUnavailable"), "cannot be 0 when maxSurge is 0"),
        (false, false) => {
            let value = surge.unwrap_or(&Value::Null);
            out.invalid(&rolling_at.child("maxSurge"), value, "may not be set when maxUnavailable is non-zero");
        }
        _ => {}
    }
}

pub(super) fn replication_controller(object: &Value, out: &mut Report) {
    let spec = spec_of(object);
    not_negative(&SPEC, spec, "minReadySeconds", out);
    not_negative(&SPEC, spec, "replicas", out);
    let selector = spec.object("selector").filter(|s| !s.is_empty());
    if selector.is_none() {
        out.required(&SPEC.child("selector"), "");
    }
    let at = SPEC.child("template");
    let Some(template) = spec.at("template") else { return out.required(&at, "") };
    if !super::meta::labels_match(template.labels(), selector) {
        mismatch(&at, template, out);
    }
    running_template(&at, template, "ReplicationController", out);
}

pub(super) fn mismatch(at: &At<'_>, template: &Value, out: &mut Report) {
    let metadata = at.child("metadata");
    let labels = template.metadata().and_then(|m| m.at("labels")).unwrap_or(&Value::Null);
    out.invalid(&metadata.child("labels"), labels, MISMATCH);
}

/// The selector of a set of pods: it exists, and does not select everything.
fn own_selector(at: &At<'_>, chosen: Option<&Value>, kind: &str, out: &mut Report) {
    let Some(value) = chosen else { return out.required(at, "") };
    selector(at, chosen, out);
    if selects_all(chosen) {
        out.invalid(at, value, format!("empty selector is invalid for {kind}"));
    }
}

/// A selector, and a template of a replica set that it selects.
fn selected_template(spec: &Value, out: &mut Report) {
    let (at, template_at, chosen) = (SPEC.child("selector"), SPEC.child("template"), spec.at("selector"));
    own_selector(&at, chosen, "deployment", out);
    let template = spec.at("template").unwrap_or(&Value::Null);
    match selection(chosen, template.labels()) {
        Selection::Wrong => {
            return out.invalid(&at, Internal(chosen, "L"), "invalid label selector");
        }
        Selection::Differs => mismatch(&template_at, template, out),
        Selection::Fits => {}
    }
    running_template(&template_at, template, "ReplicaSet", out);
}

/// Whether a selector selects some labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// It does, as one does that selects everything.
    Fits,
    /// It does not, as none does that is absent.
    Differs,
    /// It is not a selector.
    Wrong,
}

pub(super) fn selection(selector: Option<&Value>, labels: Option<&Map>) -> Selection {
    match LabelSelector::from_value(selector.unwrap_or(&Value::Null)) {
        Err(_) => Selection::Wrong,
        Ok(None) => Selection::Differs,
        Ok(Some(selector)) => match selector.matches(|key| labels.and_then(|l| l.get(key)).and_then(Value::as_str)) {
            true => Selection::Fits,
            false => Selection::Differs,
        },
    }
}

/// A template of pods that run until they are deleted.
fn running_template(at: &At<'_>, template: &Value, owner: &str, out: &mut Report) {
    pod::template(at, template, out);
    runs_always(at, template, owner, out);
}

/// Pods of the template are restarted whatever they end with.
fn runs_always(at: &At<'_>, template: &Value, owner: &str, out: &mut Report) {
    let at = at.child("spec");
    let Some(spec) = template.at("spec") else { return };
    let policy = spec.text("restartPolicy");
    if policy != "Always" {
        out.not_supported(&at.child("restartPolicy"), policy, &["Always"]);
    }
    if spec.has("activeDeadlineSeconds") {
        out.forbidden(&at.child("activeDeadlineSeconds"), format!("activeDeadlineSeconds in {owner} is not Supported"));
    }
}

fn strategy(at: &At<'_>, strategy: &Value, out: &mut Report) {
    let rolling_at = at.child("rollingUpdate");
    let rolling = match (strategy.text("type"), strategy.at("rollingUpdate")) {
        ("Recreate", None) => return,
        ("Recreate", Some(_)) => {
            return out.forbidden(&rolling_at, "may not be specified when strategy `type` is 'Recreate'");
        }
        ("RollingUpdate", None) => return out.required(&rolling_at, "this should be defaulted and never be nil"),
        ("RollingUpdate", Some(rolling)) => rolling,
        _ => {
            let shown = Internal(Some(strategy), "@apps.DeploymentStrategy");
            return out.not_supported(at, shown, &["Recreate", "RollingUpdate"]);
        }
    };
    let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
    for (key, value) in [("maxUnavailable", unavailable), ("maxSurge", surge)] {
        if let Some(value) = value {
            count_or_percent(&rolling_at.child(key), value, out);
        }
    }
    let unavailable_at = rolling_at.child("maxUnavailable");
    if is_zero(unavailable) && is_zero(surge) {
        let value = unavailable.unwrap_or(&Value::Null);
        out.invalid(&unavailable_at, value, "may not be 0 when `maxSurge` is 0");
    }
    if let Some(value) = unavailable {
        not_above_all(&unavailable_at, value, out);
    }
}

/// Pods that a new selector does not select would be left behind.
pub(super) fn selector_update(new: &Value, old: &Value, out: &mut Report) {
    let (selected, before) = (spec_of(new).at("selector"), spec_of(old).at("selector"));
    out.immutable_shown(&SPEC.child("selector"), selected, before, Internal(selected, "L"));
}

pub(super) fn controller_revision(object: &Value, out: &mut Report) {
    not_negative_root(object, "revision", out);
}

/// A new revision has data; that of an old one stays.
pub(super) fn controller_revision_create(object: &Value, out: &mut Report) {
    controller_revision(object, out);
    match object.at("data") {
        None => out.required(&At::root("data"), "data is mandatory"),
        Some(Value::Object(_)) => {}
        Some(_) => out.required(&At::root("data"), "data must be a valid JSON object"),
    }
}

fn not_negative_root(object: &Value, key: &str, out: &mut Report) {
    if object.int(key) < 0 {
        out.invalid(&At::root(key), object.int(key), super::values::NEGATIVE);
    }
}

pub(super) fn controller_revision_update(new: &Value, old: &Value, out: &mut Report) {
    out.immutable(&At::root("data"), new.at("data"), old.at("data"));
}

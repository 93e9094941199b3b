//! Deployments, replica sets, stateful sets, daemon sets and replication controllers.
//!
//! Upstream: `pkg/apis/apps/validation/validation.go`.

use super::check::{At, Report, same};
use super::pod;
use super::values::{as_percent, count_or_percent, is_zero, not_negative, selector, selects_all};
use crate::tree::{Fill, Tree};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::selector::LabelSelector;

const SPEC: At<'static> = At::root("spec");
const MISMATCH: &str = "`selector` does not match template `labels`";

pub(super) fn spec_of(object: &Value) -> &Value {
    object.at("spec").unwrap_or(&Value::Null)
}

pub(super) fn deployment(object: &Value, out: &mut Report) {
    let spec = spec_of(object);
    not_negative(&SPEC, spec, "replicas", out);
    selected_template(spec, "deployment", out);
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
    selected_template(spec, "deployment", out);
}

pub(super) fn stateful_set(object: &Value, out: &mut Report) {
    let spec = spec_of(object);
    let policy = spec.text("podManagementPolicy");
    out.one_of(&SPEC.child("podManagementPolicy"), policy, &["OrderedReady", "Parallel"]);
    let at = SPEC.child("updateStrategy");
    let strategy = spec.at("updateStrategy").unwrap_or(&Value::Null);
    let kind = strategy.text("type");
    out.one_of(&at.child("type"), kind, &["OnDelete", "RollingUpdate"]);
    if let Some(rolling) = strategy.at("rollingUpdate") {
        let at = at.child("rollingUpdate");
        match kind {
            "OnDelete" => out.invalid(&at, rolling, "only allowed for updateStrategy 'RollingUpdate'"),
            _ => not_negative(&at, rolling, "partition", out),
        }
    }
    for key in ["replicas", "minReadySeconds", "revisionHistoryLimit"] {
        not_negative(&SPEC, spec, key, out);
    }
    selected_template(spec, "statefulset", out);
}

pub(super) fn daemon_set(object: &Value, out: &mut Report) {
    let spec = spec_of(object);
    selected_template(spec, "daemonset", out);
    not_negative(&SPEC, spec, "minReadySeconds", out);
    not_negative(&SPEC, spec, "revisionHistoryLimit", out);
    let at = SPEC.child("updateStrategy");
    let strategy = spec.at("updateStrategy").unwrap_or(&Value::Null);
    out.one_of(&at.child("type"), strategy.text("type"), &["OnDelete", "RollingUpdate"]);
    let Some(rolling) = strategy.at("rollingUpdate").filter(|_| strategy.text("type") == "RollingUpdate") else {
        return;
    };
    let at = at.child("rollingUpdate");
    let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
    limits(&at, rolling, out);
    match (is_zero(unavailable), is_zero(surge)) {
        (true, true) => {
            let value = unavailable.unwrap_or(&Value::Null);
            out.invalid(&at.child("maxUnavailable"), value, "cannot be 0 when maxSurge is 0");
        }
        (false, false) => {
            let value = surge.unwrap_or(&Value::Null);
            out.invalid(&at.child("maxSurge"), value, "may not be set when maxUnavailable is non-zero");
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

fn mismatch(at: &At<'_>, template: &Value, out: &mut Report) {
    let metadata = at.child("metadata");
    let labels = template.metadata().and_then(|m| m.at("labels")).unwrap_or(&Value::Null);
    out.invalid(&metadata.child("labels"), labels, MISMATCH);
}

/// A selector, and a template that it selects.
fn selected_template(spec: &Value, kind: &str, out: &mut Report) {
    let (at, template_at) = (SPEC.child("selector"), SPEC.child("template"));
    match spec.at("selector") {
        None => out.required(&at, ""),
        Some(value) => {
            selector(&at, Some(value), out);
            if selects_all(Some(value)) {
                out.invalid(&at, value, format!("empty selector is invalid for {kind}"));
            }
        }
    }
    let template = spec.at("template").unwrap_or(&Value::Null);
    if !matches(spec.at("selector"), template) {
        mismatch(&template_at, template, out);
    }
    let owner = match kind {
        "statefulset" => "StatefulSet",
        "daemonset" => "DaemonSet",
        _ => "ReplicaSet",
    };
    running_template(&template_at, template, owner, out);
}

/// Whether the selector selects pods of the template; a selector that is wrong is no mismatch.
pub(super) fn matches(selector: Option<&Value>, template: &Value) -> bool {
    let Ok(Some(selector)) = LabelSelector::from_value(selector.unwrap_or(&Value::Null)) else { return true };
    let labels = template.labels();
    selector.is_empty() || selector.matches(|key| labels.and_then(|l| l.get(key)).and_then(Value::as_str))
}

/// A template of pods that run until they are deleted.
fn running_template(at: &At<'_>, template: &Value, owner: &str, out: &mut Report) {
    pod::template(at, template, out);
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
    match (strategy.text("type"), strategy.at("rollingUpdate")) {
        ("Recreate", Some(_)) => {
            out.forbidden(&rolling_at, "may not be specified when strategy `type` is 'Recreate'");
        }
        ("Recreate", None) => {}
        ("RollingUpdate", None) => out.required(&rolling_at, "this should be defaulted and never be nil"),
        ("RollingUpdate", Some(rolling)) => {
            limits(&rolling_at, rolling, out);
            let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
            if is_zero(unavailable) && is_zero(surge) {
                let value = unavailable.unwrap_or(&Value::Null);
                out.invalid(&rolling_at.child("maxUnavailable"), value, "may not be 0 when `maxSurge` is 0");
            }
        }
        (kind, _) => out.not_supported(&at.child("type"), kind, &["Recreate", "RollingUpdate"]),
    }
}

/// How far a rolling update may stray from the desired number of pods.
fn limits(at: &At<'_>, rolling: &Value, out: &mut Report) {
    for key in ["maxUnavailable", "maxSurge"] {
        if let Some(value) = rolling.at(key) {
            count_or_percent(&at.child(key), value, out);
        }
    }
    if as_percent(rolling.at("maxUnavailable")).is_some_and(|percent| percent > 100) {
        let value = rolling.at("maxUnavailable").unwrap_or(&Value::Null);
        out.invalid(&at.child("maxUnavailable"), value, "must not be greater than 100%");
    }
}

/// Pods that a new selector does not select would be left behind.
pub(super) fn selector_update(new: &Value, old: &Value, out: &mut Report) {
    out.immutable(&SPEC.child("selector"), spec_of(new).at("selector"), spec_of(old).at("selector"));
}

pub(super) fn stateful_set_update(new: &Value, old: &Value, out: &mut Report) {
    const CHANGEABLE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let but_changeable = |object: &Value| {
        let mut spec = spec_of(object).clone();
        if let Some(members) = spec.members() {
            members.retain(|key, _| !CHANGEABLE.contains(&key.as_str()));
        }
        // What the claims' status says is of no consequence.
        for claim in spec.each("volumeClaimTemplates") {
            claim.members().map(|m| m.remove("status"));
        }
        spec
    };
    if !same(Some(&but_changeable(new)), Some(&but_changeable(old))) {
        out.forbidden(
            &SPEC,
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
             'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        );
    }
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

/// Counts in a status are not negative.
pub(super) fn counts(new: &Value, _old: &Value, out: &mut Report) {
    let at = At::root("status");
    let status = new.at("status").unwrap_or(&Value::Null);
    for (key, value) in status.as_object().into_iter().flatten() {
        if let Some(count) = value.as_i64().filter(|count| *count < 0) {
            out.invalid(&at.child(key), count, super::values::NEGATIVE);
        }
    }
}

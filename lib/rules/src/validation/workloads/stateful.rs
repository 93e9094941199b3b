//! Stateful sets.

use super::super::check::{At, Report, same};
use super::super::meta::annotations;
use super::super::names::label;
use super::super::printed::Internal;
use super::super::values::{count_or_percent, is_zero, labels, not_above_all, not_negative};
use super::super::{pod, storage};
use super::{SPEC, Selection, mismatch, own_selector, runs_always, selection, spec_of};
use crate::tree::{Fill, Tree};
use apimachinery::meta::ObjectMeta;
use apimachinery::{Map, Value};
use std::borrow::Cow;

/// What an update tolerates because the stored set has it and cannot lose it.
#[derive(Clone, Copy)]
struct Leniency {
    service_name: bool,
    claims: bool,
    template: bool,
}

const STRICT: Leniency = Leniency { service_name: false, claims: false, template: false };

pub(in super::super) fn stateful_set(object: &Value, out: &mut Report) {
    spec(spec_of(object), STRICT, out);
}

pub(in super::super) fn stateful_set_update(new: &Value, old: &Value, out: &mut Report) {
    let fixed = Leniency { service_name: true, claims: true, template: false };
    // A template that was wrong already may stay as it is.
    let mut before = Report::default();
    spec(spec_of(old), fixed, &mut before);
    spec(spec_of(new), Leniency { template: !before.is_empty(), ..fixed }, out);
    if !same(Some(&unchangeable(new)), Some(&unchangeable(old))) {
        out.forbidden(
            &SPEC,
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
             'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        );
    }
}

fn spec(spec: &Value, lenient: Leniency, out: &mut Report) {
    match spec.text("podManagementPolicy") {
        "" => out.required(&SPEC.child("podManagementPolicy"), ""),
        "OrderedReady" | "Parallel" => {}
        other => out.invalid(&SPEC.child("podManagementPolicy"), other, "must be 'OrderedReady' or 'Parallel'"),
    }
    strategy(&SPEC.child("updateStrategy"), spec.at("updateStrategy").unwrap_or(&Value::Null), out);
    if let Some(policy) = spec.at("persistentVolumeClaimRetentionPolicy") {
        let at = SPEC.child("persistentVolumeClaimRetentionPolicy");
        for key in ["whenDeleted", "whenScaled"] {
            let text = policy.text(key);
            if !matches!(text, "Retain" | "Delete") {
                out.not_supported(&at.child(key), text, &["Retain", "Delete"]);
            }
        }
    }
    if !lenient.claims {
        let at = SPEC.child("volumeClaimTemplates");
        for (index, claim) in spec.items("volumeClaimTemplates").iter().enumerate() {
            storage::claim_spec(&at.index(index).child("spec"), spec_of(claim), out);
        }
    }
    not_negative(&SPEC, spec, "replicas", out);
    not_negative(&SPEC, spec, "minReadySeconds", out);
    if let Some(ordinals) = spec.at("ordinals") {
        not_negative(&SPEC.child("ordinals"), ordinals, "start", out);
    }
    let service = spec.text("serviceName");
    if !lenient.service_name && !service.is_empty() {
        out.invalid_each(&SPEC.child("serviceName"), service, label(service));
    }
    selected(spec, lenient, out);
}

/// The selector, and the template that it selects.
fn selected(spec: &Value, lenient: Leniency, out: &mut Report) {
    let (at, chosen) = (SPEC.child("selector"), spec.at("selector"));
    own_selector(&at, chosen, "statefulset", out);
    let template_at = SPEC.child("template");
    let template = effective_template(spec);
    let selection = selection(chosen, template.labels());
    match selection {
        Selection::Wrong => out.invalid(&at, Internal(chosen, "L"), ""),
        Selection::Differs => mismatch(&template_at, &template, out),
        Selection::Fits => {}
    }
    if selection != Selection::Wrong && !lenient.template {
        pod::template(&template_at, &template, out);
    }
    if selection != Selection::Wrong {
        // Once more, as upstream does, and if the rest is let pass.
        labels(&template_at.child("labels"), template.labels(), out);
        annotations(&template_at.child("annotations"), template.annotations(), out);
    }
    runs_always(&template_at, &template, "StatefulSet", out);
}

/// The template with what the controller puts into it: the claims as volumes, and names.
fn effective_template(spec: &Value) -> Cow<'_, Value> {
    let template = spec.at("template").unwrap_or(&Value::Null);
    let Some(pod) = template.at("spec") else { return Cow::Borrowed(template) };
    let claims = spec.items("volumeClaimTemplates");
    if claims.is_empty() && pod.lacks("subdomain") && pod.lacks("hostname") {
        return Cow::Borrowed(template);
    }
    let mut template = template.clone();
    if let Some(pod) = template.inner("spec").and_then(Fill::members) {
        pod.remove("subdomain");
        pod.remove("hostname");
        if !claims.is_empty() {
            let volumes = with_claims(pod, claims);
            pod.insert("volumes".to_owned(), volumes.into());
        }
    }
    Cow::Owned(template)
}

/// A volume of each claim's name, and those of the template that no claim replaces.
fn with_claims(pod: &Map, claims: &[Value]) -> Vec<Value> {
    let name = |claim: &Value| claim.at("metadata").map_or("", |m| m.text("name")).to_owned();
    let mut names: Vec<String> = Vec::with_capacity(claims.len());
    for name in claims.iter().map(name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let kept = pod.items("volumes").iter().filter(|v| !names.iter().any(|name| name == v.text("name")));
    let volume = |name: &String| serde_json::json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
    names.iter().map(volume).chain(kept.cloned()).collect()
}

fn strategy(at: &At<'_>, strategy: &Value, out: &mut Report) {
    let rolling_at = at.child("rollingUpdate");
    match (strategy.text("type"), strategy.at("rollingUpdate")) {
        ("", _) => out.required(at, ""),
        ("OnDelete", Some(rolling)) => {
            let shown = Internal(Some(rolling), "@apps.RollingUpdateStatefulSetStrategy");
            out.invalid(&rolling_at, shown, "only allowed for updateStrategy 'RollingUpdate'");
        }
        ("RollingUpdate", Some(rolling)) => {
            not_negative(&rolling_at, rolling, "partition", out);
            if let Some(unavailable) = rolling.at("maxUnavailable") {
                max_unavailable(&rolling_at.child("maxUnavailable"), unavailable, out);
            }
        }
        ("OnDelete" | "RollingUpdate", None) => {}
        _ => out.invalid(
            at,
            Internal(Some(strategy), "@apps.StatefulSetUpdateStrategy"),
            "must be 'RollingUpdate' or 'OnDelete'",
        ),
    }
}

fn max_unavailable(at: &At<'_>, value: &Value, out: &mut Report) {
    count_or_percent(at, value, out);
    if is_zero(Some(value)) {
        out.invalid(at, value, "cannot be 0");
    }
    not_above_all(at, value, out);
}

/// The members of the specification that must stay as they are.
fn unchangeable(object: &Value) -> Value {
    const CHANGEABLE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let members = spec_of(object).as_object().into_iter().flatten();
    Value::Object(
        members
            .filter(|(key, _)| !CHANGEABLE.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    )
}

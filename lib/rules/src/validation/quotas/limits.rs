//! Limit ranges.

use super::super::check::{At, Report};
use super::super::names::label_key_errors;
use super::super::pod::resources::is_extended;
use super::super::values::quantity;
use super::super::workloads::spec_of;
use super::{SPEC, resource_name};
use crate::placement::requests::is_hugepages;
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::quantity::Quantity;

/// Above this, thousandths do not fit into upstream's numbers.
const MAX_MILLI: i64 = i64::MAX / 1000;

/// A limit range.
pub(in super::super) fn limit_range(range: &Value, out: &mut Report) {
    let at = SPEC.child("limits");
    let limits = spec_of(range).items("limits");
    for (index, limit) in limits.iter().enumerate() {
        let at = at.index(index);
        let kind = limit.text("type");
        limit_type(&at.child("type"), kind, out);
        if limits[..index].iter().any(|l| l.text("type") == kind) {
            out.duplicate(&at.child("type"), kind);
        }
        names(&at, limit, kind, out);
        for name in resources(limit) {
            Amounts::of(limit, name, kind).check(&at, name, out);
        }
    }
}

fn limit_type(at: &At<'_>, kind: &str, out: &mut Report) {
    let findings = label_key_errors(kind);
    let is_name = findings.is_empty();
    out.invalid_each(at, kind, findings);
    if is_name && !kind.contains('/') && !matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim") {
        out.invalid(at, kind, "must be a standard limit type or fully qualified");
    }
}

/// The names in all lists, and which lists may and must be there.
fn names(at: &At<'_>, limit: &Value, kind: &str, out: &mut Report) {
    const DEFAULTS: [&str; 2] = ["default", "defaultRequest"];
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        let list_at = at.child(list);
        if kind == "PersistentVolumeClaim" && list == "maxLimitRequestRatio" {
            storage(at, limit, out);
        }
        if kind == "Pod" && DEFAULTS.contains(&list) {
            if !limit.lacks(list) {
                out.forbidden(&list_at, "may not be specified when `type` is 'Pod'");
            }
            continue;
        }
        for (name, _) in limit.entries(list) {
            limited_name(&list_at.key(name), kind, name, out);
        }
    }
}

fn storage(at: &At<'_>, limit: &Value, out: &mut Report) {
    let has = |list: &str| limit.at(list).is_some_and(|l| l.has("storage"));
    if !has("min") && !has("max") {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        out.required(&at.child("limits"), detail);
    }
}

fn limited_name(at: &At<'_>, kind: &str, name: &str, out: &mut Report) {
    resource_name(at, name, out);
    if !matches!(kind, "Pod" | "Container") {
        return;
    }
    let is_native = !name.contains('/') || name.contains("kubernetes.io/");
    if !name.contains('/') {
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !is_hugepages(name) {
            out.invalid(at, name, "must be a standard resource for containers");
        }
    } else if !is_native && !is_extended(name) {
        out.invalid(at, name, "doesn't follow extended resource name standard");
    }
}

/// The names of all resources of a limit, each once.
fn resources(limit: &Value) -> impl Iterator<Item = &str> {
    const LISTS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];
    LISTS.iter().enumerate().flat_map(move |(index, list)| {
        let is_known = move |name: &str| LISTS[..index].iter().any(|l| limit.at(l).is_some_and(|l| l.has(name)));
        limit.entries(list).map(|(name, _)| name).filter(move |name| !is_known(name))
    })
}

/// What is said of one resource.
struct Amounts {
    min: Option<Quantity>,
    max: Option<Quantity>,
    default: Option<Quantity>,
    request: Option<Quantity>,
    ratio: Option<Quantity>,
}

impl Amounts {
    fn of(limit: &Value, name: &str, kind: &str) -> Self {
        let amount = |list: &str| limit.at(list).and_then(|l| l.at(name)).and_then(quantity);
        // What must not be there has been reported.
        let default = |list: &str| amount(list).filter(|_| kind != "Pod");
        Self {
            min: amount("min"),
            max: amount("max"),
            default: default("default"),
            request: default("defaultRequest"),
            ratio: amount("maxLimitRequestRatio"),
        }
    }

    fn check(&self, at: &At<'_>, name: &str, out: &mut Report) {
        let Self { min, max, default, request, .. } = *self;
        // Two amounts in order with their names, the list that is at fault, and the amount that is shown.
        for (low, low_name, high, high_name, list, shown) in [
            (min, "min", max, "max", "min", min),
            (min, "min", request, "default request", "defaultRequest", request),
            (request, "default request", max, "max", "defaultRequest", request),
            (request, "default request", default, "default limit", "defaultRequest", request),
            (min, "min", default, "default", "default", min),
            (default, "default", max, "max", "default", max),
        ] {
            if let (Some(low), Some(high), Some(shown)) = (low, high, shown)
                && low > high
            {
                let detail = format!("{low_name} value {low} is greater than {high_name} value {high}");
                out.invalid(&at.child(list).key(name), shown.to_string().as_str(), detail);
            }
        }
        self.ratio(&at.child("maxLimitRequestRatio"), name, out);
        let is_divisible = !is_hugepages(name) && (!name.contains('/') || name.contains("kubernetes.io/"));
        if let (Some(default), Some(request), false) = (default, request, is_divisible)
            && default != request
        {
            let detail = format!("default value {default} must equal to defaultRequest value {request} in {name}");
            out.invalid(&at.child("defaultRequest").key(name), request.to_string().as_str(), detail);
        }
    }

    fn ratio(&self, at: &At<'_>, name: &str, out: &mut Report) {
        let Some(ratio) = self.ratio else { return };
        let text = ratio.to_string();
        if ratio < Quantity::from_millis(1000) {
            out.invalid(&at.key(name), text.as_str(), format!("ratio {text} is less than 1"));
        }
        let (Some(min), Some(max)) = (self.min, self.max) else { return };
        let is_fine = [ratio, min, max].iter().all(|amount| amount.value() < MAX_MILLI);
        let (asked, limit) = match is_fine {
            true => (ratio.milli_value() as f64 / 1000.0, max.milli_value() as f64 / min.milli_value() as f64),
            false => (ratio.value() as f64, max.value() as f64 / min.value() as f64),
        };
        if asked > limit {
            let detail = format!("ratio {text} is greater than max/min = {limit:.6}");
            out.invalid(&at.key(name), text.as_str(), detail);
        }
    }
}

//! A service's own addresses and their families.

use super::super::addresses::{legacy, parse};
use super::super::check::Report;
use super::super::workloads::spec_of;
use super::{SPEC, is_headless};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::field::FieldError;

const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];
const POLICIES: [&str; 3] = ["PreferDualStack", "RequireDualStack", "SingleStack"];
const FIXED: &str = "may not change once set";

/// What is wrong with a service's addresses and families: also asked before addresses are handed
/// out.
pub fn related(service: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut out = Report::default();
    related_in(spec_of(service), old.map_or(&Value::Null, spec_of), &mut out);
    out.finish()
}

pub(super) fn related_in(spec: &Value, before: &Value, out: &mut Report) {
    if spec.text("type") == "ExternalName" {
        return;
    }
    both_forms(spec, out);
    families(spec, out);
    if each(spec, before, out) {
        stacks(spec, out);
    }
}

fn list(spec: &Value, key: &str) -> Value {
    spec.at(key).cloned().unwrap_or(Value::Null)
}

/// `clusterIP` is the first of `clusterIPs`.
fn both_forms(spec: &Value, out: &mut Report) {
    let at = SPEC.child("clusterIPs");
    match (spec.text("clusterIP"), spec.texts("clusterIPs").next()) {
        ("", None) => {}
        ("", Some(_)) => out.invalid(&at, &list(spec, "clusterIPs"), "must be empty when `clusterIP` is not specified"),
        (_, None) => out.required(&at, ""),
        (single, Some(first)) if single != first => {
            out.invalid(&at, &list(spec, "clusterIPs"), "first value must match `clusterIP`");
        }
        _ => {}
    }
}

fn families(spec: &Value, out: &mut Report) {
    let at = SPEC.child("ipFamilies");
    let all = spec.items("ipFamilies");
    for (index, family) in spec.texts("ipFamilies").enumerate() {
        if !FAMILIES.contains(&family) {
            out.not_supported(&at.index(index), family, &FAMILIES);
        }
        if all[..index].iter().any(|other| other == family) {
            out.duplicate(&at.index(index), family);
        }
    }
    if let Some(policy) = spec.at("ipFamilyPolicy").and_then(Value::as_str)
        && !POLICIES.contains(&policy)
    {
        out.not_supported(&SPEC.child("ipFamilyPolicy"), policy, &POLICIES);
    }
}

/// Each address for itself; whether all can be compared.
fn each(spec: &Value, before: &Value, out: &mut Report) -> bool {
    let at = SPEC.child("clusterIPs");
    let count = spec.items("clusterIPs").len();
    let mut right = true;
    for (index, address) in spec.texts("clusterIPs").enumerate() {
        if index == 0 && address == "None" {
            if count > 1 {
                right = false;
                out.invalid(&at, &list(spec, "clusterIPs"), "'None' must be the first and only value");
            }
            continue;
        }
        right &= legacy(&at.index(index), address, before.texts("clusterIPs"), out);
    }
    if count > 2 {
        out.invalid(&at, &list(spec, "clusterIPs"), "may only hold up to 2 values");
    }
    right
}

/// Two addresses are of two families, and of those that the service says.
fn stacks(spec: &Value, out: &mut Report) {
    let at = SPEC.child("clusterIPs");
    let is_v6 = |address: &str| parse(address).is_some_and(|address| address.is_ipv6());
    if spec.items("clusterIPs").len() > 1 {
        let (mut v4, mut v6) = (0, 0);
        spec.texts("clusterIPs").for_each(|address| if is_v6(address) { v6 += 1 } else { v4 += 1 });
        // Upstream's question is only whether both are there.
        if v4 == 0 || v6 == 0 {
            let why = "may specify no more than one IP for each IP family";
            out.invalid(&at, &list(spec, "clusterIPs"), why);
        }
    }
    if is_headless(spec) {
        return;
    }
    for (index, (address, family)) in spec.texts("clusterIPs").zip(spec.texts("ipFamilies")).enumerate() {
        let wanted = match (family, is_v6(address)) {
            ("IPv4", true) | ("IPv6", false) => family,
            _ => continue,
        };
        let why = format!("expected an {wanted} value as indicated by `ipFamilies[{index}]`");
        out.invalid(&at.index(index), address, why);
    }
}

/// Whether a change adds or takes a second address or family as it may, and leaves the first.
pub(super) fn change(new: &Value, old: &Value, out: &mut Report) {
    if new.text("type") == "ExternalName" || old.text("type") == "ExternalName" {
        return;
    }
    let (headless, was_headless) = (is_headless(new), is_headless(old));
    if !(headless && was_headless) {
        changed_addresses(new, old, out);
    }
    if !headless && !was_headless {
        changed_families(new, old, out);
    }
}

fn changed_addresses(new: &Value, old: &Value, out: &mut Report) {
    let at = SPEC.child("clusterIPs");
    let (now, before) = (new.items("clusterIPs"), old.items("clusterIPs"));
    if now.len() == before.len() {
        for (index, _) in before.iter().zip(now).enumerate().filter(|(_, (before, now))| before != now) {
            out.invalid(&at.index(index), &list(new, "clusterIPs"), FIXED);
        }
        return;
    }
    match (before.first(), now.first()) {
        (Some(_), None) => {
            out.invalid(&at.index(0), &list(new, "clusterIPs"), "primary clusterIP can not be unset");
        }
        (Some(before), Some(now)) if before != now => out.invalid(&at.index(0), &list(new, "clusterIPs"), FIXED),
        _ => {}
    }
    if before.len() > now.len() && now.len() == 1 {
        single_stack(new, "must be set to 'SingleStack' when releasing the secondary clusterIP", out);
    }
}

fn changed_families(new: &Value, old: &Value, out: &mut Report) {
    let families = SPEC.child("ipFamilies");
    let at = families.index(0);
    let (now, before) = (new.items("ipFamilies"), old.items("ipFamilies"));
    if now.len() == before.len() {
        for _ in before.iter().zip(now).filter(|(before, now)| before != now) {
            out.invalid(&at, &list(new, "ipFamilies"), FIXED);
        }
        return;
    }
    if before.len() > now.len() && new.items("clusterIPs").is_empty() {
        out.invalid(&at, &list(new, "ipFamilies"), "primary ipFamily can not be unset");
    }
    if let (Some(before), Some(now)) = (before.first(), now.first())
        && before != now
    {
        // Upstream shows the addresses here.
        out.invalid(&at, &list(new, "clusterIPs"), FIXED);
    }
    if before.len() > now.len() && now.len() == 1 {
        single_stack(new, "must be set to 'SingleStack' when releasing the secondary ipFamily", out);
    }
}

fn single_stack(spec: &Value, why: &str, out: &mut Report) {
    if spec.text("ipFamilyPolicy") != "SingleStack" {
        out.invalid(&SPEC.child("ipFamilyPolicy"), spec.at("ipFamilyPolicy").unwrap_or(&Value::Null), why);
    }
}

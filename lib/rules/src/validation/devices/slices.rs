//! Slices: the devices of a driver, and from where they can be reached.

use super::super::check::{At, IMMUTABLE, Report, same};
use super::super::names::{label, subdomain};
use super::super::pod::node_selector;
use super::super::printed::{Form, Member, Printed};
use super::super::workloads::spec_of;
use super::parts::{self, list, set};
use super::{SPEC, capacity, names, taints};
use crate::tree::Tree;
use apimachinery::{Map, Value};

const MAX_DEVICES: usize = 128;
/// The same where devices have more to them.
const MAX_LARGE_DEVICES: usize = 64;
const MAX_COUNTER_SETS: usize = 8;
const MAX_COUNTERS: usize = 32;
const MAX_CONSUMED_SETS: usize = 2;
const MAX_TAINTS: usize = 16;
/// Most attributes and capacities of a device.
const MAX_PROPERTIES: usize = 32;
const MAX_VALUE: usize = 64;

/// A new slice.
pub(in super::super) fn slice(slice: &Value, out: &mut Report) {
    slice_spec(spec_of(slice), None, out);
}

/// A change of a slice.
pub(in super::super) fn slice_update(new: &Value, old: &Value, out: &mut Report) {
    slice_spec(spec_of(new), Some(spec_of(old)), out);
}

fn slice_spec(spec: &Value, old: Option<&Value>, out: &mut Report) {
    names::driver(&SPEC.child("driver"), spec.text("driver"), out);
    let pool = spec.at("pool").unwrap_or(&Value::Null);
    resource_pool(&SPEC.child("pool"), pool, out);
    if let Some(old) = old {
        let pool_at = SPEC.child("pool");
        let before = old.at("pool").map_or("", |pool| pool.text("name"));
        fixed(&pool_at.child("name"), pool.text("name"), before, out);
        fixed(&SPEC.child("driver"), spec.text("driver"), old.text("driver"), out);
        out.immutable(&SPEC.child("nodeName"), spec.at("nodeName"), old.at("nodeName"));
    }
    reach(spec, out);
    let devices = spec.items("devices");
    if !devices.is_empty() && !spec.items("sharedCounters").is_empty() {
        out.invalid(&SPEC, "", "only one of `sharedCounters` or `devices` is allowed");
    }
    let is_large = |device: &Value| !device.lacks("taints") || !device.lacks("consumesCounters");
    let max = if devices.iter().any(is_large) { MAX_LARGE_DEVICES } else { MAX_DEVICES };
    let per_device = spec.flag("perDeviceNodeSelection");
    let check = |at: &At<'_>, one: &Value, out: &mut Report| {
        let same_name = |device: &&Value| device.text("name") == one.text("name");
        let old = old.and_then(|old| old.items("devices").iter().find(same_name));
        device(at, one, old, per_device, out);
    };
    set(&SPEC.child("devices"), devices, max, |d| d.text("name"), check, out);
    let counters = spec.items("sharedCounters");
    let check = |at: &At<'_>, one: &Value, out: &mut Report| counter_set(at, "name", one, out);
    set(&SPEC.child("sharedCounters"), counters, MAX_COUNTER_SETS, |c| c.text("name"), check, out);
}

fn fixed(at: &At<'_>, new: &str, old: &str, out: &mut Report) {
    if new != old {
        out.invalid(at, new, IMMUTABLE);
    }
}

fn resource_pool(at: &At<'_>, pool: &Value, out: &mut Report) {
    names::pool(&at.child("name"), pool.text("name"), out);
    let (count, generation) = (pool.int("resourceSliceCount"), pool.int("generation"));
    if count <= 0 {
        out.invalid(&at.child("resourceSliceCount"), count, "must be greater than zero");
    }
    if generation < 0 {
        out.invalid(&at.child("generation"), generation, "must be greater than or equal to zero");
    }
}

/// From which nodes the slice's devices can be reached: exactly one way to say it.
fn reach(spec: &Value, out: &mut Report) {
    const ONE: &str = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    let mut given = Vec::with_capacity(1);
    let at = SPEC.child("nodeName");
    match spec.at("nodeName").and_then(Value::as_str) {
        None => {}
        Some("") => out.invalid(&at, "", "must be either unset or set to a non-empty string"),
        Some(name) => {
            given.push("`nodeName`");
            parts::named(&at, name, subdomain, out);
        }
    }
    if let Some(selector) = spec.at("nodeSelector") {
        given.push("`nodeSelector`");
        let at = SPEC.child("nodeSelector");
        node_selector(&at, selector, out);
        if selector.items("nodeSelectorTerms").len() != 1 {
            let shown = selector.at("nodeSelectorTerms").unwrap_or(&Value::Null);
            out.invalid(&at.child("nodeSelectorTerms"), shown, "must have exactly one node selector term");
        }
    }
    for (key, name) in [("allNodes", "`allNodes`"), ("perDeviceNodeSelection", "`perDeviceNodeSelection`")] {
        set_or_unset(&SPEC, spec, key, name, &mut given, out);
    }
    match given.len() {
        0 => out.required(&SPEC, ONE),
        1 => {}
        _ => {
            let shown = format!("{{{}}}", given.join(", "));
            out.invalid(&SPEC, shown.as_str(), format!("{ONE}, but multiple fields are set"));
        }
    }
}

/// A flag that is true or not there.
fn set_or_unset<'a>(at: &At<'_>, owner: &Value, key: &str, name: &'a str, given: &mut Vec<&'a str>, out: &mut Report) {
    match owner.at(key).and_then(Value::as_bool) {
        None => {}
        Some(true) => given.push(name),
        Some(false) => out.invalid(&at.child(key), false, "must be either unset or set to true"),
    }
}

/// Counters that devices share, or what a device takes of them.
fn counter_set(at: &At<'_>, key: &str, counters: &Value, out: &mut Report) {
    let name_at = at.child(key);
    match counters.text(key) {
        "" => out.required(&name_at, ""),
        name => parts::named(&name_at, name, label, out),
    }
    let at = at.child("counters");
    let count = counters.object("counters").map_or(0, Map::len);
    match count {
        0 => out.required(&at, ""),
        count if count > MAX_COUNTERS => out.too_many(&at, count, MAX_COUNTERS),
        _ => counters.entries("counters").for_each(|(name, _)| parts::named(&at, name, label, out)),
    }
}

fn device(at: &At<'_>, device: &Value, old: Option<&Value>, per_device: bool, out: &mut Report) {
    parts::named(&at.child("name"), device.text("name"), label, out);
    let count = |key: &str| device.object(key).map_or(0, Map::len);
    let properties = count("attributes") + count("capacity");
    if properties > MAX_PROPERTIES {
        let detail = format!("the total number of attributes and capacities must not exceed {MAX_PROPERTIES}");
        out.invalid(at, properties, detail);
    }
    let attributes = at.child("attributes");
    for (name, one) in device.entries("attributes") {
        names::qualified(&attributes, name, out);
        attribute(&attributes.key(&names::shown(name)), one, out);
    }
    let capacities = at.child("capacity");
    for (name, one) in device.entries("capacity") {
        names::qualified(&capacities, name, out);
        let is_shared = device.flag("allowMultipleAllocations");
        capacity::check(&capacities.key(&names::shown(name)), one, is_shared, out);
    }
    if old.is_none_or(|old| !same(old.at("taints"), device.at("taints"))) {
        list(&at.child("taints"), device.items("taints"), MAX_TAINTS, taints::taint, out);
    }
    let check = |at: &At<'_>, one: &Value, out: &mut Report| counter_set(at, "counterSet", one, out);
    let consumed = device.items("consumesCounters");
    set(&at.child("consumesCounters"), consumed, MAX_CONSUMED_SETS, |c| c.text("counterSet"), check, out);
    device_reach(at, device, per_device, out);
    parts::binding_conditions(at, device, out);
}

/// From which nodes a device can be reached, if the slice does not say it for all.
fn device_reach(at: &At<'_>, device: &Value, per_device: bool, out: &mut Report) {
    if !per_device {
        if ["nodeName", "nodeSelector", "allNodes"].iter().any(|key| device.has(key)) {
            let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set \
                          to true in the ResourceSlice spec";
            out.invalid(at, &Value::Null, detail);
        }
        return;
    }
    let mut given = Vec::with_capacity(1);
    let name_at = at.child("nodeName");
    match device.at("nodeName").and_then(Value::as_str) {
        None => {}
        Some("") => out.invalid(&name_at, "", "must not be empty"),
        Some(name) => {
            given.push("`nodeName`");
            parts::named(&name_at, name, subdomain, out);
        }
    }
    if let Some(selector) = device.at("nodeSelector") {
        given.push("`nodeSelector`");
        node_selector(&at.child("nodeSelector"), selector, out);
    }
    set_or_unset(at, device, "allNodes", "`allNodes`", &mut given, out);
    const ONE: &str = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when \
                       `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
    match given.len() {
        0 => out.required(at, ONE),
        1 => {}
        _ => out.invalid(at, format!("{{{}}}", given.join(", ")).as_str(), ONE),
    }
}

/// One value of one type.
fn attribute(at: &At<'_>, attribute: &Value, out: &mut Report) {
    if attribute.text("string").len() > MAX_VALUE {
        out.too_long(&at.child("string"), MAX_VALUE);
    }
    if let Some(version) = attribute.at("version").and_then(Value::as_str) {
        let at = at.child("version");
        if !is_version(version) {
            out.invalid(&at, version, "must be a string compatible with semver.org spec 2.0.0");
        }
        if version.len() > MAX_VALUE {
            out.too_long(&at, MAX_VALUE);
        }
    }
    const DETAIL: &str = "exactly one value must be specified";
    match ATTRIBUTE.iter().filter(|(_, key, _)| attribute.has(key)).count() {
        0 => out.invalid(at, "", DETAIL),
        1 => {}
        _ => out.invalid(at, Printed(Some(attribute), Form::Struct(ATTRIBUTE)), DETAIL),
    }
}

const ATTRIBUTE: &[Member] = &[
    ("IntValue", "int", Form::Plain),
    ("BoolValue", "bool", Form::Plain),
    ("StringValue", "string", Form::Plain),
    ("VersionValue", "version", Form::Plain),
    ("IntValues", "ints", Form::Plain),
    ("BoolValues", "bools", Form::Plain),
    ("StringValues", "strings", Form::Plain),
    ("VersionValues", "versions", Form::Plain),
];

/// `1.2.3-pre.release+build`.
fn is_version(text: &str) -> bool {
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_number = |part: &str| is_digits(part) && (part == "0" || !part.starts_with('0'));
    let is_word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && pre.is_none_or(|pre| pre.split('.').all(|part| is_word(part) && (is_number(part) || !is_digits(part))))
        && build.is_none_or(|build| build.split('.').all(is_word))
}

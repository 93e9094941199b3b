//! The status of a claim: what was allocated, for whom, and how the devices are.

use super::super::check::{At, Report};
use super::super::names::{Findings, label, label_key_errors};
use super::super::pod::node_selector;
use super::super::printed::Internal;
use super::super::workloads::spec_of;
use super::parts::{self, list, set, text};
use super::{MAX_PARTS, claims, names};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::collections::HashSet;

const STATUS: At<'static> = At::root("status");
const MAX_CONSUMERS: usize = 256;
const MAX_CONDITIONS: usize = 8;
const MAX_ADDRESSES: usize = 16;
const MAX_REASON: usize = 1024;
const MAX_MESSAGE: usize = 32 * 1024;

/// A change of a claim's status.
pub(in super::super) fn claim_status(new: &Value, old: &Value, out: &mut Report) {
    let [status, before] = [new, old].map(|claim| claim.at("status").unwrap_or(&Value::Null));
    let at = STATUS.child("reservedFor");
    let consumers = status.items("reservedFor");
    set(&at, consumers, MAX_CONSUMERS, |c| c.text("uid"), consumer, out);
    let allocation = status.at("allocation");
    devices(status, allocation, out);
    if !consumers.is_empty() {
        let is_new = |consumer: &Value| !before.items("reservedFor").contains(consumer);
        if allocation.is_none() {
            out.forbidden(&at, "may not be specified when `allocated` is not set");
        } else if new.is_deleting() && consumers.iter().any(is_new) {
            let detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
            out.forbidden(&at, detail);
        }
    }
    let at = STATUS.child("allocation");
    match (allocation, before.at("allocation")) {
        (Some(_), Some(_)) => out.immutable(&at, allocation, before.at("allocation")),
        (Some(allocation), None) => allocated(&at, allocation, spec_of(new), out),
        (None, _) => {}
    }
}

fn consumer(at: &At<'_>, consumer: &Value, out: &mut Report) {
    for key in ["resource", "name", "uid"].into_iter().filter(|key| consumer.text(key).is_empty()) {
        out.required(&at.child(key), "");
    }
}

/// What a device is told apart by, shared ones included.
type DeviceId<'a> = [&'a str; 4];
/// How upstream prints it.
const DEVICE_ID: &str = "@resource.SharedDeviceID";

fn device_id(device: &Value) -> DeviceId<'_> {
    ["driver", "pool", "device", "shareID"].map(|key| device.text(key))
}

fn devices(status: &Value, allocation: Option<&Value>, out: &mut Report) {
    let at = STATUS.child("devices");
    let results = allocation.and_then(|a| a.at("devices")).map(|d| d.items("results")).unwrap_or_default();
    let allocated: HashSet<DeviceId<'_>> = results.iter().map(device_id).collect();
    let list = status.items("devices");
    for (index, one) in list.iter().enumerate() {
        device(&at.index(index), one, allocated.contains(&device_id(one)), out);
    }
    let mut seen = HashSet::with_capacity(list.len());
    for (index, one) in list.iter().enumerate().filter(|(_, one)| !seen.insert(device_id(one))) {
        out.duplicate(&at.index(index), Internal(Some(one), DEVICE_ID));
    }
}

fn device(at: &At<'_>, device: &Value, is_allocated: bool, out: &mut Report) {
    device_name(at, device, out);
    share_id(at, device, out);
    if !is_allocated {
        out.invalid(at, Internal(Some(device), DEVICE_ID), "must be an allocated device in the claim");
    }
    let conditions_at = at.child("conditions");
    let list = device.items("conditions");
    if list.len() > MAX_CONDITIONS {
        out.too_many(&conditions_at, list.len(), MAX_CONDITIONS);
    }
    conditions(&conditions_at, list, out);
    if device.has("data") {
        parts::parameters(&at.child("data"), device.at("data"), false, out);
    }
    if let Some(network) = device.at("networkData") {
        network_data(&at.child("networkData"), network, out);
    }
}

/// Driver, pool and device.
fn device_name(at: &At<'_>, device: &Value, out: &mut Report) {
    names::driver(&at.child("driver"), device.text("driver"), out);
    names::pool(&at.child("pool"), device.text("pool"), out);
    parts::named(&at.child("device"), device.text("device"), label, out);
}

fn share_id(at: &At<'_>, device: &Value, out: &mut Report) {
    let Some(id) = device.at("shareID").and_then(Value::as_str) else { return };
    let at = at.child("shareID");
    let hyphens = [8, 13, 18, 23];
    let is_digit = |(at, byte): (usize, u8)| match hyphens.contains(&at) {
        true => byte == b'-',
        false => byte.is_ascii_hexdigit(),
    };
    if id.len() != 36 {
        out.invalid(&at, id, format!("error validating uid: invalid UUID length: {}", id.len()));
    } else if !id.bytes().enumerate().all(is_digit) {
        out.invalid(&at, id, "error validating uid: invalid UUID format");
    } else if id.bytes().any(|b| b.is_ascii_uppercase()) {
        let detail = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase \
                      hexadecimal characters";
        out.invalid(&at, id, detail);
    }
}

fn conditions(at: &At<'_>, conditions: &[Value], out: &mut Report) {
    for (index, condition) in conditions.iter().enumerate() {
        let at = at.index(index);
        let kind = condition.text("type");
        if conditions[..index].iter().any(|c| c.text("type") == kind) {
            out.duplicate(&at.child("type"), kind);
        }
        parts::named(&at.child("type"), kind, label_key_errors, out);
        let status = condition.text("status");
        if !matches!(status, "True" | "False" | "Unknown") {
            out.not_supported(&at.child("status"), status, &["False", "True", "Unknown"]);
        }
        let generation = condition.int("observedGeneration");
        if generation < 0 {
            out.invalid(&at.child("observedGeneration"), generation, "must be greater than or equal to zero");
        }
        if !condition.has("lastTransitionTime") {
            out.required(&at.child("lastTransitionTime"), "");
        }
        match condition.text("reason") {
            "" => out.required(&at.child("reason"), ""),
            text => parts::named(&at.child("reason"), text, reason, out),
        }
        for (key, max) in [("reason", MAX_REASON), ("message", MAX_MESSAGE)] {
            if condition.text(key).len() > max {
                out.too_long(&at.child(key), max);
            }
        }
    }
}

fn reason(text: &str) -> Findings {
    const FORM: &str = "a condition reason must start with alphabetic character, optionally followed by a string of \
                        alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. \
                        'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex \
                        used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || b"_,:".contains(&b);
    let is_right = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(is_inner)
        && !text.ends_with([',', ':']);
    if is_right { Vec::new() } else { vec![FORM.to_owned()] }
}

fn network_data(at: &At<'_>, network: &Value, out: &mut Report) {
    for (key, max) in [("interfaceName", 256), ("hardwareAddress", 128)] {
        if network.text(key).len() > max {
            out.too_long(&at.child(key), max);
        }
    }
    let check = |at: &At<'_>, item: &Value, out: &mut Report| address(at, text(item), out);
    set(&at.child("ips"), network.items("ips"), MAX_ADDRESSES, text, check, out);
}

/// An address with the length of its network.
fn address(at: &At<'_>, given: &str, out: &mut Report) {
    let Ok(network) = given.parse::<ipnet::IpNet>() else {
        let detail = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
        return out.invalid(at, given, detail);
    };
    let (address, length) = (network.addr().to_canonical(), network.prefix_len());
    let canonical = match network.addr().is_ipv6() && address.is_ipv4() {
        true => format!("{address}/{}", length.saturating_sub(96)),
        false => format!("{address}/{length}"),
    };
    if given != canonical {
        out.invalid(at, given, format!("must be in canonical form ({canonical:?})"));
    }
}

fn allocated(at: &At<'_>, allocation: &Value, spec: &Value, out: &mut Report) {
    let wanted = spec.at("devices").unwrap_or(&Value::Null);
    let devices = allocation.at("devices").unwrap_or(&Value::Null);
    let devices_at = at.child("devices");
    let check = |at: &At<'_>, result: &Value, out: &mut Report| {
        claims::reference(&at.child("request"), result.text("request"), wanted, out);
        device_name(at, result, out);
        parts::binding_conditions(at, result, out);
        share_id(at, result, out);
    };
    list(&devices_at.child("results"), devices.items("results"), MAX_PARTS, check, out);
    let check = |at: &At<'_>, config: &Value, out: &mut Report| {
        out.one_of(&at.child("source"), config.text("source"), &["FromClaim", "FromClass"]);
        claims::references(at, config, wanted, out);
        parts::config(at, config, false, out);
    };
    // Those of the class and those of the claim.
    list(&devices_at.child("config"), devices.items("config"), 2 * MAX_PARTS, check, out);
    if let Some(selector) = allocation.at("nodeSelector") {
        node_selector(&at.child("nodeSelector"), selector, out);
    }
}

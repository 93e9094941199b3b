//! Changes of a pod's status.

mod containers;
mod devices;

use super::super::check::{At, Report};
use super::super::names::{label_key_errors, subdomain};
use super::super::printed::Internal;
use super::super::values::ip;
use super::spec_of;
use super::update::annotation_change;
use crate::tree::Tree;
use apimachinery::Value;

const STATUS: At<'static> = At::root("status");
const NEGATIVE: &str = "must be a non-negative integer";

/// A change of the status.
pub(in super::super) fn status(new: &Value, old: &Value, out: &mut Report) {
    annotation_change(new, old, out);
    let (spec, old_spec) = (spec_of(new), spec_of(old));
    let (new, old) = (new.at("status").unwrap_or(&Value::Null), old.at("status").unwrap_or(&Value::Null));
    conditions(new, out);
    if spec.text("nodeName") != old_spec.text("nodeName") {
        out.forbidden(&STATUS.child("nodeName"), "may not be changed directly");
    }
    nominated_node(new, old, old_spec, out);
    if new.int("observedGeneration") < 0 {
        out.invalid(&STATUS.child("observedGeneration"), new.int("observedGeneration"), NEGATIVE);
    }
    // A pod that was stored without a class may be told its class.
    if !old.text("qosClass").is_empty() {
        out.immutable(&STATUS.child("qosClass"), new.at("qosClass"), old.at("qosClass"));
    }
    containers::transitions(new, old, old_spec, out);
    devices::claims(new, spec, out);
    for list in ["podIPs", "hostIPs"] {
        addresses(list, new, old, out);
    }
    containers::users(new, spec, out);
    containers::allocated(new, spec, out);
}

fn conditions(status: &Value, out: &mut Report) {
    let at = STATUS.child("conditions");
    for (index, condition) in status.items("conditions").iter().enumerate() {
        let at = at.index(index);
        let generation = condition.int("observedGeneration");
        if generation < 0 {
            out.invalid(&at.child("observedGeneration"), generation, NEGATIVE);
        }
        let kind = condition.text("type");
        if !["PodScheduled", "Ready", "Initialized"].contains(&kind) {
            out.invalid_each(&at.child("Type"), kind, label_key_errors(kind));
        }
    }
}

/// The node that a pod is meant for; one that has a node is meant for no other.
fn nominated_node(new: &Value, old: &Value, spec: &Value, out: &mut Report) {
    let name = new.text("nominatedNodeName");
    if name.is_empty() || name == old.text("nominatedNodeName") {
        return;
    }
    let at = STATUS.child("nominatedNodeName");
    out.invalid_each(&at, name, subdomain(name));
    if !spec.text("nodeName").is_empty() {
        out.forbidden(&at, "may not be set on pods that are already bound to a node");
    }
}

fn addresses(list: &str, new: &Value, old: &Value, out: &mut Report) {
    let at = STATUS.child(list);
    let of = |status: &'_ Value| status.items(list).iter().map(|a| a.text("ip").to_owned()).collect::<Vec<_>>();
    let (ips, before) = (of(new), of(old));
    if let Some(first) = ips.first().filter(|first| list == "hostIPs" && *first != new.text("hostIP")) {
        out.invalid(&at.index(0).child("ip"), first.as_str(), "must be equal to `hostIP`");
    }
    for (index, address) in ips.iter().enumerate().filter(|(_, ip)| !before.contains(ip)) {
        ip(&at.index(index), address, out);
    }
    let of_ipv6 = ips.iter().filter(|ip| ip.contains(':')).count();
    if ips.len() > 2 || ips.len() == 2 && of_ipv6 != 1 {
        let form = if list == "podIPs" { "[]@core.PodIP" } else { "[]@core.HostIP" };
        out.invalid(&at, Internal(new.at(list), form), "may specify no more than one IP for each IP family");
    }
}

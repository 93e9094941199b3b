//! Nodes.

use super::cell::Cell;
use super::column::{AGE, NAME, text};
use super::words::{NONE, UNKNOWN, condition, or};
use super::{Printer, age, name};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

pub(super) static NODE: Printer = Printer {
    columns: &[
        NAME,
        text("Status", "Whether the node is ready and takes pods."),
        text("Roles", "The roles that its labels name."),
        AGE,
        text("Version", "The kubelet's version."),
        text("Internal-IP", "Its address within the cluster.").wide(),
        text("External-IP", "Its address for the outside.").wide(),
        text("OS-Image", "Its operating system.").wide(),
        text("Kernel-Version", "Its kernel.").wide(),
        text("Container-Runtime", "Its container runtime and that one's version.").wide(),
    ],
    row,
};

fn row(node: &Value) -> Vec<Cell> {
    let info = node.at("status").and_then(|s| s.at("nodeInfo"));
    let fact = |key| info.map_or("", |i| i.text(key));
    vec![
        name(node),
        Cell::text(status(node)),
        Cell::text(roles(node)),
        age(node),
        Cell::text(fact("kubeletVersion")),
        Cell::text(address(node, "InternalIP")),
        Cell::text(address(node, "ExternalIP")),
        Cell::text(or(fact("osImage"), UNKNOWN)),
        Cell::text(or(fact("kernelVersion"), UNKNOWN)),
        Cell::text(or(fact("containerRuntimeVersion"), UNKNOWN)),
    ]
}

fn status(node: &Value) -> String {
    let ready = match condition(node, "Ready").map(|c| c.text("status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    match node.at("spec").is_some_and(|s| s.flag("unschedulable")) {
        true => format!("{ready},SchedulingDisabled"),
        false => ready.to_owned(),
    }
}

fn roles(node: &Value) -> String {
    let mut roles: Vec<&str> = node
        .labels()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    or(&roles.join(","), NONE).to_owned()
}

fn address<'a>(node: &'a Value, kind: &str) -> &'a str {
    let addresses = node.at("status").map(|s| s.items("addresses")).unwrap_or_default();
    addresses.iter().find(|a| a.text("type") == kind).map_or(NONE, |a| a.text("address"))
}

//! The storage drivers of a node.

use super::sections::{Sections, shown};
use super::times::stamp;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;

pub(super) fn write(out: &mut Sections, node: &Value) {
    out.field(0, "Name", node.name());
    out.labels("Labels", node.labels());
    out.annotations("Annotations", node.annotations());
    out.field(0, "CreationTimestamp", stamp(node.meta_str("creationTimestamp")));
    out.line(0, "Spec:");
    if !node["spec"].has("drivers") {
        return;
    }
    out.line(1, "Drivers:");
    for driver in node["spec"].items("drivers") {
        out.line(2, format_args!("{}:", driver.text("name")));
        out.field(3, "Node ID", driver.text("nodeID"));
        if let Some(count) = driver.at("allocatable").and_then(|a| a.at("count")) {
            out.line(3, "Allocatables:");
            out.field(4, "Count", shown(count));
        }
        if let Some(keys) = driver.at("topologyKeys") {
            out.field(3, "Topology Keys", shown(keys));
        }
    }
}

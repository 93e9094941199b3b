//! Persistent volumes.

use super::containers::quantity;
use super::sections::Sections;
use super::volume_claims::{class, modes, phase};
use super::volumes;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;

pub(super) fn write(out: &mut Sections, volume: &Value) {
    let (spec, status) = (&volume["spec"], &volume["status"]);
    out.field(0, "Name", volume.name());
    out.labels("Labels", volume.labels());
    out.annotations("Annotations", volume.annotations());
    out.field(0, "Finalizers", format_args!("[{}]", volume.finalizers().join(" ")));
    out.field(0, "StorageClass", class(volume));
    phase(out, volume);
    let claim = spec.at("claimRef").map(|c| format!("{}/{}", c.text("namespace"), c.text("name")));
    out.field(0, "Claim", claim.unwrap_or_default());
    out.field(0, "Reclaim Policy", spec.text("persistentVolumeReclaimPolicy"));
    out.field(0, "Access Modes", modes(spec));
    out.field_if(0, "VolumeMode", spec.text("volumeMode"));
    out.field(0, "Capacity", quantity(spec.at("capacity").and_then(|c| c.at("storage"))));
    affinity(out, spec);
    out.field(0, "Message", status.text("message"));
    out.line(0, "Source:");
    volumes::persistent(out, spec);
}

fn affinity(out: &mut Sections, spec: &Value) {
    let Some(required) = spec.at("nodeAffinity").and_then(|a| a.at("required")) else {
        out.field(0, "Node Affinity", "<none>");
        return;
    };
    out.field(0, "Node Affinity", "");
    let terms = required.items("nodeSelectorTerms");
    if terms.is_empty() {
        out.field(1, "Required Terms", "<none>");
        return;
    }
    out.field(1, "Required Terms", "");
    for (i, term) in terms.iter().enumerate() {
        out.write(2, format_args!("Term {i}:\t"));
        expressions(out, 2, term.items("matchExpressions").iter().map(|e| (e, e.text("operator").to_lowercase())));
    }
}

/// `key operator [values]`, one a line; the first one stands behind its title.
pub(super) fn expressions<'a>(
    out: &mut Sections,
    level: usize,
    expressions: impl Iterator<Item = (&'a Value, String)>,
) {
    let mut any = false;
    for (expression, operator) in expressions {
        if any {
            out.write(level, "\t");
        }
        any = true;
        let values: Vec<&str> = expression.texts("values").collect();
        let values = if values.is_empty() { String::new() } else { format!(" [{}]", values.join(", ")) };
        out.line(0, format_args!("{} {operator}{values}", expression.text("key")));
    }
    if !any {
        out.line(0, "<none>");
    }
}

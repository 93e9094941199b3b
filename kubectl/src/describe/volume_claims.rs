//! Persistent volume claims.

use super::containers::quantity;
use super::sections::{Sections, equations};
use super::source::{Chosen, Source};
use super::times::{conditions, since};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;

const CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// The pods that use a claim: by name, or as its owner.
pub(super) async fn users(source: &Source<'_>, claim: &Value) -> anyhow::Result<Vec<Value>> {
    let path = format!("/api/v1/namespaces/{}/pods", claim.namespace());
    let pods = source.list(&path, Chosen::default()).await?;
    Ok(pods.into_iter().filter(|pod| uses(pod, claim)).collect())
}

fn uses(pod: &Value, claim: &Value) -> bool {
    let mounted = pod["spec"].items("volumes").iter().filter_map(|v| v.at("persistentVolumeClaim"));
    mounted.into_iter().any(|c| c.text("claimName") == claim.name())
        || claim.owner_references().iter().any(|owner| owner.kind == "Pod" && owner.uid == pod.uid())
}

pub(super) fn write(out: &mut Sections, claim: &Value, users: &[Value]) {
    let (spec, status) = (&claim["spec"], &claim["status"]);
    out.field(0, "Name", claim.name());
    out.field(0, "Namespace", claim.namespace());
    out.field(0, "StorageClass", class(claim));
    phase(out, claim);
    out.field(0, "Volume", spec.text("volumeName"));
    out.labels("Labels", claim.labels());
    out.annotations("Annotations", claim.annotations());
    out.field(0, "Finalizers", format_args!("[{}]", claim.finalizers().join(" ")));
    rest(out, spec, status);
    let mut names: Vec<&str> = users.iter().map(ObjectMeta::name).collect();
    names.sort_unstable();
    out.multiline("Used By", names);
    conditions(out, status.items("conditions"), "Probe");
}

/// A claim in a pod.
pub(super) fn template(out: &mut Sections, template: &Value) {
    let spec = &template["spec"];
    out.field(0, "StorageClass", class(template));
    out.field(0, "Volume", spec.text("volumeName"));
    out.labels("Labels", template.labels());
    out.annotations("Annotations", template.annotations());
    rest(out, spec, &Value::Null);
}

/// The claims of a stateful set.
pub(super) fn templates(out: &mut Sections, templates: &[Value]) {
    if templates.is_empty() {
        out.field(0, "Volume Claims", "<none>");
        return;
    }
    out.line(0, "Volume Claims:");
    for claim in templates {
        let spec = &claim["spec"];
        out.field(1, "Name", claim.name());
        out.field(1, "StorageClass", class(claim));
        out.multiline_indented("  ", "Labels", equations(claim.labels()));
        out.multiline_indented("  ", "Annotations", equations(claim.annotations()));
        let asked = spec.at("resources").and_then(|r| r.at("requests")?.at("storage"));
        out.field(1, "Capacity", asked.map_or_else(|| "<default>".into(), |a| quantity(Some(a)).to_string()));
        let modes: Vec<&str> = spec.texts("accessModes").collect();
        out.field(1, "Access Modes", format_args!("[{}]", modes.join(" ")));
    }
}

/// The storage class of a claim or a volume: an annotation goes before the field.
pub(super) fn class(object: &Value) -> &str {
    let annotated = object.annotations().and_then(|a| a.get(CLASS)?.as_str());
    annotated.unwrap_or_else(|| object["spec"].text("storageClassName"))
}

/// How far a claim or a volume is.
pub(super) fn phase(out: &mut Sections, object: &Value) {
    match object.meta_str("deletionTimestamp") {
        "" => out.field(0, "Status", object["status"].text("phase")),
        time => {
            let lasts = since(out.now, time);
            out.field(0, "Status", format_args!("Terminating (lasts {lasts})"));
        }
    }
}

fn rest(out: &mut Sections, spec: &Value, status: &Value) {
    let bound = !spec.text("volumeName").is_empty();
    let held = status.at("capacity").and_then(|c| c.at("storage"));
    out.field(0, "Capacity", if bound { quantity(held).to_string() } else { String::new() });
    out.field(0, "Access Modes", if bound { modes(status) } else { String::new() });
    out.field_if(0, "VolumeMode", spec.text("volumeMode"));
    if let Some(data) = spec.at("dataSource") {
        out.line(0, "DataSource:");
        out.field_if(1, "APIGroup", data.text("apiGroup"));
        out.field(1, "Kind", data.text("kind"));
        out.field(1, "Name", data.text("name"));
    }
}

/// Access modes in their short form and in their order.
pub(super) fn modes(object: &Value) -> String {
    let known =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let given = |mode: &str| object.texts("accessModes").any(|m| m == mode);
    known.iter().filter(|(mode, _)| given(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

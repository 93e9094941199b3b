//! Classes of all kinds: of storage, of volume attributes, of ingresses, of priorities.

use super::sections::{Sections, joined, shown, yes};
use super::volume::expressions;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;

const DEFAULT: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

pub(super) fn storage(out: &mut Sections, class: &Value) {
    let annotated = |key: &&str| class.annotations().is_some_and(|a| a.text(key) == "true");
    out.field(0, "Name", class.name());
    out.field(0, "IsDefaultClass", if DEFAULT.iter().any(annotated) { "Yes" } else { "No" });
    out.field(0, "Annotations", joined(class.annotations()));
    out.field(0, "Provisioner", class.text("provisioner"));
    out.field(0, "Parameters", joined(class.object("parameters")));
    let expands = class.at("allowVolumeExpansion").and_then(Value::as_bool);
    out.field(0, "AllowVolumeExpansion", expands.map_or("<unset>", yes));
    match class.items("mountOptions") {
        [] => out.field(0, "MountOptions", "<none>"),
        options => {
            out.line(0, "MountOptions:");
            options.iter().for_each(|option| out.line(1, shown(option)));
        }
    }
    out.field_if(0, "ReclaimPolicy", class.text("reclaimPolicy"));
    out.field_if(0, "VolumeBindingMode", class.text("volumeBindingMode"));
    topologies(out, class);
}

fn topologies(out: &mut Sections, class: &Value) {
    if !class.has("allowedTopologies") {
        return;
    }
    let terms = class.items("allowedTopologies");
    out.field(0, "AllowedTopologies", if terms.is_empty() { "<none>" } else { "" });
    for (i, term) in terms.iter().enumerate() {
        out.write(1, format_args!("Term {i}:\t"));
        expressions(out, 1, term.items("matchLabelExpressions").iter().map(|e| (e, "in".to_owned())));
    }
}

pub(super) fn volume_attributes(out: &mut Sections, class: &Value) {
    out.field(0, "Name", class.name());
    out.field(0, "Annotations", joined(class.annotations()));
    out.field(0, "DriverName", class.text("driverName"));
    out.field(0, "Parameters", joined(class.object("parameters")));
}

pub(super) fn ingress(out: &mut Sections, class: &Value) {
    out.field(0, "Name", class.name());
    out.labels("Labels", class.labels());
    out.annotations("Annotations", class.annotations());
    out.field(0, "Controller", class["spec"].text("controller"));
    if let Some(parameters) = class["spec"].at("parameters") {
        out.line(0, "Parameters:");
        if parameters.has("apiGroup") {
            out.field(1, "APIGroup", parameters.text("apiGroup"));
        }
        out.field(1, "Kind", parameters.text("kind"));
        out.field(1, "Name", parameters.text("name"));
    }
}

pub(super) fn priority(out: &mut Sections, class: &Value) {
    out.field(0, "Name", class.name());
    out.field(0, "Value", class.int("value"));
    out.field(0, "GlobalDefault", class.flag("globalDefault"));
    out.field(0, "PreemptionPolicy", class.text("preemptionPolicy"));
    out.field(0, "Description", class.text("description"));
    out.field(0, "Annotations", joined(class.annotations()));
}

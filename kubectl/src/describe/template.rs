//! Pod templates, and what pods have in common with them.

use super::containers::{self, Whose};
use super::sections::Sections;
use super::{selector, volumes};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;

/// A pod template by itself, with its tabs.
pub fn text(template: &Value) -> String {
    let mut out = Sections::new(jiff::Timestamp::UNIX_EPOCH);
    write(&mut out, template);
    out.tabbed()
}

/// A pod template.
pub(super) fn write(out: &mut Sections, template: &Value) {
    let spec = &template["spec"];
    out.line(0, "Pod Template:");
    out.labels("  Labels", template.labels());
    if template.annotations().is_some_and(|a| !a.is_empty()) {
        out.annotations("  Annotations", template.annotations());
    }
    out.field_if(1, "Service Account", spec.text("serviceAccountName"));
    if !spec.items("initContainers").is_empty() {
        containers::write(out, "Init Containers", spec.items("initContainers"), Whose::Template);
    }
    containers::write(out, "Containers", spec.items("containers"), Whose::Template);
    volumes::write(out, spec.items("volumes"), "  ");
    spread(out, spec, "  ");
    out.field_if(1, "Priority Class Name", spec.text("priorityClassName"));
    out.labels("  Node-Selectors", spec.object("nodeSelector"));
    tolerations(out, "  Tolerations", spec);
    scheduling_group(out, spec, "  ");
}

/// How pods spread over a topology.
pub(super) fn spread(out: &mut Sections, spec: &Value, indent: &str) {
    let mut constraints: Vec<&Value> = spec.items("topologySpreadConstraints").iter().collect();
    if constraints.is_empty() {
        return;
    }
    constraints.sort_by_key(|c| c.text("topologyKey"));
    let text = |c: &&Value| {
        let of = match c.at("labelSelector") {
            Some(labels) => format!(" for selector {}", selector::shown(Some(labels))),
            None => String::new(),
        };
        let (key, or) = (c.text("topologyKey"), c.text("whenUnsatisfiable"));
        format!("{key}:{or} when max skew {} is exceeded{of}", c.int("maxSkew"))
    };
    out.multiline_indented(indent, "Topology Spread Constraints", constraints.iter().map(text));
}

/// Tolerations, one a line.
pub(super) fn tolerations(out: &mut Sections, title: &str, spec: &Value) {
    let mut tolerations: Vec<&Value> = spec.items("tolerations").iter().collect();
    tolerations.sort_by_key(|t| t.text("key"));
    out.multiline(title, tolerations.into_iter().map(toleration));
}

fn toleration(toleration: &Value) -> String {
    let (key, value, effect) = (toleration.text("key"), toleration.text("value"), toleration.text("effect"));
    let mut text = key.to_owned();
    if !value.is_empty() {
        text.push_str(&format!("={value}"));
    }
    if !effect.is_empty() {
        text.push_str(&format!(":{effect}"));
    }
    if toleration.text("operator") == "Exists" && value.is_empty() {
        text.push_str(if text.is_empty() { "op=Exists" } else { " op=Exists" });
    }
    if let Some(seconds) = toleration.at("tolerationSeconds") {
        text.push_str(&format!(" for {seconds}s"));
    }
    text
}

/// The group that pods are scheduled with.
pub(super) fn scheduling_group(out: &mut Sections, spec: &Value, indent: &str) {
    if let Some(group) = spec.at("schedulingGroup") {
        out.line(0, format_args!("{indent}SchedulingGroup:"));
        out.field(1, "PodGroupName", group.text("podGroupName"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_template_by_itself() {
        let template = json!({"metadata": {"labels": {"app": "web", "pod-template-hash": "1"}},
            "spec": {"containers": [{"name": "nginx", "image": "nginx:1", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}});
        let want = "Pod Template:\n  Labels:\tapp=web\n\tpod-template-hash=1\n  Containers:\n   nginx:\n    Image:\tnginx:1\n    Port:\t80/TCP\n    Host Port:\t0/TCP\n    Environment:\t<none>\n    Mounts:\t<none>\n  Volumes:\t<none>\n  Node-Selectors:\t<none>\n  Tolerations:\t<none>\n";
        assert_eq!(text(&template), want);
    }

    #[test]
    fn tolerations_as_text() {
        for (toleration, want) in [
            (
                json!({"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
                "k:NoExecute op=Exists for 300s",
            ),
            (json!({"operator": "Exists"}), "op=Exists"),
            (json!({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}), "k=v:NoSchedule"),
            (json!({"key": "k", "operator": "Exists"}), "k op=Exists"),
        ] {
            assert_eq!(super::toleration(&toleration), want);
        }
    }
}

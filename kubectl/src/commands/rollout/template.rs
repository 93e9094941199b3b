//! A pod template as `rollout history --revision` prints it: fields behind tabs.
//!
//! Upstream: `kubectl/pkg/describe` (`DescribePodTemplate`).

use apimachinery::meta::ObjectMeta;
use apimachinery::{Map, Value};
use std::fmt::Write as _;

/// The text.
pub(super) fn pod_template(template: &Value) -> String {
    let mut out = String::from("Pod Template:\n");
    pairs(&mut out, "  ", "Labels", "=", template.labels());
    if template.annotations().is_some_and(|a| !a.is_empty()) {
        pairs(&mut out, "  ", "Annotations", ": ", template.annotations());
    }
    let spec = &template["spec"];
    if let Some(account) = spec["serviceAccountName"].as_str() {
        let _ = writeln!(out, "  Service Account:\t{account}");
    }
    for (title, member) in [("Init Containers", "initContainers"), ("Containers", "containers")] {
        let list = list(spec, member);
        if !list.is_empty() {
            let _ = writeln!(out, "  {title}:");
            list.iter().for_each(|c| container(&mut out, c));
        }
    }
    volumes(&mut out, list(spec, "volumes"));
    pairs(&mut out, "  ", "Node-Selectors", "=", spec["nodeSelector"].as_object());
    let tolerations: Vec<String> = list(spec, "tolerations").iter().map(toleration).collect();
    let shown = if tolerations.is_empty() { "<none>".to_owned() } else { tolerations.join("\n\t") };
    let _ = writeln!(out, "  Tolerations:\t{shown}");
    out
}

fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value[member].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

fn pairs(out: &mut String, indent: &str, title: &str, sign: &str, map: Option<&Map>) {
    let shown: Vec<String> =
        map.into_iter().flatten().map(|(k, v)| format!("{k}{sign}{}", v.as_str().unwrap_or_default())).collect();
    let shown = if shown.is_empty() { "<none>".to_owned() } else { shown.join("\n\t") };
    let _ = writeln!(out, "{indent}{title}:\t{shown}");
}

fn container(out: &mut String, container: &Value) {
    let _ = writeln!(out, "   {}:\n    Image:\t{}", text(container, "name"), text(container, "image"));
    let ports = list(container, "ports");
    let shown = |member: &str| {
        let one = |p: &Value| {
            let protocol = if text(p, "protocol").is_empty() { "TCP" } else { text(p, "protocol") };
            format!("{}/{protocol}", p[member].as_i64().unwrap_or(0))
        };
        if ports.is_empty() { "<none>".to_owned() } else { ports.iter().map(one).collect::<Vec<_>>().join(", ") }
    };
    let plural = if ports.len() > 1 { "s" } else { "" };
    let _ =
        writeln!(out, "    Port{plural}:\t{}\n    Host Port{plural}:\t{}", shown("containerPort"), shown("hostPort"));
    for (title, member) in [("Command", "command"), ("Args", "args")] {
        if !list(container, member).is_empty() {
            let _ = writeln!(out, "    {title}:");
            for word in list(container, member).iter().filter_map(Value::as_str) {
                let _ = writeln!(out, "      {word}");
            }
        }
    }
    for (title, member) in [("Limits", "limits"), ("Requests", "requests")] {
        if let Some(amounts) = container["resources"][member].as_object().filter(|m| !m.is_empty()) {
            let _ = writeln!(out, "    {title}:");
            for (name, amount) in amounts {
                let _ = writeln!(out, "      {name}:\t{}", amount.as_str().unwrap_or_default());
            }
        }
    }
    environment(out, list(container, "env"));
    mounts(out, list(container, "volumeMounts"));
}

fn environment(out: &mut String, variables: &[Value]) {
    if variables.is_empty() {
        let _ = writeln!(out, "    Environment:\t<none>");
        return;
    }
    let _ = writeln!(out, "    Environment:");
    for variable in variables {
        let source = &variable["valueFrom"];
        let shown = match source.as_object().and_then(|m| m.iter().next()) {
            None => text(variable, "value").to_owned(),
            Some((kind, from)) if kind == "fieldRef" => {
                let version = if text(from, "apiVersion").is_empty() { "v1" } else { text(from, "apiVersion") };
                format!(" ({version}:{})", text(from, "fieldPath"))
            }
            Some((kind, from)) if kind == "resourceFieldRef" => {
                format!("{} ({})", text(from, "divisor"), text(from, "resource"))
            }
            Some((kind, from)) => {
                let what = if kind == "secretKeyRef" { "secret" } else { "config map" };
                let optional = from["optional"].as_bool().unwrap_or(false);
                format!(
                    "<set to the key '{}' in {what} '{}'>\tOptional: {optional}",
                    text(from, "key"),
                    text(from, "name")
                )
            }
        };
        let _ = writeln!(out, "      {}:\t{shown}", text(variable, "name"));
    }
}

fn mounts(out: &mut String, mounts: &[Value]) {
    if mounts.is_empty() {
        let _ = writeln!(out, "    Mounts:\t<none>");
        return;
    }
    let _ = writeln!(out, "    Mounts:");
    for mount in mounts {
        let mut flags = vec![if mount["readOnly"].as_bool().unwrap_or(false) { "ro" } else { "rw" }.to_owned()];
        if !text(mount, "subPath").is_empty() {
            flags.push(format!("path=\"{}\"", text(mount, "subPath")));
        }
        let _ = writeln!(out, "      {} from {} ({})", text(mount, "mountPath"), text(mount, "name"), flags.join(","));
    }
}

fn volumes(out: &mut String, volumes: &[Value]) {
    if volumes.is_empty() {
        let _ = writeln!(out, "  Volumes:\t<none>");
        return;
    }
    let _ = writeln!(out, "  Volumes:");
    for volume in volumes {
        let kind = volume.as_object().and_then(|m| m.keys().find(|k| *k != "name")).map_or("<unknown>", String::as_str);
        let mut kind = kind.to_owned();
        kind[..1].make_ascii_uppercase();
        let _ = writeln!(out, "   {}:\n    Type:\t{kind}", text(volume, "name"));
    }
}

fn toleration(toleration: &Value) -> String {
    let mut shown = text(toleration, "key").to_owned();
    if !text(toleration, "value").is_empty() {
        let _ = write!(shown, "={}", text(toleration, "value"));
    }
    if !text(toleration, "effect").is_empty() {
        let _ = write!(shown, ":{}", text(toleration, "effect"));
    }
    if text(toleration, "operator") == "Exists" {
        shown.push_str(" op=Exists");
    }
    if let Some(seconds) = toleration["tolerationSeconds"].as_i64() {
        let _ = write!(shown, " for {seconds}s");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn prints_a_template() {
        let template = json!({"metadata": {"labels": {"app": "web", "pod-template-hash": "1"}},
            "spec": {"containers": [{"name": "nginx", "image": "nginx:1", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}});
        let want = "Pod Template:\n  Labels:\tapp=web\n\tpod-template-hash=1\n  Containers:\n   nginx:\n    Image:\tnginx:1\n    Port:\t80/TCP\n    Host Port:\t0/TCP\n    Environment:\t<none>\n    Mounts:\t<none>\n  Volumes:\t<none>\n  Node-Selectors:\t<none>\n  Tolerations:\t<none>\n";
        assert_eq!(pod_template(&template), want);
    }
}

//! Pods.

use super::{at, line, pairs};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::fmt::Write as _;

pub(super) fn describe(out: &mut String, pod: &Value) {
    line(out, "Name", pod.name());
    line(out, "Namespace", pod.namespace());
    line(out, "Priority", &pod.pointer("/spec/priority").map_or("0".into(), Value::to_string));
    line(out, "Service Account", at(pod, "/spec/serviceAccountName"));
    let host = pod.pointer("/status/hostIP").and_then(Value::as_str).unwrap_or_default();
    line(out, "Node", &format!("{}/{host}", at(pod, "/spec/nodeName")));
    line(out, "Start Time", at(pod, "/status/startTime"));
    pairs(out, "Labels", pod.labels());
    pairs(out, "Annotations", pod.annotations());
    let status = if pod.is_deleting() { "Terminating" } else { at(pod, "/status/phase") };
    line(out, "Status", status);
    for (title, pointer) in [("Reason", "/status/reason"), ("Message", "/status/message")] {
        if at(pod, pointer) != "<none>" {
            line(out, title, at(pod, pointer));
        }
    }
    line(out, "IP", at(pod, "/status/podIP"));
    let _ = writeln!(out, "IPs:");
    for ip in list(pod, "/status/podIPs") {
        let _ = writeln!(out, "  IP:           {}", at(ip, "/ip"));
    }
    containers(out, pod, "Init Containers", "/spec/initContainers", "/status/initContainerStatuses");
    containers(out, pod, "Containers", "/spec/containers", "/status/containerStatuses");
    conditions(out, pod);
    volumes(out, pod);
    line(out, "QoS Class", at(pod, "/status/qosClass"));
    pairs(out, "Node-Selectors", pod.pointer("/spec/nodeSelector").and_then(Value::as_object));
    tolerations(out, pod);
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn containers(out: &mut String, pod: &Value, title: &str, specs: &str, statuses: &str) {
    for (i, container) in list(pod, specs).enumerate() {
        if i == 0 {
            let _ = writeln!(out, "{title}:");
        }
        let name = at(container, "/name");
        let status = list(pod, statuses).find(|s| at(s, "/name") == name).cloned().unwrap_or_default();
        let _ = writeln!(out, "  {name}:");
        let mut field = |title: &str, value: &str| {
            let _ = writeln!(out, "    {:<16}{value}", format!("{title}:"));
        };
        field("Container ID", status.get("containerID").and_then(Value::as_str).unwrap_or_default());
        field("Image", at(container, "/image"));
        field("Image ID", status.get("imageID").and_then(Value::as_str).unwrap_or_default());
        let ports: Vec<String> =
            list(container, "/ports").map(|p| format!("{}/{}", p["containerPort"], at(p, "/protocol"))).collect();
        field("Port", if ports.is_empty() { "<none>" } else { &ports[0] });
        state(&mut field, "State", status.get("state"));
        state(
            &mut field,
            "Last State",
            status.get("lastState").filter(|s| s.as_object().is_some_and(|m| !m.is_empty())),
        );
        field("Ready", if status.get("ready").and_then(Value::as_bool) == Some(true) { "True" } else { "False" });
        field("Restart Count", &status.get("restartCount").map_or("0".into(), Value::to_string));
        mounts(out, container);
    }
}

fn state(field: &mut impl FnMut(&str, &str), title: &str, state: Option<&Value>) {
    let Some((kind, detail)) = state.and_then(Value::as_object).and_then(|m| m.iter().next()) else {
        if title == "State" {
            field(title, "Waiting");
        }
        return;
    };
    let mut word = kind.clone();
    word[..1].make_ascii_uppercase();
    field(title, &word);
    for (name, key) in
        [("  Reason", "/reason"), ("  Message", "/message"), ("  Started", "/startedAt"), ("  Finished", "/finishedAt")]
    {
        if at(detail, key) != "<none>" {
            field(name, at(detail, key));
        }
    }
    if let Some(code) = detail.get("exitCode") {
        field("  Exit Code", &code.to_string());
    }
}

fn mounts(out: &mut String, container: &Value) {
    let _ = writeln!(out, "    Mounts:");
    for mount in list(container, "/volumeMounts") {
        let mode = if mount.get("readOnly").and_then(Value::as_bool) == Some(true) { "ro" } else { "rw" };
        let _ = writeln!(out, "      {} from {} ({mode})", at(mount, "/mountPath"), at(mount, "/name"));
    }
}

fn conditions(out: &mut String, pod: &Value) {
    let _ = writeln!(out, "Conditions:\n  {:<28}Status", "Type");
    for condition in list(pod, "/status/conditions") {
        let _ = writeln!(out, "  {:<28}{} ", at(condition, "/type"), at(condition, "/status"));
    }
}

fn volumes(out: &mut String, pod: &Value) {
    let _ = writeln!(out, "Volumes:");
    for volume in list(pod, "/spec/volumes") {
        let kind = volume.as_object().and_then(|m| m.keys().find(|k| *k != "name"));
        let _ = writeln!(out, "  {}:\n    Type:  {}", at(volume, "/name"), kind.map_or("<none>", String::as_str));
    }
}

fn tolerations(out: &mut String, pod: &Value) {
    let show = |t: &Value| {
        let text = |key: &str| t.get(key).and_then(Value::as_str).unwrap_or_default();
        let mut shown = text("key").to_owned();
        if !text("value").is_empty() {
            shown.push_str(&format!("={}", text("value")));
        }
        if !text("effect").is_empty() {
            shown.push_str(&format!(":{}", text("effect")));
        }
        if text("operator") == "Exists" {
            shown.push_str(" op=Exists");
        }
        if let Some(seconds) = t.get("tolerationSeconds") {
            shown.push_str(&format!(" for {seconds}s"));
        }
        shown
    };
    let mut all = list(pod, "/spec/tolerations").map(show);
    line(out, "Tolerations", &all.next().unwrap_or_else(|| "<none>".into()));
    for toleration in all {
        let _ = writeln!(out, "{:<18}{toleration}", "");
    }
}

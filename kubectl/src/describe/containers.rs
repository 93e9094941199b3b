//! The containers of a pod or a pod template.

use super::probes;
use super::sections::{Sections, yes};
use super::times::stamp;
use apimachinery::Value;
use apimachinery::quantity::Quantity;
use rules::tree::Tree;

/// What is known beside the containers' specification.
#[derive(Clone, Copy)]
pub(super) enum Whose<'a> {
    /// Of a pod, with the states of its containers.
    Pod { pod: &'a Value, statuses: &'a [Value] },
    /// Of a template, one level deeper.
    Template,
}

/// A section per container below a title.
pub(super) fn write(out: &mut Sections, title: &str, containers: &[Value], whose: Whose<'_>) {
    let (indent, statuses) = match whose {
        Whose::Pod { statuses, .. } => ("", statuses),
        Whose::Template => ("  ", &[][..]),
    };
    let none = if containers.is_empty() { " <none>" } else { "" };
    out.line(0, format_args!("{indent}{title}:{none}"));
    let indent = if indent.is_empty() { "" } else { " " };
    for container in containers {
        let status = statuses.iter().find(|s| s.text("name") == container.text("name"));
        out.line(1, format_args!("{indent}{}:", container.text("name")));
        basics(out, container, status);
        for (title, member) in [("Command", "command"), ("Args", "args")] {
            words(out, title, container.items(member));
        }
        if let Some(status) = status {
            states(out, status);
        }
        resources(out, 2, container.at("resources"));
        for (title, member) in
            [("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")]
        {
            if let Some(probe) = container.at(member) {
                out.field(2, title, probes::text(probe));
            }
        }
        sources(out, container.items("envFrom"));
        variables(out, container, whose);
        mounts(out, container);
    }
}

fn basics(out: &mut Sections, container: &Value, status: Option<&Value>) {
    if let Some(status) = status {
        out.field(2, "Container ID", status.text("containerID"));
    }
    out.field(2, "Image", container.text("image"));
    if let Some(status) = status {
        out.field(2, "Image ID", status.text("imageID"));
    }
    for (title, member) in [("Port", "containerPort"), ("Host Port", "hostPort")] {
        let ports: Vec<String> = container.items("ports").iter().map(|p| port(p, member)).collect();
        match ports.len() {
            0 => out.field(2, title, "<none>"),
            1 => out.field(2, title, &ports[0]),
            _ => out.field(2, &format!("{title}s"), ports.join(", ")),
        }
    }
    if let Some(profile) = container.at("securityContext").and_then(|c| c.at("seccompProfile")) {
        out.field(2, "SeccompProfile", profile.text("type"));
        if profile.text("type") == "Localhost" {
            out.field(3, "LocalhostProfile", profile.text("localhostProfile"));
        }
    }
}

fn port(port: &Value, member: &str) -> String {
    let place = format!("{}/{}", port.int(member), port.text("protocol"));
    if port.text("name").is_empty() { place } else { format!("{place} ({})", port.text("name")) }
}

fn words(out: &mut Sections, title: &str, words: &[Value]) {
    if words.is_empty() {
        return;
    }
    out.line(2, format_args!("{title}:"));
    for line in words.iter().filter_map(Value::as_str).flat_map(|word| word.split('\n')) {
        out.line(3, line);
    }
}

fn states(out: &mut Sections, status: &Value) {
    state(out, "State", status.at("state").unwrap_or(&Value::Null));
    if let Some(last) = status.at("lastState").filter(|s| s.has("terminated")) {
        state(out, "Last State", last);
    }
    out.field(2, "Ready", yes(status.flag("ready")));
    out.field(2, "Restart Count", status.int("restartCount"));
}

fn state(out: &mut Sections, title: &str, state: &Value) {
    if let Some(running) = state.at("running") {
        out.field(2, title, "Running");
        out.field(3, "Started", stamp(running.text("startedAt")));
    } else if let Some(terminated) = state.at("terminated").filter(|_| !state.has("waiting")) {
        out.field(2, title, "Terminated");
        out.field_if(3, "Reason", terminated.text("reason"));
        out.field_if(3, "Message", terminated.text("message"));
        out.field(3, "Exit Code", terminated.int("exitCode"));
        if terminated.int("signal") > 0 {
            out.field(3, "Signal", terminated.int("signal"));
        }
        out.field(3, "Started", stamp(terminated.text("startedAt")));
        out.field(3, "Finished", stamp(terminated.text("finishedAt")));
    } else {
        out.field(2, title, "Waiting");
        out.field_if(3, "Reason", state.at("waiting").map(|w| w.text("reason")).unwrap_or_default());
    }
}

/// Limits and requests.
pub(super) fn resources(out: &mut Sections, level: usize, resources: Option<&Value>) {
    for (title, member) in [("Limits", "limits"), ("Requests", "requests")] {
        let mut amounts = resources.into_iter().flat_map(|r| r.entries(member)).peekable();
        if amounts.peek().is_some() {
            out.line(level, format_args!("{title}:"));
        }
        for (name, amount) in amounts {
            out.field(level + 1, name, quantity(Some(amount)));
        }
    }
}

/// An amount in its canonical form; `0` if there is none.
pub(super) fn quantity(amount: Option<&Value>) -> Quantity {
    amount.and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or(Quantity::ZERO)
}

fn sources(out: &mut Sections, sources: &[Value]) {
    if sources.is_empty() {
        return;
    }
    out.line(2, "Environment Variables from:");
    for source in sources {
        let (kind, from) = match (source.at("configMapRef"), source.at("secretRef")) {
            (Some(map), _) => ("ConfigMap", map),
            (None, Some(secret)) => ("Secret", secret),
            (None, None) => ("", &Value::Null),
        };
        let prefix = match source.text("prefix") {
            "" => String::new(),
            prefix => format!(" with prefix '{prefix}'"),
        };
        out.line(3, format_args!("{}\t{kind}{prefix}\tOptional: {}", from.text("name"), from.flag("optional")));
    }
}

fn variables(out: &mut Sections, container: &Value, whose: Whose<'_>) {
    let variables = container.items("env");
    out.line(2, if variables.is_empty() { "Environment:\t<none>" } else { "Environment:" });
    for variable in variables {
        let name = variable.text("name");
        match variable.at("valueFrom") {
            None => {
                let mut lines = variable.text("value").split('\n');
                out.field(3, name, lines.next().unwrap_or_default());
                lines.for_each(|line| out.line(3, format_args!("\t{line}")));
            }
            Some(from) => {
                if let Some(text) = taken(from, container, whose) {
                    out.field(3, name, text);
                }
            }
        }
    }
}

/// What a variable is taken from.
fn taken(from: &Value, container: &Value, whose: Whose<'_>) -> Option<String> {
    if let Some(field) = from.at("fieldRef") {
        let value = match whose {
            Whose::Pod { pod, .. } => field_value(pod, field),
            Whose::Template => "",
        };
        return Some(format!("{value} ({}:{})", field.text("apiVersion"), field.text("fieldPath")));
    }
    if let Some(amount) = from.at("resourceFieldRef") {
        let resource = amount.text("resource");
        let value = match amount_value(amount, container) {
            Some(0) if matches!(resource, "limits.cpu" | "limits.memory") => "node allocatable".to_owned(),
            value => value.map(|v| v.to_string()).unwrap_or_default(),
        };
        return Some(format!("{value} ({resource})"));
    }
    let (key, what) = match (from.at("secretKeyRef"), from.at("configMapKeyRef")) {
        (Some(key), _) => (key, "in secret"),
        (None, key) => (key?, "of config map"),
    };
    Some(format!(
        "<set to the key '{}' {what} '{}'>\tOptional: {}",
        key.text("key"),
        key.text("name"),
        key.flag("optional")
    ))
}

/// The fields that a client knows to be the same in every version; the others stay empty, as upstream's.
fn field_value<'a>(pod: &'a Value, field: &Value) -> &'a str {
    match (field.text("apiVersion"), field.text("fieldPath")) {
        ("v1", "metadata.name") => pod["metadata"].text("name"),
        ("v1", "metadata.namespace") => pod["metadata"].text("namespace"),
        _ => "",
    }
}

/// A request or a limit of the container itself, in units of the divisor.
fn amount_value(reference: &Value, container: &Value) -> Option<i64> {
    let (list, name) = reference.text("resource").split_once('.')?;
    if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !name.starts_with("hugepages-") {
        return None;
    }
    let amounts = container.at("resources").and_then(|r| r.at(list));
    let amount = quantity(amounts.and_then(|a| a.at(name)));
    let divisor = match quantity(reference.at("divisor")) {
        divisor if divisor.is_zero() => Quantity::from_units(1, divisor.format()),
        divisor => divisor,
    };
    let (amount, divisor) = match name {
        "cpu" => (amount.milli_value(), divisor.milli_value()),
        _ => (amount.value(), divisor.value()),
    };
    // As exact as upstream's floats.
    Some((amount as f64 / divisor as f64).ceil() as i64)
}

fn mounts(out: &mut Sections, container: &Value) {
    let none = if container.items("volumeMounts").is_empty() { "\t<none>" } else { "" };
    out.line(2, format_args!("Mounts:{none}"));
    let mut mounts: Vec<&Value> = container.items("volumeMounts").iter().collect();
    mounts.sort_by_key(|m| m.text("mountPath"));
    for mount in mounts {
        let mode = if mount.flag("readOnly") { "ro" } else { "rw" };
        let part = match mount.text("subPath") {
            "" => String::new(),
            part => format!(",path={part:?}"),
        };
        out.line(3, format_args!("{} from {} ({mode}{part})", mount.text("mountPath"), mount.text("name")));
    }
    let mut devices: Vec<&Value> = container.items("volumeDevices").iter().collect();
    if devices.is_empty() {
        return;
    }
    out.line(2, format_args!("Devices:{none}"));
    devices.sort_by_key(|d| d.text("devicePath"));
    for device in devices {
        out.line(3, format_args!("{} from {}", device.text("devicePath"), device.text("name")));
    }
}

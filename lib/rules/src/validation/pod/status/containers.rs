//! Statuses of containers.

use super::super::super::check::{At, Report};
use super::super::super::names::in_range;
use super::super::security::MAX_ID;
use super::STATUS;
use crate::tree::Tree;
use apimachinery::Value;
use std::collections::HashSet;

/// The lists of statuses with the lists of what they are statuses of.
const LISTS: [(&str, &str); 3] = [
    ("containerStatuses", "containers"),
    ("initContainerStatuses", "initContainers"),
    ("ephemeralContainerStatuses", "ephemeralContainers"),
];

/// What has ended for good cannot run again.
pub(super) fn transitions(new: &Value, old: &Value, spec: &Value, out: &mut Report) {
    let all_restart = ["initContainers", "containers"].iter().flat_map(|list| spec.items(list)).any(|container| {
        container.items("restartPolicyRules").iter().any(|rule| rule.text("action") == "RestartAllContainers")
    });
    for (list, containers) in LISTS {
        let ephemeral = containers == "ephemeralContainers";
        if all_restart && !ephemeral {
            continue;
        }
        let at = STATUS.child(list);
        for (index, status) in old.items(list).iter().enumerate() {
            let Some(end) = terminated(status) else { continue };
            let name = status.text("name");
            let runs_again = new.items(list).iter().any(|s| s.text("name") == name && terminated(s).is_none());
            let container = spec.items(containers).iter().find(|c| c.text("name") == name && !ephemeral);
            if runs_again && !container.is_some_and(|c| restarts(c, spec, end.int("exitCode"))) {
                out.forbidden(&at.index(index).child("state"), "may not be transitioned to non-terminated state");
            }
        }
    }
}

fn terminated(status: &Value) -> Option<&Value> {
    status.at("state")?.at("terminated")
}

/// Whether a container runs again after this exit code.
fn restarts(container: &Value, spec: &Value, code: i64) -> bool {
    let by_policy = |policy: &str| match policy {
        "Always" => Some(true),
        "OnFailure" => Some(code != 0),
        "Never" => Some(false),
        _ => None,
    };
    let whole = || by_policy(spec.text("restartPolicy")).unwrap_or(true);
    let Some(policy) = container.at("restartPolicy").and_then(Value::as_str) else { return whole() };
    let matching = container.items("restartPolicyRules").iter().find(|rule| {
        let codes = rule.at("exitCodes");
        let listed = codes.is_some_and(|c| c.items("values").iter().any(|v| v.as_i64() == Some(code)));
        match codes.map_or("", |c| c.text("operator")) {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        }
    });
    let by_rule = matching.is_some_and(|rule| matches!(rule.text("action"), "Restart" | "RestartAllContainers"));
    by_rule || by_policy(policy).unwrap_or_else(whole)
}

/// The users that containers turned out to run as.
pub(super) fn users(status: &Value, spec: &Value, out: &mut Report) {
    let windows = spec.at("os").is_some_and(|os| os.text("name") == "windows");
    for (list, _) in LISTS {
        let at = STATUS.child(list);
        for (index, container) in status.items(list).iter().enumerate() {
            let Some(user) = container.at("user").and_then(|u| u.at("linux")) else { continue };
            let at = at.index(index);
            let at = at.child("user");
            let at = at.child("linux");
            match windows {
                true => out.forbidden(&at, "cannot be set for a windows pod"),
                false => linux_user(&at, user, out),
            }
        }
    }
}

fn linux_user(at: &At<'_>, user: &Value, out: &mut Report) {
    let mut id = |at: &At<'_>, id: i64| {
        if let Some(finding) = in_range(id, 0, MAX_ID) {
            out.invalid(at, id, finding);
        }
    };
    for key in ["uid", "gid"] {
        id(&at.child(key), user.int(key));
    }
    let groups = at.child("supplementalGroups");
    for (index, group) in user.items("supplementalGroups").iter().enumerate() {
        id(&groups.index(index), group.as_i64().unwrap_or_default());
    }
}

/// The health of devices that containers have.
pub(super) fn allocated(status: &Value, spec: &Value, out: &mut Report) {
    for (list, containers) in LISTS {
        let at = STATUS.child(list);
        for (index, container) in status.items(list).iter().enumerate() {
            let resources = container.items("allocatedResourcesStatus");
            let at = at.index(index);
            let at = at.child("allocatedResourcesStatus");
            if containers == "ephemeralContainers" {
                if !resources.is_empty() {
                    out.forbidden(&at, "must not be specified in container status");
                }
                continue;
            }
            let owner = spec.items(containers).iter().find(|c| c.text("name") == container.text("name"));
            for (index, resource) in resources.iter().enumerate() {
                allocated_resource(&at.index(index), resource, owner, out);
            }
        }
    }
}

fn allocated_resource(at: &At<'_>, resource: &Value, owner: Option<&Value>, out: &mut Report) {
    let name = resource.text("name");
    // Statuses of containers that are gone are ignored.
    if let Some(owner) = owner {
        let (known, detail) = match name.strip_prefix("claim:") {
            Some(claim) => (
                claims(owner, claim),
                "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or \
                 'claim:<claimName>' if request is empty",
            ),
            None => (requests(owner, name), "must match one of the container's resource requests"),
        };
        if !known {
            out.invalid(&at.child("name"), name, detail);
        }
    }
    let mut ids = HashSet::new();
    let devices = at.child("resources");
    for (index, device) in resource.items("resources").iter().enumerate() {
        let at = devices.index(index);
        health(&at, device, out);
        let id = device.text("resourceID");
        if !ids.insert(id) {
            out.duplicate(&at.child("resourceID"), id);
        }
    }
}

fn claims(owner: &Value, wanted: &str) -> bool {
    let used = owner.at("resources").map(|r| r.items("claims")).unwrap_or_default();
    used.iter().any(|claim| match claim.text("request") {
        "" => claim.text("name") == wanted,
        request => wanted.split_once('/') == Some((claim.text("name"), request)),
    })
}

fn requests(owner: &Value, name: &str) -> bool {
    owner.at("resources").and_then(|r| r.object("requests")).is_some_and(|r| r.contains_key(name))
}

fn health(at: &At<'_>, device: &Value, out: &mut Report) {
    const STATES: [&str; 3] = ["Healthy", "Unhealthy", "Unknown"];
    const MAX_MESSAGE: usize = 1024;
    let state = device.text("health");
    if !STATES.contains(&state) {
        out.not_supported(&at.child("health"), state, &STATES);
    }
    match device.at("message").and_then(Value::as_str) {
        Some("") => out.required(&at.child("message"), "must be non-empty if specified"),
        Some(text) if text.len() > MAX_MESSAGE => out.too_long(&at.child("message"), MAX_MESSAGE),
        _ => {}
    }
}

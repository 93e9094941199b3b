//! Containers of all three kinds.

use super::super::check::{At, Report};
use super::super::names::{label, port_name, port_number};
use super::kept::own_users;
use super::{Context, env, mounts, probes, resources, restart, security};
use crate::tree::{Tree, is_empty};
use apimachinery::Value;
use std::collections::HashSet;

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// All containers of a pod.
pub(super) fn all(at: &At<'_>, context: &Context<'_>, out: &mut Report) {
    regular(&at.child("containers"), context, out);
    init(&at.child("initContainers"), context, out);
    ephemeral(&at.child("ephemeralContainers"), context, out);
}

fn regular(at: &At<'_>, context: &Context<'_>, out: &mut Report) {
    let containers = context.spec.items("containers");
    if containers.is_empty() {
        return out.required(at, "");
    }
    let mut names = HashSet::new();
    for (index, container) in containers.iter().enumerate() {
        let at = at.index(index);
        common(&at, container, context, out);
        if !names.insert(container.text("name")) {
            out.duplicate(&at.child("name"), container.text("name"));
        }
        probes::all(&at, container, context, out);
        restart::policy(&at, container, out);
    }
    host_ports(at, containers.iter().enumerate(), out);
}

fn init(at: &At<'_>, context: &Context<'_>, out: &mut Report) {
    let mut names: HashSet<&str> = context.spec.items("containers").iter().map(|c| c.text("name")).collect();
    for (index, container) in context.spec.items("initContainers").iter().enumerate() {
        let this = at.index(index);
        common(&this, container, context, out);
        restart::init_policy(&this, container, out);
        // That several have no name is said of them only if a regular container has none either.
        let name = container.text("name");
        if names.contains(name) {
            out.duplicate(&this.child("name"), name);
        } else if !name.is_empty() {
            names.insert(name);
        }
        // These run one by one, so each has the host's ports for itself.
        host_ports(at, std::iter::once((0, container)), out);
        match container.text("restartPolicy") {
            "Always" => probes::all(&this, container, context, out),
            _ => no_probes(&this, container, out),
        }
        restart::no_resize_restarts(&this, container, context, out);
    }
}

fn no_probes(at: &At<'_>, container: &Value, out: &mut Report) {
    for key in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
        if container.has(key) {
            out.forbidden(&at.child(key), "may not be set for init containers without restartPolicy=Always");
        }
    }
}

fn ephemeral(at: &At<'_>, context: &Context<'_>, out: &mut Report) {
    let others = ["containers", "initContainers"].into_iter().flat_map(|list| context.spec.items(list));
    let others: HashSet<&str> = others.map(|c| c.text("name")).collect();
    let mut names = others.clone();
    for (index, container) in context.spec.items("ephemeralContainers").iter().enumerate() {
        let at = at.index(index);
        common(&at, container, context, out);
        image_without_spaces(&at, container, out);
        if !names.insert(container.text("name")) {
            out.duplicate(&at.child("name"), container.text("name"));
        }
        let target = container.text("targetContainerName");
        if !target.is_empty() && !others.contains(target) {
            out.not_found(&at.child("targetContainerName"), target);
        }
        not_for_ephemeral(&at, container, out);
    }
}

fn not_for_ephemeral(at: &At<'_>, container: &Value, out: &mut Report) {
    const DETAIL: &str = "cannot be set for an Ephemeral Container";
    const KEYS: [&str; 9] = [
        "ports",
        "resources",
        "resizePolicy",
        "restartPolicy",
        "restartPolicyRules",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle",
    ];
    // Only for resources is there no difference between what is empty and nothing.
    let given = |key: &str| container.at(key).is_some_and(|value| key != "resources" || !is_empty(value));
    for key in KEYS.into_iter().filter(|key| given(key)) {
        out.forbidden(&at.child(key), DETAIL);
    }
    let mounts = at.child("volumeMounts");
    for (index, mount) in container.items("volumeMounts").iter().enumerate() {
        for key in ["subPath", "subPathExpr"].into_iter().filter(|key| !mount.text(key).is_empty()) {
            out.forbidden(&mounts.index(index).child(key), DETAIL);
        }
    }
}

/// What holds for containers of every kind.
fn common(at: &At<'_>, container: &Value, context: &Context<'_>, out: &mut Report) {
    match container.text("name") {
        "" => out.required(&at.child("name"), ""),
        name => out.invalid_each(&at.child("name"), name, label(name)),
    }
    if container.text("image").is_empty() {
        out.required(&at.child("image"), "");
    }
    let policy = container.text("terminationMessagePolicy");
    out.one_of(&at.child("terminationMessagePolicy"), policy, &["File", "FallbackToLogsOnError"]);
    ports(&at.child("ports"), container, out);
    env::variables(&at.child("env"), container, out);
    env::sources(&at.child("envFrom"), container, out);
    mounts::volume_mounts(&at.child("volumeMounts"), container, context, out);
    mounts::volume_devices(&at.child("volumeDevices"), container, context, out);
    out.one_of(&at.child("imagePullPolicy"), container.text("imagePullPolicy"), &["Always", "IfNotPresent", "Never"]);
    resources::of_container(&at.child("resources"), container, context, out);
    restart::resize_policy(&at.child("resizePolicy"), container, context, out);
    let own_users = own_users(context.spec);
    security::container(&at.child("securityContext"), container.at("securityContext"), own_users, out);
}

/// What holds for the images of a pod's containers; templates have been let pass with any for too long.
pub(super) fn images(at: &At<'_>, spec: &Value, out: &mut Report) {
    for list in ["containers", "initContainers"] {
        let at = at.child(list);
        for (index, container) in spec.items(list).iter().enumerate() {
            image_without_spaces(&at.index(index), container, out);
        }
    }
}

pub(super) fn image_without_spaces(at: &At<'_>, container: &Value, out: &mut Report) {
    let image = container.text("image");
    if image.trim() != image {
        out.invalid(&at.child("image"), image, "must not have leading or trailing whitespace");
    }
}

fn ports(at: &At<'_>, container: &Value, out: &mut Report) {
    let mut names = HashSet::new();
    for (index, port) in container.items("ports").iter().enumerate() {
        let at = at.index(index);
        let name = port.text("name");
        if !name.is_empty() {
            let findings = port_name(name);
            if findings.is_empty() && !names.insert(name) {
                out.duplicate(&at.child("name"), name);
            }
            out.invalid_each(&at.child("name"), name, findings);
        }
        match port.int("containerPort") {
            0 => out.required(&at.child("containerPort"), ""),
            number => port_in_range(&at.child("containerPort"), number, out),
        }
        if port.int("hostPort") != 0 {
            port_in_range(&at.child("hostPort"), port.int("hostPort"), out);
        }
        out.one_of(&at.child("protocol"), port.text("protocol"), &PROTOCOLS);
    }
}

fn port_in_range(at: &At<'_>, number: i64, out: &mut Report) {
    if let Some(finding) = port_number(number) {
        out.invalid(at, number, finding);
    }
}

/// No two containers may have the same port of the host.
fn host_ports<'v>(at: &At<'_>, containers: impl Iterator<Item = (usize, &'v Value)>, out: &mut Report) {
    let mut taken = HashSet::new();
    for (index, container) in containers {
        let container_at = at.index(index);
        let ports = container_at.child("ports");
        for (index, port) in container.items("ports").iter().enumerate().filter(|(_, p)| p.int("hostPort") != 0) {
            let this = format!("{}/{}/{}", port.text("protocol"), port.text("hostIP"), port.int("hostPort"));
            if taken.contains(&this) {
                out.duplicate(&ports.index(index).child("hostPort"), this.as_str());
            }
            taken.insert(this);
        }
    }
}

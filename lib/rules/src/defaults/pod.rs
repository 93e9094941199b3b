//! Pods and pod templates.

use super::core::inherit;
use crate::placement::requests::{Amounts, PodAmounts, is_hugepages, is_pod_level};
use crate::tree::{Fill, Tree};
use apimachinery::{Map, Value};

/// What only pods get, not templates: a template must not change when it is read again by a
/// newer server, since that would roll out all workloads.
pub(super) fn pod(pod: &mut Value) {
    without_init_annotations(pod);
    let Some(spec) = pod.made("spec") else { return };
    // A grace period that is negative is as good as none, but gives the kubelet its turn.
    if spec.int("terminationGracePeriodSeconds") < 0 {
        set(spec, "terminationGracePeriodSeconds", 1);
    }
    for list in ["containers", "initContainers"] {
        spec.each(list).iter_mut().filter_map(|c| c.inner("resources")).for_each(|r| inherit(r, "limits", "requests"));
    }
    pod_level(spec);
    spec.fill("enableServiceLinks", true);
    if spec.flag("hostNetwork") {
        host_ports(spec);
    }
}

/// On the host's network a container's port is the host's.
fn host_ports(spec: &mut Value) {
    for list in ["containers", "initContainers"] {
        for port in spec.each(list).iter_mut().flat_map(|c| c.each("ports")) {
            if let Some(number) = port.at("containerPort").cloned() {
                port.fill_zero("hostPort", number);
            }
        }
    }
}

/// A template always has a specification, be it empty.
pub(super) fn template(template: &mut Value) {
    without_init_annotations(template);
    template.made("spec");
}

/// What init containers were before they had a field; no kubelet may read it any more.
fn without_init_annotations(object: &mut Value) {
    const ANNOTATIONS: [&str; 4] = [
        "pod.beta.kubernetes.io/init-containers",
        "pod.alpha.kubernetes.io/init-containers",
        "pod.beta.kubernetes.io/init-container-statuses",
        "pod.alpha.kubernetes.io/init-container-statuses",
    ];
    let annotations = object.inner("metadata").and_then(|m| m.inner("annotations"));
    let Some(annotations) = annotations.and_then(Fill::members) else { return };
    if ANNOTATIONS.iter().any(|key| annotations.contains_key(*key)) {
        annotations.retain(|key, _| !ANNOTATIONS.contains(&key.as_str()));
    }
}

fn set(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(members) = object.members() {
        members.insert(key.to_owned(), value.into());
    }
}

/// The account has an older name, too, under which it is still read and always said.
fn account(spec: &mut Value) {
    let (name, older) = (spec.text("serviceAccountName"), spec.text("serviceAccount"));
    if name == older {
        return;
    }
    let (key, name) = match name.is_empty() {
        true => ("serviceAccountName", older.to_owned()),
        false => ("serviceAccount", name.to_owned()),
    };
    set(spec, key, name);
}

pub(super) fn spec(spec: &mut Value) {
    account(spec);
    spec.fill_zero("dnsPolicy", "ClusterFirst");
    spec.fill_zero("restartPolicy", "Always");
    spec.fill("securityContext", Value::Object(Map::new()));
    spec.fill("terminationGracePeriodSeconds", 30);
    spec.fill_zero("schedulerName", "default-scheduler");
}

pub(super) fn container(container: &mut Value) {
    let policy = pull_policy(container.text("image"));
    container.fill_zero("imagePullPolicy", policy);
    container.fill_zero("terminationMessagePath", "/dev/termination-log");
    container.fill_zero("terminationMessagePolicy", "File");
}

/// `latest`, named or implied, is pulled always.
fn pull_policy(image: &str) -> &'static str {
    if super::image::tag(image) == Some("latest") { "Always" } else { "IfNotPresent" }
}

pub(super) fn probe(probe: &mut Value) {
    probe.fill_zero("timeoutSeconds", 1);
    probe.fill_zero("periodSeconds", 10);
    probe.fill_zero("successThreshold", 1);
    probe.fill_zero("failureThreshold", 3);
}

pub(super) fn http_get(action: &mut Value) {
    action.fill_zero("path", "/");
    action.fill_zero("scheme", "HTTP");
}

/// A volume without a source is an `emptyDir`.
pub(super) fn volume(volume: &mut Value) {
    let is_bare = volume.as_object().is_some_and(|m| m.iter().all(|(k, v)| k == "name" || v.is_null()));
    if is_bare {
        volume.fill("emptyDir", Value::Object(Map::new()));
    }
    if let Some(image) = volume.inner("image") {
        let policy = pull_policy(image.text("reference"));
        image.fill_zero("pullPolicy", policy);
    }
}

/// Requests and limits of the pod as a whole follow from each other and from the containers'.
fn pod_level(spec: &mut Value) {
    if !spec.has("resources") {
        return;
    }
    let limits = PodAmounts::limits_of(spec).containers_total();
    let requests = PodAmounts::of(spec).containers_total();
    let Some(resources) = spec.inner("resources") else { return };
    huge_page_limits(resources, &limits);
    requests_from_limits(resources, &requests);
}

fn huge_page_limits(resources: &mut Value, limits: &Amounts) {
    if resources.lacks("limits") && resources.lacks("requests") {
        return;
    }
    let requested: Vec<String> = resources.entries("requests").map(|(k, _)| k.to_owned()).collect();
    take(resources, "limits", limits, |name| is_hugepages(name) && !requested.iter().any(|r| r == name));
}

fn requests_from_limits(resources: &mut Value, requests: &Amounts) {
    if resources.lacks("limits") {
        return;
    }
    take(resources, "requests", requests, |name| !is_hugepages(name));
    let supported: Map =
        resources.entries("limits").filter(|(k, _)| is_pod_level(k)).map(|(k, v)| (k.to_owned(), v.clone())).collect();
    let Some(target) = resources.made("requests").filter(|_| !supported.is_empty()) else { return };
    for (name, amount) in supported {
        target.fill(&name, amount);
    }
}

/// Adds those amounts to a resource list that it lacks and that a pod as a whole may have.
fn take(resources: &mut Value, list: &str, amounts: &Amounts, wanted: impl Fn(&str) -> bool) {
    let mut missing = amounts.iter().filter(|(name, _)| is_pod_level(name) && wanted(name)).peekable();
    if missing.peek().is_none() {
        return;
    }
    let Some(target) = resources.made(list) else { return };
    for (name, amount) in missing {
        target.fill(name, amount.to_string());
    }
}

//! Requests and limits.

use super::super::check::{At, Report};
use super::super::names::label_key_errors;
use super::super::values::{NEGATIVE, quantity};
use super::kept::{Kept, Rule, all_containers};
use super::{Context, claims};
use crate::placement::requests::{PodAmounts, is_hugepages, is_pod_level};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::quantity::Quantity;

/// What containers ask for by names that are Kubernetes' own.
pub(in super::super) const OF_CONTAINERS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// The other names of resources that are Kubernetes' own.
pub(in super::super) const STANDARD: [&str; 17] = [
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];
/// What is counted in whole numbers.
pub(in super::super) const COUNTED: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Whose resources they are: these have other names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Container,
    Pod,
}

/// The resources of a container.
pub(super) fn of_container(at: &At<'_>, container: &Value, context: &Context<'_>, out: &mut Report) {
    let Some(resources) = container.at("resources") else { return };
    lists(at, resources, Owner::Container, context.kept, out);
    claims::of_container(&at.child("claims"), resources, context.spec, out);
}

/// The resources of the pod as a whole.
pub(super) fn of_pod(at: &At<'_>, spec: &Value, kept: Kept, out: &mut Report) {
    let Some(resources) = spec.at("resources") else { return };
    let at = at.child("resources");
    if spec.at("os").is_some_and(|os| os.text("name") == "windows") {
        return out.forbidden(&at, "may not be set for a windows pod");
    }
    if resources.has("claims") {
        out.forbidden(&at.child("claims"), "claims may not be set for Resources at pod-level");
    }
    lists(&at, resources, Owner::Pod, kept, out);
    claims::of_container(&at.child("claims"), resources, spec, out);
    consistent(&at, spec, resources, out);
}

/// What containers have may not be more than what the pod has.
fn consistent(at: &At<'_>, spec: &Value, resources: &Value, out: &mut Report) {
    let whole = |list: &str, name: &str| resources.at(list).and_then(|l| l.at(name)).and_then(quantity);
    for (list, what, amounts) in
        [("requests", "requests", PodAmounts::of(spec)), ("limits", "limits", PodAmounts::limits_of(spec))]
    {
        let list_at = at.child(list);
        for (name, needed) in &amounts.containers_total() {
            let of_pod = whole(list, name).filter(|_| list == "requests" || is_hugepages(name));
            if let Some(of_pod) = of_pod.filter(|of_pod| needed > of_pod) {
                let detail = format!("must be greater than or equal to aggregate container {what} of {needed}");
                out.invalid(&list_at.key(name), of_pod.to_string().as_str(), detail);
            }
        }
    }
    let containers_at = at.child("containers");
    for (index, container) in spec.items("containers").iter().enumerate() {
        for (name, limit) in container.at("resources").into_iter().flat_map(|r| r.entries("limits")) {
            if let (Some(limit), Some(of_pod)) = (quantity(limit), whole("limits", name))
                && limit > of_pod
            {
                let detail = format!("must be less than or equal to pod limits of {of_pod}");
                out.invalid(&containers_at.index(index).key(name).child("limits"), limit.to_string().as_str(), detail);
            }
        }
    }
}

/// The overhead of a pod, which upstream checks as limits.
pub(super) fn overhead(at: &At<'_>, spec: &Value, kept: Kept, out: &mut Report) {
    if !spec.has("overhead") {
        return;
    }
    let at = at.child("overhead");
    list(&at.child("limits"), (spec, "overhead"), Owner::Container, kept, out);
    let any = |name: &dyn Fn(&str) -> bool| spec.entries("overhead").any(|(key, _)| name(key));
    if any(&is_hugepages) && !any(&|name| matches!(name, "cpu" | "memory")) {
        out.forbidden(&at, "HugePages require cpu or memory");
    }
}

/// Limits and requests of no container in particular.
pub(in super::super) fn requirements(at: &At<'_>, resources: &Value, out: &mut Report) {
    lists(at, resources, Owner::Container, Kept::NOTHING, out);
}

/// Limits, requests, and that no request is above its limit.
fn lists(at: &At<'_>, resources: &Value, owner: Owner, kept: Kept, out: &mut Report) {
    list(&at.child("limits"), (resources, "limits"), owner, kept, out);
    let requests = at.child("requests");
    for (name, request) in resources.entries("requests") {
        entry(&requests.key(name), (name, request), owner, out);
        within_limit(at, name, request, resources, out);
        pages(&requests.key(name), name, request, kept, out);
    }
    let has = |list: &str, name: &dyn Fn(&str) -> bool| resources.entries(list).any(|(key, _)| name(key));
    let any = |name: &dyn Fn(&str) -> bool| has("limits", name) || has("requests", name);
    if any(&is_hugepages) && !any(&|name| name == "cpu" || name == "memory") {
        out.forbidden(at, "HugePages require cpu or memory");
    }
}

fn within_limit(at: &At<'_>, name: &str, request: &Value, resources: &Value, out: &mut Report) {
    let limit = resources.at("limits").and_then(|l| l.at(name));
    let requests = at.child("requests");
    match (quantity(request), limit.and_then(quantity)) {
        (Some(request), Some(limit)) if is_exact(name) && request != limit => {
            let detail = format!("must be equal to {name} limit of {limit}");
            out.invalid(&requests, request.to_string().as_str(), detail);
        }
        (Some(request), Some(limit)) if request > limit => {
            let detail = format!("must be less than or equal to {name} limit of {limit}");
            out.invalid(&requests, request.to_string().as_str(), detail);
        }
        (Some(_), None) if is_exact(name) => {
            out.required(&at.child("limits"), "Limit must be set for non overcommitable resources");
        }
        _ => {}
    }
}

fn list(at: &At<'_>, (object, key): (&Value, &str), owner: Owner, kept: Kept, out: &mut Report) {
    for (name, amount) in object.entries(key) {
        entry(&at.key(name), (name, amount), owner, out);
        pages(&at.key(name), name, amount, kept, out);
    }
}

fn entry(at: &At<'_>, (name, amount): (&str, &Value), owner: Owner, out: &mut Report) {
    match owner {
        Owner::Container => container_resource(at, name, out),
        Owner::Pod => pod_resource(at, name, out),
    }
    amount_of(at, name, amount, out);
}

/// Huge pages are whole ones.
fn pages(at: &At<'_>, name: &str, amount: &Value, kept: Kept, out: &mut Report) {
    if let Some(amount) = broken_pages(name, amount).filter(|_| !kept.has(Rule::HugePages)) {
        let text = amount.to_string();
        out.invalid(at, text.as_str(), format!("{text} is not positive integer multiple of {name}"));
    }
}

/// The amount, if it is one of huge pages of which not all are whole.
fn broken_pages(name: &str, amount: &Value) -> Option<Quantity> {
    let size = name.strip_prefix("hugepages-")?;
    let amount = quantity(amount)?;
    let size =
        size.parse::<Quantity>().ok().filter(|s| !s.is_negative() && !s.is_zero() && s.milli_value() % 1000 == 0);
    let whole = size.is_some_and(|size| amount.value() % size.value() == 0);
    (!whole).then_some(amount)
}

/// Whether any container asks for huge pages that are not whole.
pub(super) fn has_broken_pages(spec: &Value) -> bool {
    let lists = |owner: &Value| {
        ["limits", "requests"].iter().any(|list| owner.entries(list).any(|(k, v)| broken_pages(k, v).is_some()))
    };
    all_containers(spec).any(|(_, _, c)| c.at("resources").is_some_and(lists))
        || spec.at("resources").is_some_and(lists)
        || spec.entries("overhead").any(|(k, v)| broken_pages(k, v).is_some())
}

/// Whether there can be no more limits than there is of the resource.
fn is_exact(name: &str) -> bool {
    is_hugepages(name) || name.contains('/') && !name.contains("kubernetes.io/")
}

/// Resources that are not Kubernetes' own, such as a vendor's devices.
pub(in super::super) fn is_extended(name: &str) -> bool {
    let native = !name.contains('/') || name.contains("kubernetes.io/");
    // A quota names it with a prefix, which must not make it too long.
    !native && !name.starts_with("requests.") && label_key_errors(&format!("requests.{name}")).is_empty()
}

/// Whether the name has the right form, and no domain only if it is known.
fn resource(at: &At<'_>, name: &str, out: &mut Report) -> bool {
    let findings = label_key_errors(name);
    if !findings.is_empty() {
        out.invalid_each(at, name, findings);
        return false;
    }
    let known = || OF_CONTAINERS.contains(&name) || STANDARD.contains(&name) || is_quota_pages(name);
    let right = name.contains('/') || known();
    if !right {
        out.invalid(at, name, "must be a standard resource type or fully qualified");
    }
    right
}

fn is_quota_pages(name: &str) -> bool {
    is_hugepages(name) || name.starts_with("requests.hugepages-")
}

fn container_resource(at: &At<'_>, name: &str, out: &mut Report) {
    if OF_CONTAINERS.contains(&name) {
        return;
    }
    resource(at, name, out);
    if !name.contains('/') {
        if !is_hugepages(name) {
            out.invalid(at, name, "must be a standard resource for containers");
        }
    } else if !name.contains("kubernetes.io/") && !is_extended(name) {
        out.invalid(at, name, "doesn't follow extended resource name standard");
    }
}

fn pod_resource(at: &At<'_>, name: &str, out: &mut Report) {
    if !is_pod_level(name) && resource(at, name, out) {
        out.not_supported(at, name, &["cpu", "hugepages-", "memory"]);
    }
}

/// An amount: not negative, and whole where there are no parts.
pub(in super::super) fn amount_of(at: &At<'_>, name: &str, value: &Value, out: &mut Report) {
    let Some(amount) = quantity(value) else { return };
    if amount.is_negative() {
        out.invalid(at, amount.to_string().as_str(), NEGATIVE);
    }
    let whole = COUNTED.contains(&name) || name.contains('/') && is_extended(name);
    if whole && amount.milli_value() % 1000 != 0 {
        out.invalid(at, amount.to_string().as_str(), "must be an integer");
    }
}

//! Changes of the resources of a running pod.

use super::super::check::{At, Report, same};
use super::annotations::MIRROR;
use super::{SPEC, spec_of};
use crate::placement::requests::{Amounts, amounts};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const LISTS: [&str; 2] = ["requests", "limits"];

/// A change of a pod in which only the resources of the pod and its containers may differ.
pub(in super::super) fn resize(new: &Value, old: &Value, out: &mut Report) {
    // Upstream says nothing else of these.
    let windows = spec_of(old).at("os").is_some_and(|os| os.text("name") == "windows");
    for (refused, what) in [(old.annotations().is_some_and(|a| a.contains_key(MIRROR)), "static"), (windows, "windows")]
    {
        if refused {
            *out = Report::default();
            return out.forbidden(&At::NOWHERE, format!("{what} pods cannot be resized"));
        }
    }
    super::changed(new, old, out);
    let status = old.at("status").unwrap_or(&Value::Null);
    let (spec, before) = (spec_of(new), spec_of(old));
    let class = match status.text("qosClass") {
        "" => qos(before),
        class => class,
    };
    if class != qos(spec) {
        let shown = new.at("status").map_or("", |s| s.text("qosClass"));
        out.invalid(&SPEC, shown, "Pod QOS Class may not change as a result of resizing");
    }
    let running = status.items("containerStatuses").iter().find(|s| s.at("state").is_some_and(|s| s.has("running")));
    if running.is_some_and(|status| !status.has("resources")) {
        out.forbidden(&SPEC, "Pod running on node without support for resize");
    }
    whole_pod(spec, before, out);
    if !status.items("nodeAllocatableResourceClaimStatuses").is_empty() {
        out.forbidden(&SPEC, "pods with node allocatable resource claims cannot be resized");
    }
    if in_order(spec, before, out) {
        containers(spec, before, out);
    }
}

/// Containers stay where they are.
fn in_order(new: &Value, old: &Value, out: &mut Report) -> bool {
    let mut right = true;
    for list in ["containers", "initContainers"] {
        let at = SPEC.child(list);
        let (new, old) = (new.items(list), old.items(list));
        if new.len() != old.len() {
            out.forbidden(&at, format!("{list} may not be added or removed on resize"));
            right = false;
            continue;
        }
        for (index, _) in new.iter().zip(old).enumerate().filter(|(_, (a, b))| a.text("name") != b.text("name")) {
            let detail = format!("{list} may not be renamed or reordered on resize");
            out.forbidden(&at.index(index).child("name"), detail);
            right = false;
        }
    }
    right
}

/// The resources of the pod as a whole.
fn whole_pod(new: &Value, old: &Value, out: &mut Report) {
    let is_set = |spec: &Value| spec.at("resources").is_some_and(|r| LISTS.iter().any(|list| !r.lacks(list)));
    if !is_set(new) && !is_set(old) {
        return;
    }
    let at = SPEC.child("resources");
    let (new, old) = match (new.at("resources"), old.at("resources")) {
        (None, Some(_)) => return out.forbidden(&at, "pod-level resources cannot be removed"),
        (new, old) => (new.unwrap_or(&Value::Null), old.unwrap_or(&Value::Null)),
    };
    for (list, what) in [("requests", "requests"), ("limits", "limits")] {
        if removed(new, old, list) {
            out.forbidden(&at.child(list), format!("pod-level resource {what} cannot be removed"));
        }
    }
    if !same_but_compute(new, old) || !same(new.at("claims"), old.at("claims")) {
        out.forbidden(&SPEC, "only cpu and memory resources are mutable at pod-level");
    }
}

fn containers(new: &Value, old: &Value, out: &mut Report) {
    for list in ["initContainers", "containers"] {
        let at = SPEC.child(list);
        for (index, (new, old)) in pairs(new, old, list).enumerate() {
            let at = at.index(index);
            let at = at.child("resources");
            for which in LISTS {
                if removed(resources(new), resources(old), which) {
                    out.forbidden(&at.child(which), format!("resource {which} cannot be removed"));
                }
            }
        }
    }
    for _ in pairs(new, old, "containers").filter(|(new, old)| !is_resize(new, old)) {
        out.forbidden(&SPEC, "only cpu and memory resources are mutable");
    }
    let at = SPEC.child("initContainers");
    for (index, (new, old)) in pairs(new, old, "initContainers").enumerate() {
        let at = at.index(index);
        if !is_resize(new, old) {
            out.forbidden(&at, "only cpu and memory resources for init or sidecar containers are mutable");
        }
        let changed = !same(Some(new), Some(old)) && new.text("restartPolicy") != "Always";
        for _ in new.items("resizePolicy").iter().filter(|p| changed && p.text("restartPolicy") == "RestartContainer") {
            let detail = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
            out.forbidden(&at, detail);
        }
    }
}

fn pairs<'a>(new: &'a Value, old: &'a Value, list: &str) -> impl Iterator<Item = (&'a Value, &'a Value)> {
    new.items(list).iter().zip(old.items(list))
}

fn resources(container: &Value) -> &Value {
    container.at("resources").unwrap_or(&Value::Null)
}

/// Whether nothing but cpu and memory differs.
fn is_resize(new: &Value, old: &Value) -> bool {
    let members = new.as_object().into_iter().chain(old.as_object()).flatten().map(|(key, _)| key);
    let rest = members.filter(|key| *key != "resources").all(|key| same(new.at(key), old.at(key)));
    // Claims do not survive a resize upstream.
    rest && same_but_compute(resources(new), resources(old)) && resources(old).items("claims").is_empty()
}

fn same_but_compute(new: &Value, old: &Value) -> bool {
    LISTS.iter().all(|list| {
        let rest = |resources: &Value| {
            let mut amounts = amounts(resources, list);
            amounts.retain(|name, _| name != "cpu" && name != "memory");
            amounts
        };
        rest(new) == rest(old)
    })
}

fn removed(new: &Value, old: &Value, list: &str) -> bool {
    old.entries(list).any(|(name, _)| new.object(list).is_none_or(|l| !l.contains_key(name)))
}

/// The quality of service that a pod's requests and limits come to, of its specification.
pub fn qos(spec: &Value) -> &'static str {
    let whole = spec.at("resources").filter(|r| LISTS.iter().any(|list| !r.lacks(list)));
    let all = ["containers", "initContainers"].into_iter().flat_map(|list| spec.items(list));
    let of = |r: &Value| (amounts(r, "requests"), amounts(r, "limits"));
    let lists: Vec<_> = match whole {
        Some(resources) => vec![of(resources)],
        None => all.map(|c| of(resources(c))).collect(),
    };
    let counted = |list: &Amounts| ["cpu", "memory"].iter().any(|name| list.get(*name).is_some_and(|a| !a.is_zero()));
    let exact = |(requests, limits): &(Amounts, Amounts)| {
        ["cpu", "memory"].iter().all(|name| limits.contains_key(*name) && requests.get(*name) == limits.get(*name))
    };
    match () {
        () if !lists.iter().any(|(requests, limits)| counted(requests) || counted(limits)) => "BestEffort",
        () if lists.iter().all(exact) => "Guaranteed",
        () => "Burstable",
    }
}

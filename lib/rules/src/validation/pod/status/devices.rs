//! What became of a pod's claims of devices.

use super::super::super::check::{At, Report};
use super::super::super::names::{label, subdomain};
use super::STATUS;
use crate::tree::Tree;
use apimachinery::Value;

pub(super) fn claims(status: &Value, spec: &Value, out: &mut Report) {
    claim_statuses(status.items("resourceClaimStatuses"), spec, out);
    if let Some(claim) = status.at("extendedResourceClaimStatus") {
        extended(&STATUS.child("extendedResourceClaimStatus"), claim, spec, out);
    }
    let at = STATUS.child("nodeAllocatableResourceClaimStatuses");
    for (index, claim) in status.items("nodeAllocatableResourceClaimStatuses").iter().enumerate() {
        node_allocatable(&at.index(index), claim, status, spec, out);
    }
}

fn claim_statuses(statuses: &[Value], spec: &Value, out: &mut Report) {
    let at = STATUS.child("resourceClaimStatuses");
    for (index, status) in statuses.iter().enumerate() {
        let at = at.index(index);
        let name = status.text("name");
        if !spec.items("resourceClaims").iter().any(|c| c.text("name") == name) {
            out.invalid(&at.child("name"), name, "must match the name of an entry in `spec.resourceClaims`");
        }
        if statuses[..index].iter().any(|s| s.text("name") == name) {
            out.duplicate(&at.child("name"), name);
        }
        if let Some(claim) = status.at("resourceClaimName").and_then(Value::as_str) {
            out.invalid_each(&at.child("resourceClaimName"), claim, subdomain(claim));
        }
    }
}

/// The claim that was made for resources that devices stand for.
fn extended(at: &At<'_>, status: &Value, spec: &Value, out: &mut Report) {
    let mappings_at = at.child("requestMappings");
    let mappings = status.items("requestMappings");
    if mappings.is_empty() {
        out.required(&mappings_at, "at least one request mapping is required");
    }
    const KEYS: [&str; 3] = ["containerName", "resourceName", "requestName"];
    for (index, mapping) in mappings.iter().enumerate() {
        let this = mappings_at.index(index);
        mapped(&this, mapping, spec, out);
        let request = mapping.text("requestName");
        out.invalid_each(&at.child("requestName"), request, label(request));
        let same = |other: &Value| KEYS.iter().all(|key| other.text(key) == mapping.text(key));
        if mappings[..index].iter().any(same) {
            KEYS.iter().for_each(|key| out.duplicate(&this.child(key), mapping.text(key)));
        }
    }
    match status.text("resourceClaimName") {
        "" => out.required(&at.child("resourceClaimName"), ""),
        name => out.invalid_each(&at.child("resourceClaimName"), name, subdomain(name)),
    }
}

fn mapped(at: &At<'_>, mapping: &Value, spec: &Value, out: &mut Report) {
    let (name, resource) = (mapping.text("containerName"), mapping.text("resourceName"));
    let mut all = ["containers", "initContainers"].into_iter().flat_map(|list| spec.items(list));
    let Some(container) = all.find(|c| c.text("name") == name) else {
        let detail = "must match the name of an entry in spec.initContainers.name or spec.containers.name";
        return out.invalid(&at.child("containerName"), name, detail);
    };
    let requests = container.at("resources").and_then(|r| r.object("requests"));
    if !requests.is_some_and(|r| r.contains_key(resource)) {
        out.invalid(
            &at.child("resourceName"),
            resource,
            "must match the extended resource name of an entry in spec.initContainers.resources.requests or \
             spec.containers.resources.requests",
        );
    }
}

fn node_allocatable(at: &At<'_>, claim: &Value, status: &Value, spec: &Value, out: &mut Report) {
    let name = claim.text("resourceClaimName");
    let name_at = at.child("resourceClaimName");
    if name.is_empty() {
        out.required(&name_at, "must not be empty");
    }
    let mut references = spec.items("resourceClaims").iter().chain(status.items("resourceClaimStatuses"));
    if !references.any(|r| r.at("resourceClaimName").and_then(Value::as_str) == Some(name)) {
        out.invalid(&name_at, name, "no mapping found in pod reference");
    }
    if claim.items("containers").is_empty() {
        out.required(&at.child("containers"), "must not be empty");
    }
    let resources = at.child("resources");
    if claim.lacks("resources") {
        out.required(&resources, "must not be empty");
    }
    for (name, amount) in claim.entries("resources") {
        let at = resources.key(name);
        if name.contains('/') && !name.contains("kubernetes.io/") {
            out.invalid(&at, name, "must be a node allocatable resource name");
        }
        if let Some(amount) = super::super::super::values::quantity(amount).filter(|a| a.is_negative()) {
            out.invalid(&at, amount.to_string().as_str(), "must be non-negative");
        }
    }
}

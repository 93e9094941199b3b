//! Which slices a Service should have. Endpoints stay in the slice they are in; new ones go to
//! slices that change anyway, then to ones with room, then to new ones: few writes, few events.

mod desired;

pub(super) use desired::{Group, desired, zone};

use crate::objects::{StringMap, owner, serving};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(super) const MANAGER: &str = "endpointslice-controller.k8s.io";

/// A change of one slice.
pub(super) type Change = crate::scaffold::changes::Change<EndpointSlice>;

/// What is known when planning.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    pub(super) service: &'a Service,
    /// Endpoints that should be, by address type and ports.
    pub(super) groups: Vec<Group>,
    /// Slices that are.
    pub(super) slices: Vec<Arc<EndpointSlice>>,
    /// When the change happened that brings us here.
    pub(super) trigger: Option<Timestamp>,
    /// The most endpoints in one slice.
    pub(super) per_slice: usize,
}

/// Decides what to write.
pub(super) fn plan(observed: Observed<'_>) -> Vec<Change> {
    let Observed { service, groups, mut slices, trigger, per_slice } = observed;
    let mut changes = Vec::new();
    for group in groups {
        let (same, others) = slices.into_iter().partition(|slice| is_of(slice, &group));
        slices = others;
        changes.extend(fill(service, group, same, per_slice.max(1)));
    }
    changes.extend(slices.into_iter().map(Change::Delete));
    for change in &mut changes {
        stamp(change, trigger);
    }
    changes
}

/// Says when what the change tells of happened.
fn stamp(change: &mut Change, trigger: Option<Timestamp>) {
    let (Change::Create(slice) | Change::Update { after: slice, .. }) = change else { return };
    let annotations = slice.metadata.annotations.get_or_insert_default();
    match trigger {
        Some(at) => annotations.insert(serving::TRIGGER_TIME.to_owned(), at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        None => annotations.remove(serving::TRIGGER_TIME),
    };
    if annotations.is_empty() {
        slice.metadata.annotations = None;
    }
}

fn is_of(slice: &EndpointSlice, group: &Group) -> bool {
    let ports: Vec<EndpointPort> = slice.ports.clone().unwrap_or_default();
    slice.address_type == group.address_type && ports == group.ports && slice.metadata.deletion_timestamp.is_none()
}

/// A slice while it is worked on.
struct Draft {
    before: Option<Arc<EndpointSlice>>,
    after: EndpointSlice,
}

impl Draft {
    fn is_changed(&self) -> bool {
        self.before.as_ref().is_none_or(|before| **before != self.after)
    }

    fn into_change(self) -> Option<Change> {
        let is_changed = self.is_changed();
        match self.before {
            None => Some(Change::Create(Box::new(self.after))),
            Some(before) => is_changed.then(|| Change::Update { before, after: Box::new(self.after) }),
        }
    }
}

/// Spreads a group over its slices.
fn fill(service: &Service, group: Group, slices: Vec<Arc<EndpointSlice>>, per_slice: usize) -> Vec<Change> {
    let Group { address_type, ports, endpoints } = group;
    let mut missing: HashMap<String, Endpoint> = HashMap::with_capacity(endpoints.len());
    let mut order = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        let key = identity(&endpoint);
        order.push(key.clone());
        missing.insert(key, endpoint);
    }
    let mut drafts: Vec<Draft> =
        slices.into_iter().map(|slice| keep(service, slice, &mut missing, per_slice)).collect();
    let mut left: Vec<Endpoint> = order.iter().filter_map(|key| missing.remove(key)).collect();
    left.reverse();
    // Slices that change anyway first.
    drafts.sort_by_key(|draft| !draft.is_changed());
    for draft in &mut drafts {
        let endpoints = draft.after.endpoints.get_or_insert_default();
        while endpoints.len() < per_slice
            && let Some(endpoint) = left.pop()
        {
            endpoints.push(endpoint);
        }
    }
    while !left.is_empty() {
        let rest = left.split_off(left.len().saturating_sub(per_slice));
        let endpoints = rest.into_iter().rev().collect();
        drafts.push(Draft { before: None, after: slice(service, &address_type, &ports, endpoints) });
    }
    finish(drafts, service, &address_type, &ports)
}

/// Empty slices go, but one stays (or comes) so that the Service is seen to have no endpoints.
fn finish(drafts: Vec<Draft>, service: &Service, address_type: &str, ports: &[EndpointPort]) -> Vec<Change> {
    let (used, mut empty): (Vec<_>, Vec<_>) = drafts.into_iter().partition(|draft| count(&draft.after) > 0);
    let mut changes: Vec<Change> = Vec::new();
    if used.is_empty() && ports.is_empty() {
        let placeholder = empty.pop();
        let placeholder = placeholder
            .unwrap_or_else(|| Draft { before: None, after: slice(service, address_type, ports, Vec::new()) });
        changes.extend(placeholder.into_change());
    }
    changes.extend(used.into_iter().filter_map(Draft::into_change));
    changes.extend(empty.into_iter().filter_map(|draft| draft.before).map(Change::Delete));
    changes
}

/// A present slice with what is still right in it, brought up to date.
fn keep(
    service: &Service,
    slice: Arc<EndpointSlice>,
    missing: &mut HashMap<String, Endpoint>,
    per_slice: usize,
) -> Draft {
    let mut after = (*slice).clone();
    let present = after.endpoints.take().unwrap_or_default();
    let mut kept: Vec<_> = present.iter().filter_map(|endpoint| missing.remove(&identity(endpoint))).collect();
    for surplus in kept.split_off(kept.len().min(per_slice)) {
        missing.insert(identity(&surplus), surplus);
    }
    after.endpoints = Some(kept);
    after.metadata.labels = Some(labels(service));
    after.metadata.owner_references = Some(vec![owner::controller_ref(service)]);
    Draft { before: Some(slice), after }
}

fn count(slice: &EndpointSlice) -> usize {
    slice.endpoints.as_ref().map_or(0, Vec::len)
}

/// What makes an endpoint the same one: its pod and its address.
fn identity(endpoint: &Endpoint) -> String {
    let uid = endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref()).unwrap_or_default();
    format!("{uid} {}", endpoint.addresses.join(" "))
}

fn slice(service: &Service, address_type: &str, ports: &[EndpointPort], endpoints: Vec<Endpoint>) -> EndpointSlice {
    EndpointSlice {
        address_type: address_type.to_owned(),
        ports: Some(ports.to_vec()),
        endpoints: Some(endpoints),
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", service.metadata.name.as_deref().unwrap_or_default())),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels(service)),
            owner_references: Some(vec![owner::controller_ref(service)]),
            ..ObjectMeta::default()
        },
    }
}

/// The Service's labels, and those that say whose slice it is.
fn labels(service: &Service) -> StringMap {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(serving::HEADLESS);
    if service.spec.as_ref().is_some_and(serving::is_headless) {
        labels.insert(serving::HEADLESS.to_owned(), String::new());
    }
    labels.insert(SERVICE_NAME.to_owned(), service.metadata.name.clone().unwrap_or_default());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels
}

#[cfg(test)]
mod tests;

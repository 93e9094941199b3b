//! From the devices chosen to what is written into a claim.
//!
//! Upstream: the end of `Allocate` of `structured/internal/incubating/allocator_incubating.go`.

use super::allocate::Node;
use super::search::{Choice, Chosen, Task};
use super::slices::Reach;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::resource::v1 as resource;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::HashMap;
use std::ops::Range;
use uuid::Uuid;

/// What is written into the claim.
pub fn result(
    claim: &resource::ResourceClaim,
    task: &Task<'_>,
    choice: &Choice<'_>,
    node: Node<'_>,
) -> resource::AllocationResult {
    let results = choice.devices.iter().map(|chosen| device(task, chosen)).collect();
    let config = config(claim, task, choice);
    resource::AllocationResult {
        allocation_timestamp: None,
        devices: Some(resource::DeviceAllocationResult {
            config: Some(config).filter(|config| !config.is_empty()),
            results: Some(results),
        }),
        node_selector: node_selector(&choice.devices, node),
    }
}

fn device(task: &Task<'_>, chosen: &Chosen<'_>) -> resource::DeviceRequestAllocationResult {
    let want = &task.wants[chosen.request][chosen.alternative];
    let device = chosen.found.device;
    let consumed = chosen.share.as_ref().filter(|amounts| !amounts.is_empty());
    resource::DeviceRequestAllocationResult {
        admin_access: want.is_admin.then_some(true),
        binding_conditions: device.binding_conditions.clone(),
        binding_failure_conditions: device.binding_failure_conditions.clone(),
        consumed_capacity: consumed
            .map(|amounts| amounts.iter().map(|(name, amount)| (name.clone(), Quantity(amount.to_string()))).collect()),
        device: device.id.device.to_string(),
        driver: device.id.driver.to_string(),
        pool: device.id.pool.to_string(),
        request: want.full_name(),
        share_id: chosen.share.as_ref().map(|_| Uuid::new_v4().to_string()),
        tolerations: want.tolerations.cloned(),
    }
}

/// The classes' configurations, each once, then those of the claim.
fn config(
    claim: &resource::ResourceClaim,
    task: &Task<'_>,
    choice: &Choice<'_>,
) -> Vec<resource::DeviceAllocationConfiguration> {
    let mut all: Vec<resource::DeviceAllocationConfiguration> = Vec::new();
    let mut of_class: HashMap<&str, Range<usize>> = HashMap::new();
    let wants = || task.wants.iter().zip(&choice.alternatives).filter_map(|(all, chosen)| all.get(*chosen));
    for want in wants() {
        if let Some(known) = of_class.get(want.class.name.as_str()) {
            for config in &mut all[known.clone()] {
                config.requests.get_or_insert_default().push(want.full_name());
            }
            continue;
        }
        let from = all.len();
        all.extend(want.class.spec.config.iter().flatten().map(|config| resource::DeviceAllocationConfiguration {
            opaque: config.opaque.clone(),
            requests: Some(vec![want.full_name()]),
            source: "FromClass".to_owned(),
        }));
        of_class.insert(&want.class.name, from..all.len());
    }
    for config in claim.spec.devices.iter().flat_map(|devices| devices.config.iter().flatten()) {
        let requests = config.requests.as_deref().unwrap_or_default();
        let is_about = |name: &str| requests.iter().any(|request| request == name);
        // Upstream, too, has it as often as it names requests.
        let times = match requests {
            [] => 1,
            _ => wants().filter(|want| is_about(want.request()) || is_about(&want.full_name())).count(),
        };
        all.extend(std::iter::repeat_n(config, times).map(|config| resource::DeviceAllocationConfiguration {
            opaque: config.opaque.clone(),
            requests: config.requests.clone(),
            source: "FromClaim".to_owned(),
        }));
    }
    all
}

/// Where all the devices are reached; `None` if everywhere.
fn node_selector(devices: &[Chosen<'_>], node: Node<'_>) -> Option<core::NodeSelector> {
    let mut term = core::NodeSelectorTerm::default();
    for Chosen { found, .. } in devices {
        let reach = match &found.slice.reach {
            Reach::PerDevice => &found.device.reach,
            reach => reach,
        };
        match reach {
            _ if found.device.binds_to_node => return Some(only(node.name)),
            Reach::Node(_) => return Some(only(node.name)),
            Reach::Selected(_, selector) => {
                // Validation lets in one term.
                if let Some(more) = selector.node_selector_terms.first() {
                    add(&mut term.match_fields, more.match_fields.as_ref());
                    add(&mut term.match_expressions, more.match_expressions.as_ref());
                }
            }
            Reach::All | Reach::PerDevice | Reach::Unknown => {}
        }
    }
    let is_empty = term.match_fields.is_none() && term.match_expressions.is_none();
    (!is_empty).then(|| core::NodeSelector { node_selector_terms: vec![term] })
}

fn only(node: &str) -> core::NodeSelector {
    let name = core::NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let term = core::NodeSelectorTerm { match_fields: Some(vec![name]), match_expressions: None };
    core::NodeSelector { node_selector_terms: vec![term] }
}

fn add(all: &mut Option<Vec<core::NodeSelectorRequirement>>, more: Option<&Vec<core::NodeSelectorRequirement>>) {
    let sorted = |requirement: &core::NodeSelectorRequirement| {
        let mut values = requirement.values.clone().unwrap_or_default();
        values.sort();
        values.dedup();
        values
    };
    for new in more.into_iter().flatten() {
        let known = all.get_or_insert_default();
        let is_known = known.iter().any(|requirement| {
            requirement.key == new.key && requirement.operator == new.operator && sorted(requirement) == sorted(new)
        });
        if !is_known {
            known.push(new.clone());
        }
    }
}

//! What a quota's status should be.

use crate::objects::pods;
use apimachinery::Value;
use apimachinery::quantity::Quantity;
use client::informer::Change;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, ResourceQuotaStatus, Service};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use rules::quota::{self, Amounts, Resource};
use std::collections::{BTreeMap, BTreeSet};

/// The resources whose objects the quota counts.
pub(super) fn counted(quota: &ResourceQuota) -> BTreeSet<&str> {
    let hard = quota.spec.iter().flat_map(|spec| spec.hard.iter().flatten());
    hard.filter_map(|(name, _)| quota::counted_by(name)).collect()
}

/// Whether the quota limits something of this resource.
pub(super) fn limits(quota: &ResourceQuota, resource: &str) -> bool {
    counted(quota).contains(resource)
}

/// Whether the quota has scopes, so that it is only about pods or claims.
pub(super) fn is_scoped(quota: &ResourceQuota) -> bool {
    quota.spec.as_ref().is_some_and(|spec| {
        let expressions = spec.scope_selector.as_ref().and_then(|selector| selector.match_expressions.as_ref());
        spec.scopes.as_ref().is_some_and(|scopes| !scopes.is_empty()) || expressions.is_some_and(|e| !e.is_empty())
    })
}

/// Whether a pod may have given something back.
pub(super) fn frees_pod(change: &Change<Pod>) -> bool {
    match change {
        Change::Added(_) => false,
        Change::Deleted(_) => true,
        Change::Updated(before, after) => {
            let sizes = |pod: &Pod| {
                let of_spec = pod.spec.iter().flat_map(|spec| spec.containers.iter().map(|c| c.resources.clone()));
                let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
                let of_status = statuses.map(|s| (s.resources.clone(), s.allocated_resources.clone()));
                (of_spec.collect::<Vec<_>>(), of_status.collect::<Vec<_>>())
            };
            let deadline = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
            pods::is_finished(before) != pods::is_finished(after)
                || before.metadata.uid != after.metadata.uid
                || deadline(before) != deadline(after)
                || sizes(before) != sizes(after)
        }
    }
}

/// Whether a Service may have given something back.
pub(super) fn frees_service(change: &Change<Service>) -> bool {
    match change {
        Change::Added(_) => false,
        Change::Deleted(_) => true,
        Change::Updated(before, after) => {
            let shape = |service: &Service| {
                let spec = service.spec.as_ref()?;
                let ports = spec.ports.as_ref().map_or(0, Vec::len);
                Some((spec.type_.clone(), ports, spec.allocate_load_balancer_node_ports))
            };
            shape(before) != shape(after)
        }
    }
}

/// Whether a claim may have given something back.
pub(super) fn frees_claim(change: &Change<PersistentVolumeClaim>) -> bool {
    match change {
        Change::Added(_) => false,
        Change::Deleted(_) => true,
        Change::Updated(before, after) => {
            let shape = |claim: &PersistentVolumeClaim| {
                let spec =
                    claim.spec.as_ref().map(|spec| (spec.resources.clone(), spec.volume_attributes_class_name.clone()));
                let status = claim.status.as_ref().map(|status| {
                    let names =
                        (status.current_volume_attributes_class_name.clone(), status.modify_volume_status.clone());
                    (status.allocated_resources.clone(), names)
                });
                (spec, status)
            };
            shape(before) != shape(after)
        }
    }
}

/// What objects of one resource use of a quota.
pub(super) fn used(quota: &Value, resource: &str, objects: impl Iterator<Item = Value>) -> Amounts {
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    let resource = Resource { group, plural };
    let mut total = Amounts::new();
    for object in objects.filter(|object| quota::covers(quota, resource, object)) {
        quota::add(&mut total, &quota::of(resource, &object));
    }
    total
}

/// What so many objects of a resource use that has nothing but a number.
pub(super) fn number(resource: &str, objects: usize) -> Amounts {
    let count =
        Quantity::from_units(i64::try_from(objects).unwrap_or(i64::MAX), apimachinery::quantity::Format::DecimalSi);
    [format!("count/{resource}"), resource.to_owned()].into_iter().map(|name| (name, count)).collect()
}

/// The status that the quota should have; `None` if it says so already. `found` has the amounts of
/// every resource that could be counted; of others what was known stays.
pub(super) fn status(quota: &ResourceQuota, found: &BTreeMap<String, Amounts>) -> Option<ResourceQuotaStatus> {
    let hard = quota.spec.as_ref().and_then(|spec| spec.hard.clone()).unwrap_or_default();
    let before = quota.status.clone().unwrap_or_default();
    let known = before.used.clone().unwrap_or_default();
    let mut used = BTreeMap::new();
    for name in hard.keys() {
        let counted = quota::counted_by(name).and_then(|resource| found.get(resource));
        match (counted, known.get(name)) {
            (Some(amounts), old) => {
                let now = amounts.get(name).copied().unwrap_or(Quantity::ZERO);
                // What means the same stays as it was written.
                let text = old.filter(|old| parse(old) == Some(now)).cloned();
                used.insert(name.clone(), text.unwrap_or_else(|| Text(now.to_string())));
            }
            (None, Some(old)) => drop(used.insert(name.clone(), old.clone())),
            (None, None) => {}
        }
    }
    let after = ResourceQuotaStatus { hard: Some(hard), used: Some(used) };
    (after != before || before.hard.is_none() || before.used.is_none()).then_some(after)
}

fn parse(text: &Text) -> Option<Quantity> {
    text.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn quota(spec: Value, status: Value) -> ResourceQuota {
        serde_json::from_value(json!({"metadata": {"name": "q"}, "spec": spec, "status": status})).unwrap()
    }

    fn written(status: Option<ResourceQuotaStatus>) -> Value {
        serde_json::to_value(status).unwrap()
    }

    #[test]
    fn all_that_is_limited_is_counted() {
        let quota = quota(
            json!({"hard": {"pods": "5", "requests.cpu": "2", "secrets": "3", "count/x.y": "1", "z": "1"}}),
            json!({}),
        );
        assert_eq!(counted(&quota).into_iter().collect::<Vec<_>>(), ["pods", "secrets", "x.y"]);
        let tree = serde_json::to_value(&quota).unwrap();
        let pod = |phase: &str| json!({"spec": {"containers": [{"resources": {"requests": {"cpu": "500m"}}}]}, "status": {"phase": phase}});
        let pods = used(&tree, "pods", [pod("Running"), pod("Pending"), pod("Failed")].into_iter());
        let found = [("pods".to_owned(), pods), ("secrets".to_owned(), number("secrets", 4))].into();
        let after = written(status(&quota, &found));
        assert_eq!(after["used"], json!({"pods": "2", "requests.cpu": "1", "secrets": "4"}));
        assert_eq!(after["hard"], serde_json::to_value(&quota.spec.unwrap().hard).unwrap());
    }

    #[test]
    fn only_a_difference_is_written() {
        let hard = json!({"pods": "5", "requests.cpu": "2"});
        let before =
            |cpu: &str| quota(json!({"hard": hard}), json!({"hard": hard, "used": {"pods": "0", "requests.cpu": cpu}}));
        let amounts: Amounts = [("requests.cpu".to_owned(), "1".parse().unwrap())].into();
        let found = [("pods".to_owned(), amounts)].into();
        assert_eq!(status(&before("1000m"), &found), None);
        assert_eq!(written(status(&before("2"), &found))["used"]["requests.cpu"], "1");
    }

    #[test]
    fn what_cannot_be_counted_stays() {
        let hard = json!({"count/x.y": "1"});
        let quota =
            quota(json!({"hard": hard}), json!({"hard": {"pods": "1"}, "used": {"pods": "0", "count/x.y": "1"}}));
        assert_eq!(written(status(&quota, &BTreeMap::new()))["used"], json!({"count/x.y": "1"}));
    }

    #[test]
    fn scopes_leave_objects_out() {
        let tree = json!({"spec": {"scopes": ["Terminating"]}});
        let pods =
            [json!({"spec": {"containers": []}}), json!({"spec": {"activeDeadlineSeconds": 1, "containers": []}})];
        assert_eq!(used(&tree, "pods", pods.into_iter())["pods"].to_string(), "1");
        assert!(used(&tree, "services", [json!({})].into_iter()).is_empty());
        assert!(is_scoped(&quota(json!({"scopes": ["Terminating"]}), json!({}))));
        assert!(!is_scoped(&quota(json!({"scopes": []}), json!({}))));
    }

    #[test]
    fn a_pod_that_ends_frees_what_it_used() {
        let pod = |phase: &str, cpu: &str| {
            let pod = json!({"metadata": {"name": "p"}, "status": {"phase": phase},
                "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}});
            Arc::new(serde_json::from_value::<Pod>(pod).unwrap())
        };
        let table = [
            (Change::Added(pod("Pending", "1")), false),
            (Change::Updated(pod("Pending", "1"), pod("Running", "1")), false),
            (Change::Updated(pod("Running", "1"), pod("Failed", "1")), true),
            (Change::Updated(pod("Running", "2"), pod("Running", "1")), true),
            (Change::Deleted(pod("Running", "1")), true),
        ];
        for (change, frees) in table {
            assert_eq!(frees_pod(&change), frees, "{change:?}");
        }
    }
}

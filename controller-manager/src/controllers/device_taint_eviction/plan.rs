//! When a pod has to leave for the taints of its devices.

use crate::objects::pods;
use crate::scaffold::pod_control::Disruption;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{
    DeviceRequestAllocationResult, DeviceTaint, DeviceToleration, ResourceClaim, ResourceSlice,
};
use std::sync::Arc;

/// What is said of pods that go.
pub(super) const WHY: Disruption = Disruption {
    reason: "DeletionByDeviceTaintManager",
    message: "Device Taint manager: deleting due to NoExecute taint",
};

const NO_EXECUTE: &str = "NoExecute";

/// The pool that a slice is a part of, `driver/pool`.
pub(super) fn pool_of(driver: &str, pool: &str) -> String {
    format!("{driver}/{pool}")
}

fn results(claim: &ResourceClaim) -> impl Iterator<Item = &DeviceRequestAllocationResult> {
    let allocation = claim.status.as_ref().and_then(|status| status.allocation.as_ref());
    let devices = allocation.and_then(|allocation| allocation.devices.as_ref());
    devices.into_iter().flat_map(|devices| devices.results.iter().flatten())
}

/// Whether the claim has a device of the slice's pool.
pub(super) fn has_device_of(claim: &ResourceClaim, slice: &ResourceSlice) -> bool {
    results(claim).any(|result| result.driver == slice.spec.driver && result.pool == slice.spec.pool.name)
}

/// Whether two states of a slice have the same devices of the same generation with the same taints.
pub(super) fn same_taints(before: &ResourceSlice, after: &ResourceSlice) -> bool {
    let seen = |slice: &ResourceSlice| {
        let devices = slice.spec.devices.iter().flatten();
        let taints: Vec<_> = devices.map(|device| (device.name.clone(), device.taints.clone())).collect();
        (slice.spec.driver.clone(), slice.spec.pool.clone(), taints)
    };
    seen(before) == seen(after)
}

/// When the pod has to leave; `None` if it may stay. `pool` gives the slices of a pool.
pub(super) fn leaves_at(
    pod: &Pod,
    claims: &[Arc<ResourceClaim>],
    pool: impl Fn(&str) -> Vec<Arc<ResourceSlice>>,
) -> Option<Timestamp> {
    if pods::node(pod).is_empty() || pods::is_finished(pod) || pods::is_terminating(pod) {
        return None;
    }
    let is_reserved = |claim: &ResourceClaim| {
        let mut consumers = claim.status.iter().flat_map(|status| status.reserved_for.iter().flatten());
        consumers.any(|consumer| pod.metadata.uid.as_ref() == Some(&consumer.uid))
    };
    let own = claims.iter().filter(|claim| is_reserved(claim));
    let times = own.flat_map(|claim| results(claim)).flat_map(|result| {
        let taints = taints_of(&pool(&pool_of(&result.driver, &result.pool)), &result.device);
        let tolerations = result.tolerations.as_deref().unwrap_or_default();
        taints.into_iter().filter_map(|taint| ends(&taint, tolerations)).collect::<Vec<_>>()
    });
    times.min()
}

/// The NoExecute taints of a device, as the newest generation of its pool has it.
fn taints_of(slices: &[Arc<ResourceSlice>], device: &str) -> Vec<DeviceTaint> {
    let newest = slices.iter().map(|slice| slice.spec.pool.generation).max();
    let current = slices.iter().filter(|slice| Some(slice.spec.pool.generation) == newest);
    let mut devices = current.flat_map(|slice| slice.spec.devices.iter().flatten());
    let found = devices.find(|have| have.name == device);
    let taints = found.and_then(|device| device.taints.clone()).unwrap_or_default();
    taints.into_iter().filter(|taint| taint.effect == NO_EXECUTE).collect()
}

/// When a taint is not tolerated any more; `None` if it always is, or has no beginning.
fn ends(taint: &DeviceTaint, tolerations: &[DeviceToleration]) -> Option<Timestamp> {
    let added = taint.time_added.as_ref()?.0;
    let fitting = tolerations
        .iter()
        .filter(|toleration| toleration.effect.as_deref() == Some(NO_EXECUTE) && tolerates(toleration, taint));
    let mut shortest = None;
    for toleration in fitting {
        let seconds = toleration.toleration_seconds?.max(0);
        shortest = Some(shortest.map_or(seconds, |known: i64| known.min(seconds)));
    }
    let tolerated = SignedDuration::from_secs(shortest.unwrap_or(0));
    Some(added.checked_add(tolerated).unwrap_or(Timestamp::MAX))
}

fn tolerates(toleration: &DeviceToleration, taint: &DeviceTaint) -> bool {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let key = text(&toleration.key);
    if !(key.is_empty() || key == taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => text(&toleration.value) == text(&taint.value),
        "Exists" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn from<K: serde::de::DeserializeOwned>(value: Value) -> K {
        serde_json::from_value(value).unwrap()
    }

    fn slice(generation: i64, taints: Value) -> Arc<ResourceSlice> {
        Arc::new(from(json!({"metadata": {"name": "s"}, "spec": {"driver": "d",
            "pool": {"name": "p", "generation": generation, "resourceSliceCount": 1},
            "devices": [{"name": "dev", "taints": taints}]}})))
    }

    fn claim(tolerations: Value, uid: &str) -> Arc<ResourceClaim> {
        Arc::new(from(json!({"metadata": {"name": "c"}, "spec": {}, "status": {
            "reservedFor": [{"resource": "pods", "name": "a", "uid": uid}],
            "allocation": {"devices": {"results": [{"driver": "d", "pool": "p", "device": "dev", "request": "r",
                "tolerations": tolerations}]}}}})))
    }

    fn pod(node: &str) -> Pod {
        from(json!({"metadata": {"name": "a", "uid": "u"}, "spec": {"containers": [], "nodeName": node}}))
    }

    fn taint(effect: &str) -> Value {
        json!([{"key": "k", "value": "v", "effect": effect, "timeAdded": "2026-01-01T00:00:00Z"}])
    }

    #[test]
    fn tolerations_say_how_long() {
        let added: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let after = |seconds| Some(added + SignedDuration::from_secs(seconds));
        let table = [
            (json!([]), after(0)),
            (json!([{"key": "k", "operator": "Exists", "effect": "NoExecute"}]), None),
            (json!([{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9}]), after(9)),
            (json!([{"key": "k", "value": "v", "effect": "NoExecute", "tolerationSeconds": -1}]), after(0)),
            (json!([{"key": "k", "value": "w", "effect": "NoExecute"}]), after(0)),
            (json!([{"key": "k", "operator": "Exists", "effect": "NoSchedule"}]), after(0)),
            // Upstream: a toleration of all effects is none of NoExecute here.
            (json!([{"operator": "Exists"}]), after(0)),
        ];
        for (tolerations, expected) in table {
            let claims = [claim(tolerations.clone(), "u")];
            let at = leaves_at(&pod("n"), &claims, |_| vec![slice(1, taint("NoExecute"))]);
            assert_eq!(at, expected, "{tolerations}");
        }
    }

    #[test]
    fn only_current_taints_of_ones_own_devices_count() {
        let tainted = || slice(1, taint("NoExecute"));
        let table = [
            (pod("n"), "u", vec![tainted()], true),
            (pod(""), "u", vec![tainted()], false),
            (pod("n"), "other", vec![tainted()], false),
            (pod("n"), "u", vec![tainted(), slice(2, json!([]))], false),
            (pod("n"), "u", vec![slice(1, taint("NoSchedule"))], false),
            (pod("n"), "u", vec![], false),
        ];
        for (index, (pod, uid, slices, expected)) in table.into_iter().enumerate() {
            let at = leaves_at(&pod, &[claim(json!([]), uid)], |_| slices.clone());
            assert_eq!(at.is_some(), expected, "{index}");
        }
        assert!(same_taints(&tainted(), &tainted()) && !same_taints(&tainted(), &slice(1, json!([]))));
        assert!(has_device_of(&claim(json!([]), "u"), &tainted()));
    }
}

//! What a pod asks for, also while it is resized in place: what its containers have counts until they have given it
//! back, and what is wanted counts unless its node said that it can never be.
//!
//! Upstream: `component-helpers/resource/helpers.go`, `CalculateResource` of `pkg/scheduler/framework/types.go`.

use super::resources::Resources;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;

/// CPU of a container that asks for none, in millis; for scores only.
const DEFAULT_CPU: i64 = 100;
/// Memory of a container that asks for none, in bytes; for scores only.
const DEFAULT_MEMORY: i64 = 200 << 20;

type List = BTreeMap<String, Quantity>;

/// What a pod asks for.
#[derive(Debug)]
pub(super) struct Demand {
    /// What it needs to fit.
    pub(super) requests: Resources,
    /// CPU in millis, with defaults for containers that ask for none.
    pub(super) weight_cpu: i64,
    /// Memory in bytes, likewise.
    pub(super) weight_memory: i64,
}

impl Demand {
    pub(super) fn of(spec: &core::PodSpec, status: Option<&core::PodStatus>) -> Self {
        let is_infeasible = status.is_some_and(is_infeasible);
        let requests = Count { status, is_infeasible, missing_cpu: 0, missing_memory: 0 }.total(spec);
        // What the pod asks for as a whole leaves nothing to guess for its containers.
        let is_known = |name: &str| own_requests(spec).is_some() && lists(spec).any(|list| list.contains_key(name));
        let missing_cpu = if is_known("cpu") { 0 } else { DEFAULT_CPU };
        let missing_memory = if is_known("memory") { 0 } else { DEFAULT_MEMORY };
        let weight = Count { status, is_infeasible, missing_cpu, missing_memory }.total(spec);
        Self { requests, weight_cpu: weight.cpu, weight_memory: weight.memory }
    }
}

/// Whether a container runs beside the others.
pub(super) fn is_sidecar(container: &core::Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Whether a status says more about what is asked for than the container does.
pub fn is_resized(status: &core::ContainerStatus, container: &core::Container) -> bool {
    let Some(resources) = &status.resources else { return false };
    let wanted = requests_of(container);
    let is_same = |list: Option<&List>| list.is_none() || list == wanted;
    !is_same(resources.requests.as_ref()) || !is_same(status.allocated_resources.as_ref())
}

/// Whether the condition is the one that tells what became of a resize.
pub fn is_of_resize(condition: &core::PodCondition) -> bool {
    condition.type_ == "PodResizePending"
}

/// What is in use, and what was granted.
type Actual<'a> = (&'a core::ResourceRequirements, &'a Option<List>);

/// How requests are added up.
struct Count<'a> {
    status: Option<&'a core::PodStatus>,
    /// What is wanted does not count: the node can never grant it.
    is_infeasible: bool,
    /// CPU of a container that names none, in millis.
    missing_cpu: i64,
    /// Memory of a container that names none, in bytes.
    missing_memory: i64,
}

impl Count<'_> {
    /// All containers together with the sidecars, or the largest init container with the sidecars before it; what the
    /// pod asks for as a whole instead; and its overhead.
    fn total(&self, spec: &core::PodSpec) -> Resources {
        let mut total = Resources::default();
        spec.containers.iter().for_each(|container| total.add(&self.long_lived(container)));
        let mut sidecars = Resources::default();
        let mut init = Resources::default();
        for container in spec.init_containers.iter().flatten() {
            if is_sidecar(container) {
                let own = self.long_lived(container);
                total.add(&own);
                sidecars.add(&own);
                init.maximum(&sidecars);
            } else {
                let mut own = self.completed(&[requests_of(container)]);
                own.add(&sidecars);
                init.maximum(&own);
            }
        }
        total.maximum(&init);
        if let Some(list) = own_requests(spec) {
            let actual = self.status.and_then(|status| Some((status.resources.as_ref()?, &status.allocated_resources)));
            let own = self.effective(Some(list), actual);
            list.keys().filter(|name| is_of_pods(name)).for_each(|name| total.replace(name, &own));
        }
        total.add(&Resources::of(spec.overhead.as_ref()));
        total
    }

    /// A container that may be resized.
    fn long_lived(&self, container: &core::Container) -> Resources {
        let statuses = self
            .status
            .into_iter()
            .flat_map(|status| status.container_statuses.iter().chain(&status.init_container_statuses).flatten());
        let status = statuses.filter(|status| status.name == container.name);
        let mut actual = status.filter_map(|status| Some((status.resources.as_ref()?, &status.allocated_resources)));
        self.effective(requests_of(container), actual.next())
    }

    /// What is wanted, or more as long as more is in use or granted.
    fn effective(&self, wanted: Option<&List>, actual: Option<Actual<'_>>) -> Resources {
        let Some((used, granted)) = actual else { return self.completed(&[wanted]) };
        let wanted = wanted.filter(|_| !self.is_infeasible);
        self.completed(&[wanted, used.requests.as_ref(), granted.as_ref()])
    }

    /// The largest of each, and the defaults for what none of them names.
    fn completed(&self, lists: &[Option<&List>]) -> Resources {
        let mut own = Resources::default();
        lists.iter().flatten().for_each(|list| own.maximum(&Resources::of(Some(list))));
        let is_named = |name| lists.iter().flatten().any(|list| list.contains_key(name));
        if !is_named("cpu") {
            own.cpu = self.missing_cpu;
        }
        if !is_named("memory") {
            own.memory = self.missing_memory;
        }
        own
    }
}

/// Whether the node said that it can never be what is wanted.
fn is_infeasible(status: &core::PodStatus) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.find(|condition| is_of_resize(condition)).is_some_and(|it| it.reason.as_deref() == Some("Infeasible"))
}

fn requests_of(container: &core::Container) -> Option<&List> {
    container.resources.as_ref()?.requests.as_ref()
}

/// What the pod asks for as a whole, if it names something that can be asked for so.
fn own_requests(spec: &core::PodSpec) -> Option<&List> {
    let list = spec.resources.as_ref()?.requests.as_ref()?;
    list.keys().any(|name| is_of_pods(name)).then_some(list)
}

/// Whether pods can ask for it as a whole.
fn is_of_pods(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// All that is asked for.
fn lists(spec: &core::PodSpec) -> impl Iterator<Item = &List> {
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    containers.filter_map(requests_of).chain(own_requests(spec)).chain(&spec.overhead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn demand(spec: Value, status: Value) -> Demand {
        Demand::of(&from_value(spec).unwrap(), Some(&from_value(status).unwrap()))
    }

    fn container(cpu: &str) -> Value {
        json!({"name": "c", "resources": {"requests": {"cpu": cpu}}})
    }

    fn sidecar(cpu: &str) -> Value {
        json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}})
    }

    #[test]
    fn requests_follow_the_order_of_the_containers() {
        let table = [
            (json!({"containers": [container("1"), container("500m")]}), 1500),
            (json!({"containers": [container("1")], "initContainers": [container("3")]}), 3000),
            (json!({"containers": [container("1")], "initContainers": [sidecar("1"), container("3")]}), 4000),
            (json!({"containers": [container("1")], "initContainers": [container("1"), sidecar("1")]}), 2000),
            (json!({"containers": [container("1")], "overhead": {"cpu": "100m"}}), 1100),
            (json!({"containers": [container("1")], "resources": {"requests": {"cpu": "5"}}}), 5000),
            (json!({"containers": [container("1")], "resources": {"requests": {"example.com/a": "5"}}}), 1000),
        ];
        for (spec, cpu) in table {
            assert_eq!(demand(spec.clone(), json!({})).requests.cpu, cpu, "{spec}");
        }
    }

    #[test]
    fn what_a_resized_container_has_counts_until_it_is_given_back() {
        let said = |name: &str, actual: &str, granted: &str| {
            json!({"name": name, "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "resources": {"requests": {"cpu": actual}}, "allocatedResources": {"cpu": granted}})
        };
        let pending = |reason: &str| json!([{"type": "PodResizePending", "status": "True", "reason": reason}]);
        let spec = json!({"containers": [container("2")]});
        let table = [
            (spec.clone(), json!({"containerStatuses": [said("c", "3", "1")]}), 3000),
            (spec.clone(), json!({"containerStatuses": [said("c", "1", "1")]}), 2000),
            (
                spec.clone(),
                json!({"containerStatuses": [said("c", "1", "1")], "conditions": pending("Deferred")}),
                2000,
            ),
            (
                spec.clone(),
                json!({"containerStatuses": [said("c", "1", "1")], "conditions": pending("Infeasible")}),
                1000,
            ),
            (spec, json!({"containerStatuses": [said("other", "4", "4")]}), 2000),
            (
                json!({"containers": [container("1")], "initContainers": [sidecar("1")]}),
                json!({"initContainerStatuses": [said("s", "2", "1")]}),
                3000,
            ),
            (
                json!({"containers": [container("1")], "resources": {"requests": {"cpu": "2"}}}),
                json!({"resources": {"requests": {"cpu": "4"}}, "allocatedResources": {"cpu": "2"}}),
                4000,
            ),
        ];
        for (spec, status, cpu) in table {
            assert_eq!(demand(spec.clone(), status.clone()).requests.cpu, cpu, "{spec} {status}");
        }
    }

    #[test]
    fn containers_without_requests_still_weigh() {
        let light = demand(json!({"containers": [{"name": "a"}, container("1")]}), json!({}));
        assert_eq!((light.requests.cpu, light.weight_cpu, light.weight_memory), (1000, 1100, 400 << 20));
        let whole = json!({"containers": [{"name": "a"}, {"name": "b"}], "resources": {"requests": {"cpu": "1"}}});
        let whole = demand(whole, json!({}));
        assert_eq!((whole.weight_cpu, whole.weight_memory), (1000, 400 << 20));
    }
}

//! What a pod requests and may use, over all its containers.
//!
//! Main containers and sidecars run together, so they add up; an ordinary init container runs
//! alone beside the sidecars declared before it, so only the largest such moment counts.

use super::Amount;
use crate::pod::{PodExt, is_sidecar};
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Amount>;

/// Which half of a container's resources is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What it is guaranteed.
    Requests,
    /// What it may not exceed.
    Limits,
}

/// The wire quantities of one container.
pub fn quantities(container: &Container, side: Side) -> Option<&BTreeMap<String, Quantity>> {
    let resources = container.resources.as_ref()?;
    match side {
        Side::Requests => resources.requests.as_ref(),
        Side::Limits => resources.limits.as_ref(),
    }
}

/// One amount of one container. A missing request is the limit, as defaulting has it.
pub fn amount(container: &Container, side: Side, resource: &str) -> Option<Amount> {
    let own = quantities(container, side).and_then(|q| q.get(resource)).map(Amount::of);
    match side {
        Side::Limits => own,
        Side::Requests => own.or_else(|| amount(container, Side::Limits, resource)),
    }
}

/// The whole pod's amounts, its overhead included.
pub fn of_pod(pod: &Pod, side: Side) -> Amounts {
    let mut running = Amounts::new();
    for container in &PodExt::spec(pod).containers {
        add(&mut running, &amounts(container, side));
    }
    let mut sidecars = Amounts::new();
    let mut peak = Amounts::new();
    for container in pod.init_containers() {
        let own = amounts(container, side);
        if is_sidecar(container) {
            add(&mut running, &own);
            add(&mut sidecars, &own);
            raise(&mut peak, &sidecars);
        } else {
            let mut moment = sidecars.clone();
            add(&mut moment, &own);
            raise(&mut peak, &moment);
        }
    }
    raise(&mut running, &peak);
    if let Some(overhead) = &PodExt::spec(pod).overhead {
        for (name, quantity) in overhead {
            if side == Side::Requests || running.contains_key(name) {
                *running.entry(name.clone()).or_default() =
                    running.get(name).copied().unwrap_or_default() + Amount::of(quantity);
            }
        }
    }
    running
}

fn amounts(container: &Container, side: Side) -> Amounts {
    let Some(resources) = &container.resources else { return Amounts::new() };
    let names = resources.requests.iter().chain(&resources.limits).flat_map(BTreeMap::keys);
    names.filter_map(|name| Some((name.clone(), amount(container, side, name)?))).collect()
}

fn add(to: &mut Amounts, from: &Amounts) {
    for (name, amount) in from {
        let sum = to.get(name).copied().unwrap_or_default() + *amount;
        to.insert(name.clone(), sum);
    }
}

fn raise(to: &mut Amounts, floor: &Amounts) {
    for (name, amount) in floor {
        let most = to.get(name).copied().unwrap_or_default().max(*amount);
        to.insert(name.clone(), most);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};

    pub(crate) fn container(name: &str, requests: &[(&str, &str)], limits: &[(&str, &str)]) -> Container {
        let map = |of: &[(&str, &str)]| {
            (!of.is_empty()).then(|| of.iter().map(|(k, v)| ((*k).to_owned(), Quantity((*v).to_owned()))).collect())
        };
        Container {
            name: name.into(),
            resources: Some(ResourceRequirements { requests: map(requests), limits: map(limits), claims: None }),
            ..Container::default()
        }
    }

    pub(crate) fn pod(init: Vec<Container>, containers: Vec<Container>) -> Pod {
        Pod { spec: Some(PodSpec { init_containers: Some(init), containers, ..PodSpec::default() }), ..Pod::default() }
    }

    fn sidecar(c: Container) -> Container {
        Container { restart_policy: Some("Always".into()), ..c }
    }

    #[test]
    fn sums_mains_and_sidecars_and_takes_the_peak_of_the_start() {
        let cpu = |n: &str, m: &str| container(n, &[("cpu", m)], &[]);
        for (init, main, want) in [
            (vec![], vec![cpu("a", "1"), cpu("b", "500m")], 1500),
            (vec![cpu("i", "2")], vec![cpu("a", "1")], 2000),
            (vec![sidecar(cpu("s", "1"))], vec![cpu("a", "1")], 2000),
            (vec![sidecar(cpu("s", "1")), cpu("i", "3")], vec![cpu("a", "1")], 4000),
            (vec![cpu("i", "3"), sidecar(cpu("s", "1"))], vec![cpu("a", "1")], 3000),
        ] {
            let got = of_pod(&pod(init, main), Side::Requests);
            assert_eq!(got["cpu"].milli_value(), want);
        }
    }

    #[test]
    fn a_missing_request_is_the_limit() {
        let c = container("a", &[], &[("memory", "1Mi")]);
        assert_eq!(amount(&c, Side::Requests, "memory").unwrap().value(), 1 << 20);
        assert!(amount(&c, Side::Limits, "cpu").is_none());
    }
}

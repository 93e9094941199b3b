//! What a pod asks of a node.
//!
//! Upstream: `component-helpers/resource/helpers.go`.

use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::quantity::Quantity;
use std::collections::BTreeMap;

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Quantity>;

/// The amounts in a pod's specification, either all requests or all limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodAmounts {
    /// Of each container.
    pub containers: Vec<Amounts>,
    /// Of each init container, in order.
    pub init: Vec<InitAmounts>,
    /// Of the pod as a whole; these replace the containers'.
    pub pod: Amounts,
    /// What the runtime class adds.
    pub overhead: Amounts,
}

/// The amounts of an init container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitAmounts {
    /// It ends before the next one starts.
    Once(Amounts),
    /// It keeps running beside all that come after it.
    Sidecar(Amounts),
}

impl PodAmounts {
    /// The requests of a pod's `spec`.
    pub fn of(spec: &Value) -> Self {
        Self::read(spec, "requests")
    }

    /// The limits of a pod's `spec`.
    pub fn limits_of(spec: &Value) -> Self {
        Self::read(spec, "limits")
    }

    fn read(spec: &Value, list: &str) -> Self {
        let of = |container: &Value| container.at("resources").map(|r| amounts(r, list)).unwrap_or_default();
        let init = |container: &Value| match container.text("restartPolicy") {
            "Always" => InitAmounts::Sidecar(of(container)),
            _ => InitAmounts::Once(of(container)),
        };
        Self {
            containers: spec.items("containers").iter().map(of).collect(),
            init: spec.items("initContainers").iter().map(init).collect(),
            pod: of(spec),
            overhead: amounts(spec, "overhead"),
        }
    }

    /// What all containers need at the pod's neediest moment.
    pub fn containers_total(&self) -> Amounts {
        let mut total = Amounts::new();
        self.containers.iter().for_each(|c| add(&mut total, c));
        let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
        for init in &self.init {
            match init {
                InitAmounts::Sidecar(own) => {
                    add(&mut total, own);
                    add(&mut sidecars, own);
                    raise(&mut peak, &sidecars);
                }
                InitAmounts::Once(own) => {
                    let mut beside = sidecars.clone();
                    add(&mut beside, own);
                    raise(&mut peak, &beside);
                }
            }
        }
        raise(&mut total, &peak);
        total
    }

    /// What the pod needs: pod-level amounts where there are any, and the overhead.
    pub fn total(&self) -> Amounts {
        let mut total = self.containers_total();
        let whole = self.pod.iter().filter(|(name, _)| is_pod_level(name));
        total.extend(whole.map(|(name, amount)| (name.clone(), *amount)));
        add(&mut total, &self.overhead);
        total
    }

    /// The limits of the pod. The overhead counts only where there is a limit already.
    pub fn total_limits(&self) -> Amounts {
        let mut total = Self { overhead: Amounts::new(), ..self.clone() }.total();
        for (name, amount) in &mut total {
            if let Some(overhead) = self.overhead.get(name) {
                *amount = *amount + *overhead;
            }
        }
        total
    }
}

/// Whether a pod as a whole may ask for this resource.
pub fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || is_hugepages(name)
}

/// Whether this names huge pages of some size.
pub fn is_hugepages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// A resource list; what is no quantity is left out.
pub fn amounts(object: &Value, list: &str) -> Amounts {
    object.entries(list).filter_map(|(k, v)| Some((k.to_owned(), v.as_str()?.parse().ok()?))).collect()
}

fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        match total.get_mut(name) {
            Some(sum) => *sum = *sum + *amount,
            None => {
                total.insert(name.clone(), *amount);
            }
        }
    }
}

fn raise(peak: &mut Amounts, to: &Amounts) {
    for (name, amount) in to {
        match peak.get_mut(name) {
            Some(held) => *held = (*held).max(*amount),
            None => {
                peak.insert(name.clone(), *amount);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cpu(amount: &str) -> Value {
        json!({"resources": {"requests": {"cpu": amount}, "limits": {"cpu": amount}}})
    }

    fn sidecar(amount: &str) -> Value {
        let mut container = cpu(amount);
        container["restartPolicy"] = "Always".into();
        container
    }

    #[test]
    fn the_neediest_moment_counts() {
        for (what, spec, want) in [
            ("nothing", json!({}), None),
            ("containers add up", json!({"containers": [cpu("1"), cpu("500m")]}), Some("1500m")),
            ("a large init container", json!({"containers": [cpu("1")], "initContainers": [cpu("3")]}), Some("3")),
            (
                "init containers run one by one",
                json!({"containers": [cpu("1")], "initContainers": [cpu("2"), cpu("2")]}),
                Some("2"),
            ),
            (
                "sidecars stay",
                json!({"containers": [cpu("1")], "initContainers": [sidecar("1"), cpu("2"), sidecar("1")]}),
                Some("3"),
            ),
            (
                "a sidecar after an init container is not yet there",
                json!({"containers": [cpu("1")], "initContainers": [cpu("2"), sidecar("1")]}),
                Some("2"),
            ),
            ("overhead", json!({"containers": [cpu("1")], "overhead": {"cpu": "250m"}}), Some("1250m")),
            (
                "the pod's own",
                json!({"containers": [cpu("1")], "resources": {"requests": {"cpu": "5"}}, "overhead": {"cpu": "1"}}),
                Some("6"),
            ),
        ] {
            let total = PodAmounts::of(&spec).total();
            assert_eq!(total.get("cpu").map(ToString::to_string).as_deref(), want, "{what}");
        }
    }

    #[test]
    fn limits_take_overhead_only_where_there_is_a_limit() {
        let spec = json!({"containers": [cpu("1")], "overhead": {"cpu": "1", "memory": "1Gi"}});
        let limits = PodAmounts::limits_of(&spec).total_limits();
        assert_eq!(limits.into_iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(), ["cpu=2"]);
    }
}

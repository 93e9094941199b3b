//! The node's object and its status as values.

use super::conditions::{self, Health};
use super::facts::Facts;
use crate::devices::ledger::Amounts;
use crate::resources::Amount;
use crate::runtime::images::Image;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeDaemonEndpoints, NodeSpec, NodeStatus, NodeSystemInfo, Taint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the status follows from.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub facts: Facts,
    pub health: Health,
    pub info: NodeSystemInfo,
    pub images: Vec<Image>,
    /// -1 means all.
    pub max_images: i64,
    pub port: i32,
    pub devices: Amounts,
    /// The volumes that must not be detached.
    pub volumes_in_use: BTreeSet<String>,
}

/// The labels that upstream's kubelet gives its node, and those of the command line.
pub fn labels(name: &str, more: &[String]) -> BTreeMap<String, String> {
    let arch = component::version::architecture();
    let own = [
        ("beta.kubernetes.io/arch", arch),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", arch),
        ("kubernetes.io/hostname", name),
        ("kubernetes.io/os", "linux"),
    ];
    let own = own.map(|(k, v)| (k.to_owned(), v.to_owned()));
    let given = more.iter().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned()));
    own.into_iter().chain(given).collect()
}

/// A new node.
pub fn node(o: &Observed, more_labels: &[String], provider: Option<&str>, taints: &[Taint], now: &Time) -> Node {
    let managed = ("volumes.kubernetes.io/controller-managed-attach-detach".to_owned(), "true".to_owned());
    Node {
        metadata: ObjectMeta {
            name: Some(o.facts.name.clone()),
            labels: Some(labels(&o.facts.name, more_labels)),
            annotations: Some([managed].into()),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            provider_id: provider.map(str::to_owned),
            taints: (!taints.is_empty()).then(|| taints.to_vec()),
            ..NodeSpec::default()
        }),
        status: Some(status(o, &NodeStatus::default(), now)),
    }
}

/// The status now; `old` keeps what others wrote and the times of changes.
pub fn status(o: &Observed, old: &NodeStatus, now: &Time) -> NodeStatus {
    let known = old.conditions.as_deref().unwrap_or_default();
    let mut all = conditions::all(&o.health, known, now);
    all.extend(known.iter().filter(|c| !all.iter().any(|a| a.type_ == c.type_)).cloned().collect::<Vec<_>>());
    NodeStatus {
        addresses: Some(addresses(&o.facts)),
        capacity: Some(quantities(&o.facts.capacity, &o.devices.capacity, old.capacity.as_ref())),
        allocatable: Some(quantities(&o.facts.allocatable, &o.devices.allocatable, old.allocatable.as_ref())),
        conditions: Some(all),
        daemon_endpoints: Some(NodeDaemonEndpoints { kubelet_endpoint: Some(DaemonEndpoint { port: o.port }) }),
        node_info: Some(o.info.clone()),
        images: Some(images(&o.images, o.max_images)),
        volumes_in_use: (!o.volumes_in_use.is_empty()).then(|| o.volumes_in_use.iter().cloned().collect()),
        ..old.clone()
    }
}

fn addresses(facts: &Facts) -> Vec<NodeAddress> {
    let ips = facts.host_ips.iter().map(|ip| ("InternalIP", ip.clone()));
    let all = ips.chain([("Hostname", facts.name.clone())]);
    all.map(|(kind, address)| NodeAddress { type_: kind.to_owned(), address }).collect()
}

/// Ours, those of plugins, and the extended resources that others have put there.
fn quantities(
    amounts: &BTreeMap<String, Amount>,
    devices: &BTreeMap<String, i64>,
    old: Option<&BTreeMap<String, Quantity>>,
) -> BTreeMap<String, Quantity> {
    let extended =
        old.into_iter().flatten().filter(|(name, _)| name.contains('/') && !name.starts_with("kubernetes.io/"));
    let mut out: BTreeMap<_, _> = extended.map(|(k, v)| (k.clone(), v.clone())).collect();
    out.extend(devices.iter().map(|(name, count)| (name.clone(), Quantity(count.to_string()))));
    out.extend(amounts.iter().map(|(name, amount)| (name.clone(), Quantity(text(name, *amount)))));
    out
}

fn text(name: &str, amount: Amount) -> String {
    let value = amount.value();
    match name {
        "cpu" if amount.milli_value() % 1000 != 0 => format!("{}m", amount.milli_value()),
        "memory" | "ephemeral-storage" if value > 0 && value % 1024 == 0 => format!("{}Ki", value / 1024),
        _ => value.to_string(),
    }
}

/// The largest images first; their names by digest before those by tag.
fn images(all: &[Image], most: i64) -> Vec<ContainerImage> {
    let mut sorted: Vec<&Image> = all.iter().collect();
    sorted.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.cmp(&b.id)));
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let image = |i: &Image| ContainerImage {
        names: Some(i.digests.iter().chain(&i.tags).take(5).cloned().collect()),
        size_bytes: i64::try_from(i.size).ok(),
    };
    sorted.into_iter().take(most).map(image).collect()
}

/// The status with none of the extended resources that it had.
pub fn without_extended(mut status: NodeStatus) -> NodeStatus {
    for list in [&mut status.capacity, &mut status.allocatable] {
        let extended = |name: &str| name.contains('/') && !name.starts_with("kubernetes.io/");
        let all = list.iter_mut().flatten().filter(|(name, _)| extended(name));
        all.for_each(|(_, quantity)| *quantity = Quantity("0".into()));
    }
    status
}

/// Whether two statuses differ in anything but the time of the heartbeat.
pub fn differs(a: &NodeStatus, b: &NodeStatus) -> bool {
    let still = |s: &NodeStatus| {
        let mut s = s.clone();
        for c in s.conditions.iter_mut().flatten() {
            c.last_heartbeat_time = None;
        }
        if let Some(all) = s.conditions.as_mut() {
            all.sort_by(|x, y| x.type_.cmp(&y.type_));
        }
        s
    };
    still(a) != still(b)
}

/// A strategic merge patch of the kubelet's part of the status.
pub fn patch(old: &NodeStatus, new: &NodeStatus) -> Value {
    let own = |c: &&k8s_openapi::api::core::v1::NodeCondition| {
        matches!(c.type_.as_str(), "Ready" | "MemoryPressure" | "DiskPressure" | "PIDPressure")
    };
    let conditions: Vec<_> = new.conditions.iter().flatten().filter(own).collect();
    let mut patch = json!({ "status": {
        "capacity": new.capacity,
        "allocatable": new.allocatable,
        "conditions": conditions,
        "daemonEndpoints": new.daemon_endpoints,
        "nodeInfo": new.node_info,
        "images": new.images,
        "volumesInUse": new.volumes_in_use,
    } });
    if old.addresses != new.addresses {
        // Addresses are merged by their type: where there are some, say that these replace them.
        let replace = old.addresses.iter().flatten().take(1).map(|_| json!({ "$patch": "replace" }));
        patch["status"]["addresses"] = replace.chain(new.addresses.iter().flatten().map(|a| json!(a))).collect();
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::NodeCondition;

    fn observed() -> Observed {
        let facts = Facts {
            name: "n".into(),
            host_ips: vec!["192.0.2.1".into()],
            capacity: [("cpu".to_owned(), Amount::milli(1500)), ("memory".to_owned(), Amount::whole(2048))].into(),
            ..Facts::default()
        };
        Observed { facts, max_images: 50, port: 10250, ..Observed::default() }
    }

    #[test]
    fn a_new_node_has_upstreams_labels() {
        let got = node(&observed(), &["a=b".into()], None, &[], &crate::clock::now());
        let labels = got.metadata.labels.unwrap();
        assert_eq!((labels["kubernetes.io/hostname"].as_str(), labels["a"].as_str()), ("n", "b"));
        let capacity = got.status.unwrap().capacity.unwrap();
        assert_eq!((capacity["cpu"].0.as_str(), capacity["memory"].0.as_str()), ("1500m", "2Ki"));
    }

    #[test]
    fn what_others_wrote_is_kept_and_a_heartbeat_is_no_difference() {
        let network =
            NodeCondition { type_: "NetworkUnavailable".into(), status: "False".into(), ..NodeCondition::default() };
        let old = NodeStatus {
            conditions: Some(vec![network]),
            capacity: Some([("example.com/gpu".to_owned(), Quantity("2".into()))].into()),
            ..NodeStatus::default()
        };
        let first = status(&observed(), &old, &crate::clock::now());
        assert_eq!(first.capacity.as_ref().unwrap()["example.com/gpu"].0, "2");
        assert_eq!(first.conditions.as_ref().unwrap().len(), 5);
        let later = Time(crate::clock::plus_seconds(crate::clock::now().0, 60));
        let second = status(&observed(), &first, &later);
        assert!(!differs(&first, &second) && differs(&old, &first));
        let conditions = patch(&first, &second)["status"]["conditions"].as_array().unwrap().len();
        assert_eq!(conditions, 4, "only our own are written");
        assert!(patch(&first, &second)["status"].get("addresses").is_none());
        let mut silent = first.clone();
        for c in silent.conditions.iter_mut().flatten().filter(|c| c.type_ == "Ready") {
            (c.status, c.reason) = ("Unknown".into(), Some("NodeStatusUnknown".into()));
        }
        assert!(differs(&silent, &status(&observed(), &silent, &later)), "what the node controller wrote");
        let volume = "kubernetes.io/csi/d^h".to_owned();
        let using = Observed { volumes_in_use: [volume.clone()].into(), ..observed() };
        let using = status(&using, &first, &later);
        assert!(differs(&first, &using) && using.volumes_in_use == Some(vec![volume]));
        assert!(patch(&using, &second)["status"]["volumesInUse"].is_null(), "taken away again");
        let plain = patch(&NodeStatus::default(), &second)["status"]["addresses"].clone();
        assert_eq!(plain[0]["address"], "192.0.2.1");
    }
}

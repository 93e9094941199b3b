//! Nodes with their pods and what those ask for.

mod amounts;

use super::containers::quantity;
use super::sections::{Sections, or_none};
use super::source::{Chosen, Source, Subject};
use super::times::{conditions, since, stamp};
use crate::http::Refused;
use amounts::Totals;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::quantity::Quantity;
use rules::placement::requests::{Amounts, is_hugepages};
use rules::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};

const ROLE: &str = "node-role.kubernetes.io/";
/// At most so many pools of devices are listed.
const MAX_POOLS: usize = 10;

/// What a node's description needs beside the node.
pub(super) struct Related {
    /// None if one may not see them.
    pods: Option<Vec<Value>>,
    lease: anyhow::Result<Value>,
    slices: Vec<Value>,
}

impl Related {
    pub(super) async fn of(source: &Source<'_>, node: &Value) -> anyhow::Result<Self> {
        let name = node.name();
        let fields = format!("spec.nodeName={name},status.phase!=Succeeded,status.phase!=Failed");
        let pods = match source.list("/api/v1/pods", Chosen { fields: &fields, ..Chosen::default() }).await {
            Ok(pods) => Some(pods),
            Err(error) if error.downcast_ref::<Refused>().is_some_and(|r| r.code == 403) => None,
            Err(error) => return Err(error),
        };
        let lease = format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}");
        let lease = source.get(&lease).await;
        let fields = format!("spec.nodeName={name}");
        let slices = Chosen { fields: &fields, ..Chosen::default() };
        let slices = source.list("/apis/resource.k8s.io/v1/resourceslices", slices).await.unwrap_or_default();
        Ok(Self { pods, lease, slices })
    }
}

/// The events about a node: some writers say its name where its UID belongs.
pub(super) async fn events(source: &Source<'_>, node: &Value) -> Vec<Value> {
    let subject = Subject::of(node);
    let mut events = source.events_about(subject).await.unwrap_or_default();
    let by_name = Subject { uid: subject.name, ..subject };
    events.extend(source.events_about(by_name).await.unwrap_or_default());
    events
}

pub(super) fn write(out: &mut Sections, node: &Value, related: &Related) {
    let (spec, status) = (&node["spec"], &node["status"]);
    out.field(0, "Name", node.name());
    out.field(0, "Roles", or_none(roles(node)));
    out.labels("Labels", node.labels());
    out.annotations("Annotations", node.annotations());
    out.field(0, "CreationTimestamp", stamp(node.meta_str("creationTimestamp")));
    taints(out, spec);
    out.field(0, "Unschedulable", spec.flag("unschedulable"));
    lease(out, &related.lease);
    conditions(out, status.items("conditions"), "Heartbeat");
    out.line(0, "Addresses:");
    for address in status.items("addresses") {
        out.field(1, address.text("type"), address.text("address"));
    }
    for (title, member) in [("Capacity", "capacity"), ("Allocatable", "allocatable")] {
        let mut amounts = status.entries(member).peekable();
        if amounts.peek().is_some() {
            out.line(0, format_args!("{title}:"));
        }
        amounts.for_each(|(name, amount)| out.field(1, name, quantity(Some(amount))));
    }
    devices(out, &related.slices);
    system(out, &status["nodeInfo"]);
    out.field_if(0, "PodCIDR", spec.text("podCIDR"));
    out.field_if(0, "PodCIDRs", &spec.texts("podCIDRs").collect::<Vec<_>>().join(","));
    out.field_if(0, "ProviderID", spec.text("providerID"));
    match &related.pods {
        Some(pods) => resources(out, node, pods),
        None => out.field(0, "Pods", "not authorized"),
    }
}

fn roles(node: &Value) -> String {
    let mut roles = BTreeSet::new();
    for (key, value) in node.labels().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let role = match key.as_str() {
            "kubernetes.io/role" => value,
            key => key.strip_prefix(ROLE).unwrap_or_default(),
        };
        roles.extend((!role.is_empty()).then_some(role));
    }
    roles.into_iter().collect::<Vec<_>>().join(",")
}

fn taints(out: &mut Sections, spec: &Value) {
    let mut taints: Vec<&Value> = spec.items("taints").iter().collect();
    taints.sort_by_key(|t| (t.text("effect"), t.text("key")));
    let text = |taint: &Value| match (taint.text("value"), taint.text("effect")) {
        ("", "") => taint.text("key").to_owned(),
        ("", effect) => format!("{}:{effect}", taint.text("key")),
        (value, effect) => format!("{}={value}:{effect}", taint.text("key")),
    };
    out.multiline("Taints", taints.into_iter().map(text));
}

fn lease(out: &mut Sections, lease: &anyhow::Result<Value>) {
    let lease = match lease {
        Ok(lease) => &lease["spec"],
        Err(error) => {
            out.field(0, "Lease", format_args!("Failed to get lease: {error}"));
            return;
        }
    };
    out.line(0, "Lease:");
    let holder = lease.at("holderIdentity").and_then(Value::as_str);
    out.field(1, "HolderIdentity", holder.unwrap_or("<unset>"));
    for (title, member) in [("AcquireTime", "acquireTime"), ("RenewTime", "renewTime")] {
        let time = lease.at(member).and_then(Value::as_str).map(stamp);
        out.field(1, title, time.unwrap_or_else(|| "<unset>".into()));
    }
}

/// Devices that only this node has, by driver and pool.
fn devices(out: &mut Sections, slices: &[Value]) {
    let mut pools: BTreeMap<String, (&str, &str, usize, usize)> = BTreeMap::new();
    for spec in slices.iter().map(|slice| &slice["spec"]) {
        let (driver, pool) = (spec.text("driver"), spec["pool"].text("name"));
        let counted = pools.entry(format!("{driver}/{pool}")).or_insert((driver, pool, 0, 0));
        counted.2 += 1;
        counted.3 += spec.items("devices").len();
    }
    if pools.is_empty() {
        return;
    }
    out.line(0, "Node-Local ResourceSlices:");
    out.head(1, &["Driver", "Pool", "Slices", "Devices"]);
    for (driver, pool, slices, devices) in pools.values().take(MAX_POOLS) {
        out.line(1, format_args!("{driver}\t{pool}\t{slices}\t{devices}"));
    }
    if pools.len() > MAX_POOLS {
        out.line(1, format_args!("...and {} more pools", pools.len() - MAX_POOLS));
    }
}

fn system(out: &mut Sections, info: &Value) {
    out.line(0, "System Info:");
    for (title, member) in [
        ("Machine ID", "machineID"),
        ("System UUID", "systemUUID"),
        ("Boot ID", "bootID"),
        ("Kernel Version", "kernelVersion"),
        ("OS Image", "osImage"),
        ("Operating System", "operatingSystem"),
        ("Architecture", "architecture"),
        ("Container Runtime Version", "containerRuntimeVersion"),
        ("Kubelet Version", "kubeletVersion"),
    ] {
        out.field(1, title, info.text(member));
    }
}

fn resources(out: &mut Sections, node: &Value, pods: &[Value]) {
    let status = &node["status"];
    let list = if status.lacks("allocatable") { "capacity" } else { "allocatable" };
    let allocatable = rules::placement::requests::amounts(status, list);
    out.field(0, "Non-terminated Pods", format_args!("({} in total)", pods.len()));
    out.line(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge");
    out.line(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---");
    for pod in pods {
        let totals = Totals::with_status(pod);
        let cells: Vec<String> = ["cpu", "memory"]
            .iter()
            .flat_map(|name| [share(&totals.requests, &allocatable, name), share(&totals.limits, &allocatable, name)])
            .collect();
        let age = since(out.now, pod.meta_str("creationTimestamp"));
        out.line(1, format_args!("{}\t{}\t\t{}\t{age}", pod.namespace(), pod.name(), cells.join("\t")));
    }
    out.line(0, "Allocated resources:");
    out.line(1, "(Total limits may be over 100 percent, i.e., overcommitted.)");
    out.head(1, &["Resource", "Requests", "Limits"]);
    let totals = Totals::of_all(pods);
    let huge = allocatable.keys().map(String::as_str).filter(|name| is_hugepages(name));
    for name in ["cpu", "memory", "ephemeral-storage"].into_iter().chain(huge) {
        let (asked, most) = (share(&totals.requests, &allocatable, name), share(&totals.limits, &allocatable, name));
        out.line(1, format_args!("{name}\t{asked}\t{most}"));
    }
    let known = |name: &str| matches!(name, "cpu" | "memory" | "ephemeral-storage" | "pods") || is_hugepages(name);
    for name in allocatable.keys().filter(|name| !known(name)) {
        out.line(1, format_args!("{name}\t{}\t{}", amount(&totals.requests, name), amount(&totals.limits, name)));
    }
}

fn amount(amounts: &Amounts, name: &str) -> Quantity {
    amounts.get(name).copied().unwrap_or(Quantity::ZERO)
}

/// `250m (12%)`.
fn share(amounts: &Amounts, allocatable: &Amounts, name: &str) -> String {
    let (part, whole) = (amount(amounts, name), amount(allocatable, name));
    let number = |q: &Quantity| if name == "cpu" { q.milli_value() } else { q.value() };
    let percent = match number(&whole) {
        0 => 0,
        whole => (number(&part) as f64 / whole as f64 * 100.0) as i64,
    };
    format!("{part} ({percent}%)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use serde_json::json;

    #[test]
    fn roles_and_taints() {
        let node = json!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "x"}},
            "spec": {"taints": [{"key": "b", "effect": "NoSchedule"}, {"key": "a", "value": "v", "effect": "NoExecute"}]}});
        assert_eq!(roles(&node), "control-plane,x");
        let mut out = Sections::new(Timestamp::UNIX_EPOCH);
        taints(&mut out, &node["spec"]);
        assert_eq!(out.aligned(), "Taints:  a=v:NoExecute\n         b:NoSchedule\n");
    }

    #[test]
    fn allocated_resources() {
        let node = json!({"status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "10", "x.io/gpu": "1"}}});
        let pod = json!({"metadata": {"name": "p", "namespace": "n", "creationTimestamp": "1970-01-01T00:00:00Z"},
            "spec": {"containers": [{"resources": {"requests": {"cpu": "250m", "x.io/gpu": "1"}, "limits": {"memory": "512Mi"}}}]}});
        let mut out = Sections::new(Timestamp::from_second(60).expect("a time"));
        resources(&mut out, &node, &[pod]);
        let text = out.aligned();
        for line in [
            "Non-terminated Pods:  (1 in total)",
            "  n                   p       250m (12%)    0 (0%)      0 (0%)           512Mi (50%)    60s",
            "  cpu                250m (12%)  0 (0%)",
            "  ephemeral-storage  0 (0%)      0 (0%)",
            "  x.io/gpu           1           0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} is not in\n{text}");
        }
    }
}

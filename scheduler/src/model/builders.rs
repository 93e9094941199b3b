//! Pods, nodes, claims and volumes for tests, from the API's form so that reading it is tested too.

use super::node::NodeFacts;
use super::pod::Pod;
use serde_json::{Value, json};

/// Builds a pod.
#[derive(Clone, Debug)]
pub struct PodBuilder(Value);

/// A pod `name` in namespace `default` with one container.
pub fn pod(name: &str) -> PodBuilder {
    PodBuilder(json!({
        "metadata": {"namespace": "default", "name": name, "uid": name, "labels": {}},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {}}, "ports": []}], "affinity": {}},
        "status": {},
    }))
}

impl PodBuilder {
    /// What its container asks for.
    pub fn requests(mut self, cpu: &str, memory: &str) -> Self {
        let requests = &mut self.0["spec"]["containers"][0]["resources"]["requests"];
        requests["cpu"] = cpu.into();
        requests["memory"] = memory.into();
        self
    }

    /// One more resource that its container asks for.
    pub fn request(mut self, name: &str, amount: &str) -> Self {
        self.0["spec"]["containers"][0]["resources"]["requests"][name] = amount.into();
        self
    }

    /// A host port.
    pub fn host_port(mut self, port: i32) -> Self {
        self.0["spec"]["containers"][0]["ports"] = json!([{"containerPort": 1, "hostPort": port}]);
        self
    }

    /// A field of its specification.
    pub fn spec(mut self, field: &str, value: Value) -> Self {
        self.0["spec"][field] = value;
        self
    }

    /// A label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][key] = value.into();
        self
    }

    /// The controller that owns it.
    pub fn controller(mut self, api_version: &str, kind: &str, name: &str) -> Self {
        self.0["metadata"]["ownerReferences"] =
            json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": name, "controller": true}]);
        self
    }

    /// Volumes of these claims.
    pub fn claims(self, names: &[&str]) -> Self {
        let volumes = names.iter().map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
        self.spec("volumes", volumes.collect())
    }

    /// Its priority.
    pub fn priority(self, priority: i32) -> Self {
        self.spec("priority", priority.into())
    }

    /// The node it is on.
    pub fn on(self, node: &str) -> Self {
        self.spec("nodeName", node.into())
    }

    /// Builds it.
    pub fn build(self) -> Pod {
        Pod::of(&serde_json::from_value(self.0).expect("a pod"))
    }
}

/// Builds a node.
#[derive(Clone, Debug)]
pub struct NodeBuilder(Value);

/// A node with 110 pods, 4 CPUs and 16 GiB.
pub fn node() -> NodeBuilder {
    NodeBuilder(json!({
        "metadata": {"labels": {}},
        "spec": {"taints": []},
        "status": {"allocatable": {"cpu": "4", "memory": "16Gi", "pods": "110"}},
    }))
}

impl NodeBuilder {
    /// Its CPUs.
    pub fn cpu(self, amount: &str) -> Self {
        self.allocatable("cpu", amount)
    }

    /// Its memory.
    pub fn memory(self, amount: &str) -> Self {
        self.allocatable("memory", amount)
    }

    /// Any resource.
    pub fn allocatable(mut self, name: &str, amount: &str) -> Self {
        self.0["status"]["allocatable"][name] = amount.into();
        self
    }

    /// A label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][key] = value.into();
        self
    }

    /// A taint.
    pub fn taint(mut self, key: &str, value: &str, effect: &str) -> Self {
        let taints = self.0["spec"]["taints"].as_array_mut().expect("a list");
        taints.push(json!({"key": key, "value": value, "effect": effect}));
        self
    }

    /// Cordoned.
    pub fn unschedulable(mut self) -> Self {
        self.0["spec"]["unschedulable"] = true.into();
        self
    }

    /// What it says about itself.
    pub fn facts(self) -> NodeFacts {
        NodeFacts::of(&serde_json::from_value(self.0).expect("a node"))
    }
}

/// Builds a claim.
#[derive(Clone, Debug)]
pub struct ClaimBuilder(Value);

/// A claim `name` in namespace `default` for 1 GiB of the class `late`, which has no volume.
pub fn claim(name: &str) -> ClaimBuilder {
    ClaimBuilder(json!({
        "metadata": {"namespace": "default", "name": name, "uid": name, "resourceVersion": "1", "annotations": {}},
        "spec": {"storageClassName": "late", "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Pending"},
    }))
}

impl ClaimBuilder {
    /// A field of its specification.
    pub fn spec(mut self, field: &str, value: Value) -> Self {
        self.0["spec"][field] = value;
        self
    }

    /// A field of its metadata.
    pub fn meta(mut self, field: &str, value: Value) -> Self {
        self.0["metadata"][field] = value;
        self
    }

    /// Its resource version.
    pub fn version(self, version: &str) -> Self {
        self.meta("resourceVersion", version.into())
    }

    /// An annotation.
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.0["metadata"]["annotations"][name] = value.into();
        self
    }

    /// How much it wants.
    pub fn size(self, size: &str) -> Self {
        self.spec("resources", json!({"requests": {"storage": size}}))
    }

    /// Its phase.
    pub fn phase(mut self, phase: &str) -> Self {
        self.0["status"]["phase"] = phase.into();
        self
    }

    /// Bound to a volume for good.
    pub fn bound(self, volume: &str) -> Self {
        self.spec("volumeName", volume.into()).annotation(super::storage::BIND_COMPLETED, "yes").phase("Bound")
    }

    /// Builds it.
    pub fn build(self) -> super::storage::Claim {
        super::storage::Claim::of(&serde_json::from_value(self.0).expect("a claim"))
    }
}

/// Builds a persistent volume.
#[derive(Clone, Debug)]
pub struct VolumeBuilder(Value);

/// A free volume of 1 GiB of the class `late`.
pub fn volume(name: &str) -> VolumeBuilder {
    VolumeBuilder(json!({
        "metadata": {"name": name, "uid": name, "resourceVersion": "1", "labels": {}},
        "spec": {"storageClassName": "late", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}},
        "status": {"phase": "Available"},
    }))
}

impl VolumeBuilder {
    /// A field of its specification.
    pub fn spec(mut self, field: &str, value: Value) -> Self {
        self.0["spec"][field] = value;
        self
    }

    /// Its resource version.
    pub fn version(mut self, version: &str) -> Self {
        self.0["metadata"]["resourceVersion"] = version.into();
        self
    }

    /// A label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][key] = value.into();
        self
    }

    /// Its class.
    pub fn class(self, class: &str) -> Self {
        self.spec("storageClassName", class.into())
    }

    /// How much it holds.
    pub fn size(self, size: &str) -> Self {
        self.spec("capacity", json!({"storage": size}))
    }

    /// Its phase.
    pub fn phase(mut self, phase: &str) -> Self {
        self.0["status"]["phase"] = phase.into();
        self
    }

    /// The label that nodes must have to reach it.
    pub fn reached_from(self, key: &str, value: &str) -> Self {
        self.spec(
            "nodeAffinity",
            json!({"required": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}]}}),
        )
    }

    /// Bound to a claim of namespace `default`.
    pub fn of(self, claim: &str, uid: &str) -> Self {
        self.spec("claimRef", json!({"namespace": "default", "name": claim, "uid": uid}))
    }

    /// Behind a CSI driver.
    pub fn csi(self, driver: &str, handle: &str) -> Self {
        self.spec("csi", json!({"driver": driver, "volumeHandle": handle}))
    }

    /// Builds it.
    pub fn build(self) -> super::storage::Volume {
        super::storage::Volume::of(&serde_json::from_value(self.0).expect("a volume"))
    }
}

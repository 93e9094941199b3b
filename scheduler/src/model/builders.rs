//! Pods and nodes for tests, from the API's form so that reading it is tested too.

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

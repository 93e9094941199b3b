//! A pod, as far as policies look at it: a small part of the object, of which a cluster has many.

use crate::config::Family;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use std::borrow::Cow;
use std::net::IpAddr;

/// The part of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Pod {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: String,
    host_network: bool,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Container {
    ports: Vec<Port>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Port {
    name: String,
    container_port: u16,
    protocol: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: String,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<PodIp>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct PodIp {
    ip: String,
}

impl kube::Resource for Pod {
    type DynamicType = ();
    type Scope = k8s_openapi::NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Pod {
    /// Drops what is not looked at.
    pub fn trim(&mut self) {
        let metadata = std::mem::take(&mut self.metadata);
        self.metadata = ObjectMeta {
            name: metadata.name,
            namespace: metadata.namespace,
            labels: metadata.labels,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            ..ObjectMeta::default()
        };
        for containers in [&mut self.spec.containers, &mut self.spec.init_containers] {
            for container in &mut *containers {
                container.ports.retain(|port| !port.name.is_empty());
            }
            containers.retain(|container| !container.ports.is_empty());
        }
    }

    /// Whether two states differ in nothing that is looked at.
    pub fn is_same(&self, other: &Self) -> bool {
        self.metadata.labels == other.metadata.labels
            && self.spec == other.spec
            && self.status.pod_ips == other.status.pod_ips
            && self.is_over() == other.is_over()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(name).map(String::as_str)
    }

    /// Whether it runs on this node.
    pub fn is_on(&self, node: &str) -> bool {
        self.spec.node_name == node
    }

    /// Its own addresses of a family: none of a pod that uses its node's, or that is over, whose address
    /// may be another one's by now.
    pub fn addresses(&self, family: Family) -> impl Iterator<Item = IpAddr> {
        let has_own = !self.spec.host_network && !self.is_over();
        let all = self.status.pod_ips.iter().filter(move |_| has_own);
        all.filter_map(|pod_ip| pod_ip.ip.parse().ok()).filter(move |ip| family.has(*ip))
    }

    /// The ports of its containers with this name and protocol.
    pub fn ports(&self, name: &str, protocol: &str) -> impl Iterator<Item = u16> {
        // Those that run beside the others count, too; ports of those that end first answer nobody.
        let containers = self.spec.containers.iter().chain(&self.spec.init_containers);
        let ports = containers.flat_map(|container| &container.ports);
        let fits = move |port: &&Port| {
            let own = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
            port.name == name && own == protocol
        };
        ports.filter(fits).map(|port| port.container_port)
    }

    fn is_over(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }
}

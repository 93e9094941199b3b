//! The cluster as the informers see it.

use crate::zone::{Cluster, Endpoint, Port, Target};
use client::Informer;
use client::informer::{Builder, Scope};
use k8s_openapi::api::core::v1::{Namespace, Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::future::Future;
use std::net::IpAddr;

const BY_SERVICE: &str = "service";
const BY_ADDRESS: &str = "address";
/// The label of a slice that names its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Indexed caches of what DNS needs.
#[derive(Clone, Debug)]
pub struct Index {
    namespaces: Informer<Namespace>,
    services: Informer<Service>,
    slices: Informer<EndpointSlice>,
}

impl Index {
    /// The caches, and the future that keeps them current.
    pub fn new(client: &kube::Client) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let all = Scope::default;
        let (namespaces, run_namespaces) = Builder::new(client.clone(), all())
            .trim(|n: &mut Namespace| {
                n.spec = None;
                n.status = None;
            })
            .build();
        let (services, run_services) = Builder::new(client.clone(), all())
            .trim(|s: &mut Service| s.status = None)
            .index(BY_ADDRESS, |s: &Service| {
                s.spec.as_ref().map(|s| cluster_ips(s).map(|ip| ip.to_string()).collect()).unwrap_or_default()
            })
            .build();
        let (slices, run_slices) = Builder::new(client.clone(), all())
            .index(BY_SERVICE, |s: &EndpointSlice| service_key(s).into_iter().collect())
            .index(BY_ADDRESS, |s: &EndpointSlice| {
                s.endpoints.iter().flatten().flat_map(|e| e.addresses.iter().cloned()).collect()
            })
            .build();
        let run = async move {
            futures::future::join3(run_namespaces, run_services, run_slices).await;
        };
        (Self { namespaces, services, slices }, run)
    }

    /// Waits for the first complete lists.
    pub async fn synced(&self) {
        futures::future::join3(self.namespaces.synced(), self.services.synced(), self.slices.synced()).await;
    }

    /// Whether the first lists are complete.
    pub fn is_synced(&self) -> bool {
        self.namespaces.is_synced() && self.services.is_synced() && self.slices.is_synced()
    }
}

impl Cluster for Index {
    fn has_namespace(&self, namespace: &str) -> bool {
        self.namespaces.get("", namespace).is_some()
    }

    fn service(&self, namespace: &str, name: &str) -> Option<Target> {
        let service = self.services.get(namespace, name)?;
        target(service.spec.as_ref()?)
    }

    fn endpoints(&self, namespace: &str, name: &str) -> Vec<Endpoint> {
        let slices = self.slices.by_index(BY_SERVICE, &format!("{namespace}/{name}"));
        let publish_all = self.publishes_not_ready(namespace, name);
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for endpoint in slices.iter().flat_map(|slice| published(slice, publish_all)) {
            if !endpoints.iter().any(|e| e.address == endpoint.address) {
                endpoints.push(endpoint);
            }
        }
        endpoints
    }

    fn service_at(&self, address: IpAddr) -> Option<(String, String)> {
        let services = self.services.by_index(BY_ADDRESS, &address.to_string());
        let metadata = &services.first()?.metadata;
        Some((metadata.namespace.clone()?, metadata.name.clone()?))
    }

    fn endpoint_at(&self, address: IpAddr) -> Option<(String, String, String)> {
        let slices = self.slices.by_index(BY_ADDRESS, &address.to_string());
        slices.iter().find_map(|slice| {
            let (namespace, service) =
                (slice.metadata.namespace.clone()?, slice.metadata.labels.as_ref()?.get(SERVICE_LABEL)?.clone());
            // Only endpoints of headless Services have names.
            matches!(self.service(&namespace, &service)?, Target::Headless).then_some(())?;
            let endpoint = published(slice, true).find(|e| e.address == address)?;
            Some((namespace, service, endpoint.label()))
        })
    }
}

impl Index {
    fn publishes_not_ready(&self, namespace: &str, name: &str) -> bool {
        let service = self.services.get(namespace, name);
        service.and_then(|s| s.spec.as_ref()?.publish_not_ready_addresses).unwrap_or(false)
    }
}

fn service_key(slice: &EndpointSlice) -> Option<String> {
    let service = slice.metadata.labels.as_ref()?.get(SERVICE_LABEL)?;
    Some(format!("{}/{service}", slice.metadata.namespace.as_deref()?))
}

fn cluster_ips(spec: &ServiceSpec) -> impl Iterator<Item = IpAddr> {
    let many = spec.cluster_ips.iter().flatten();
    let one = spec.cluster_ip.iter().filter(|_| spec.cluster_ips.as_ref().is_none_or(Vec::is_empty));
    many.chain(one).filter_map(|ip| ip.parse().ok())
}

fn target(spec: &ServiceSpec) -> Option<Target> {
    if spec.type_.as_deref() == Some("ExternalName") {
        let name = spec.external_name.as_deref()?.trim_end_matches('.').to_ascii_lowercase();
        return Some(Target::External(name));
    }
    let addresses: Vec<IpAddr> = cluster_ips(spec).collect();
    if addresses.is_empty() {
        return (spec.cluster_ip.as_deref() == Some("None")).then_some(Target::Headless);
    }
    let port = |name: &Option<String>, protocol: &Option<String>, number: i32| {
        Some(Port {
            name: name.clone().unwrap_or_default(),
            protocol: protocol.as_deref().unwrap_or("TCP").to_ascii_lowercase(),
            number: u16::try_from(number).ok()?,
        })
    };
    let ports = spec.ports.iter().flatten().filter_map(|p| port(&p.name, &p.protocol, p.port)).collect();
    Some(Target::Virtual { addresses, ports })
}

fn published(slice: &EndpointSlice, publish_all: bool) -> impl Iterator<Item = Endpoint> {
    let ports: Vec<Port> = slice
        .ports
        .iter()
        .flatten()
        .filter_map(|p| {
            Some(Port {
                name: p.name.clone().unwrap_or_default(),
                protocol: p.protocol.as_deref().unwrap_or("TCP").to_ascii_lowercase(),
                number: u16::try_from(p.port?).ok()?,
            })
        })
        .collect();
    let endpoints = slice.endpoints.iter().flatten();
    endpoints
        .filter(move |e| publish_all || e.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true))
        .flat_map(|e| e.addresses.iter().filter_map(move |a| Some((a.parse().ok()?, e.hostname.clone()))))
        .map(move |(address, hostname)| Endpoint {
            address,
            hostname: hostname.unwrap_or_default(),
            ports: ports.clone(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn targets() {
        let target = |spec| target(&serde_json::from_value(spec).expect("a ServiceSpec"));
        assert_eq!(target(json!({"clusterIP": "None"})), Some(Target::Headless));
        assert_eq!(
            target(json!({"type": "ExternalName", "externalName": "Example.org."})),
            Some(Target::External("example.org".into()))
        );
        assert_eq!(target(json!({"clusterIP": ""})), None);
        let Some(Target::Virtual { addresses, ports }) =
            target(json!({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"],
            "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]}))
        else {
            panic!("a virtual address")
        };
        assert_eq!(
            (addresses.len(), ports),
            (1, vec![Port { name: "dns".into(), protocol: "udp".into(), number: 53 }])
        );
    }

    #[test]
    fn only_ready_endpoints_are_published() {
        let slice: EndpointSlice = serde_json::from_value(json!({"addressType": "IPv4", "ports": [{"name": "x", "port": 1}],
            "endpoints": [{"addresses": ["10.0.0.1"], "hostname": "a"}, {"addresses": ["10.0.0.2"], "conditions": {"ready": false}}]}))
        .expect("a slice");
        assert_eq!(published(&slice, false).map(|e| e.label()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(published(&slice, true).map(|e| e.label()).collect::<Vec<_>>(), ["a", "10-0-0-2"]);
    }
}

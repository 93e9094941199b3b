//! Services as ports with everything that rules need.

use super::{Family, Policy, PortName, Protocol, ServicePort};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use std::net::IpAddr;

/// Services of other proxies carry this label.
const OTHER_PROXY: &str = "service.kubernetes.io/service-proxy-name";
/// Upstream's default for `sessionAffinityConfig.clientIP.timeoutSeconds`.
const DEFAULT_AFFINITY_SECONDS: i32 = 10_800;

/// The ports of a Service in one family; none if it is headless, external or another proxy's.
pub fn service_ports(family: Family, service: &Service) -> Vec<ServicePort> {
    let Some(spec) = service.spec.as_ref() else { return Vec::new() };
    if spec.type_.as_deref() == Some("ExternalName")
        || service.metadata.labels.iter().flatten().any(|(k, _)| k == OTHER_PROXY)
    {
        return Vec::new();
    }
    let Some(cluster_ip) = cluster_ip(family, spec) else { return Vec::new() };
    let balancer_ips = balancer_ips(family, service);
    let ports = spec.ports.iter().flatten();
    ports
        .filter_map(|port| {
            let protocol = Protocol::parse(port.protocol.as_deref())?;
            let name = PortName {
                namespace: service.metadata.namespace.clone().unwrap_or_default(),
                service: service.metadata.name.clone().unwrap_or_default(),
                port: port.name.clone().unwrap_or_default(),
                protocol,
            };
            Some(ServicePort {
                name,
                cluster_ip,
                port: port_number(port.port)?,
                node_port: port.node_port.and_then(port_number),
                external_ips: parse_all(family, spec.external_ips.iter().flatten()),
                balancer_ips: balancer_ips.clone(),
                source_ranges: source_ranges(family, spec),
                affinity_seconds: affinity_seconds(spec),
                internal: policy(spec.internal_traffic_policy.as_deref()),
                external: policy(spec.external_traffic_policy.as_deref()),
                health_check_port: health_check_port(spec),
            })
        })
        .collect()
}

fn cluster_ip(family: Family, spec: &ServiceSpec) -> Option<IpAddr> {
    let many = spec.cluster_ips.iter().flatten();
    many.chain(spec.cluster_ip.as_ref()).filter_map(|ip| ip.parse().ok()).find(|ip| family.has(ip))
}

fn balancer_ips(family: Family, service: &Service) -> Vec<IpAddr> {
    let ingress = service.status.as_ref().and_then(|s| s.load_balancer.as_ref()).and_then(|b| b.ingress.as_ref());
    // `ipMode: Proxy` means that the balancer's address is none of ours.
    let ours = ingress.into_iter().flatten().filter(|i| i.ip_mode.as_deref() != Some("Proxy"));
    parse_all(family, ours.filter_map(|i| i.ip.as_ref()))
}

fn parse_all<'a>(family: Family, ips: impl Iterator<Item = &'a String>) -> Vec<IpAddr> {
    ips.filter_map(|ip| ip.parse().ok()).filter(|ip| family.has(ip)).collect()
}

fn source_ranges(family: Family, spec: &ServiceSpec) -> Vec<IpNet> {
    let ranges = spec.load_balancer_source_ranges.iter().flatten();
    let parsed = ranges.filter_map(|r| r.trim().parse::<IpNet>().ok());
    let own: Vec<_> = parsed.filter(|net| family.has(&net.addr())).map(|net| net.trunc()).collect();
    // Everybody is allowed, which is as good as no ranges.
    if own.iter().any(|net| net.prefix_len() == 0) { Vec::new() } else { own }
}

/// Only load balancers that must find the nodes with endpoints ask.
fn health_check_port(spec: &ServiceSpec) -> Option<u16> {
    let asks =
        spec.type_.as_deref() == Some("LoadBalancer") && spec.external_traffic_policy.as_deref() == Some("Local");
    spec.health_check_node_port.filter(|_| asks).and_then(port_number)
}

fn affinity_seconds(spec: &ServiceSpec) -> Option<u32> {
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return None;
    }
    let config = spec.session_affinity_config.as_ref().and_then(|c| c.client_ip.as_ref());
    let seconds = config.and_then(|c| c.timeout_seconds).unwrap_or(DEFAULT_AFFINITY_SECONDS);
    u32::try_from(seconds).ok()
}

fn policy(text: Option<&str>) -> Policy {
    match text {
        Some("Local") => Policy::Local,
        _ => Policy::Cluster,
    }
}

fn port_number(number: i32) -> Option<u16> {
    u16::try_from(number).ok().filter(|n| *n != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(spec: serde_json::Value) -> Service {
        serde_json::from_value(json!({"metadata": {"namespace": "ns", "name": "svc"}, "spec": spec}))
            .expect("a Service")
    }

    #[test]
    fn reads_a_node_port_service() {
        let service = service(json!({"type": "NodePort", "clusterIP": "10.96.0.7", "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 1800}},
            "ports": [{"name": "http", "port": 80, "nodePort": 30004}]}));
        let ports = service_ports(Family::V4, &service);
        assert_eq!(ports.len(), 1);
        assert_eq!(ports[0].name.to_string(), "ns/svc:http");
        assert_eq!((ports[0].port, ports[0].node_port, ports[0].affinity_seconds), (80, Some(30004), Some(1800)));
        assert!(service_ports(Family::V6, &service).is_empty());
    }

    #[test]
    fn ignores_what_has_no_virtual_address() {
        for spec in [
            json!({"clusterIP": "None", "ports": [{"port": 80}]}),
            json!({"type": "ExternalName", "externalName": "example.org"}),
            json!({"clusterIP": "", "ports": [{"port": 80}]}),
        ] {
            assert!(service_ports(Family::V4, &service(spec)).is_empty());
        }
    }

    #[test]
    fn ignores_services_of_other_proxies() {
        let mut other = service(json!({"clusterIP": "10.96.0.7", "ports": [{"port": 80}]}));
        other.metadata.labels = Some([(OTHER_PROXY.to_owned(), "x".to_owned())].into());
        assert!(service_ports(Family::V4, &other).is_empty());
    }

    #[test]
    fn drops_impossible_ports_and_ranges() {
        let service = service(
            json!({"clusterIP": "10.96.0.7", "loadBalancerSourceRanges": ["10.0.0.0/8", "nonsense", "fd00::/8"],
            "ports": [{"port": 0}, {"port": 70000}, {"port": 53, "protocol": "UDP"}, {"port": 1, "protocol": "ICMP"}]}),
        );
        let ports = service_ports(Family::V4, &service);
        assert_eq!(ports.iter().map(|p| (p.port, p.name.protocol)).collect::<Vec<_>>(), [(53, Protocol::Udp)]);
        assert_eq!(ports[0].source_ranges, ["10.0.0.0/8".parse().expect("a CIDR")]);
    }

    #[test]
    fn a_range_of_everybody_is_no_range() {
        let spec = json!({"clusterIP": "10.96.0.7", "loadBalancerSourceRanges": ["10.0.0.0/8", "0.0.0.0/0"], "ports": [{"port": 80}]});
        assert!(service_ports(Family::V4, &service(spec))[0].source_ranges.is_empty());
    }

    #[test]
    fn only_balancers_with_a_local_policy_ask_for_health() {
        for (kind, policy, want) in
            [("LoadBalancer", "Local", Some(32000)), ("LoadBalancer", "Cluster", None), ("NodePort", "Local", None)]
        {
            let spec = json!({"clusterIP": "10.96.0.7", "type": kind, "externalTrafficPolicy": policy,
                "healthCheckNodePort": 32000, "ports": [{"port": 80}]});
            assert_eq!(service_ports(Family::V4, &service(spec))[0].health_check_port, want, "{kind} {policy}");
        }
    }
}

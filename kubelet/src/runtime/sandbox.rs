//! The sandbox that a pod asks for.

use super::{config, labels, security};
use crate::network::dns::Resolver;
use crate::pod::PodExt;
use k8s_openapi::api::core::v1::{ContainerPort, Pod};
use proto::cri;

/// What the sandbox needs beyond the pod.
#[derive(Clone, Debug, Default)]
pub struct SandboxInput {
    pub hostname: String,
    pub resolver: Resolver,
    pub cgroup_parent: String,
    pub log_directory: String,
    pub attempt: u32,
}

/// The configuration of the pod's sandbox.
pub fn sandbox_config(pod: &Pod, input: &SandboxInput) -> cri::PodSandboxConfig {
    cri::PodSandboxConfig {
        metadata: Some(cri::PodSandboxMetadata {
            name: pod.name().to_owned(),
            uid: pod.uid().to_owned(),
            namespace: pod.namespace().to_owned(),
            attempt: input.attempt,
        }),
        // On the node's network the pod has the node's name.
        hostname: if pod.is_host_network() { String::new() } else { input.hostname.clone() },
        log_directory: input.log_directory.clone(),
        dns_config: Some(cri::DnsConfig {
            servers: input.resolver.servers.clone(),
            searches: input.resolver.searches.clone(),
            options: input.resolver.options.clone(),
        }),
        port_mappings: port_mappings(pod),
        labels: labels::sandbox_labels(pod),
        annotations: labels::sandbox_annotations(pod),
        linux: Some(linux(pod, input)),
    }
}

fn linux(pod: &Pod, input: &SandboxInput) -> cri::LinuxPodSandboxConfig {
    let context = PodExt::spec(pod).security_context.clone().unwrap_or_default();
    let sysctls = context.sysctls.iter().flatten().map(|s| (s.name.clone(), s.value.clone())).collect();
    cri::LinuxPodSandboxConfig {
        cgroup_parent: input.cgroup_parent.clone(),
        security_context: Some(security::sandbox_context(pod)),
        sysctls,
        resources: Some(config::pod_resources(pod)),
        overhead: None,
    }
}

fn port_mappings(pod: &Pod) -> Vec<cri::PortMapping> {
    if pod.is_host_network() {
        return Vec::new();
    }
    let sidecars = pod.init_containers().iter().filter(|c| crate::pod::is_sidecar(c));
    let all = PodExt::spec(pod).containers.iter().chain(sidecars);
    all.flat_map(|c| c.ports.iter().flatten()).map(port_mapping).collect()
}

fn port_mapping(port: &ContainerPort) -> cri::PortMapping {
    let protocol = match port.protocol.as_deref() {
        Some("UDP") => cri::Protocol::Udp,
        Some("SCTP") => cri::Protocol::Sctp,
        _ => cri::Protocol::Tcp,
    };
    cri::PortMapping {
        protocol: protocol.into(),
        container_port: port.container_port,
        host_port: port.host_port.unwrap_or(0),
        host_ip: port.host_ip.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{Container, PodSpec};

    fn pod(host_network: bool) -> Pod {
        let port = ContainerPort { container_port: 80, host_port: Some(8080), ..ContainerPort::default() };
        let container = Container { name: "c".into(), ports: Some(vec![port]), ..Container::default() };
        Pod {
            spec: Some(PodSpec { containers: vec![container], host_network: Some(host_network), ..PodSpec::default() }),
            ..Pod::default()
        }
    }

    #[test]
    fn ports_and_names_are_the_pods_own_only_off_the_nodes_network() {
        let input = SandboxInput { hostname: "h".into(), ..SandboxInput::default() };
        let own = sandbox_config(&pod(false), &input);
        assert_eq!((own.hostname.as_str(), own.port_mappings[0].host_port), ("h", 8080));
        let host = sandbox_config(&pod(true), &input);
        assert_eq!((host.hostname.as_str(), host.port_mappings.len()), ("", 0));
    }
}

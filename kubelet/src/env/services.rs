//! Service links: `REDIS_SERVICE_HOST` and the docker-style `REDIS_PORT_6379_TCP...`.

use k8s_openapi::api::core::v1::{Service, ServicePort};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Variables for the services of a namespace, and always for the `kubernetes` service.
pub fn variables(namespace: &str, services: &[Arc<Service>], links: bool) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let master = services.iter().find(|s| is(s, "default") && s.metadata.name.as_deref() == Some("kubernetes"));
    if let Some(service) = master {
        add(&mut out, service);
    }
    for service in services.iter().filter(|s| links && is(s, namespace)) {
        add(&mut out, service);
    }
    out
}

fn is(service: &Service, namespace: &str) -> bool {
    service.metadata.namespace.as_deref() == Some(namespace)
}

fn add(out: &mut BTreeMap<String, String>, service: &Service) {
    let Some(spec) = &service.spec else { return };
    let Some(host) = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None") else { return };
    let name = variable(service.metadata.name.as_deref().unwrap_or_default());
    let ports = spec.ports.as_deref().unwrap_or_default();
    let Some(first) = ports.first() else { return };
    out.insert(format!("{name}_SERVICE_HOST"), host.to_owned());
    out.insert(format!("{name}_SERVICE_PORT"), first.port.to_string());
    for port in ports.iter() {
        if let Some(port_name) = port.name.as_deref().filter(|n| !n.is_empty()) {
            out.insert(format!("{name}_SERVICE_PORT_{}", variable(port_name)), port.port.to_string());
        }
    }
    out.insert(format!("{name}_PORT"), url(host, first));
    for port in ports {
        let prefix = format!("{name}_PORT_{}_{}", port.port, protocol(port).to_uppercase());
        out.insert(prefix.clone(), url(host, port));
        out.insert(format!("{prefix}_PROTO"), protocol(port));
        out.insert(format!("{prefix}_PORT"), port.port.to_string());
        out.insert(format!("{prefix}_ADDR"), host.to_owned());
    }
}

fn protocol(port: &ServicePort) -> String {
    port.protocol.as_deref().unwrap_or("TCP").to_lowercase()
}

fn url(host: &str, port: &ServicePort) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!("{}://{host}:{}", protocol(port), port.port)
}

fn variable(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ServiceSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    fn service(namespace: &str, name: &str, ip: &str, ports: &[(Option<&str>, i32)]) -> Arc<Service> {
        let ports = ports
            .iter()
            .map(|(n, port)| ServicePort { name: n.map(Into::into), port: *port, ..ServicePort::default() })
            .collect();
        Arc::new(Service {
            metadata: ObjectMeta {
                name: Some(name.into()),
                namespace: Some(namespace.into()),
                ..ObjectMeta::default()
            },
            spec: Some(ServiceSpec { cluster_ip: Some(ip.into()), ports: Some(ports), ..ServiceSpec::default() }),
            ..Service::default()
        })
    }

    #[test]
    fn docker_links() {
        let all = [
            service("default", "kubernetes", "10.96.0.1", &[(Some("https"), 443)]),
            service("ns", "my-redis", "10.96.0.9", &[(None, 6379)]),
            service("ns", "headless", "None", &[(None, 80)]),
            service("other", "else", "10.96.0.8", &[(None, 80)]),
        ];
        let got = variables("ns", &all, true);
        assert_eq!(got["KUBERNETES_SERVICE_PORT_HTTPS"], "443");
        assert_eq!(got["MY_REDIS_SERVICE_HOST"], "10.96.0.9");
        assert_eq!(got["MY_REDIS_PORT_6379_TCP"], "tcp://10.96.0.9:6379");
        assert_eq!(got["MY_REDIS_PORT_6379_TCP_PROTO"], "tcp");
        assert!(!got.keys().any(|k| k.starts_with("HEADLESS") || k.starts_with("ELSE")));
        assert!(variables("ns", &all, false).keys().all(|k| k.starts_with("KUBERNETES_")));
    }
}

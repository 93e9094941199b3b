//! Which pods serve a Service, on which ports and addresses: what Endpoints and EndpointSlices
//! have in common.
//!
//! Upstream: `staging/src/k8s.io/endpointslice/util`, `pkg/api/v1/pod.FindPort`.

use super::{pods, selector::Selector};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::HashMap;
use std::net::IpAddr;

/// On objects made for a headless Service.
pub const HEADLESS: &str = "service.kubernetes.io/headless";
/// When the change happened that an update tells of.
pub const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// The Service's selector; `None` if its endpoints are somebody else's business.
pub fn selector(service: &Service) -> Option<Selector> {
    let spec = service.spec.as_ref()?;
    let selector = spec.selector.as_ref().filter(|selector| !selector.is_empty())?;
    (spec.type_.as_deref() != Some("ExternalName")).then(|| Selector::labels(selector))
}

/// Whether the Service has no virtual IP.
pub fn is_headless(spec: &ServiceSpec) -> bool {
    spec.cluster_ip.as_deref().is_none_or(|ip| ip.is_empty() || ip == "None")
}

/// Whether clients may be told of pods that are not ready.
pub fn publishes_unready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true)
}

/// Whether the pod can be an endpoint at all: it has an address and has not ended.
pub fn has_endpoint(pod: &Pod) -> bool {
    !pods::is_finished(pod) && !addresses(pod).is_empty()
}

/// The pod's addresses.
pub fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else { return Vec::new() };
    let all = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    let mut parsed: Vec<IpAddr> = all.filter_map(|ip| ip.parse().ok()).collect();
    if parsed.is_empty() {
        parsed.extend(status.pod_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()));
    }
    parsed
}

/// The pod's port that a Service port means.
pub fn target_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let ports = pods::serving_containers(pod).flat_map(|container| container.ports.iter().flatten());
            let mut named = ports.filter(|candidate| candidate.name.as_deref() == Some(name));
            named
                .find(|candidate| candidate.protocol.as_deref().unwrap_or("TCP") == protocol)
                .map(|port| port.container_port)
        }
    }
}

/// The pod's name within the Service's domain.
pub fn hostname(pod: &Pod, service: &Service) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let hostname = spec.hostname.clone().filter(|name| !name.is_empty())?;
    let same = spec.subdomain == service.metadata.name && pod.metadata.namespace == service.metadata.namespace;
    same.then_some(hostname)
}

/// A reference to the pod.
pub fn target(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// Whether a change of a pod can change any endpoint: most status updates cannot.
pub fn differ(before: &Pod, after: &Pod) -> bool {
    before.metadata.labels != after.metadata.labels
        || pods::is_ready(before) != pods::is_ready(after)
        || pods::is_terminating(before) != pods::is_terminating(after)
        || pods::is_finished(before) != pods::is_finished(after)
        || pods::node(before) != pods::node(after)
        || addresses(before) != addresses(after)
        || before.metadata.uid != after.metadata.uid
}

/// Remembers, per Service, when its pods and itself last changed, to tell of each change once.
#[derive(Clone, Debug, Default)]
pub struct TriggerTimes {
    service: Option<Timestamp>,
    pods: HashMap<String, Timestamp>,
}

impl TriggerTimes {
    /// The earliest change since the last call; `None` if there was none.
    pub fn next<'a>(&mut self, service: &Service, pods: impl Iterator<Item = &'a Pod>) -> Option<Timestamp> {
        let mut pods_now = HashMap::new();
        for pod in pods {
            let Some(at) = pods::ready_since(pod) else { continue };
            pods_now.insert(pod.metadata.name.clone().unwrap_or_default(), at);
        }
        let service_now = service.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let newer =
            |now: Timestamp, before: Option<&Timestamp>| before.is_none_or(|before| now > *before).then_some(now);
        let of_pods = pods_now.iter().filter_map(|(name, at)| newer(*at, self.pods.get(name))).min();
        let of_service = service_now.and_then(|at| newer(at, self.service.as_ref()));
        self.pods = pods_now;
        self.service = service_now;
        of_pods.into_iter().chain(of_service).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "a", "namespace": "n"},
            "spec": {"hostname": "h", "subdomain": "web",
                "containers": [{"name": "c", "ports": [
                    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                    {"name": "http", "containerPort": 8080}]}],
                "initContainers": [
                    {"name": "side", "restartPolicy": "Always", "ports": [{"name": "metrics", "containerPort": 9000}]},
                    {"name": "init", "ports": [{"name": "never", "containerPort": 1}]}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"}]}
        }))
        .unwrap()
    }

    fn port(target: serde_json::Value) -> ServicePort {
        serde_json::from_value(json!({"port": 80, "targetPort": target})).unwrap()
    }

    #[test]
    fn ports_are_found_by_number_and_name() {
        let table = [
            (json!(81), Some(81)),
            (json!("http"), Some(8080)),
            (json!("metrics"), Some(9000)),
            (json!("dns"), None),
            (json!("never"), None),
            (json!(null), Some(80)),
        ];
        for (target, expected) in table {
            assert_eq!(target_port(&pod(), &port(target.clone())), expected, "{target}");
        }
    }

    #[test]
    fn both_families_and_the_hostname() {
        assert_eq!(addresses(&pod()).len(), 2);
        let service = |name| serde_json::from_value(json!({"metadata": {"name": name, "namespace": "n"}})).unwrap();
        assert_eq!(hostname(&pod(), &service("web")).as_deref(), Some("h"));
        assert_eq!(hostname(&pod(), &service("other")), None);
    }

    #[test]
    fn only_what_endpoints_show_counts_as_a_change() {
        let (before, mut after) = (pod(), pod());
        after.metadata.resource_version = Some("2".into());
        assert!(!differ(&before, &after));
        after.status.as_mut().unwrap().phase = Some("Failed".into());
        assert!(differ(&before, &after));
    }

    #[test]
    fn each_change_is_told_once() {
        let service: Service =
            serde_json::from_value(json!({"metadata": {"name": "web", "creationTimestamp": "2026-01-01T00:00:01Z"}}))
                .unwrap();
        let pods = [pod()];
        let mut times = TriggerTimes::default();
        assert_eq!(times.next(&service, [].iter()), Some("2026-01-01T00:00:01Z".parse().unwrap()));
        assert_eq!(times.next(&service, pods.iter()), Some("2026-01-01T00:00:05Z".parse().unwrap()));
        assert_eq!(times.next(&service, pods.iter()), None);
    }
}

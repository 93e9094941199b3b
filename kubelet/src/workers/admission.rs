//! Whether the node takes a pod: the scheduler decided on older facts, or was not asked.
//!
//! Upstream: `pkg/kubelet/lifecycle/predicate.go`.

use crate::eviction;
use crate::node::Facts;
use crate::pod::PodExt;
use crate::resources::Amount;
use crate::resources::requests::{self, Side};
use crate::shutdown;
use k8s_openapi::api::core::v1::{ContainerPort, Pod};
use std::sync::Arc;

/// Why it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub reason: String,
    pub message: String,
}

impl Rejection {
    /// Whether it is only that there is not enough of something.
    pub fn is_of_resources(&self) -> bool {
        self.reason.starts_with("OutOf")
    }
}

/// Judges a new pod beside those that are active.
pub fn admit(pod: &Pod, active: &[Arc<Pod>], node: &Facts) -> Result<(), Rejection> {
    if let Some(message) = eviction::manager::refusal(pod, &node.pressures) {
        return Err(Rejection { reason: eviction::REASON.into(), message });
    }
    fits_selector(pod, node)?;
    fits_ports(pod, active)?;
    fits_resources(pod, active, node)?;
    if node.shuts_down {
        let (reason, message) = shutdown::REFUSED;
        return Err(Rejection { reason: reason.into(), message: message.into() });
    }
    Ok(())
}

fn fits_selector(pod: &Pod, node: &Facts) -> Result<(), Rejection> {
    let selector = PodExt::spec(pod).node_selector.iter().flatten();
    let mut wrong = selector.filter(|(k, v)| node.labels.get(*k) != Some(*v));
    // Labels come with the node's object; before that, a pod bound here is believed.
    if node.labels.is_empty() || wrong.next().is_none() {
        return Ok(());
    }
    let message = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
    Err(Rejection { reason: "NodeAffinity".into(), message: message.into() })
}

fn fits_ports(pod: &Pod, active: &[Arc<Pod>]) -> Result<(), Rejection> {
    let taken: Vec<_> = active.iter().flat_map(|p| host_ports(p)).collect();
    let clash = host_ports(pod).any(|p| taken.iter().any(|t| clashes(&p, t)));
    if !clash {
        return Ok(());
    }
    let message = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
    Err(Rejection { reason: "NodePorts".into(), message: message.into() })
}

fn host_ports(pod: &Pod) -> impl Iterator<Item = (String, String, i32)> {
    let spec = PodExt::spec(pod);
    let all = spec.containers.iter().chain(pod.init_containers().iter().filter(|c| crate::pod::is_sidecar(c)));
    let text =
        |t: &Option<String>, default: &str| t.clone().filter(|s| !s.is_empty()).unwrap_or_else(|| default.to_owned());
    let triple = move |p: &ContainerPort| {
        let port = p.host_port.filter(|n| *n > 0)?;
        Some((text(&p.host_ip, "0.0.0.0"), text(&p.protocol, "TCP"), port))
    };
    all.flat_map(|c| c.ports.iter().flatten()).filter_map(triple)
}

fn clashes(a: &(String, String, i32), b: &(String, String, i32)) -> bool {
    let any = |ip: &str| ip == "0.0.0.0" || ip == "::";
    a.2 == b.2 && a.1 == b.1 && (a.0 == b.0 || any(&a.0) || any(&b.0))
}

/// Whether what the pod requests is there beside what the active ones do.
pub fn fits_resources(pod: &Pod, active: &[Arc<Pod>], node: &Facts) -> Result<(), Rejection> {
    let capacity = |name: &str| node.allocatable.get(name).copied();
    if let Some(pods) = capacity("pods") {
        let used = Amount::whole(i64::try_from(active.len()).unwrap_or(i64::MAX));
        refuse_beyond("pods", Amount::whole(1), used, pods)?;
    }
    for (name, wanted) in requests::of_pod(pod, Side::Requests) {
        let Some(capacity) = capacity(&name).filter(|_| !wanted.is_zero()) else { continue };
        let used: Amount =
            active.iter().map(|p| requests::of_pod(p, Side::Requests).get(&name).copied().unwrap_or_default()).sum();
        refuse_beyond(&name, wanted, used, capacity)?;
    }
    Ok(())
}

fn refuse_beyond(name: &str, wanted: Amount, used: Amount, capacity: Amount) -> Result<(), Rejection> {
    if used + wanted <= capacity {
        return Ok(());
    }
    // Processors are counted in thousandths.
    let number = |a: Amount| if name == "cpu" { a.milli_value() } else { a.value() };
    let message = format!(
        "Node didn't have enough resource: {name}, requested: {}, used: {}, capacity: {}",
        number(wanted),
        number(used),
        number(capacity)
    );
    Err(Rejection { reason: format!("OutOf{name}"), message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::requests::tests as fixture;
    use k8s_openapi::api::core::v1::Container;

    fn node() -> Facts {
        let allocatable = [("cpu".to_owned(), Amount::whole(2)), ("pods".to_owned(), Amount::whole(3))].into();
        let labels = [("disk".to_owned(), "ssd".to_owned())].into();
        Facts { allocatable, labels, ..Facts::default() }
    }

    fn with_cpu(cpu: &str) -> Pod {
        fixture::pod(vec![], vec![fixture::container("c", &[("cpu", cpu)], &[])])
    }

    fn with_port(ip: &str, port: i32) -> Pod {
        let port = ContainerPort { host_ip: Some(ip.into()), host_port: Some(port), ..ContainerPort::default() };
        fixture::pod(vec![], vec![Container { ports: Some(vec![port]), ..Container::default() }])
    }

    #[test]
    fn resources() {
        let active = [Arc::new(with_cpu("1500m"))];
        assert_eq!(admit(&with_cpu("500m"), &active, &node()), Ok(()));
        let got = admit(&with_cpu("600m"), &active, &node()).unwrap_err();
        assert_eq!(got.reason, "OutOfcpu");
        assert_eq!(got.message, "Node didn't have enough resource: cpu, requested: 600, used: 1500, capacity: 2000");
        let many = [(); 3].map(|()| Arc::new(with_cpu("0")));
        assert_eq!(admit(&with_cpu("0"), &many, &node()).unwrap_err().reason, "OutOfpods");
    }

    #[test]
    fn ports() {
        for (taken, wanted, ok) in [
            (("0.0.0.0", 80), ("127.0.0.1", 80), false),
            (("127.0.0.1", 80), ("127.0.0.2", 80), true),
            (("", 80), ("", 81), true),
            (("", 80), ("", 80), false),
        ] {
            let active = [Arc::new(with_port(taken.0, taken.1))];
            assert_eq!(admit(&with_port(wanted.0, wanted.1), &active, &node()).is_ok(), ok, "{taken:?} {wanted:?}");
        }
    }

    #[test]
    fn selectors() {
        let mut pod = with_cpu("0");
        pod.spec.as_mut().unwrap().node_selector = Some([("disk".to_owned(), "hdd".to_owned())].into());
        assert_eq!(admit(&pod, &[], &node()).unwrap_err().reason, "NodeAffinity");
    }
}

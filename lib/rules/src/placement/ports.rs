//! Ports of the node that pods occupy.
//!
//! Upstream: `kube-scheduler/framework`, `HostPortInfo`.

use crate::tree::Tree;
use apimachinery::Value;
use std::collections::BTreeMap;

/// All of a node's addresses.
const ANY: &str = "0.0.0.0";

/// A port of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// Number.
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The address it is bound to; `0.0.0.0` for all.
    pub ip: String,
}

impl HostPort {
    /// `None` without a port. No protocol is TCP, no address is all of them.
    pub fn new(ip: &str, protocol: &str, port: i64) -> Option<Self> {
        let port = u16::try_from(port).ok().filter(|port| *port != 0)?;
        let or = |text: &str, instead: &str| if text.is_empty() { instead.to_owned() } else { text.to_owned() };
        Some(Self { port, protocol: or(protocol, "TCP"), ip: or(ip, ANY) })
    }

    /// Whether two pods cannot have these ports on one node.
    pub fn conflicts(&self, other: &Self) -> bool {
        let same_ip = self.ip == other.ip || self.ip == ANY || other.ip == ANY;
        self.port == other.port && self.protocol == other.protocol && same_ip
    }
}

/// The node's ports that a pod's `spec` asks for: those of its containers and sidecars.
pub fn of(spec: &Value) -> Vec<HostPort> {
    let sidecars = spec.items("initContainers").iter().filter(|c| c.text("restartPolicy") == "Always");
    let ports = spec.items("containers").iter().chain(sidecars).flat_map(|c| c.items("ports"));
    ports.filter_map(|p| HostPort::new(p.text("hostIP"), p.text("protocol"), p.int("hostPort"))).collect()
}

/// The ports that are taken on a node.
#[derive(Clone, Debug, Default)]
pub struct Taken(BTreeMap<u16, Vec<HostPort>>);

impl Taken {
    /// Takes a port. One that is taken twice is to be released twice.
    pub fn add(&mut self, port: HostPort) {
        self.0.entry(port.port).or_default().push(port);
    }

    /// Releases a port.
    pub fn remove(&mut self, port: &HostPort) {
        let Some(taken) = self.0.get_mut(&port.port) else { return };
        if let Some(at) = taken.iter().position(|t| t == port) {
            taken.swap_remove(at);
        }
        if taken.is_empty() {
            self.0.remove(&port.port);
        }
    }

    /// Whether one of the ports cannot be had.
    pub fn conflicts(&self, wanted: &[HostPort]) -> bool {
        wanted.iter().any(|want| self.0.get(&want.port).into_iter().flatten().any(|taken| taken.conflicts(want)))
    }

    /// Whether no port is taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conflicts() {
        let port = |ip, protocol, port| HostPort::new(ip, protocol, port).expect("a port");
        let mut taken = Taken::default();
        taken.add(port("127.0.0.1", "TCP", 80));
        taken.add(port("", "UDP", 53));
        for (want, conflict) in [
            (port("127.0.0.1", "TCP", 80), true),
            (port("", "", 80), true),
            (port("10.0.0.1", "TCP", 80), false),
            (port("127.0.0.1", "UDP", 80), false),
            (port("10.0.0.1", "UDP", 53), true),
            (port("", "TCP", 81), false),
        ] {
            assert_eq!(taken.conflicts(std::slice::from_ref(&want)), conflict, "{want:?}");
        }
        taken.remove(&port("127.0.0.1", "TCP", 80));
        assert!(!taken.conflicts(&[port("", "", 80)]));
        taken.remove(&port("", "UDP", 53));
        assert!(taken.is_empty() && HostPort::new("", "", 0).is_none() && HostPort::new("", "", 70000).is_none());
    }

    #[test]
    fn reads_pods() {
        let container = |port: u16| json!({"ports": [{"containerPort": 1, "hostPort": port}, {"containerPort": 2}]});
        let mut sidecar = container(3);
        sidecar["restartPolicy"] = "Always".into();
        let spec = json!({"containers": [container(1)], "initContainers": [container(2), sidecar]});
        assert_eq!(of(&spec).iter().map(|p| p.port).collect::<Vec<_>>(), [1, 3]);
    }
}

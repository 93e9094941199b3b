//! Node ports.
//!
//! Upstream: `pkg/registry/core/service/{portallocator,storage/alloc.go}`.

use super::operation::Operation;
use crate::strategies::text;
use apimachinery::Value;
use apimachinery::field::FieldError;
use apimachinery::meta::ObjectMeta;
use apiserver_storage::Store;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::RangeInclusive;

/// A node port in use. Services may have one port twice, for two protocols.
pub(super) type Port = u16;

/// Node ports and who has them, as `namespace/name`.
#[derive(Debug)]
pub(super) struct Ports {
    range: RangeInclusive<u16>,
    owners: Mutex<Owners>,
}

#[derive(Debug, Default)]
pub(super) struct Owners {
    pub(super) by_port: HashMap<Port, String>,
    loaded: bool,
}

/// Why node ports are not to be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PortError {
    /// A port that the service names.
    #[error("{0}")]
    Field(FieldError),
    /// A port for health checks, or any.
    #[error("{0}")]
    Allocation(String),
    /// Two ports of a changed service have one node port and protocol.
    #[error("duplicate nodePort: {{{protocol} {port}}}")]
    Twice { protocol: String, port: i64 },
}

impl Ports {
    pub(super) fn new(range: RangeInclusive<u16>) -> Self {
        Self { range, owners: Mutex::default() }
    }

    /// Learns the ports of the services that exist, once.
    pub(super) fn refresh(&self, store: &Store) {
        if self.owners.lock().loaded {
            return;
        }
        let Some(services) = apimachinery::resources::find("", "v1", "services") else { return };
        let all = store.cached_list(services, None);
        let mut owners = self.owners.lock();
        for service in all {
            let service = service.value();
            let owner = format!("{}/{}", service.namespace(), service.name());
            for port in of(&service) {
                owners.by_port.entry(port).or_insert_with(|| owner.clone());
            }
        }
        owners.loaded = true;
    }

    /// Notes what another apiserver did with a service; `None` if it is gone.
    pub(super) fn observe(&self, owner: &str, service: Option<&Value>) {
        let now = service.map(of).unwrap_or_default();
        let mut owners = self.owners.lock();
        owners.by_port.retain(|port, has| has != owner || now.contains(port));
        for port in now {
            owners.by_port.entry(port).or_insert_with(|| owner.to_owned());
        }
    }

    /// Gives every port of the service that needs one a node port, and answers the new ones. A dry
    /// run takes nothing and, as upstream's, knows no range.
    pub(super) fn complete(
        &self,
        owner: &str,
        service: &mut Value,
        old: Option<&Value>,
        dry: bool,
    ) -> Result<Vec<Port>, PortError> {
        let mut owners = self.owners.lock();
        let mut operation =
            Operation { range: &self.range, owners: &mut owners, owner, dry, taken: Vec::new(), named: Vec::new() };
        let result = operation.run(service, old);
        let taken: Vec<Port> = operation.taken.iter().filter_map(|port| Port::try_from(*port).ok()).collect();
        match result {
            Ok(()) if dry => Ok(Vec::new()),
            Ok(()) => Ok(taken),
            Err(error) => {
                if !dry {
                    taken.iter().for_each(|port| drop(owners.by_port.remove(port)));
                }
                Err(error)
            }
        }
    }

    /// Gives ports back, if they are still this owner's.
    pub(super) fn free(&self, owner: &str, ports: &[Port]) {
        let mut owners = self.owners.lock();
        for port in ports {
            if owners.by_port.get(port).is_some_and(|has| has == owner) {
                owners.by_port.remove(port);
            }
        }
    }
}

pub(super) fn node_port(entry: &Value) -> Option<Port> {
    entry.get("nodePort").and_then(Value::as_u64).and_then(|p| u16::try_from(p).ok()).filter(|p| *p != 0)
}

/// Whether the service gets node ports without asking.
pub(super) fn wants_ports(service: &Value) -> bool {
    match text(service, "/spec/type") {
        "NodePort" => true,
        "LoadBalancer" => {
            service.pointer("/spec/allocateLoadBalancerNodePorts").and_then(Value::as_bool) != Some(false)
        }
        _ => false,
    }
}

pub(super) fn wants_health_check(service: &Value) -> bool {
    text(service, "/spec/type") == "LoadBalancer" && text(service, "/spec/externalTrafficPolicy") == "Local"
}

/// All node ports of a service.
pub(super) fn of(service: &Value) -> Vec<Port> {
    let health = service.pointer("/spec/healthCheckNodePort").and_then(Value::as_u64);
    let health = health.and_then(|p| u16::try_from(p).ok()).filter(|p| *p != 0);
    in_list(service).into_iter().chain(health).collect()
}

/// Those of its ports.
pub(super) fn in_list(service: &Value) -> Vec<Port> {
    let entries = service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(node_port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(ports: Value) -> Value {
        json!({"spec": {"type": "NodePort", "ports": ports}})
    }

    fn ports() -> Ports {
        Ports::new(30000..=30002)
    }

    #[test]
    fn hands_out_each_port_once() {
        let ports = ports();
        let mut first = service(json!([{"port": 80}, {"port": 81, "nodePort": 30001}]));
        assert_eq!(ports.complete("n/a", &mut first, None, false).map(|taken| taken.len()), Ok(2));
        let mut second = service(json!([{"port": 80, "nodePort": 30001}]));
        let error = ports.complete("n/b", &mut second, None, false).expect_err("taken");
        assert_eq!(
            error.to_string(),
            "spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated"
        );
        ports.free("n/b", &[30001]);
        assert!(ports.complete("n/b", &mut second, None, false).is_err(), "only the owner frees");
        ports.free("n/a", &of(&first));
        assert!(ports.complete("n/b", &mut second, None, false).is_ok());
    }

    #[test]
    fn failures_take_nothing() {
        let ports = ports();
        let mut service = service(json!([{"port": 80, "nodePort": 30000}, {"port": 81, "nodePort": 80}]));
        let error = ports.complete("n/a", &mut service, None, false).expect_err("out of range");
        assert!(error.to_string().ends_with("The range of valid ports is 30000-30002"), "{error}");
        assert!(ports.owners.lock().by_port.is_empty());
    }

    #[test]
    fn protocols_share_a_port() {
        let ports = ports();
        let mut dns = service(json!([{"port": 53, "protocol": "UDP", "nodePort": 30000},
            {"port": 53, "protocol": "TCP", "nodePort": 30000}]));
        assert_eq!(ports.complete("n/a", &mut dns, None, false), Ok(vec![30000]));
    }

    #[test]
    fn learns_from_other_apiservers() {
        let ports = ports();
        ports.observe("n/a", Some(&service(json!([{"port": 80, "nodePort": 30000}]))));
        assert!(ports.complete("n/b", &mut service(json!([{"port": 80, "nodePort": 30000}])), None, false).is_err());
        ports.observe("n/a", None);
        assert!(ports.complete("n/b", &mut service(json!([{"port": 80, "nodePort": 30000}])), None, false).is_ok());
    }
}

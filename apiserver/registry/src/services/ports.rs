//! Node ports.
//!
//! Upstream: `pkg/registry/core/service/{portallocator,storage/alloc.go}`.

use crate::strategies::{member, text};
use apimachinery::Value;
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::meta::ObjectMeta;
use apiserver_storage::Store;
use parking_lot::Mutex;
use rand::RngExt;
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
struct Owners {
    by_port: HashMap<Port, String>,
    loaded: bool,
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

    /// Gives every port of the service that needs one a node port, and answers the new ones.
    pub(super) fn complete(&self, owner: &str, service: &mut Value, before: &[Port]) -> Result<Vec<Port>, FieldError> {
        let mut owners = self.owners.lock();
        let mut taken = Vec::new();
        let result = self.fill(&mut owners, owner, service, before, &mut taken);
        if result.is_err() {
            taken.iter().for_each(|port| drop(owners.by_port.remove(port)));
        }
        result.map(|()| taken)
    }

    fn fill(
        &self,
        owners: &mut Owners,
        owner: &str,
        service: &mut Value,
        before: &[Port],
        taken: &mut Vec<Port>,
    ) -> Result<(), FieldError> {
        let wants = wants_ports(service);
        let path = Path::new("spec").child("ports");
        let ports = member(service, "spec").get_mut("ports").and_then(Value::as_array_mut);
        let entries: Vec<(usize, &mut Value)> = ports.into_iter().flatten().enumerate().collect();
        // Chosen ports first, so that no other entry draws one of them.
        let (chosen, open): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(_, entry)| node_port(entry).is_some());
        let mut seen: Vec<(Port, String)> = Vec::new();
        for (index, entry) in chosen {
            let Some(port) = node_port(entry) else { continue };
            let protocol = text(entry, "/protocol").to_owned();
            // Two protocols of one service may share a port.
            let shared = seen.iter().any(|(other, of)| *other == port && *of != protocol);
            if !shared && !before.contains(&port) {
                taken.push(self.take(owners, owner, port, &path.index(index).child("nodePort"))?);
            }
            seen.push((port, protocol));
        }
        for (index, entry) in open.into_iter().filter(|_| wants) {
            let port = self.take_any(owners, owner).ok_or_else(|| full(&path.index(index).child("nodePort")))?;
            taken.push(port);
            entry["nodePort"] = port.into();
        }
        self.fill_health_check(owners, owner, service, before, taken)
    }

    fn fill_health_check(
        &self,
        owners: &mut Owners,
        owner: &str,
        service: &mut Value,
        before: &[Port],
        taken: &mut Vec<Port>,
    ) -> Result<(), FieldError> {
        if !wants_health_check(service) {
            return Ok(());
        }
        let at = Path::new("spec").child("healthCheckNodePort");
        let given = service.pointer("/spec/healthCheckNodePort").and_then(Value::as_u64).filter(|p| *p != 0);
        let port = match given.and_then(|p| u16::try_from(p).ok()) {
            Some(port) if before.contains(&port) => return Ok(()),
            Some(port) => self.take(owners, owner, port, &at)?,
            None => self.take_any(owners, owner).ok_or_else(|| full(&at))?,
        };
        taken.push(port);
        member(service, "spec").insert("healthCheckNodePort".into(), port.into());
        Ok(())
    }

    fn take(&self, owners: &mut Owners, owner: &str, port: Port, at: &Path) -> Result<Port, FieldError> {
        let refuse =
            |why: String| Err(FieldError { path: at.clone(), kind: FieldErrorKind::Invalid(port.to_string(), why) });
        if !self.range.contains(&port) {
            let (start, end) = (self.range.start(), self.range.end());
            return refuse(format!(
                "provided port is not in the valid range. The range of valid ports is {start}-{end}"
            ));
        }
        match owners.by_port.get(&port) {
            Some(_) => refuse("provided port is already allocated".into()),
            None => {
                owners.by_port.insert(port, owner.to_owned());
                Ok(port)
            }
        }
    }

    /// A random free port, from the upper part of the range as long as it has any.
    fn take_any(&self, owners: &mut Owners, owner: &str) -> Option<Port> {
        let (first, last) = (u32::from(*self.range.start()), u32::from(*self.range.end()));
        let size = last - first + 1;
        let offset = if size <= 32 { 0 } else { (size / 32).clamp(16, 128) };
        let start = offset + rand::rng().random_range(0..size - offset);
        let order = (start..size).chain(offset..start).chain(0..offset);
        let port = order.map(|i| (first + i) as u16).find(|port| !owners.by_port.contains_key(port))?;
        owners.by_port.insert(port, owner.to_owned());
        Some(port)
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

fn full(at: &Path) -> FieldError {
    FieldError {
        path: at.clone(),
        kind: FieldErrorKind::Internal("failed to allocate a nodePort: range is full".into()),
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
        assert_eq!(ports.complete("n/a", &mut first, &[]).map(|taken| taken.len()), Ok(2));
        let mut second = service(json!([{"port": 80, "nodePort": 30001}]));
        let error = ports.complete("n/b", &mut second, &[]).expect_err("taken");
        assert_eq!(
            error.to_string(),
            "spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated"
        );
        ports.free("n/b", &[30001]);
        assert!(ports.complete("n/b", &mut second, &[]).is_err(), "only the owner frees");
        ports.free("n/a", &of(&first));
        assert!(ports.complete("n/b", &mut second, &[]).is_ok());
    }

    #[test]
    fn failures_take_nothing() {
        let ports = ports();
        let mut service = service(json!([{"port": 80, "nodePort": 30000}, {"port": 81, "nodePort": 80}]));
        let error = ports.complete("n/a", &mut service, &[]).expect_err("out of range");
        assert!(error.to_string().ends_with("The range of valid ports is 30000-30002"), "{error}");
        assert!(ports.owners.lock().by_port.is_empty());
    }

    #[test]
    fn protocols_share_a_port() {
        let ports = ports();
        let mut dns = service(json!([{"port": 53, "protocol": "UDP", "nodePort": 30000},
            {"port": 53, "protocol": "TCP", "nodePort": 30000}]));
        assert_eq!(ports.complete("n/a", &mut dns, &[]), Ok(vec![30000]));
    }

    #[test]
    fn learns_from_other_apiservers() {
        let ports = ports();
        ports.observe("n/a", Some(&service(json!([{"port": 80, "nodePort": 30000}]))));
        assert!(ports.complete("n/b", &mut service(json!([{"port": 80, "nodePort": 30000}])), &[]).is_err());
        ports.observe("n/a", None);
        assert!(ports.complete("n/b", &mut service(json!([{"port": 80, "nodePort": 30000}])), &[]).is_ok());
    }
}

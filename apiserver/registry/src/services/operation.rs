//! One service's node ports being handed out.
//!
//! Upstream: `initNodePorts`, `updateNodePorts` and `updateHealthCheckNodePort` of
//! `pkg/registry/core/service/storage/alloc.go`, `portallocator/operation.go`.

use super::ports::{Owners, Port, PortError, wants_health_check, wants_ports};
use crate::strategies::{member, text};
use apimachinery::Value;
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use rand::RngExt;
use std::ops::RangeInclusive;

/// Where dry runs begin to make ports up.
const DRY_START: i64 = 32_768;

/// A service's ports: number, protocol and node port, 0 if it has none.
type Entry = (i64, String, i64);

pub(super) struct Operation<'a> {
    pub(super) range: &'a RangeInclusive<Port>,
    pub(super) owners: &'a mut Owners,
    pub(super) owner: &'a str,
    /// Nothing is taken, and no range is known.
    pub(super) dry: bool,
    /// What has been taken so far.
    pub(super) taken: Vec<i64>,
    /// The ports that the service names: none of them is drawn for another of its entries. Upstream leaves that to
    /// chance.
    pub(super) named: Vec<i64>,
}

impl Operation<'_> {
    pub(super) fn run(&mut self, service: &mut Value, old: Option<&Value>) -> Result<(), PortError> {
        if matches!(text(service, "/spec/type"), "NodePort" | "LoadBalancer") {
            let wants = wants_ports(service);
            let entries = entries(service);
            self.named = entries.iter().map(|(.., node)| *node).filter(|node| *node != 0).collect();
            let given = match old {
                None => self.first(&entries, wants)?,
                Some(old) => self.again(&entries, old, wants)?,
            };
            write(service, &entries, &given);
        }
        if wants_health_check(service) && !old.is_some_and(wants_health_check) {
            self.health_check(service)?;
        }
        Ok(())
    }

    /// The node ports of a new service. Ports of one number share theirs.
    fn first(&mut self, entries: &[Entry], wants: bool) -> Result<Vec<i64>, PortError> {
        let mut by_number: Vec<(i64, i64)> = Vec::new();
        let mut out = Vec::with_capacity(entries.len());
        for (index, (number, _, node)) in entries.iter().enumerate() {
            let shared = by_number.iter().find(|(other, _)| other == number).map(|(_, port)| *port);
            out.push(match (*node, shared) {
                (0, _) if !wants => 0,
                (0, Some(shared)) => shared,
                (node, Some(shared)) => {
                    if node != shared {
                        self.take(index, node)?;
                    }
                    node
                }
                (_, None) => {
                    let requested = entries.iter().find(|(other, _, node)| other == number && *node != 0);
                    let port = match requested {
                        Some((_, _, node)) => {
                            self.take(index, *node)?;
                            *node
                        }
                        None => self.any()?,
                    };
                    by_number.push((*number, port));
                    port
                }
            });
        }
        Ok(out)
    }

    /// The node ports of a changed service.
    fn again(&mut self, entries: &[Entry], old: &Value, wants: bool) -> Result<Vec<i64>, PortError> {
        let before: Vec<i64> =
            self::entries(old).into_iter().map(|(_, _, node)| node).filter(|node| *node != 0).collect();
        let mut allocated = Vec::new();
        let mut seen: Vec<(&str, i64)> = Vec::new();
        let mut out = Vec::with_capacity(entries.len());
        for (index, (_, protocol, node)) in entries.iter().enumerate() {
            let port = match *node {
                0 if !wants => {
                    out.push(0);
                    continue;
                }
                0 => self.any()?,
                node => {
                    if !before.contains(&node) && !allocated.contains(&node) {
                        self.take(index, node)?;
                        allocated.push(node);
                    }
                    node
                }
            };
            if seen.contains(&(protocol.as_str(), port)) {
                return Err(PortError::Twice { protocol: protocol.clone(), port });
            }
            seen.push((protocol, port));
            out.push(port);
        }
        Ok(out)
    }

    fn health_check(&mut self, service: &mut Value) -> Result<(), PortError> {
        let port = match service.pointer("/spec/healthCheckNodePort").and_then(Value::as_i64).unwrap_or_default() {
            0 => self.next().ok_or_else(|| {
                PortError::Allocation("failed to allocate a HealthCheck NodePort 0: range is full".into())
            })?,
            port => {
                let refused = |why| {
                    PortError::Allocation(format!("failed to allocate requested HealthCheck NodePort {port}: {why}"))
                };
                self.allocate(port).map_err(refused)?;
                return Ok(());
            }
        };
        member(service, "spec").insert("healthCheckNodePort".into(), port.into());
        Ok(())
    }

    fn take(&mut self, index: usize, port: i64) -> Result<(), PortError> {
        self.allocate(port).map_err(|why| {
            let path = Path::new("spec").child("ports").index(index).child("nodePort");
            PortError::Field(FieldError { path, kind: FieldErrorKind::Invalid(port.to_string(), why) })
        })
    }

    fn any(&mut self) -> Result<i64, PortError> {
        self.next().ok_or_else(|| PortError::Allocation("failed to allocate a nodePort: range is full".into()))
    }

    fn allocate(&mut self, port: i64) -> Result<(), String> {
        let known = Port::try_from(port).ok().filter(|port| self.range.contains(port));
        let Some(known) = known else {
            if !self.dry {
                let (start, end) = (self.range.start(), self.range.end());
                return Err(format!(
                    "provided port is not in the valid range. The range of valid ports is {start}-{end}"
                ));
            }
            return self.note(port);
        };
        match self.owners.by_port.get(&known) {
            Some(_) => Err(TAKEN.into()),
            None if self.dry => self.note(port),
            None => {
                self.owners.by_port.insert(known, self.owner.to_owned());
                self.taken.push(port);
                Ok(())
            }
        }
    }

    /// Takes a port in a dry run.
    fn note(&mut self, port: i64) -> Result<(), String> {
        if self.taken.contains(&port) {
            return Err(TAKEN.into());
        }
        self.taken.push(port);
        Ok(())
    }

    fn next(&mut self) -> Option<i64> {
        if self.dry {
            let port = self.taken.iter().max().copied().unwrap_or(DRY_START) + 1;
            self.taken.push(port);
            // Upstream's ports are 32 bits wide; validation refuses what does not fit.
            return Some(i64::from(port as i32));
        }
        let (first, last) = (u32::from(*self.range.start()), u32::from(*self.range.end()));
        let size = last - first + 1;
        // From the upper part of the range as long as it has any.
        let offset = if size <= 32 { 0 } else { (size / 32).clamp(16, 128) };
        let start = offset + rand::rng().random_range(0..size - offset);
        let mut order = (start..size).chain(offset..start).chain(0..offset).map(|index| (first + index) as Port);
        let port =
            order.find(|port| !self.owners.by_port.contains_key(port) && !self.named.contains(&i64::from(*port)))?;
        self.owners.by_port.insert(port, self.owner.to_owned());
        self.taken.push(port.into());
        Some(port.into())
    }
}

const TAKEN: &str = "provided port is already allocated";

fn entries(service: &Value) -> Vec<Entry> {
    let list = service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    let int = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_i64).unwrap_or_default();
    list.map(|entry| (int(entry, "port"), text(entry, "/protocol").to_owned(), int(entry, "nodePort"))).collect()
}

/// Writes the node ports that are new.
fn write(service: &mut Value, before: &[Entry], given: &[i64]) {
    let list = member(service, "spec").get_mut("ports").and_then(Value::as_array_mut);
    let entries = list.into_iter().flatten().zip(before).zip(given);
    for ((entry, (_, _, before)), port) in entries.filter(|((_, (_, _, before)), port)| before != *port) {
        debug_assert_eq!(*before, 0, "only ports that have none get one");
        entry["nodePort"] = (*port).into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(spec: Value, old: Option<Value>, dry: bool) -> Result<Value, String> {
        let mut owners = Owners::default();
        owners.by_port.insert(30009, "n/other".into());
        let mut operation = Operation {
            range: &(30000..=30009),
            owners: &mut owners,
            owner: "n/a",
            dry,
            taken: Vec::new(),
            named: Vec::new(),
        };
        let mut service = json!({"spec": spec});
        let old = old.map(|spec| json!({"spec": spec}));
        operation.run(&mut service, old.as_ref()).map_err(|error| error.to_string())?;
        Ok(service["spec"].take())
    }

    fn ports(list: Value) -> Value {
        json!({"type": "NodePort", "ports": list})
    }

    #[test]
    fn ports_of_one_number_share() {
        let spec = run(
            ports(json!([{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP", "nodePort": 30004}])),
            None,
            false,
        );
        assert_eq!(spec.map(|spec| spec["ports"][0]["nodePort"].clone()), Ok(json!(30004)));
    }

    #[test]
    fn dry_runs_know_no_range() {
        let wild = ports(json!([{"port": 1, "nodePort": 99999}, {"port": 2}]));
        let spec = run(wild.clone(), None, true).expect("anything goes");
        assert_eq!(spec["ports"][1]["nodePort"], 100_000);
        let error = run(wild, None, false).expect_err("out of range");
        assert!(error.ends_with("The range of valid ports is 30000-30009"), "{error}");
        let taken = run(ports(json!([{"port": 1, "nodePort": 30009}])), None, true).expect_err("taken");
        assert_eq!(taken, "spec.ports[0].nodePort: Invalid value: 30009: provided port is already allocated");
    }

    #[test]
    fn changes_keep_what_was_there() {
        let old = ports(json!([{"port": 1, "protocol": "TCP", "nodePort": 30001}]));
        let twice = json!([{"protocol": "TCP", "nodePort": 30001}, {"protocol": "TCP", "nodePort": 30001}]);
        assert_eq!(run(ports(twice), Some(old.clone()), false), Err("duplicate nodePort: {TCP 30001}".into()));
        let more = ports(json!([{"port": 1, "protocol": "TCP", "nodePort": 30001}, {"port": 2, "nodePort": 30002}]));
        assert_eq!(run(more.clone(), Some(old), false), Ok(more));
    }

    #[test]
    fn health_checks_have_a_port() {
        let local = |port: i64| {
            json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local",
            "allocateLoadBalancerNodePorts": false, "healthCheckNodePort": port, "ports": [{"port": 80}]})
        };
        assert_eq!(run(local(0), None, true).map(|spec| spec["healthCheckNodePort"].clone()), Ok(json!(32769)));
        assert_eq!(run(local(30003), None, false), Ok(local(30003)));
        let error = run(local(30009), None, false).expect_err("taken");
        assert_eq!(
            error,
            "failed to allocate requested HealthCheck NodePort 30009: provided port is already allocated"
        );
        assert_eq!(run(local(7), Some(local(8)), false), Ok(local(7)), "validation refuses the change");
    }
}

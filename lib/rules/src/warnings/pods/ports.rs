//! Ports of containers that get in each other's way.

use super::super::Sink;
use super::containers::LISTS;
use crate::tree::Tree;
use crate::validation::check::At;
use apimachinery::Value;
use std::collections::HashMap;

/// A port and its place, spelled out.
type Port<'a> = (&'a Value, String);

pub(super) fn all(at: &At<'_>, spec: &Value, warn: &mut Sink<'_>) {
    let ports = ports(at, spec);
    let mut known: HashMap<(i64, &str), Vec<&Port<'_>>> = HashMap::new();
    for port in &ports {
        address_alone(port, warn);
        let others = known.entry((port.0.int("containerPort"), port.0.text("protocol"))).or_default();
        others.iter().for_each(|other| conflict(port, other, warn));
        others.push(port);
    }
    names(&ports, warn);
}

fn ports<'a>(at: &At<'_>, spec: &'a Value) -> Vec<Port<'a>> {
    let mut all = Vec::new();
    for list in LISTS {
        let at = at.child(list);
        for (index, container) in spec.items(list).iter().enumerate() {
            let at = at.index(index);
            let at = at.child("ports");
            let ports = container.items("ports").iter().enumerate();
            all.extend(ports.map(|(index, port)| (port, at.index(index).path().to_string())));
        }
    }
    all
}

/// Upstream prints the port as Go does.
fn address_alone((port, path): &Port<'_>, warn: &mut Sink<'_>) {
    let (address, host) = (port.text("hostIP"), port.int("hostPort"));
    if !address.is_empty() && host == 0 {
        let (name, own, protocol) = (port.text("name"), port.int("containerPort"), port.text("protocol"));
        warn(format!(
            "{path}: hostIP set without hostPort: {{Name:{name} HostPort:{host} ContainerPort:{own} Protocol:{protocol} HostIP:{address}}}"
        ));
    }
}

/// Two ports of one number and protocol.
fn conflict((port, path): &Port<'_>, (other, other_path): &Port<'_>, warn: &mut Sink<'_>) {
    let (address, host) = (port.text("hostIP"), port.int("hostPort"));
    let (other_address, other_host) = (other.text("hostIP"), other.int("hostPort"));
    let how = match () {
        () if address == other_address && host == other_host => "duplicate",
        () if host == 0 || other_host == 0 => "overlapping",
        // On all addresses, and on one of them.
        () if host == other_host && address.is_empty() != other_address.is_empty() => "dangerously ambiguous",
        () => return,
    };
    warn(format!("{path}: {how} port definition with {other_path}"));
}

fn names(ports: &[Port<'_>], warn: &mut Sink<'_>) {
    let mut known: HashMap<&str, &str> = HashMap::new();
    for (port, path) in ports.iter().filter(|(port, _)| !port.text("name").is_empty()) {
        let name = port.text("name");
        match known.get(name) {
            Some(other) => warn(format!(
                "{path}: duplicate port name {name:?} with {other}, services and probes that select ports by name will use {other}"
            )),
            None => drop(known.insert(name, path)),
        }
    }
}

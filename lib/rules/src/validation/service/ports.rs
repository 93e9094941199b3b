//! A service's ports.

use super::super::check::{At, Report, Show};
use super::super::names::{label, label_key_errors, port_number};
use super::super::values::port as port_or_name;
use super::SPEC;
use crate::tree::Tree;
use apimachinery::Value;

pub(crate) const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// Each port for itself, and their names.
pub(super) fn each(spec: &Value, out: &mut Report) {
    let at = SPEC.child("ports");
    let ports = spec.items("ports");
    for (index, port) in ports.iter().enumerate() {
        let at = at.index(index);
        match port.text("name") {
            "" if ports.len() > 1 => out.required(&at.child("name"), ""),
            "" => {}
            name => {
                out.invalid_each(&at.child("name"), name, label(name));
                if ports[..index].iter().any(|other| other.text("name") == name) {
                    out.duplicate(&at.child("name"), name);
                }
            }
        }
        if let Some(finding) = port_number(port.int("port")) {
            out.invalid(&at.child("port"), port.int("port"), finding);
        }
        out.one_of(&at.child("protocol"), port.text("protocol"), &PROTOCOLS);
        port_or_name(&at.child("targetPort"), port.at("targetPort"), out);
        app_protocol(&at, port, out);
    }
}

pub(crate) fn app_protocol(at: &At<'_>, port: &Value, out: &mut Report) {
    if let Some(name) = port.at("appProtocol").and_then(Value::as_str) {
        out.invalid_each(&at.child("appProtocol"), name, label_key_errors(name));
    }
}

/// What of a port must be there once.
#[derive(PartialEq, Eq)]
struct Pair<'a> {
    protocol: &'a str,
    port: i64,
}

impl<'a> Pair<'a> {
    fn of(port: &'a Value, key: &str) -> Self {
        Self { protocol: port.text("protocol"), port: port.int(key) }
    }
}

impl Show for Pair<'_> {
    fn show(&self) -> String {
        let Self { protocol, port } = self;
        format!(r#"{{"Name":"","Protocol":{protocol:?},"AppProtocol":null,"Port":{port},"TargetPort":0,"NodePort":0}}"#)
    }
}

/// What the ports have in common: node ports where there may be some, and nothing twice.
pub(super) fn together(spec: &Value, out: &mut Report) {
    let at = SPEC.child("ports");
    let ports = spec.items("ports");
    let with_node_ports = || ports.iter().enumerate().filter(|(_, port)| port.int("nodePort") != 0);
    if spec.text("type") == "ClusterIP" {
        for (index, _) in with_node_ports() {
            out.forbidden(&at.index(index).child("nodePort"), "may not be used when `type` is 'ClusterIP'");
        }
    }
    for (index, port) in with_node_ports() {
        if ports[..index].iter().any(|other| Pair::of(other, "nodePort") == Pair::of(port, "nodePort")) {
            out.duplicate(&at.index(index).child("nodePort"), port.int("nodePort"));
        }
    }
    for (index, port) in ports.iter().enumerate() {
        let pair = Pair::of(port, "port");
        if ports[..index].iter().any(|other| Pair::of(other, "port") == pair) {
            out.duplicate(&at.index(index), pair);
        }
    }
}

//! Ingresses, network policies and address ranges.

use super::cell::Cell;
use super::column::{AGE, NAME, text};
use super::words::{NONE, balancer, or, selector, some_of};
use super::{Printer, age, name};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

pub(super) static INGRESS: Printer = Printer {
    columns: &[
        NAME,
        text("Class", "The class of controller that serves it."),
        text("Hosts", "The host names it is for."),
        text("Address", "Where it is served."),
        text("Ports", "The ports it is served on."),
        AGE,
    ],
    row: ingress,
};

fn ingress(ingress: &Value) -> Vec<Cell> {
    let spec = ingress.at("spec").unwrap_or(&Value::Null);
    let annotation = ingress.annotations().map_or("", |a| a.text("kubernetes.io/ingress.class"));
    let ports = if spec.lacks("tls") { "80" } else { "80, 443" };
    vec![
        name(ingress),
        Cell::text(or(or(spec.text("ingressClassName"), annotation), NONE)),
        Cell::text(hosts(spec)),
        Cell::text(balancer(ingress)),
        Cell::text(ports),
        age(ingress),
    ]
}

fn hosts(spec: &Value) -> String {
    let named = spec.items("rules").iter().map(|r| r.text("host")).filter(|h| !h.is_empty());
    or(&some_of(named.map(str::to_owned), 3), "*").to_owned()
}

pub(super) static INGRESS_CLASS: Printer = Printer {
    columns: &[
        NAME,
        text("Controller", "The controller that serves ingresses of the class."),
        text("Parameters", "The object with further configuration."),
        AGE,
    ],
    row: |class| {
        let spec = class.at("spec").unwrap_or(&Value::Null);
        let parameters = spec.at("parameters").map_or(NONE.into(), parameters);
        vec![name(class), Cell::text(spec.text("controller")), Cell::text(parameters), age(class)]
    },
};

fn parameters(parameters: &Value) -> String {
    let (kind, name) = (parameters.text("kind"), parameters.text("name"));
    match parameters.at("apiGroup").and_then(Value::as_str) {
        Some(group) => format!("{kind}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    }
}

pub(super) static NETWORK_POLICY: Printer = Printer {
    columns: &[NAME, text("Pod-Selector", "The pods it is about."), AGE],
    row: |policy| {
        vec![name(policy), Cell::text(selector(policy.at("spec").and_then(|s| s.at("podSelector")))), age(policy)]
    },
};

pub(super) static IP_ADDRESS: Printer = Printer {
    columns: &[NAME, text("ParentRef", "The object that uses the address.")],
    row: |address| {
        let parent = address.at("spec").and_then(|s| s.at("parentRef")).map_or(NONE.into(), parent);
        vec![name(address), Cell::text(parent)]
    },
};

/// `services/default/kubernetes`.
fn parent(parent: &Value) -> String {
    let mut path = parent.text("resource").to_lowercase();
    if !parent.text("group").is_empty() {
        path = format!("{path}.{}", parent.text("group"));
    }
    [parent.text("namespace"), parent.text("name")]
        .iter()
        .filter(|part| !part.is_empty())
        .fold(path, |path, part| format!("{path}/{part}"))
}

pub(super) static SERVICE_CIDR: Printer = Printer {
    columns: &[NAME, text("CIDRs", "The ranges that services take addresses from."), AGE],
    row: |range| {
        let cidrs: Vec<&str> = range.at("spec").map(|s| s.texts("cidrs").collect()).unwrap_or_default();
        vec![name(range), Cell::text(cidrs.join(",")), age(range)]
    },
};

//! Services and their endpoints.

use super::cell::Cell;
use super::column::{AGE, NAME, SELECTOR, text};
use super::words::{NONE, UNKNOWN, UNSET, balancer, labels, or, some_of};
use super::{Printer, age, name};
use crate::tree::Tree;
use apimachinery::Value;

pub(super) static SERVICE: Printer = Printer {
    columns: &[
        NAME,
        text("Type", "How the service is reached."),
        text("Cluster-IP", "Its address within the cluster."),
        text("External-IP", "Its addresses for the outside."),
        text("Port(s)", "Its ports, those on the nodes, and protocols."),
        AGE,
        SELECTOR,
    ],
    row: service,
};

fn service(service: &Value) -> Vec<Cell> {
    let spec = service.at("spec").unwrap_or(&Value::Null);
    let cluster_ip = spec.texts("clusterIPs").next().unwrap_or(NONE);
    vec![
        name(service),
        Cell::text(spec.text("type")),
        Cell::text(or(cluster_ip, NONE)),
        Cell::text(external(service, spec)),
        Cell::text(or(&ports(spec), NONE)),
        age(service),
        Cell::text(labels(spec.object("selector"))),
    ]
}

fn external(service: &Value, spec: &Value) -> String {
    let own: Vec<&str> = spec.texts("externalIPs").collect();
    match spec.text("type") {
        "ClusterIP" | "NodePort" => or(&own.join(","), NONE).to_owned(),
        "LoadBalancer" => {
            let balancer = balancer(service);
            let all: Vec<&str> = Some(&*balancer).filter(|b| !b.is_empty()).into_iter().chain(own).collect();
            or(&all.join(","), "<pending>").to_owned()
        }
        "ExternalName" => spec.text("externalName").to_owned(),
        _ => UNKNOWN.into(),
    }
}

fn ports(spec: &Value) -> String {
    let port = |port: &Value| match port.int("nodePort") {
        1.. => format!("{}:{}/{}", port.int("port"), port.int("nodePort"), port.text("protocol")),
        _ => format!("{}/{}", port.int("port"), port.text("protocol")),
    };
    spec.items("ports").iter().map(port).collect::<Vec<_>>().join(",")
}

pub(super) static ENDPOINTS: Printer = Printer {
    columns: &[NAME, text("Endpoints", "Addresses and ports that are ready."), AGE],
    row: |endpoints| vec![name(endpoints), Cell::text(addresses(endpoints)), age(endpoints)],
};

fn addresses(endpoints: &Value) -> String {
    let subsets = endpoints.items("subsets");
    if subsets.is_empty() {
        return NONE.into();
    }
    some_of(subsets.iter().flat_map(subset), 3)
}

/// Every address with every port; addresses alone if there are no ports.
fn subset(subset: &Value) -> Vec<String> {
    let ips = || subset.items("addresses").iter().map(|a| a.text("ip"));
    match subset.items("ports") {
        [] => ips().map(str::to_owned).collect(),
        ports => ports.iter().flat_map(|port| ips().map(|ip| host_port(ip, port.int("port")))).collect(),
    }
}

fn host_port(ip: &str, port: i64) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

pub(super) static ENDPOINT_SLICE: Printer = Printer {
    columns: &[
        NAME,
        text("AddressType", "What the addresses are."),
        text("Ports", "The ports of every endpoint."),
        text("Endpoints", "The addresses."),
        AGE,
    ],
    row: slice,
};

fn slice(slice: &Value) -> Vec<Cell> {
    let ports = slice.items("ports").iter().map(|port| match port.at("port") {
        Some(number) => number.to_string(),
        None => or(port.text("name"), "*").to_owned(),
    });
    let addresses = slice.items("endpoints").iter().flat_map(|e| e.texts("addresses")).map(str::to_owned);
    vec![
        name(slice),
        Cell::text(slice.text("addressType")),
        Cell::text(or(&some_of(ports, 3), UNSET)),
        Cell::text(or(&some_of(addresses, 3), UNSET)),
        age(slice),
    ]
}

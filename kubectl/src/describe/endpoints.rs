//! Endpoints and endpoint slices.

use super::sections::{Sections, or_none, or_unset};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;

/// So many endpoints of a service are listed.
const MAX_LISTED: usize = 3;

pub(super) fn endpoints(out: &mut Sections, endpoints: &Value) {
    head(out, endpoints);
    out.line(0, "Subsets:");
    for subset in endpoints.items("subsets") {
        for (title, member) in [("Addresses", "addresses"), ("NotReadyAddresses", "notReadyAddresses")] {
            let addresses: Vec<&str> = subset.items(member).iter().map(|a| a.text("ip")).collect();
            out.field(1, title, or_none(addresses.join(",")));
        }
        if !subset.items("ports").is_empty() {
            out.line(1, "Ports:");
            out.head(2, &["Name", "Port", "Protocol"]);
            for port in subset.items("ports") {
                let name = if port.text("name").is_empty() { "<unset>" } else { port.text("name") };
                out.line(2, format_args!("{name}\t{}\t{}", port.int("port"), port.text("protocol")));
            }
        }
        out.line(0, "");
    }
}

fn head(out: &mut Sections, object: &Value) {
    out.field(0, "Name", object.name());
    out.field(0, "Namespace", object.namespace());
    out.labels("Labels", object.labels());
    out.annotations("Annotations", object.annotations());
}

pub(super) fn slice(out: &mut Sections, slice: &Value) {
    head(out, slice);
    out.field(0, "AddressType", slice.text("addressType"));
    if slice.items("ports").is_empty() {
        out.line(0, "Ports: <unset>");
    } else {
        out.line(0, "Ports:");
        out.head(1, &["Name", "Port", "Protocol"]);
        for port in slice.items("ports") {
            let name = if port.text("name").is_empty() { "<unset>" } else { port.text("name") };
            out.line(1, format_args!("{name}\t{}\t{}", or_unset(port.at("port")), port.text("protocol")));
        }
    }
    if slice.items("endpoints").is_empty() {
        out.line(0, "Endpoints: <none>");
        return;
    }
    out.line(0, "Endpoints:");
    slice.items("endpoints").iter().for_each(|endpoint| write_endpoint(out, endpoint));
}

fn write_endpoint(out: &mut Sections, endpoint: &Value) {
    let addresses: Vec<&str> = endpoint.texts("addresses").collect();
    out.field(1, "- Addresses", or_none(addresses.join(", ")));
    out.line(2, "Conditions:");
    out.field(3, "Ready", or_unset(endpoint.at("conditions").and_then(|c| c.at("ready"))));
    out.field(2, "Hostname", or_unset(endpoint.at("hostname")));
    if let Some(target) = endpoint.at("targetRef") {
        out.field(2, "TargetRef", format_args!("{}/{}", target.text("kind"), target.text("name")));
    }
    out.field(2, "NodeName", or_unset(endpoint.at("nodeName")));
    out.field(2, "Zone", or_unset(endpoint.at("zone")));
}

/// The first ready endpoints of a port, and how many more there are.
pub(super) fn listed(slices: &[Value], port: &str) -> String {
    if slices.is_empty() {
        return "<none>".into();
    }
    let mut places = Places::default();
    for slice in slices {
        if slice.items("ports").is_empty() {
            places.add(slice, str::to_owned);
        }
        for of in slice.items("ports").iter().filter(|p| p.text("name") == port) {
            let number = of.int("port");
            places.add(slice, |host| {
                if host.contains(':') { format!("[{host}]:{number}") } else { format!("{host}:{number}") }
            });
        }
    }
    let list = places.listed.join(",");
    match places.more {
        // Those that are not ready can make "more" of nothing, as upstream's do.
        true => format!("{list} + {} more...", places.count.saturating_sub(MAX_LISTED)),
        false => list,
    }
}

#[derive(Default)]
struct Places {
    listed: Vec<String>,
    count: usize,
    more: bool,
}

impl Places {
    fn add(&mut self, slice: &Value, place: impl Fn(&str) -> String) {
        for endpoint in slice.items("endpoints") {
            self.more |= self.listed.len() == MAX_LISTED;
            if endpoint.at("conditions").and_then(|c| c.at("ready")) == Some(&Value::Bool(false)) {
                continue;
            }
            if !self.more {
                self.listed.push(place(endpoint.texts("addresses").next().unwrap_or_default()));
            }
            self.count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_a_few_endpoints() {
        let slice = |addresses: &[&str], ready: bool| {
            let endpoints: Vec<Value> =
                addresses.iter().map(|a| json!({"addresses": [a], "conditions": {"ready": ready}})).collect();
            json!({"endpoints": endpoints, "ports": [{"name": "web", "port": 80}]})
        };
        for (slices, want) in [
            (vec![], "<none>"),
            (vec![slice(&["1.1.1.1"], false)], ""),
            (vec![slice(&["1.1.1.1", "::1"], true)], "1.1.1.1:80,[::1]:80"),
            (vec![slice(&["a", "b", "c", "d", "e"], true)], "a:80,b:80,c:80 + 2 more..."),
        ] {
            assert_eq!(listed(&slices, "web"), want);
        }
        assert_eq!(listed(&[json!({"endpoints": [{"addresses": ["a"]}]})], ""), "a");
    }
}

//! The iptables back end: plan → chains (pure) → `iptables-restore`, changed chains only.
//!
//! Upstream: `pkg/proxy/iptables/proxier.go`; the chains and rules are its own, so that tools that
//! read them find what they look for.

mod apply;
mod base;
mod names;
mod port;
mod table;

pub use apply::{ApplyError, Iptables};
pub use table::{Chains, Tables};

use crate::model::{Family, Plan};

/// What the rules depend on beyond the plan, from `KubeProxyConfiguration`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The family of the rules.
    pub family: Family,
    /// `iptables.masqueradeAll`.
    pub masquerade_all: bool,
    /// The packet mark `1 << iptables.masqueradeBit`.
    pub masquerade_mark: u32,
    /// Whether the kernel supports `MASQUERADE --random-fully`.
    pub random_fully: bool,
    /// `clusterCIDR`: traffic from elsewhere is masqueraded. Empty tells nothing apart.
    pub cluster_cidr: String,
    /// `nodePortAddresses` as CIDRs; empty is every local address.
    pub node_port_addresses: Vec<String>,
    /// `iptables.localhostNodePorts`.
    pub localhost_node_ports: bool,
    /// Drop packets that conntrack calls invalid.
    pub drop_invalid: bool,
}

/// The rules of a plan: two tables of chains, with names and contents.
pub fn render(options: &Options, plan: &Plan) -> Tables {
    let mut tables = base::tables(options);
    for port in &plan.ports {
        port::render(options, port, &mut tables);
    }
    base::finish(options, &mut tables);
    tables
}

/// Whether a chain is one of those that are there whatever the Services are.
fn base_chain(name: &str) -> bool {
    use base::{EXTERNAL_SERVICES, FIREWALL, FORWARD, MARK_MASQ, NODE_PORTS, POSTROUTING, SERVICES};
    [SERVICES, EXTERNAL_SERVICES, NODE_PORTS, POSTROUTING, MARK_MASQ, FORWARD, FIREWALL].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{NodeFacts, plan};
    use serde_json::json;
    use std::sync::Arc;

    pub(crate) fn options() -> Options {
        Options {
            family: Family::V4,
            masquerade_all: false,
            masquerade_mark: 0x4000,
            random_fully: true,
            cluster_cidr: "10.244.0.0/16".into(),
            node_port_addresses: Vec::new(),
            localhost_node_ports: true,
            drop_invalid: true,
        }
    }

    fn rendered(spec: serde_json::Value, endpoints: serde_json::Value) -> Tables {
        let service = serde_json::from_value(json!({"metadata": {"namespace": "ns", "name": "web"}, "spec": spec}))
            .expect("a Service");
        let slice = Arc::new(
            serde_json::from_value(
                json!({"addressType": "IPv4", "ports": [{"name": "", "port": 8080}], "endpoints": endpoints}),
            )
            .expect("an EndpointSlice"),
        );
        let node = NodeFacts { name: "n1".into(), zone: String::new() };
        let services = [service];
        render(&options(), &plan(Family::V4, &node, services.iter(), |_| vec![Arc::clone(&slice)]))
    }

    fn all(tables: &Tables) -> String {
        let mut text = String::new();
        for chains in [&tables.filter, &tables.nat] {
            for (name, rules) in chains.iter() {
                for rule in rules {
                    text.push_str(&format!("-A {name} {rule}\n"));
                }
            }
        }
        text
    }

    #[test]
    fn a_cluster_ip_with_two_endpoints() {
        let tables = rendered(
            json!({"clusterIP": "10.96.0.7", "ports": [{"port": 80}]}),
            json!([{"addresses": ["10.244.0.2"]}, {"addresses": ["10.244.0.3"]}]),
        );
        let text = all(&tables);
        let service = names::service("ns/web", "tcp");
        for want in [
            format!(
                r#"-A KUBE-SERVICES -m comment --comment "ns/web cluster IP" -m tcp -p tcp -d 10.96.0.7 --dport 80 -j {service}"#
            ),
            format!(
                r#"-A {service} -m comment --comment "ns/web cluster IP" -m tcp -p tcp -d 10.96.0.7 --dport 80 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ"#
            ),
            "-m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-".into(),
            "-m tcp -p tcp -j DNAT --to-destination 10.244.0.2:8080".into(),
        ] {
            assert!(text.contains(&want), "{want}\nis not in\n{text}");
        }
        assert!(!text.contains("REJECT"));
    }

    #[test]
    fn a_port_without_endpoints_is_rejected() {
        let tables = rendered(
            json!({"clusterIP": "10.96.0.7", "type": "NodePort", "ports": [{"port": 80, "nodePort": 30004}]}),
            json!([]),
        );
        let text = all(&tables);
        assert!(text.contains(r#"-A KUBE-SERVICES -m comment --comment "ns/web has no endpoints" -m tcp -p tcp -d 10.96.0.7 --dport 80 -j REJECT"#), "{text}");
        assert!(text.contains(r#"-A KUBE-EXTERNAL-SERVICES -m comment --comment "ns/web has no endpoints" -m addrtype --dst-type LOCAL -m tcp -p tcp --dport 30004 -j REJECT"#), "{text}");
        assert!(!text.contains("DNAT"));
    }

    #[test]
    fn affinity_remembers_the_endpoint() {
        let tables = rendered(
            json!({"clusterIP": "10.96.0.7", "type": "NodePort", "sessionAffinity": "ClientIP",
                   "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 1800}}, "ports": [{"port": 80, "nodePort": 30004}]}),
            json!([{"addresses": ["10.244.0.2"]}]),
        );
        let text = all(&tables);
        let endpoint = names::endpoint("ns/web", "tcp", "10.244.0.2:8080");
        assert!(
            text.contains(&format!("-m recent --name {endpoint} --rcheck --seconds 1800 --reap -j {endpoint}")),
            "{text}"
        );
        assert!(text.contains(&format!("-m recent --name {endpoint} --set -m tcp -p tcp -j DNAT")), "{text}");
        assert!(
            text.contains(r#"-A KUBE-NODEPORTS -m comment --comment ns/web -m tcp -p tcp --dport 30004 -j KUBE-EXT-"#),
            "{text}"
        );
    }

    #[test]
    fn a_local_policy_keeps_the_client_address() {
        let tables = rendered(
            json!({"clusterIP": "10.96.0.7", "type": "NodePort", "externalTrafficPolicy": "Local", "ports": [{"port": 80, "nodePort": 30004}]}),
            json!([{"addresses": ["10.244.0.2"], "nodeName": "n1"}, {"addresses": ["10.244.1.2"], "nodeName": "n2"}]),
        );
        let local = names::local("ns/web", "tcp");
        let rules = tables.nat.get(&local).expect("a chain for local endpoints");
        assert_eq!(rules.len(), 1, "{rules:?}");
        let external = names::external("ns/web", "tcp");
        let rules = tables.nat.get(&external).expect("a chain for external traffic");
        assert!(rules.last().is_some_and(|r| r.ends_with(&format!("-j {local}"))), "{rules:?}");
        assert!(!rules.iter().any(|r| r.contains("masquerade traffic for")), "{rules:?}");
    }

    #[test]
    fn the_node_port_jump_comes_last() {
        let tables = rendered(
            json!({"clusterIP": "10.96.0.7", "ports": [{"port": 80}]}),
            json!([{"addresses": ["10.244.0.2"]}]),
        );
        let last = tables.nat.get("KUBE-SERVICES").and_then(|r| r.last()).expect("rules");
        assert!(last.ends_with("-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"), "{last}");
    }
}

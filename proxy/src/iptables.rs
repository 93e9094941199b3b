//! The iptables back end: plan → chains (pure) → `iptables-restore`, changed chains only.
//!
//! Upstream: `pkg/proxy/iptables/proxier.go`; the chains and rules are its own, so that tools that
//! read them find what they look for.

mod base;
mod counters;
mod kernel;
mod names;
mod port;
mod table;
mod update;

pub use counters::{ensure_counters, register};
pub use kernel::{cleanup, works};
pub(crate) use kernel::{delete_jump, ensure_jumps, has_chain, has_run, program, restore};
pub(crate) use table::Jump;
pub use table::{Chains, Tables};

use crate::backend::{Backend, BackendError, Extent, Settings, node_addresses};
use crate::metrics::Metrics;
use crate::model::{Plan, PortName, PortPlan};
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use update::Update;

/// The kernel's rules of one family.
#[derive(Debug)]
pub struct Iptables {
    settings: Settings,
    metrics: Metrics,
    applied: Option<Applied>,
}

/// What was written last. It is kept in memory, because reading a large rule set back takes seconds.
#[derive(Debug, Default)]
struct Applied {
    plan: Plan,
    /// The rules that each port has in base chains: those have to be written as a whole. Chains of
    /// its own can be rendered again from the plan.
    shared: BTreeMap<PortName, Shared>,
    base: Tables,
    /// The rules at the end of `KUBE-SERVICES` in `nat`.
    last: Vec<String>,
}

/// What a port has in base chains, and how many rules in all, in `filter` and `nat`.
#[derive(Debug, Default)]
struct Shared {
    base: Tables,
    rules: [usize; 2],
}

impl Iptables {
    /// Rules as `settings` say; nothing is known of the kernel's state yet.
    pub fn new(settings: Settings, metrics: Metrics) -> Self {
        Self { settings, metrics, applied: None }
    }

    async fn write(&mut self, plan: &Plan) -> Result<Extent, BackendError> {
        // Whatever fails below, the kernel's state is unknown then.
        let before = self.applied.take();
        let extent = if before.is_some() { Extent::Partial } else { Extent::Full };
        let mut applied = match before {
            Some(applied) => applied,
            None => self.start(),
        };
        let mut update = match extent {
            Extent::Full => Update::full(kernel::found(self.settings.family).await?),
            _ => Update::default(),
        };
        for change in plan.changes(&applied.plan) {
            let [old, new] = [change.old, change.new].map(|port| port.map(|p| port::render(&self.settings, p)));
            update.port(old.as_ref(), new.as_ref());
            match new {
                Some(new) => applied.shared.insert(change.name.clone(), Shared::of(new)),
                None => applied.shared.remove(change.name),
            };
        }
        applied.plan = plan.clone();
        let written = update.texts(&applied);
        let extent = if written.text.is_empty() { Extent::Nothing } else { extent };
        if extent != Extent::Nothing {
            kernel::restore(self.settings.family, &written.text).await?;
        }
        if extent == Extent::Full {
            kernel::ensure_jumps(self.settings.family, &applied.base.jumps).await?;
        }
        self.metrics.iptables_rules(self.settings.family, applied.rules(), written.rules);
        self.applied = Some(applied);
        Ok(extent)
    }

    /// The base of everything, without ports.
    fn start(&self) -> Applied {
        let mut base = base::tables(&self.settings);
        base.jumps.extend(base::jumps());
        let mut last = Vec::new();
        let addresses = self.settings.node_ports.select(|| node_addresses(self.settings.family));
        base::finish(&self.settings, addresses.as_deref(), &mut last);
        Applied { base, last, ..Applied::default() }
    }
}

impl Applied {
    fn rules(&self) -> [usize; 2] {
        let mut rules = [self.base.filter.rules(), self.base.nat.rules() + self.last.len()];
        for port in self.shared.values() {
            rules[0] += port.rules[0];
            rules[1] += port.rules[1];
        }
        rules
    }
}

impl Shared {
    fn of(mut port: Tables) -> Self {
        let rules = [port.filter.rules(), port.nat.rules()];
        port.filter.retain(base::is_base);
        port.nat.retain(base::is_base);
        Self { base: port, rules }
    }
}

impl Backend for Iptables {
    fn apply<'a>(&'a mut self, plan: &'a Plan) -> BoxFuture<'a, Result<Extent, BackendError>> {
        Box::pin(async move {
            let was_full = self.applied.is_none();
            let outcome = self.write(plan).await;
            if outcome.is_err() {
                self.metrics.iptables_failure(self.settings.family, was_full);
            }
            outcome
        })
    }

    fn forget(&mut self) {
        self.applied = None;
    }

    fn maintain(&mut self) -> BoxFuture<'_, Result<bool, BackendError>> {
        Box::pin(async move {
            if self.applied.is_some() && !kernel::has_canaries(self.settings.family).await {
                tracing::info!(
                    family = self.settings.family.as_str(),
                    "somebody flushed the tables; writing everything anew"
                );
                self.applied = None;
                return Ok(false);
            }
            Ok(true)
        })
    }
}

/// All chains of a plan, as they stand in the kernel.
pub fn render<'a>(settings: &Settings, ports: impl Iterator<Item = &'a PortPlan>) -> Tables {
    let mut tables = base::tables(settings);
    tables.jumps.extend(base::jumps());
    for port in ports {
        let port = port::render(settings, port);
        tables.filter.extend(port.filter);
        tables.nat.extend(port.nat);
    }
    base::finish(settings, None, tables.nat.add(base::SERVICES));
    tables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{LocalTraffic, NodePorts};
    use crate::model::{Family, NodeFacts, plan};
    use serde_json::json;
    use std::sync::Arc;

    pub(super) fn settings() -> Settings {
        Settings {
            family: Family::V4,
            masquerade_all: false,
            masquerade_mark: 0x4000,
            local: LocalTraffic::Cidr("10.244.0.0/16".parse().expect("a CIDR")),
            node_ports: NodePorts::Everywhere,
            localhost_node_ports: true,
            drop_invalid: true,
            counters: false,
            node_ip: "192.168.0.1".parse().ok(),
            ipvs: crate::backend::IpvsSettings::default(),
        }
    }

    fn rendered(spec: serde_json::Value, endpoints: serde_json::Value) -> Tables {
        rendered_with(&settings(), json!({"spec": spec}), endpoints)
    }

    fn rendered_with(settings: &Settings, mut service: serde_json::Value, endpoints: serde_json::Value) -> Tables {
        service["metadata"] = json!({"namespace": "ns", "name": "web"});
        let service = serde_json::from_value(service).expect("a Service");
        let slice = Arc::new(
            serde_json::from_value(
                json!({"addressType": "IPv4", "ports": [{"name": "", "port": 8080}], "endpoints": endpoints}),
            )
            .expect("an EndpointSlice"),
        );
        let node = NodeFacts { name: "n1".into(), zone: String::new() };
        let services = [service];
        let plan = plan(Family::V4, &node, services.iter(), |_| vec![Arc::clone(&slice)]);
        render(settings, plan.ports.values().map(|port| &**port))
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
        assert!(!text.contains("-j DNAT"));
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

    #[test]
    fn source_ranges_guard_balancers() {
        let service = json!({"spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.7", "ports": [{"port": 80}],
            "externalTrafficPolicy": "Local", "healthCheckNodePort": 32123, "loadBalancerSourceRanges": ["192.168.0.0/16"]},
            "status": {"loadBalancer": {"ingress": [{"ip": "5.6.7.8"}]}}});
        let tables = rendered_with(&settings(), service, json!([{"addresses": ["10.244.0.2"], "nodeName": "n1"}]));
        let text = all(&tables);
        let firewall = names::firewall("ns/web", "tcp");
        for want in [
            format!(r#"-A KUBE-SERVICES -m comment --comment "ns/web loadbalancer IP" -m tcp -p tcp -d 5.6.7.8 --dport 80 -j {firewall}"#),
            format!(r#"-A {firewall} -m comment --comment "ns/web loadbalancer IP" -s 192.168.0.0/16 -j KUBE-EXT-"#),
            // The node's own address is allowed, so that the balancer's is, too.
            format!(r#"-A {firewall} -m comment --comment "ns/web loadbalancer IP" -s 5.6.7.8/32 -j KUBE-EXT-"#),
            format!(r#"-A KUBE-PROXY-FIREWALL -m comment --comment "ns/web traffic not accepted by {firewall}" -m tcp -p tcp -d 5.6.7.8 --dport 80 -j DROP"#),
            r#"-A KUBE-NODEPORTS -m comment --comment "ns/web health check node port" -m tcp -p tcp --dport 32123 -j ACCEPT"#.into(),
        ] {
            assert!(text.contains(&want), "{want}\nis not in\n{text}");
        }
    }

    #[test]
    fn local_traffic_is_told_apart_as_configured() {
        for (local, want) in [
            (LocalTraffic::Unknown, None),
            (LocalTraffic::Bridge("cni0".into()), Some("! -i cni0 -j KUBE-MARK-MASQ")),
            (LocalTraffic::Prefix("veth".into()), Some("! -i veth+ -j KUBE-MARK-MASQ")),
        ] {
            let settings = Settings { local, ..settings() };
            let service = json!({"spec": {"clusterIP": "10.96.0.7", "ports": [{"port": 80}]}});
            let text = all(&rendered_with(&settings, service, json!([{"addresses": ["10.244.0.2"]}])));
            match want {
                Some(want) => assert!(text.contains(want), "{text}"),
                None => assert!(
                    !text.contains("cluster IP\" -m tcp -p tcp -d 10.96.0.7 --dport 80 -j KUBE-MARK-MASQ"),
                    "{text}"
                ),
            }
        }
    }

    #[test]
    fn node_ports_answer_on_their_addresses_only() {
        let addresses = ["127.0.0.1", "192.168.0.1"].map(|ip| ip.parse().expect("an address"));
        let mut rules = Vec::new();
        base::finish(&Settings { localhost_node_ports: false, ..settings() }, Some(&addresses), &mut rules);
        assert_eq!(rules.len(), 1);
        assert!(rules[0].ends_with("-d 192.168.0.1 -j KUBE-NODEPORTS"), "{rules:?}");
    }
}

//! Keeps a plan in step with Services that change one at a time.

use super::{Family, NodeFacts, Plan, PortName, PortPlan, Protocol, choose, endpoints_of, service_ports};
use client::ObjectKey;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::sync::Arc;

/// A plan of one family that is changed Service by Service.
#[derive(Clone, Debug)]
pub struct Planner {
    family: Family,
    node: NodeFacts,
    plan: Plan,
}

/// The key of a Service.
pub(super) fn key(service: &Service) -> ObjectKey {
    ObjectKey::of(service)
}

impl Planner {
    /// An empty plan of this node.
    pub fn new(family: Family, node: NodeFacts) -> Self {
        Self { family, node, plan: Plan::default() }
    }

    /// The plan as it stands.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The plan as it stands, for good.
    pub fn into_plan(self) -> Plan {
        self.plan
    }

    /// The node as it is now. `true` says that every Service has to be planned anew.
    pub fn set_node(&mut self, node: NodeFacts) -> bool {
        let differs = self.node != node;
        self.node = node;
        differs
    }

    /// The ranges of cluster IPs; those of the other family are left out.
    pub fn set_service_cidrs(&mut self, cidrs: impl Iterator<Item = IpNet>) {
        let mut own: Vec<_> = cidrs.filter(|net| self.family.has(&net.addr())).collect();
        own.sort();
        own.dedup();
        self.plan.service_cidrs = own;
    }

    /// Plans one Service anew; `None` says that it is gone.
    pub fn update(&mut self, key: &ObjectKey, service: Option<&Service>, slices: &[Arc<EndpointSlice>]) {
        let wanted = service.map(|service| service_ports(self.family, service)).unwrap_or_default();
        let gone: Vec<_> = self.ports_of(key).filter(|n| !wanted.iter().any(|p| p.name == **n)).cloned().collect();
        for name in gone {
            self.plan.ports.remove(&name);
        }
        for port in wanted {
            let endpoints = endpoints_of(self.family, &self.node, &port.name, slices);
            let choice = choose(&self.node, &port, endpoints);
            let (name, new) = (port.name.clone(), PortPlan { service: port, choice });
            if self.plan.ports.get(&name).is_none_or(|old| **old != new) {
                self.plan.ports.insert(name, Arc::new(new));
            }
        }
    }

    fn ports_of<'a>(&'a self, key: &'a ObjectKey) -> impl Iterator<Item = &'a PortName> {
        let first = PortName {
            namespace: key.namespace.clone(),
            service: key.name.clone(),
            port: String::new(),
            protocol: Protocol::Tcp,
        };
        let from = self.plan.ports.range(first..).map(|(name, _)| name);
        from.take_while(|name| name.namespace == key.namespace && name.service == key.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(ports: serde_json::Value) -> Service {
        serde_json::from_value(json!({"metadata": {"namespace": "n", "name": "s"},
            "spec": {"clusterIP": "10.96.0.1", "ports": ports}}))
        .expect("a Service")
    }

    #[test]
    fn a_service_changes_only_its_own_ports() {
        let mut planner = Planner::new(Family::V4, NodeFacts::default());
        let other = serde_json::from_value(json!({"metadata": {"namespace": "n", "name": "s2"},
            "spec": {"clusterIP": "10.96.0.2", "ports": [{"port": 80}]}}))
        .expect("a Service");
        planner.update(&key(&other), Some(&other), &[]);
        let two = service(json!([{"name": "a", "port": 1}, {"name": "b", "port": 2}]));
        planner.update(&key(&two), Some(&two), &[]);
        let before = planner.plan().clone();
        let one = service(json!([{"name": "b", "port": 2}, {"name": "c", "port": 3}]));
        planner.update(&key(&one), Some(&one), &[]);
        let changed: Vec<_> = planner.plan().changes(&before).map(|c| c.name.to_string()).collect();
        assert_eq!(changed, ["n/s:a", "n/s:c"]);
        let kept = |plan: &Plan| Arc::clone(plan.ports.iter().find(|(n, _)| n.port == "b").expect("b").1);
        assert!(Arc::ptr_eq(&kept(&before), &kept(planner.plan())));
        planner.update(&key(&one), None, &[]);
        assert_eq!(planner.plan().ports.keys().map(ToString::to_string).collect::<Vec<_>>(), ["n/s2"]);
    }

    #[test]
    fn ranges_of_the_other_family_are_left_out() {
        let mut planner = Planner::new(Family::V6, NodeFacts::default());
        planner.set_service_cidrs(["10.96.0.0/12", "fd00::/108"].iter().filter_map(|c| c.parse().ok()));
        assert_eq!(planner.plan().service_cidrs, ["fd00::/108".parse().expect("a CIDR")]);
    }
}

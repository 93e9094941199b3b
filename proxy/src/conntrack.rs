//! Connections that outlive their endpoints: UDP flows keep going to an address that is gone
//! until their entry is removed. Everybody else's entries are left alone.
//!
//! Upstream: `pkg/proxy/conntrack`; flows of Services that have lost their last endpoint go here, too.

use crate::metrics::Metrics;
use crate::model::{Family, Plan, PortPlan, Protocol};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::time::Instant;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

/// Flows that were sent from one address to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flows {
    /// Where the client sends to.
    pub to: SocketAddr,
    /// Who answers, or would.
    pub answered_by: SocketAddr,
}

/// Whose answers are right at an address that belongs to a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule<'a> {
    /// Flows stay only if one of these answers.
    OneOf(&'a BTreeSet<SocketAddr>),
    /// Nobody does any more; flows to who did go.
    NoneOf(&'a BTreeSet<SocketAddr>),
}

/// Which flows are stale under a plan.
#[derive(Debug, Default)]
pub struct Rules<'a> {
    addresses: BTreeMap<SocketAddr, Rule<'a>>,
    node_ports: BTreeMap<u16, Rule<'a>>,
}

impl<'a> Rules<'a> {
    /// What a plan wants, given the one before. `None` if no flow can have become stale.
    pub fn of(before: &'a Plan, after: &'a Plan) -> Option<Self> {
        let is_udp = |change: &crate::model::PortChange<'_>| change.name.protocol == Protocol::Udp;
        let mut changes = after.changes(before).filter(is_udp).peekable();
        changes.peek()?;
        let mut rules = Self::default();
        for change in changes {
            let answers_now = change.new.is_some_and(|port| !port.choice.serving.is_empty());
            if let Some(old) = change.old.filter(|_| !answers_now) {
                rules.add(old, Rule::NoneOf(&old.choice.serving));
            }
        }
        // Who answers now comes last: an address can have gone over to another Service.
        let udp = after.ports.iter().filter(|(name, _)| name.protocol == Protocol::Udp).map(|(_, port)| port);
        for port in udp.filter(|port| !port.choice.serving.is_empty()) {
            rules.add(port, Rule::OneOf(&port.choice.serving));
        }
        Some(rules)
    }

    fn add(&mut self, port: &PortPlan, rule: Rule<'a>) {
        for ip in port.service.addresses() {
            self.addresses.insert(SocketAddr::new(ip, port.service.port), rule);
        }
        self.node_ports.extend(port.service.node_port.map(|number| (number, rule)));
    }

    /// Whether these flows have to go.
    pub fn is_stale(&self, flows: &Flows) -> bool {
        let rule = self.addresses.get(&flows.to).or_else(|| self.node_ports.get(&flows.to.port()));
        match rule {
            None => false,
            Some(Rule::OneOf(right)) => !right.contains(&flows.answered_by),
            Some(Rule::NoneOf(gone)) => gone.contains(&flows.answered_by),
        }
    }
}

/// Removes the flows that a new plan makes stale.
pub async fn reconcile(family: Family, before: &Plan, after: &Plan, metrics: &Metrics) {
    let Some(rules) = Rules::of(before, after) else { return };
    let started = Instant::now();
    let mut deleted = 0;
    match stale(family, &rules).await {
        Ok(stale) => {
            for flows in &stale {
                deleted += delete(family, flows).await;
            }
        }
        Err(error) => {
            tracing::warn!(%error, "cannot run conntrack: UDP flows to endpoints that are gone live until they time out");
        }
    }
    metrics.reconciled(family, started.elapsed(), deleted);
}

/// Reads the kernel's flows one at a time: there may be many.
async fn stale(family: Family, rules: &Rules<'_>) -> std::io::Result<BTreeSet<Flows>> {
    let mut child = Command::new("conntrack")
        .args(["-L", "-f", keyword(family), "-p", "udp"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut found = BTreeSet::new();
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await? {
            found.extend(parse(&line).filter(|flows| rules.is_stale(flows)));
        }
    }
    child.wait().await?;
    Ok(found)
}

/// Reads a line of `conntrack -L`: the first four pairs are of what was sent, the next four of answers.
fn parse(line: &str) -> Option<Flows> {
    let mut pairs = line.split_whitespace().filter_map(|word| word.split_once('='));
    let mut next = |key: &str| pairs.next().filter(|(name, _)| *name == key).map(|(_, value)| value);
    let mut tuple = || -> Option<[(IpAddr, u16); 2]> {
        let (from, to): (IpAddr, IpAddr) = (next("src")?.parse().ok()?, next("dst")?.parse().ok()?);
        Some([(from, next("sport")?.parse().ok()?), (to, next("dport")?.parse().ok()?)])
    };
    let ([_, to], [answered_by, _]) = (tuple()?, tuple()?);
    Some(Flows { to: to.into(), answered_by: answered_by.into() })
}

/// Removes flows and says how many. That there are none any more is no failure.
async fn delete(family: Family, flows: &Flows) -> u64 {
    let (to, answered_by) = (flows.to, flows.answered_by);
    let output = Command::new("conntrack")
        .args(["-D", "-f", keyword(family), "-p", "udp", "--orig-dst"])
        .args([to.ip().to_string(), "--orig-port-dst".to_owned(), to.port().to_string()])
        .args(["--reply-src".to_owned(), answered_by.ip().to_string()])
        .args(["--reply-port-src".to_owned(), answered_by.port().to_string()])
        .stdin(Stdio::null())
        .output()
        .await;
    // Each entry that went is a line.
    output.map_or(0, |output| output.stdout.iter().filter(|byte| **byte == b'\n').count() as u64)
}

fn keyword(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{NodeFacts, plan as plan_of};
    use k8s_openapi::api::core::v1::Service;
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use serde_json::json;
    use std::sync::Arc;

    fn plan(protocol: &str, endpoints: &[&str]) -> Plan {
        let service: Service = serde_json::from_value(json!({"metadata": {"name": "s", "namespace": "n"}, "spec": {
            "clusterIP": "10.96.0.1", "ports": [{"port": 53, "protocol": protocol, "nodePort": 30053}]}}))
        .expect("a Service");
        let endpoints: Vec<_> = endpoints.iter().map(|ip| json!({"addresses": [ip]})).collect();
        let slice: EndpointSlice = serde_json::from_value(json!({"addressType": "IPv4",
            "ports": [{"name": "", "port": 5353, "protocol": protocol}], "endpoints": endpoints}))
        .expect("an EndpointSlice");
        let slice = Arc::new(slice);
        plan_of(Family::V4, &NodeFacts::default(), [service].iter(), |_| vec![slice.clone()])
    }

    fn flows(to: &str, answered_by: &str) -> Flows {
        Flows { to: to.parse().expect("to"), answered_by: answered_by.parse().expect("answered by") }
    }

    #[test]
    fn only_flows_to_others_than_the_endpoints_are_stale() {
        let (before, after) = (plan("UDP", &["10.0.0.1", "10.0.0.2"]), plan("UDP", &["10.0.0.2"]));
        let rules = Rules::of(&before, &after).expect("a change");
        for (to, answered_by, want) in [
            ("10.96.0.1:53", "10.0.0.1:5353", true),
            ("10.96.0.1:53", "10.0.0.2:5353", false),
            // Sent when there was nobody to answer.
            ("10.96.0.1:53", "10.96.0.1:53", true),
            ("192.168.0.1:30053", "10.0.0.1:5353", true),
            ("10.96.0.1:54", "10.0.0.1:5353", false),
            ("10.0.0.1:5353", "10.0.0.1:5353", false),
        ] {
            assert_eq!(rules.is_stale(&flows(to, answered_by)), want, "{to} {answered_by}");
        }
        assert!(Rules::of(&after, &after.clone()).is_none());
        assert!(Rules::of(&plan("TCP", &["10.0.0.1"]), &plan("TCP", &[])).is_none());
    }

    #[test]
    fn a_service_that_is_gone_takes_its_flows_along() {
        let before = plan("UDP", &["10.0.0.1"]);
        for after in [Plan::default(), plan("UDP", &[])] {
            let rules = Rules::of(&before, &after).expect("a change");
            assert!(rules.is_stale(&flows("10.96.0.1:53", "10.0.0.1:5353")));
            assert!(!rules.is_stale(&flows("10.96.0.1:53", "10.0.0.9:5353")));
        }
    }

    #[test]
    fn reads_the_tools_lines() {
        let line = "udp      17 27 src=10.1.0.2 dst=10.96.0.1 sport=39572 dport=53 [UNREPLIED] src=10.0.0.1 dst=10.1.0.2 sport=5353 dport=39572 mark=0 use=1";
        assert_eq!(parse(line), Some(flows("10.96.0.1:53", "10.0.0.1:5353")));
        assert_eq!(parse("icmp 1 29 src=10.1.0.2 dst=10.96.0.1 type=8 code=0 id=1"), None);
    }
}

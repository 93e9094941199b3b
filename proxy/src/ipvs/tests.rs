//! What plans want in the kernel.

use super::held::Held;
use super::port::{Node, Wanted, render};
use super::rules;
use super::sets::Set;
use crate::backend::{IpvsSettings, LocalTraffic, NodePorts, Settings};
use crate::model::{Family, NodeFacts, Plan, plan};
use serde_json::{Value, json};
use std::sync::Arc;

fn settings(scheduler: &str) -> Settings {
    Settings {
        family: Family::V4,
        masquerade_all: false,
        masquerade_mark: 0x4000,
        local: LocalTraffic::Cidr("10.244.0.0/16".parse().expect("a CIDR")),
        node_ports: NodePorts::Everywhere,
        localhost_node_ports: false,
        drop_invalid: false,
        counters: false,
        node_ip: "192.168.0.1".parse().ok(),
        ipvs: IpvsSettings { scheduler: scheduler.to_owned(), exclude: Vec::new() },
    }
}

fn node() -> Node {
    let node_ports = vec!["192.168.0.1".parse().expect("an address")];
    Node { all: node_ports.iter().copied().chain("5.6.7.1".parse()).collect(), node_ports }
}

fn planned(spec: Value, balancer: Option<&str>, endpoints: Value) -> Plan {
    let ingress = balancer.map(|ip| json!([{"ip": ip}])).unwrap_or(json!([]));
    let service = serde_json::from_value(json!({"metadata": {"namespace": "ns", "name": "web"}, "spec": spec,
        "status": {"loadBalancer": {"ingress": ingress}}}))
    .expect("a Service");
    let protocol = spec["ports"][0].get("protocol").cloned().unwrap_or(json!("TCP"));
    let slice = json!({"addressType": "IPv4", "ports": [{"name": "", "port": 8080, "protocol": protocol}],
        "endpoints": endpoints});
    let slice = Arc::new(serde_json::from_value(slice).expect("an EndpointSlice"));
    let node = NodeFacts { name: "n1".into(), zone: String::new() };
    plan(Family::V4, &node, [service].iter(), |_| vec![Arc::clone(&slice)])
}

fn wanted(scheduler: &str, plan: &Plan) -> Wanted {
    render(&settings(scheduler), &node(), plan.ports.values().next().expect("a port"))
}

/// In the words of `ipvsadm -Sn` and `ipset save`, more or less.
fn shown(wanted: &Wanted) -> Vec<String> {
    let servers = wanted.servers.iter().map(|(key, server)| {
        let reals: Vec<_> = server.reals.iter().map(ToString::to_string).collect();
        let (traits, protocol) = (&server.traits, key.protocol.as_str());
        let more = format!("{} {:#x} {}", traits.scheduler, traits.flags, traits.timeout);
        format!("{protocol} {} {more} > {}", key.at, reals.join(" "))
    });
    let entries = wanted.entries.iter().map(|(set, entry)| format!("{} {entry}", set.name(Family::V4)));
    servers.chain(entries).chain(wanted.refused.iter().cloned()).collect()
}

fn two() -> Value {
    json!([{"addresses": ["10.244.0.2"], "nodeName": "n1"}, {"addresses": ["10.244.1.2"], "nodeName": "n2"}])
}

#[test]
fn a_cluster_ip_is_a_server_with_all_endpoints() {
    let plan =
        planned(json!({"clusterIP": "10.96.0.7", "sessionAffinity": "ClientIP", "ports": [{"port": 80}]}), None, two());
    assert_eq!(
        shown(&wanted("mh", &plan)),
        [
            "tcp 10.96.0.7:80 mh 0x11 10800 > 10.244.0.2:8080 10.244.1.2:8080",
            "KUBE-LOOP-BACK 10.244.0.2,tcp:8080,10.244.0.2",
            "KUBE-CLUSTER-IP 10.96.0.7,tcp:80",
            "KUBE-IPVS-IPS 10.96.0.7",
        ]
    );
}

#[test]
fn external_ways_follow_their_policy() {
    let spec = json!({"clusterIP": "10.96.0.7", "type": "NodePort", "externalTrafficPolicy": "Local",
        "externalIPs": ["5.6.7.1", "5.6.7.8"], "ports": [{"port": 80, "nodePort": 30080}]});
    assert_eq!(
        shown(&wanted("rr", &planned(spec.clone(), None, two()))),
        [
            "tcp 5.6.7.1:80 rr 0x0 0 > 10.244.0.2:8080",
            "tcp 5.6.7.8:80 rr 0x0 0 > 10.244.0.2:8080",
            "tcp 10.96.0.7:80 rr 0x0 0 > 10.244.0.2:8080 10.244.1.2:8080",
            "tcp 192.168.0.1:30080 rr 0x0 0 > 10.244.0.2:8080",
            "KUBE-LOOP-BACK 10.244.0.2,tcp:8080,10.244.0.2",
            "KUBE-CLUSTER-IP 10.96.0.7,tcp:80",
            "KUBE-EXTERNAL-IP-LOCAL 5.6.7.1,tcp:80",
            "KUBE-EXTERNAL-IP-LOCAL 5.6.7.8,tcp:80",
            "KUBE-NODE-PORT-TCP 30080",
            "KUBE-NODE-PORT-LOCAL-TCP 30080",
            "KUBE-IPVS-IPS 10.96.0.7",
            // The node has the other address anyway.
            "KUBE-IPVS-IPS 5.6.7.8",
        ]
    );
    let far = json!([{"addresses": ["10.244.1.2"], "nodeName": "n2"}]);
    let shown = shown(&wanted("rr", &planned(spec, None, far)));
    assert!(shown.contains(&"tcp 192.168.0.1:30080 rr 0x0 0 > 10.244.1.2:8080".to_owned()), "{shown:?}");
}

#[test]
fn sctp_node_ports_are_told_by_address() {
    let spec = json!({"clusterIP": "10.96.0.7", "type": "NodePort", "ports": [{"port": 80, "nodePort": 30080, "protocol": "SCTP"}]});
    let shown = shown(&wanted("rr", &planned(spec, None, two())));
    assert!(shown.contains(&"KUBE-NODE-PORT-SCTP-HASH 192.168.0.1,sctp:30080".to_owned()), "{shown:?}");
}

#[test]
fn source_ranges_guard_balancers() {
    let with = |range: &str| {
        let spec = json!({"clusterIP": "10.96.0.7", "type": "LoadBalancer", "ports": [{"port": 80}],
            "loadBalancerSourceRanges": [range]});
        shown(&wanted("rr", &planned(spec, Some("5.6.7.9"), two())))
    };
    let refusal = "-s 5.6.7.9 -m ipvs --vaddr 5.6.7.9 --vproto tcp --vport 80 -j DROP".to_owned();
    let inside = with("192.168.0.0/24");
    for want in [
        "KUBE-LOAD-BALANCER 5.6.7.9,tcp:80",
        "KUBE-LOAD-BALANCER-FW 5.6.7.9,tcp:80",
        "KUBE-LOAD-BALANCER-SOURCE-CIDR 5.6.7.9,tcp:80,192.168.0.0/24",
        "KUBE-LOAD-BALANCER-SOURCE-IP 5.6.7.9,tcp:80,5.6.7.9",
    ] {
        assert!(inside.contains(&want.to_owned()), "{want} in {inside:?}");
    }
    assert!(!inside.contains(&refusal));
    let outside = with("172.16.0.5/32");
    assert!(outside.contains(&refusal), "{outside:?}");
    assert!(outside.contains(&"KUBE-LOAD-BALANCER-SOURCE-CIDR 5.6.7.9,tcp:80,172.16.0.5".to_owned()), "{outside:?}");
}

#[test]
fn what_two_ports_want_stays_while_one_does() {
    let plan = planned(json!({"clusterIP": "10.96.0.7", "ports": [{"port": 80}]}), None, two());
    let (first, wanted) = (plan.ports.keys().next().expect("a port").clone(), wanted("rr", &plan));
    let mut second = first.clone();
    second.service = "web2".into();
    let key = *wanted.servers.keys().next().expect("a server");
    let mut held = Held::default();
    held.replace(&first, Some(wanted.clone()));
    held.replace(&second, Some(wanted));
    assert_eq!(held.take_touched().into_iter().collect::<Vec<_>>(), [key]);
    held.replace(&first, None);
    assert!(held.server(&key).is_some() && held.has(Set::ClusterIp) && !held.has(Set::LoadBalancer));
    held.replace(&second, None);
    assert!(held.server(&key).is_none() && !held.has(Set::ClusterIp) && held.addresses().next().is_none());
}

#[test]
fn rules_depend_on_which_sets_have_entries() {
    let text = rules::text(&settings("rr"), |_| false, std::iter::empty());
    assert!(!text.contains("KUBE-SERVICES -m comment") && text.contains("-A KUBE-SOURCE-RANGES-FIREWALL -j DROP"));
    let refused = "-s 5.6.7.9 -j DROP".to_owned();
    let text = rules::text(&settings("rr"), |_| true, [&refused].into_iter());
    for want in [
        r#"-A KUBE-SERVICES -m comment --comment "Kubernetes service cluster ip + port for masquerade purpose" -m set --match-set KUBE-CLUSTER-IP dst,dst ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ"#,
        r#"-A KUBE-NODE-PORT -p tcp -m comment --comment "Kubernetes nodeport TCP port with externalTrafficPolicy=local" -m set --match-set KUBE-NODE-PORT-LOCAL-TCP dst -j RETURN"#,
        "-A KUBE-SERVICES -m set --match-set KUBE-LOAD-BALANCER dst,dst -j ACCEPT",
        "-A KUBE-IPVS-OUT-FILTER -s 5.6.7.9 -j DROP",
        "-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst -j REJECT",
    ] {
        assert!(text.lines().any(|line| line == want), "{want}\nis not in\n{text}");
    }
}

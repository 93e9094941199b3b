//! What is told to `nft` for one port, as text.

use super::*;
use crate::backend::{LocalTraffic, NodePorts};
use crate::model::{Family, NodeFacts, plan};
use serde_json::{Value, json};

fn settings(family: Family) -> Settings {
    Settings {
        family,
        masquerade_all: false,
        masquerade_mark: 0x4000,
        local: LocalTraffic::Prefix("veth".into()),
        node_ports: NodePorts::Everywhere,
        localhost_node_ports: true,
        drop_invalid: true,
        counters: false,
        node_ip: "192.168.0.1".parse().ok(),
        ipvs: crate::backend::IpvsSettings::default(),
    }
}

fn rendered(mut service: Value, endpoints: Value) -> Rules {
    service["metadata"] = json!({"namespace": "ns", "name": "web"});
    let service = serde_json::from_value(service).expect("a Service");
    let slice = json!({"addressType": "IPv4", "ports": [{"name": "", "port": 8080}], "endpoints": endpoints});
    let slice = Arc::new(serde_json::from_value(slice).expect("an EndpointSlice"));
    let node = NodeFacts { name: "n1".into(), zone: String::new() };
    let plan = plan(Family::V4, &node, [service].iter(), |_| vec![Arc::clone(&slice)]);
    port::render(&settings(Family::V4), plan.ports.values().next().expect("a port"))
}

fn elements(rules: &Rules) -> Vec<String> {
    rules.elements.iter().map(|e| format!("{} {}{}", e.container.name(), e.key, e.value)).collect()
}

#[test]
fn a_cluster_ip_is_an_element_and_a_chain() {
    let service = json!({"spec": {"clusterIP": "10.96.0.7", "ports": [{"port": 80}]}});
    let rules =
        rendered(service, json!([{"addresses": ["10.244.0.2"], "nodeName": "n1"}, {"addresses": ["10.244.1.3"]}]));
    let name = rules.chains.keys().next().expect("a chain").clone();
    assert!(name.starts_with("service-") && name.ends_with("-ns/web/tcp/"), "{name}");
    assert_eq!(
        elements(&rules),
        [
            "cluster-ips 10.96.0.7".to_owned(),
            format!("service-ips 10.96.0.7 . tcp . 80 : goto {name}"),
            "hairpin-connections 10.244.0.2 . 10.244.0.2 . tcp . 8080".to_owned(),
        ]
    );
    let rule = "meta l4proto tcp dnat ip addr . port to numgen random mod 2 map { 0 : 10.244.0.2 . 8080 , 1 : 10.244.1.3 . 8080 }";
    assert_eq!(rules.chains[&name], [rule]);
    assert!(rules.sets.is_empty());
}

#[test]
fn nobody_to_answer_is_an_element_only() {
    let service =
        json!({"spec": {"type": "NodePort", "clusterIP": "10.96.0.7", "ports": [{"port": 80, "nodePort": 30080}]}});
    let rules = rendered(service, json!([]));
    assert!(rules.chains.is_empty());
    assert_eq!(
        elements(&rules)[1..],
        [
            r#"no-endpoint-services 10.96.0.7 . tcp . 80 comment "ns/web" : goto reject-chain"#,
            r#"no-endpoint-nodeports tcp . 30080 comment "ns/web" : goto reject-chain"#,
        ]
    );
}

#[test]
fn a_local_policy_without_endpoints_drops_what_pods_do_not_send() {
    let service = json!({"spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.7", "externalTrafficPolicy": "Local",
        "loadBalancerSourceRanges": ["192.168.0.0/16"], "ports": [{"port": 80, "nodePort": 30080}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "5.6.7.8"}]}}});
    let rules = rendered(service, json!([{"addresses": ["10.244.1.3"], "nodeName": "n2"}]));
    let chain = |prefix: &str| rules.chains.iter().find(|(name, _)| name.starts_with(prefix)).expect("a chain");
    let (external, (cluster, _)) = (chain("external-"), chain("service-"));
    assert_eq!(
        *external.1,
        [
            format!(r#"iifname "veth*" goto {cluster} comment "short-circuit pod traffic""#),
            r#"fib saddr type local mark set mark or 0x00004000 comment "masquerade local traffic""#.to_owned(),
            format!(r#"fib saddr type local goto {cluster} comment "short-circuit local traffic""#),
        ]
    );
    // The node's own address is allowed, so that the balancer's is, too.
    assert_eq!(*chain("firewall-").1, ["ip saddr != { 192.168.0.0/16 , 5.6.7.8/32 } drop"]);
    let found = elements(&rules);
    for want in [
        format!("service-ips 5.6.7.8 . tcp . 80 : goto {}", external.0),
        r#"no-endpoint-services 5.6.7.8 . tcp . 80 comment "ns/web" : drop"#.to_owned(),
        format!("service-nodeports tcp . 30080 : goto {}", external.0),
        r#"no-endpoint-nodeports tcp . 30080 comment "ns/web" : drop"#.to_owned(),
        format!("firewall-ips 5.6.7.8 . tcp . 80 : goto {}", chain("firewall-").0),
    ] {
        assert!(found.contains(&want), "{want} is not in {found:#?}");
    }
}

fn sticky(seconds: u32) -> Rules {
    let service = json!({"spec": {"clusterIP": "10.96.0.7", "ports": [{"port": 80}], "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}});
    rendered(service, json!([{"addresses": ["10.244.0.2"]}]))
}

#[test]
fn affinity_is_a_set_and_a_chain_for_each_endpoint() {
    let rules = sticky(60);
    let (set, timeout) = rules.sets.first_key_value().expect("a set");
    let endpoint = set.replace("affinity-", "endpoint-");
    assert_eq!(*timeout, 60);
    assert_eq!(
        rules.chains[&endpoint],
        [format!("update @{set} {{ ip saddr }}"), "meta l4proto tcp dnat to 10.244.0.2:8080".to_owned()]
    );
    let service = rules.chains.iter().find(|(name, _)| name.starts_with("service-")).expect("a chain").1;
    assert_eq!(
        *service,
        [format!("ip saddr @{set} goto {endpoint}"), format!("numgen random mod 1 vmap {{ 0 : goto {endpoint} }}")]
    );
}

#[test]
fn a_transaction_has_its_commands_in_the_order_that_the_kernel_needs() {
    let mut transaction = Transaction::new(Family::V4);
    transaction.port(&sticky(60), sticky(90));
    let text = transaction.text();
    let at = |needle: &str| text.find(needle).unwrap_or_else(|| panic!("{needle} is not in\n{text}"));
    let order = [
        at("flush chain ip kube-proxy endpoint-"),
        at("delete set ip kube-proxy affinity-"),
        at("add set "),
        at("add rule "),
    ];
    assert!(order.is_sorted(), "{text}");
    assert!(text.contains("{ type ipv4_addr ; flags dynamic,timeout ; timeout 90s ; }"), "{text}");
    let mut same = Transaction::new(Family::V4);
    same.port(&sticky(60), sticky(60));
    assert!(same.is_empty());
}

#[test]
fn writing_everything_keeps_sets_that_are_right() {
    let rules = sticky(60);
    let set = rules.sets.keys().next().expect("a set").clone();
    let found = kernel::Found {
        chains: ["services", "service-OLD-ns/gone/tcp/"].map(str::to_owned).into(),
        sets: [(set.clone(), Some(60)), ("affinity-OLD".to_owned(), Some(60)), ("cluster-ips".to_owned(), None)].into(),
    };
    let mut transaction = Transaction::new(Family::V4);
    transaction.port(&Rules::default(), rules);
    transaction.remove_all_but_written(&found);
    let text = transaction.text();
    assert!(!text.contains(&format!("set ip kube-proxy {set}")), "{text}");
    assert!(text.contains("delete set ip kube-proxy affinity-OLD\n"), "{text}");
    assert_eq!(transaction.emptied().collect::<Vec<_>>(), ["service-OLD-ns/gone/tcp/"]);
    assert!(!text.contains("cluster-ips") && !text.contains("flush chain ip kube-proxy services\n"), "{text}");
}

#[test]
fn the_base_speaks_of_its_family() {
    let cidrs = ["fd00::/108".parse().expect("a CIDR")];
    let text = base::text(
        &settings(Family::V6),
        Some(&["::1", "fd01::1"].map(|ip| ip.parse().expect("an address"))),
        &cidrs,
        false,
    );
    for line in [
        "add rule ip6 kube-proxy services ip6 daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports",
        "add element ip6 kube-proxy nodeport-ips { fd01::1 }",
        r#"add rule ip6 kube-proxy cluster-ips-check ip6 daddr { fd00::/108 } drop comment "Drop traffic to unallocated ClusterIPs""#,
        r#"add rule ip6 kube-proxy services ip6 daddr @cluster-ips iifname != "veth*" mark set mark or 0x00004000 comment "masquerade clusterIP traffic from outside cluster""#,
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
    }
    assert!(!text.contains(" ip kube-proxy") && !text.contains("delete chain"), "{text}");
}

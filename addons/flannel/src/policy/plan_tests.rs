//! Tables of policies and what becomes of them.

use super::*;
use serde_json::{Value, json};

const HERE: &str = "n1";

fn pod(namespace: &str, name: &str, ip: &str, labels: Value) -> Value {
    json!({
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": HERE, "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIPs": [{"ip": ip}]},
    })
}

fn elsewhere(mut pod: Value) -> Value {
    pod["spec"]["nodeName"] = "n2".into();
    pod
}

fn policy(namespace: &str, name: &str, spec: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

/// The table of a small cluster: two namespaces, three pods here, two elsewhere.
fn table(policies: &[Value]) -> Ruleset {
    table_with(policies, &[])
}

fn table_with(policies: &[Value], more: &[Value]) -> Ruleset {
    let mut pods = vec![
        pod("a", "web", "10.244.1.2", json!({"app": "web"})),
        pod("a", "db", "10.244.1.3", json!({"app": "db"})),
        pod("b", "client", "10.244.1.4", json!({"app": "client"})),
        elsewhere(pod("a", "web2", "10.244.2.2", json!({"app": "web"}))),
        elsewhere(pod("b", "client2", "10.244.2.4", json!({"app": "client", "tier": "x"}))),
    ];
    pods.extend_from_slice(more);
    let namespaces = [("a", json!({"team": "red"})), ("b", json!({"team": "blue"}))];
    let namespaces = namespaces.map(|(name, labels)| json!({"metadata": {"name": name, "labels": labels}}));
    let cluster = Cluster { node: HERE, pods: &read(&pods), namespaces: &read(&namespaces), policies: &read(policies) };
    plan(Family::V4, &cluster)
}

fn read<K: serde::de::DeserializeOwned>(values: &[Value]) -> Vec<Arc<K>> {
    values.iter().map(|value| Arc::new(serde_json::from_value(value.clone()).expect("an object"))).collect()
}

/// The rules of a policy's chain, with the sets' elements in place of their names.
fn rules(ruleset: &Ruleset, side: Side, namespace: &str, name: &str) -> Vec<String> {
    let chain = &ruleset.chains[&name_of(side.word(), &[namespace, name])];
    let shown = |rule: &String| {
        ruleset.sets.iter().fold(rule.clone(), |text, (name, set)| {
            let elements: Vec<&str> = set.elements.iter().map(String::as_str).collect();
            text.replace(&format!("@{name}"), &format!("[{}]", elements.join(" ")))
        })
    };
    chain.iter().map(shown).collect()
}

/// The addresses that lead into chains.
fn isolated<'a>(ruleset: &'a Ruleset, map: &str) -> Vec<&'a str> {
    ruleset.sets[map].elements.iter().filter_map(|element| element.split(' ').next()).collect()
}

#[test]
fn without_policies_everything_passes() {
    let ruleset = table(&[]);
    assert_eq!(ruleset.chains.keys().collect::<Vec<_>>(), [BASE, RECEIVE]);
    assert_eq!(ruleset.chains[BASE][0], "ct state established,related accept");
    assert_eq!(ruleset.chains[RECEIVE], ["ip daddr vmap @by-receiver", "accept"]);
    assert!(ruleset.sets.values().all(|set| set.elements.is_empty()));
}

#[test]
fn who_is_isolated() {
    let cases: &[(&str, Value, &[&str], &[&str])] = &[
        ("all of the namespace here", json!({"podSelector": {}}), &["10.244.1.2", "10.244.1.3"], &[]),
        ("some", json!({"podSelector": {"matchLabels": {"app": "db"}}}), &["10.244.1.3"], &[]),
        ("sending only", json!({"podSelector": {}, "policyTypes": ["Egress"]}), &[], &["10.244.1.2", "10.244.1.3"]),
        (
            "both, by what is allowed",
            json!({"podSelector": {"matchLabels": {"app": "db"}}, "egress": [{}]}),
            &["10.244.1.3"],
            &["10.244.1.3"],
        ),
        (
            "receiving only, whatever may be sent",
            json!({"podSelector": {}, "policyTypes": ["Ingress"], "egress": [{}]}),
            &["10.244.1.2", "10.244.1.3"],
            &[],
        ),
        (
            "by expression",
            json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]}}),
            &["10.244.1.2"],
            &[],
        ),
        ("nobody", json!({"podSelector": {"matchLabels": {"app": "none"}}}), &[], &[]),
    ];
    for (what, spec, receiving, sending) in cases {
        let ruleset = table(&[policy("a", "p", spec.clone())]);
        assert_eq!(isolated(&ruleset, BY_RECEIVER), *receiving, "{what}: receiving");
        assert_eq!(isolated(&ruleset, BY_SENDER), *sending, "{what}: sending");
        let all: BTreeSet<&str> = receiving.iter().chain(*sending).copied().collect();
        assert_eq!(ruleset.sets[ITSELF].elements.len(), all.len(), "{what}");
    }
}

#[test]
fn pods_of_the_node_and_those_that_are_over_are_left_alone() {
    let mut host = pod("a", "host", "192.0.2.1", json!({"app": "db"}));
    host["spec"]["hostNetwork"] = true.into();
    let mut over = pod("a", "over", "10.244.1.9", json!({"app": "db"}));
    over["status"]["phase"] = "Succeeded".into();
    let mut fresh = pod("a", "fresh", "", json!({"app": "db"}));
    fresh["status"] = json!({});
    let spec = json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": [{"podSelector": {}}]}]});
    let ruleset = table_with(&[policy("a", "p", spec)], &[host, over, fresh]);
    assert_eq!(isolated(&ruleset, BY_RECEIVER), ["10.244.1.3"]);
    assert_eq!(rules(&ruleset, Side::Ingress, "a", "p"), ["ip saddr [10.244.1.2 10.244.1.3 10.244.2.2] accept"]);
}

#[test]
fn what_is_received() {
    let cases: &[(&str, Value, &[&str])] = &[
        ("nothing", json!([]), &[]),
        ("everything", json!([{}]), &["accept"]),
        ("everything by empty lists", json!([{"from": [], "ports": []}]), &["accept"]),
        (
            "pods of the own namespace",
            json!([{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]),
            &["ip saddr [10.244.1.2 10.244.2.2] accept"],
        ),
        (
            "namespaces",
            json!([{"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]}]),
            &["ip saddr [10.244.1.4 10.244.2.4] accept"],
        ),
        (
            "pods of namespaces",
            json!([{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"tier": "x"}}}]}]),
            &["ip saddr [10.244.2.4] accept"],
        ),
        (
            "nobody of these",
            json!([{"from": [{"podSelector": {"matchLabels": {"app": "none"}}}]}]),
            &["ip saddr [] accept"],
        ),
        ("a peer that says nothing", json!([{"from": [{}]}]), &[]),
        (
            "a block",
            json!([{"from": [{"ipBlock": {"cidr": "10.0.0.7/8", "except": ["10.1.0.0/16", "10.1.2.0/24", "10.2.0.0/16"]}}]}]),
            &["ip saddr 10.0.0.0/8 ip saddr != { 10.1.0.0/16, 10.2.0.0/16 } accept"],
        ),
        ("all addresses", json!([{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]), &["accept"]),
        (
            "all but some",
            json!([{"from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]}]),
            &["ip saddr != { 10.0.0.0/8 } accept"],
        ),
        ("a block of the other family", json!([{"from": [{"ipBlock": {"cidr": "fd00::/8"}}]}]), &[]),
        ("ports", json!([{"ports": [{"port": 80}, {"port": 443}, {"port": 53, "protocol": "UDP"}]}]), {
            &["tcp dport { 80, 443 } accept", "udp dport { 53 } accept"]
        }),
        (
            "ranges that overlap",
            json!([{"ports": [{"port": 8000, "endPort": 8010}, {"port": 8005, "endPort": 8020}, {"port": 8021}, {"port": 9000}]}]),
            &["tcp dport { 8000-8021, 9000 } accept"],
        ),
        ("a protocol", json!([{"ports": [{"protocol": "SCTP"}]}]), &["meta l4proto 132 accept"]),
        (
            "a name, as the pods here say it",
            json!([{"ports": [{"port": "web"}]}]),
            &[
                "ip daddr . meta l4proto . th dport [10.244.1.2 . 6 . 8080 10.244.1.3 . 6 . 8080 10.244.1.4 . 6 . 8080] accept",
            ],
        ),
        ("an unknown name", json!([{"ports": [{"port": "none"}]}]), &["ip daddr . meta l4proto . th dport [] accept"]),
        (
            "peers and ports",
            json!([{"from": [{"podSelector": {"matchLabels": {"app": "db"}}}, {"ipBlock": {"cidr": "192.0.2.0/24"}}],
                    "ports": [{"port": 80}, {"protocol": "UDP"}]}]),
            &[
                "ip saddr [10.244.1.3] tcp dport { 80 } accept",
                "ip saddr [10.244.1.3] meta l4proto 17 accept",
                "ip saddr 192.0.2.0/24 tcp dport { 80 } accept",
                "ip saddr 192.0.2.0/24 meta l4proto 17 accept",
            ],
        ),
    ];
    for (what, ingress, wanted) in cases {
        let ruleset = table(&[policy("a", "p", json!({"podSelector": {}, "ingress": ingress}))]);
        assert_eq!(rules(&ruleset, Side::Ingress, "a", "p"), *wanted, "{what}");
    }
}

#[test]
fn what_is_sent_has_to_be_received() {
    let egress =
        json!([{"to": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}], "ports": [{"port": "web"}]}]);
    let spec = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": egress});
    let ruleset = table(&[policy("a", "p", spec)]);
    let names =
        "10.244.1.2 . 6 . 8080 10.244.1.3 . 6 . 8080 10.244.1.4 . 6 . 8080 10.244.2.2 . 6 . 8080 10.244.2.4 . 6 . 8080";
    assert_eq!(
        rules(&ruleset, Side::Egress, "a", "p"),
        [format!("ip daddr [10.244.1.4 10.244.2.4] ip daddr . meta l4proto . th dport [{names}] goto to-pods")]
    );
}

#[test]
fn pods_of_the_same_policies_share_a_chain_and_peers_a_set() {
    let from = json!([{"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]}]);
    let all = |name: &str| policy("a", name, json!({"podSelector": {}, "ingress": from}));
    let ruleset = table(&[all("p"), all("q")]);
    let chains: Vec<&String> = ruleset.chains.keys().filter(|name| name.starts_with("pods-ingress")).collect();
    assert_eq!(chains.len(), 1);
    let jumps = &ruleset.chains[chains[0]];
    assert_eq!((jumps.len(), jumps[2].as_str()), (3, "drop"));
    assert_eq!(ruleset.sets.keys().filter(|name| name.starts_with("peers-")).count(), 1);
}

#[test]
fn a_pod_that_comes_is_one_element() {
    let spec = json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": [{"podSelector": {}}]}]});
    let policies = [policy("a", "p", spec)];
    let more = elsewhere(pod("a", "new", "10.244.2.9", json!({})));
    let commands = table(&policies).turn_into(&table_with(&policies, &[more]), Family::V4);
    assert_eq!(commands.len(), 1);
    assert!(commands[0].starts_with("add element ip flannel-policy peers-"), "{commands:?}");
    assert!(commands[0].ends_with("{ 10.244.2.9 }"), "{commands:?}");
}

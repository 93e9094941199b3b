//! The network on the real kernel: nodes and pods are network namespaces, which end with the test.

mod support;

use flannel::config::Backend;
use flannel::config::Family;
use flannel::policy::{Cluster, Filter, plan};
use flannel::rules::Kind;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use support::{Fabric, Namespace, is_root};

/// Every pair of pods reaches each other under its own addresses, in both families.
fn all_talk(fabric: &Fabric, how: &str) {
    for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 1)] {
        let (sender, receiver) = (&fabric.nodes[from], &fabric.nodes[to]);
        for (own, other) in sender.pod_addresses().into_iter().zip(receiver.pod_addresses()) {
            let seen = sender.pod.talk_to(&receiver.pod, other, 8080);
            assert_eq!(seen, Some(own), "{how}: pod of node {from} to {other}");
        }
    }
}

#[test]
fn pods_talk_through_the_tunnel_and_nodes_come_and_go() {
    if !is_root() {
        return;
    }
    let mut fabric = Fabric::new(3);
    let backend = support::vxlan(false);
    fabric.settle(&backend);
    assert_eq!(fabric.connect(&backend, &[0, 1, 2]), [(4, 4, 4); 3], "two nodes in two families");
    all_talk(&fabric, "vxlan");

    // A node itself reaches other nodes' pods, from its own part of the network.
    let other = fabric.nodes[1].pod_addresses()[0];
    let seen = fabric.nodes[0].host.talk_to(&fabric.nodes[1].pod, other, 8080);
    assert_eq!(seen, Some("10.244.1.0".parse().unwrap()));
    // What leaves the network is masqueraded.
    let outside = "192.0.2.254".parse().unwrap();
    let seen = fabric.nodes[0].pod.talk_to(&fabric.switch, outside, 8080);
    assert_eq!(seen, Some("192.0.2.1".parse().unwrap()));

    // A restart changes nothing, not even the device's address that others know, and cuts nothing.
    let before = fabric.objects();
    let line = fabric.nodes[0].pod.call(&fabric.nodes[1].pod, other, 8080).expect("a connection");
    fabric.settle(&backend);
    assert_eq!(fabric.objects(), before);
    fabric.connect(&backend, &[0, 1, 2]);
    assert!(line.still_talks());

    // Removed entries, addresses and rules come back.
    for ruin in ["ip route flush dev flannel.1", "ip neigh flush nud permanent", "ip addr flush dev flannel.1"] {
        fabric.nodes[0].host.run(ruin);
    }
    fabric.nodes[0].host.run("iptables -t nat -F FLANNEL-POSTRTG");
    fabric.nodes[0].host.run("iptables -D FORWARD -m comment --comment flanneld\\ forward -j FLANNEL-FWD");
    fabric.settle(&backend);
    assert_eq!(fabric.connect(&backend, &[0, 1, 2]), [(4, 4, 4); 3]);
    all_talk(&fabric, "repaired");
    assert_eq!(fabric.nodes[0].pod.talk_to(&fabric.switch, outside, 8080), Some("192.0.2.1".parse().unwrap()));

    // A device that is lost is made again, with the address that others know.
    fabric.nodes[2].host.run("ip link delete flannel.1");
    fabric.settle(&backend);
    assert_eq!(fabric.objects(), before);
    fabric.connect(&backend, &[0, 1, 2]);
    all_talk(&fabric, "made again");

    // What a node left that vanished is removed, also if nobody looked when it did.
    assert_eq!(fabric.connect(&backend, &[0, 1])[..2], [(2, 2, 2); 2]);
    let gone = fabric.nodes[2].pod_addresses()[0];
    assert_eq!(fabric.nodes[0].pod.talk_to(&fabric.nodes[2].pod, gone, 8080), None);
    assert_eq!(fabric.connect(&backend, &[0, 1, 2]), [(4, 4, 4); 3]);
    all_talk(&fabric, "back again");
}

#[test]
fn pods_talk_over_plain_routes_and_the_backend_can_change() {
    if !is_root() {
        return;
    }
    let mut fabric = Fabric::new(3);
    fabric.settle(&Backend::HostGw);
    assert_eq!(fabric.connect(&Backend::HostGw, &[0, 1, 2]), [(4, 0, 0); 3]);
    all_talk(&fabric, "host-gw");
    assert_eq!(fabric.connect(&Backend::HostGw, &[0, 1])[0], (2, 0, 0));
    // From plain routes to the tunnel, and to a tunnel that is not needed on one network.
    for (direct, wanted) in [(false, (4, 4, 4)), (true, (4, 0, 0)), (false, (4, 4, 4))] {
        let backend = support::vxlan(direct);
        fabric.settle(&backend);
        assert_eq!(fabric.connect(&backend, &[0, 1, 2]), [wanted; 3], "direct: {direct}");
        all_talk(&fabric, "after a change");
    }
}

#[test]
fn an_interface_that_is_made_again_is_found_again() {
    if !is_root() {
        return;
    }
    for backend in [support::vxlan(false), Backend::HostGw] {
        let mut fabric = Fabric::new(2);
        fabric.settle(&backend);
        fabric.connect(&backend, &[0, 1]);
        // The same daemon before and after.
        fabric.connect_around(&backend, 0, |fabric| fabric.nodes[0].plug_again(&fabric.switch, 1400));
        let (here, there) = (&fabric.nodes[0], &fabric.nodes[1]);
        for (own, other) in here.pod_addresses().into_iter().zip(there.pod_addresses()) {
            assert_eq!(here.pod.talk_to(&there.pod, other, 8080), Some(own), "{backend:?}");
        }
    }
}

#[test]
fn rules_of_either_kind_replace_the_other_s() {
    if !is_root() {
        return;
    }
    let (mut fabric, backend) = (Fabric::new(2), support::vxlan(false));
    let outside = "192.0.2.254".parse().expect("an address");
    for kind in [Kind::Iptables, Kind::Nftables, Kind::Iptables] {
        // Only rules of iptables can undo its policy.
        let policy = if kind == Kind::Nftables { "ACCEPT" } else { "DROP" };
        for node in &fabric.nodes {
            node.host.run(&format!("iptables -P FORWARD {policy}"));
        }
        fabric.settle_with(&backend, kind);
        fabric.connect(&backend, &[0, 1]);
        let (here, there) = (&fabric.nodes[0], &fabric.nodes[1]);
        let (own, other) = (here.pod_addresses()[0], there.pod_addresses()[0]);
        assert_eq!(here.pod.talk_to(&fabric.switch, outside, 8080), Some("192.0.2.1".parse().expect("an address")));
        assert_eq!(here.pod.talk_to(&there.pod, other, 8080), Some(own), "{kind:?}");
        let (is, is_not) = match kind {
            Kind::Iptables => ("iptables -t nat -S FLANNEL-POSTRTG", "nft list chain ip flannel-ipv4 postrtg"),
            Kind::Nftables => ("nft list chain ip flannel-ipv4 postrtg", "iptables -t nat -S FLANNEL-POSTRTG"),
        };
        here.host.run(is);
        here.host.run(&format!("! {is_not}"));
    }
}

/// Two pods on the first node, one on the second, and what policies say of them in one family.
struct Guarded {
    fabric: Fabric,
    second: Namespace,
    filter: Filter,
}

impl Guarded {
    fn new(family: Family) -> Self {
        let (mut fabric, backend) = (Fabric::new(2), support::vxlan(false));
        fabric.settle(&backend);
        fabric.connect(&backend, &[0, 1]);
        let second = fabric.nodes[0].second_pod();
        Self { fabric, second, filter: Filter::new(family) }
    }

    /// The namespace and the address of a pod, or of the first node.
    fn side(&self, name: &str) -> (&Namespace, IpAddr) {
        let nodes = &self.fabric.nodes;
        let (namespace, v4, v6) = match name {
            "a" => (&nodes[0].pod, "10.244.1.2", "fd00:10:0:1::2"),
            "b" => (&self.second, "10.244.1.3", "fd00:10:0:1::3"),
            "c" => (&nodes[1].pod, "10.244.2.2", "fd00:10:0:2::2"),
            "node" => (&nodes[0].host, "10.244.1.1", "fd00:10:0:1::1"),
            other => panic!("who is {other}?"),
        };
        let text = if self.filter.family() == Family::V4 { v4 } else { v6 };
        (namespace, text.parse().expect("an address"))
    }

    fn apply(&mut self, policies: &[Value]) {
        let pods = [("a", "node-1"), ("b", "node-1"), ("c", "node-2")].map(|(name, node)| {
            json!({
                "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
                "spec": {"nodeName": node, "containers": [{"ports": [{"name": "web", "containerPort": 8080}]}]},
                "status": {"phase": "Running", "podIPs": [{"ip": self.side(name).1}]},
            })
        });
        let namespaces = [json!({"metadata": {"name": "default", "labels": {"team": "red"}}})];
        let policies: Vec<Value> = policies
            .iter()
            .enumerate()
            .map(|(n, spec)| json!({"metadata": {"name": format!("p{n}"), "namespace": "default"}, "spec": spec}))
            .collect();
        let cluster = Cluster {
            node: "node-1",
            pods: &support::read(&pods),
            namespaces: &support::read(&namespaces),
            policies: &support::read(&policies),
        };
        let (wanted, filter) = (plan(self.filter.family(), &cluster), &mut self.filter);
        self.fabric.nodes[0].host.within(async || filter.apply(wanted).await.map(drop)).expect("rules");
    }

    /// Who reaches whom on which port: `b>a:8080`.
    fn reaches(&self, way: &str) -> bool {
        let (from, rest) = way.split_once('>').expect("a way");
        let (to, port) = rest.split_once(':').expect("a port");
        let ((from, _), (to, address)) = (self.side(from), self.side(to));
        from.talk_to(to, address, port.parse().expect("a port")).is_some()
    }
}

fn only(name: &str) -> Value {
    json!({"matchLabels": {"app": name}})
}

#[test]
fn policies_hold() {
    if !is_root() {
        return;
    }
    let mut guarded = Guarded::new(Family::V4);
    let cases: &[(&str, Vec<Value>, &[&str], &[&str])] = &[
        ("no policy", vec![], &["b>a:8080", "c>a:8080", "a>c:8080", "node>a:8080", "a>b:9090"], &[]),
        (
            "nothing received",
            vec![json!({"podSelector": only("a"), "policyTypes": ["Ingress"]})],
            &["node>a:8080", "a>c:8080", "a>b:8080", "a>node:8080", "c>b:8080", "a>a:8080"],
            &["b>a:8080", "c>a:8080"],
        ),
        (
            "some received, on a named port",
            vec![
                json!({"podSelector": {}, "policyTypes": ["Ingress"]}),
                json!({"podSelector": only("a"), "ingress": [{"from": [{"podSelector": only("c")}], "ports": [{"port": "web"}]}]}),
            ],
            &["c>a:8080", "node>a:9090", "a>c:8080"],
            &["c>a:9090", "b>a:8080", "c>b:8080", "a>b:8080"],
        ),
        (
            "a block with an exception, a range of ports",
            vec![json!({"podSelector": only("a"), "ingress": [{
                "from": [{"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.2.0/24"]}}],
                "ports": [{"port": 8000, "endPort": 8100}]}]})],
            &["b>a:8080"],
            &["b>a:9090", "c>a:8080"],
        ),
        (
            "nothing sent",
            vec![json!({"podSelector": only("a"), "policyTypes": ["Egress"]})],
            &["c>a:8080", "b>a:8080", "b>c:8080", "a>node:8080", "a>a:8080"],
            &["a>c:8080", "a>b:8080"],
        ),
        (
            "sent to a namespace, and received there by somebody else only",
            vec![
                json!({"podSelector": only("a"), "policyTypes": ["Egress"], "egress": [{
                    "to": [{"namespaceSelector": {"matchLabels": {"team": "red"}}}], "ports": [{"port": 8080}]}]}),
                json!({"podSelector": only("b"), "ingress": [{"from": [{"podSelector": only("c")}]}]}),
            ],
            &["a>c:8080", "c>b:8080"],
            &["a>c:9090", "a>b:8080"],
        ),
        ("no policy any more", vec![], &["b>a:8080", "c>a:8080", "a>c:8080"], &[]),
    ];
    for (what, policies, allowed, denied) in cases {
        guarded.apply(policies);
        for way in *allowed {
            assert!(guarded.reaches(way), "{what}: {way} is allowed");
        }
        for way in *denied {
            assert!(!guarded.reaches(way), "{what}: {way} is denied");
        }
    }

    // What talks when a policy comes goes on.
    let address = guarded.side("a").1;
    let line = guarded.fabric.nodes[1].pod.call(&guarded.fabric.nodes[0].pod, address, 8080).expect("a connection");
    let nothing = json!({"podSelector": only("a"), "policyTypes": ["Ingress", "Egress"]});
    guarded.apply(std::slice::from_ref(&nothing));
    assert!(!guarded.reaches("c>a:8080"));
    assert!(line.still_talks());

    // Rules that somebody removed are missed, and written again.
    guarded.fabric.nodes[0].host.run("nft delete table ip flannel-policy");
    let filter = &mut guarded.filter;
    let there = guarded.fabric.nodes[0].host.within(async || filter.is_there().await);
    assert!(!there);
    filter.forget();
    guarded.apply(&[nothing]);
    assert!(!guarded.reaches("c>a:8080"));
}

#[test]
fn policies_hold_in_ipv6_too() {
    if !is_root() {
        return;
    }
    let mut guarded = Guarded::new(Family::V6);
    let from = json!([{"from": [{"podSelector": only("c")}], "ports": [{"port": "web"}]}, {"from": [{"ipBlock": {
        "cidr": "fd00:10::/48", "except": ["fd00:10:0:2::/64"]}}], "ports": [{"port": 9000, "endPort": 9100}]}]);
    guarded.apply(&[
        json!({"podSelector": only("a"), "policyTypes": ["Ingress", "Egress"], "ingress": from}),
        json!({"podSelector": only("b"), "policyTypes": ["Egress"], "egress": [{"to": [{"podSelector": only("a")}]}]}),
    ]);
    // b does not know a's hardware address yet: it is found although b may send to a only.
    for way in ["b>a:9000", "c>a:8080", "node>a:8080", "c>b:8080", "b>node:8080"] {
        assert!(guarded.reaches(way), "{way} is allowed");
    }
    for way in ["c>a:9090", "b>a:8080", "a>c:8080", "b>c:8080"] {
        assert!(!guarded.reaches(way), "{way} is denied");
    }
    guarded.apply(&[]);
    for way in ["b>a:9090", "a>c:8080"] {
        assert!(guarded.reaches(way), "{way} is allowed again");
    }
}

#[test]
fn a_large_cluster_is_written_quickly_and_changed_by_little() {
    if !is_root() {
        return;
    }
    let host = Namespace::new();
    let pod = |n: u32| {
        let (node, ip) =
            (if n < 100 { "node-1" } else { "node-2" }, format!("10.{}.{}.{}", 1 + n / 60_000, n / 250 % 240, n % 250));
        json!({
            "metadata": {"name": format!("p{n}"), "namespace": format!("ns{}", n % 10), "labels": {"app": format!("a{}", n % 7)}},
            "spec": {"nodeName": node, "containers": []}, "status": {"podIPs": [{"ip": ip}]},
        })
    };
    let mut pods: Vec<Arc<flannel::policy::Pod>> = support::read(&(0..10_000).map(pod).collect::<Vec<_>>());
    let namespaces: Vec<Value> = (0..10).map(|n| json!({"metadata": {"name": format!("ns{n}")}})).collect();
    let from = json!([{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "a1"}}}], "ports": [{"port": 80}]}]);
    let policies: Vec<Value> = (0..200)
        .map(|n| {
            let spec = json!({"podSelector": {"matchLabels": {"app": format!("a{}", n % 7)}}, "ingress": from});
            json!({"metadata": {"name": format!("p{n}"), "namespace": format!("ns{}", n % 10)}, "spec": spec})
        })
        .collect();
    let (namespaces, policies) = (support::read(&namespaces), support::read(&policies));
    let mut filter = Filter::new(Family::V4);
    let mut apply = |pods: &[Arc<flannel::policy::Pod>]| {
        let started = std::time::Instant::now();
        let wanted = plan(Family::V4, &Cluster { node: "node-1", pods, namespaces: &namespaces, policies: &policies });
        let planned = started.elapsed();
        let commands = host.within(async || filter.apply(wanted).await).expect("rules");
        println!("{} pods: planned in {planned:?}, {commands} commands in {:?}", pods.len(), started.elapsed());
        commands
    };
    assert!(apply(&pods) > 200);
    // A pod of another node is one element of the one set of peers.
    pods.extend(support::read(&[pod(10_004)]));
    assert_eq!(apply(&pods), 1, "10004 is of app a1");
}

#[test]
fn a_daemon_brings_its_node_into_the_network_and_leaves_it_there() {
    if !is_root() {
        return;
    }
    let mut fabric = Fabric::new(2);
    let backend = support::vxlan(false);
    fabric.settle(&backend);
    fabric.connect(&backend, &[0, 1]);
    // The first node is new: only the second one takes part so far.
    fabric.nodes[0]
        .host
        .run("ip link delete flannel.1; ip link delete flannel-v6.1; iptables -t nat -F FLANNEL-POSTRTG");
    let mut objects: Vec<Value> = fabric.objects().iter().map(|node| json!(node)).collect();
    objects[0]["metadata"]["annotations"] = json!({});
    let api = support::api::Api::new(&objects);
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let conf = r#"{"Network": "10.244.0.0/16", "EnableIPv6": true, "IPv6Network": "fd00:10::/48", "Backend": {"Type": "vxlan"}}"#;
    std::fs::write(path("net-conf.json"), conf).expect("written");
    std::fs::write(path("kubeconfig"), support::kubeconfig("http://192.0.2.254:8001")).expect("written");
    let stop = component::Supervisor::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let serve = api.clone().serve("192.0.2.254:8001".parse().expect("an address"), stop.clone());
            fabric.switch.within(async || serve.await);
        });
        let _stopped = support::OnDrop(|| stop.stop());
        let mut daemon = fabric.nodes[0].host.command(env!("CARGO_BIN_EXE_flanneld"));
        daemon.args(["--kube-subnet-mgr", "--healthz-ip=127.0.0.1", "--healthz-port", "8081"]);
        daemon.arg(format!("--kubeconfig-file={}", path("kubeconfig")));
        daemon.args([
            format!("--net-config-path={}", path("net-conf.json")),
            format!("--subnet-file={}", path("subnet.env")),
        ]);
        daemon.env("NODE_NAME", "node-1").env("FLANNELD_IP_MASQ", "true");
        let mut daemon = support::Running::new(daemon);
        api.wait("node-1", "the condition", |node| {
            node.pointer("/status/conditions/0/type") == Some(&json!("NetworkUnavailable"))
                && node.pointer("/status/conditions/0/status") == Some(&json!("False"))
        });
        api.wait("node-1", "the annotations", |node| {
            let annotation =
                |name: &str| node["metadata"]["annotations"][format!("flannel.alpha.coreos.com/{name}")].clone();
            annotation("public-ip") == "192.0.2.1"
                && annotation("backend-data").as_str().is_some_and(|d| d.contains("VtepMAC"))
        });
        let file = std::fs::read_to_string(path("subnet.env")).expect("the file");
        assert!(file.contains("FLANNEL_SUBNET=10.244.1.1/24\n"), "{file}");
        assert!(file.ends_with("FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"), "{file}");
        let health = fabric.nodes[0].host.get("127.0.0.1:8081", "/readyz");
        assert!(health.starts_with("HTTP/1.1 200") && health.ends_with("flanneld is ready"), "{health}");
        assert_eq!(daemon.terminate(), Some(0));
    });
    // The second node's daemon sees the new annotations; the first one's has ended, and its work stays.
    let object = api.node("node-1");
    fabric.nodes[0].set_object(&object);
    fabric.connect_one(&backend, 1, &[0, 1]);
    let (here, there) = (&fabric.nodes[0], &fabric.nodes[1]);
    for (own, other) in here.pod_addresses().into_iter().zip(there.pod_addresses()) {
        assert_eq!(here.pod.talk_to(&there.pod, other, 8080), Some(own));
    }
    assert_eq!(
        here.pod.talk_to(&fabric.switch, "192.0.2.254".parse().expect("an address"), 8080),
        Some("192.0.2.1".parse().expect("an address"))
    );
}

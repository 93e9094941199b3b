//! The battery of every back end: the same Services, the same traffic through the kernel, the same
//! outcomes. It needs root, and leaves nothing behind.
#![allow(clippy::expect_used, reason = "a test")]

mod network;
#[path = "network/userspace.rs"]
mod userspace;

use kube_proxy::backend::{self, Backend, Extent, LocalTraffic, Mode, NodePorts, Settings};
use kube_proxy::conntrack;
use kube_proxy::metrics::Metrics;
use kube_proxy::model::{Family, NodeFacts, Plan, plan};
use network::{NODE, OUTSIDE, Outcome, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Mutex;

const VIP: &str = "10.96.0.10:80";

/// A world whose node has a back end.
struct Bed {
    world: World,
    backend: Arc<Mutex<(Box<dyn Backend>, Plan)>>,
}

/// The endpoints: name and where it is.
const A: &str = "10.244.0.2 n1";
const B: &str = "10.244.0.3 n1";
const FAR: &str = "10.244.1.2 n2";

fn settings() -> Settings {
    Settings {
        family: Family::V4,
        masquerade_all: false,
        masquerade_mark: 0x4000,
        local: LocalTraffic::Cidr("10.244.0.0/16".parse().expect("a CIDR")),
        node_ports: NodePorts::Everywhere,
        localhost_node_ports: true,
        drop_invalid: true,
        counters: false,
        node_ip: NODE.parse().ok(),
        ipvs: backend::IpvsSettings::default(),
    }
}

impl Bed {
    fn new(mode: Mode) -> Self {
        Self::with(mode, settings())
    }

    fn with(mode: Mode, settings: Settings) -> Self {
        let backend = backend::open(mode, settings, Metrics::default());
        let world = World::new();
        if mode == Mode::Ipvs {
            world.node.inside(|| kube_proxy::kernel::set_ipvs(false));
        }
        Self { world, backend: Arc::new(Mutex::new((backend, Plan::default()))) }
    }

    /// Another back end in the world of one that stays.
    fn beside(self, mode: Mode, settings: Settings) -> Self {
        let backend = backend::open(mode, settings, Metrics::default());
        Self { world: self.world, backend: Arc::new(Mutex::new((backend, Plan::default()))) }
    }

    /// Applies a plan on the node, as the loop does.
    fn apply(&self, wanted: Plan) -> Extent {
        let backend = Arc::clone(&self.backend);
        self.on_node(move || async move {
            let mut state = backend.lock().await;
            let extent = state.0.apply(&wanted).await.expect("rules that the kernel takes");
            for family in [Family::V4, Family::V6] {
                conntrack::reconcile(family, &state.1, &wanted, &Metrics::default()).await;
            }
            state.1 = wanted;
            extent
        })
    }

    fn forget(&self) {
        self.backend.blocking_lock().0.forget();
    }

    fn maintain(&self) -> bool {
        let backend = Arc::clone(&self.backend);
        self.on_node(move || async move { backend.lock().await.0.maintain().await.expect("a look at the kernel") })
    }

    /// Runs something in the node's namespace.
    fn on_node<T, F>(&self, work: impl FnOnce() -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T>,
    {
        self.world.node.inside(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(work())
        })
    }
}

/// A plan with one Service per pair of spec and endpoints, which are called `s0`, `s1` …
fn planned(services: &[(Value, &[&str])]) -> Plan {
    planned_in(Family::V4, services)
}

fn planned_in(family: Family, services: &[(Value, &[&str])]) -> Plan {
    let objects: Vec<_> = services
        .iter()
        .enumerate()
        .map(|(i, (service, _))| {
            let mut service = service.clone();
            service["metadata"] = json!({"namespace": "n", "name": format!("s{i}")});
            serde_json::from_value(service).expect("a Service")
        })
        .collect();
    let slices: Vec<_> = services
        .iter()
        .map(|(service, endpoints)| {
            let protocol = service["spec"]["ports"][0].get("protocol").cloned().unwrap_or(json!("TCP"));
            let endpoints: Vec<_> = endpoints
                .iter()
                .filter_map(|e| e.split_once(' '))
                .map(|(ip, node)| json!({"addresses": [ip], "nodeName": node}))
                .collect();
            let slice = json!({"addressType": family.as_str(), "endpoints": endpoints,
                "ports": [{"name": "", "port": 8080, "protocol": protocol}]});
            Arc::new(serde_json::from_value(slice).expect("an EndpointSlice"))
        })
        .collect();
    let node = NodeFacts { name: "n1".into(), zone: String::new() };
    plan(family, &node, objects.iter(), |service| {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let index: usize = name.trim_start_matches('s').parse().expect("a number");
        vec![Arc::clone(&slices[index])]
    })
}

fn spec(mut spec: Value) -> Value {
    for (field, value) in [("clusterIP", json!("10.96.0.10")), ("ports", json!([{"port": 80}]))] {
        if spec.get(field).is_none() {
            spec[field] = value;
        }
    }
    json!({ "spec": spec })
}

fn answered(by: &str, seen: &str) -> Outcome {
    Outcome::Answered { by: by.into(), seen: seen.parse().expect("an address") }
}

/// Who answers when asked many times.
fn answers(ask: impl Fn() -> Outcome) -> BTreeSet<String> {
    (0..24).map(|_| ask().by().to_owned()).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn cluster_ip(mode: Mode) {
    let bed = Bed::new(mode);
    let world = &bed.world;
    assert_eq!(bed.apply(planned(&[(spec(json!({})), &[A, FAR])])), Extent::Full);
    assert_eq!(answers(|| world.pod_b.ask(VIP)), names(&["a", "far"]));
    assert_eq!(answers(|| world.node.ask(VIP)), names(&["a", "far"]));
    assert_eq!(bed.apply(planned(&[(spec(json!({})), &[A, FAR])])), Extent::Nothing);
    assert_eq!(bed.apply(planned(&[(spec(json!({})), &[FAR])])), Extent::Partial);
    // Pods are seen as they are; who comes from outside is not.
    assert_eq!(world.pod_b.ask(VIP), answered("far", "10.244.0.3"));
    assert_eq!(world.outside.ask(VIP), answered("far", "192.168.51.1"));
    bed.apply(planned(&[(spec(json!({})), &[])]));
    assert_eq!(world.pod_b.ask(VIP), Outcome::Refused);
    assert_eq!(world.node.ask(VIP), Outcome::Refused);
    bed.apply(planned(&[(spec(json!({})), &[A])]));
    assert_eq!(world.pod_b.ask(VIP).by(), "a");
}

fn hairpin(mode: Mode) {
    let bed = Bed::new(mode);
    bed.apply(planned(&[(spec(json!({})), &[A])]));
    // It must not see its own address, or it would answer past the node.
    assert_eq!(bed.world.pod_a.ask(VIP), answered("a", "10.244.0.1"));
    assert_eq!(bed.world.pod_b.ask(VIP), answered("a", "10.244.0.3"));
}

fn external_ways(mode: Mode) {
    let bed = Bed::new(mode);
    let service =
        spec(json!({"type": "NodePort", "externalIPs": ["5.6.7.8"], "ports": [{"port": 80, "nodePort": 30080}]}));
    bed.apply(planned(&[(service.clone(), &[B, FAR])]));
    let world = &bed.world;
    for address in ["192.168.50.1:30080", "192.168.50.9:30080", "5.6.7.8:80"] {
        assert_eq!(answers(|| world.outside.ask(address)), names(&["b", "far"]), "{address}");
    }
    assert_eq!(answers(|| world.node.ask("192.168.50.1:30080")), names(&["b", "far"]));
    assert_eq!(world.pod_a.ask("10.244.0.1:30080").by().len().min(1), 1);
    bed.apply(planned(&[(service, &[])]));
    assert_eq!(world.outside.ask("192.168.50.1:30080"), Outcome::Refused);
    assert_eq!(world.outside.ask("5.6.7.8:80"), Outcome::Refused);
}

fn node_ports_on_some_addresses(mode: Mode) {
    let node_ports = NodePorts::Within(vec!["192.168.50.9/32".parse().expect("a CIDR")]);
    let bed = Bed::with(mode, Settings { node_ports, ..settings() });
    let service = spec(json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}));
    // The node's addresses are read when everything is written.
    bed.apply(planned(&[(service, &[B])]));
    assert_eq!(bed.world.outside.ask("192.168.50.9:30080").by(), "b");
    assert_eq!(bed.world.outside.ask("192.168.50.1:30080"), Outcome::Refused);
}

fn local_policies(mode: Mode) {
    let bed = Bed::new(mode);
    let world = &bed.world;
    let external =
        spec(json!({"type": "NodePort", "externalTrafficPolicy": "Local", "ports": [{"port": 80, "nodePort": 30080}]}));
    bed.apply(planned(&[(external.clone(), &[B, FAR])]));
    // The client is seen as it is, and only this node's endpoint answers.
    let outside: BTreeSet<_> = (0..8).map(|_| world.outside.ask("192.168.50.1:30080")).collect();
    assert_eq!(outside, BTreeSet::from([answered("b", OUTSIDE)]));
    // Pods and the node take the short way to any endpoint; a virtual server has one list for all.
    let inside = if mode == Mode::Ipvs { names(&["b"]) } else { names(&["b", "far"]) };
    assert_eq!(answers(|| world.pod_a.ask("192.168.50.1:30080")), inside);
    assert_eq!(answers(|| world.node.ask("192.168.50.1:30080")), inside);
    bed.apply(planned(&[(external, &[FAR])]));
    match mode {
        Mode::Ipvs => assert_eq!(world.outside.ask("192.168.50.1:30080"), answered("far", OUTSIDE)),
        _ => assert_eq!(world.outside.ask("192.168.50.1:30080"), Outcome::Silence),
    }
    assert_eq!(world.pod_a.ask("192.168.50.1:30080").by(), "far");
    let internal = spec(json!({"internalTrafficPolicy": "Local"}));
    bed.apply(planned(&[(internal.clone(), &[B, FAR])]));
    assert_eq!(answers(|| world.pod_a.ask(VIP)), names(&["b"]));
    bed.apply(planned(&[(internal, &[FAR])]));
    let nobody = if mode == Mode::Ipvs { Outcome::Refused } else { Outcome::Silence };
    assert_eq!(world.pod_a.ask(VIP), nobody);
}

fn balancers_and_their_sources(mode: Mode) {
    let bed = Bed::new(mode);
    let world = &bed.world;
    let guarded = |ranges: Value| {
        let mut service = spec(
            json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ranges, "ports": [{"port": 80, "nodePort": 30080}]}),
        );
        service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "5.6.7.9"}]}});
        service
    };
    bed.apply(planned(&[(guarded(json!([])), &[B])]));
    assert_eq!(world.outside.ask("5.6.7.9:80").by(), "b");
    bed.apply(planned(&[(guarded(json!(["172.16.0.0/12", "10.244.0.2/32"])), &[B])]));
    assert_eq!(world.outside.ask("5.6.7.9:80"), Outcome::Silence);
    assert_eq!(world.pod_a.ask("5.6.7.9:80").by(), "b");
    // Node ports are open to all.
    assert_eq!(world.outside.ask("192.168.50.1:30080").by(), "b");
    bed.apply(planned(&[(guarded(json!(["172.16.0.0/12", "192.168.50.0/24"])), &[B])]));
    assert_eq!(world.outside.ask("5.6.7.9:80").by(), "b");
    assert_eq!(world.pod_a.ask("5.6.7.9:80"), Outcome::Silence);
}

fn affinity(mode: Mode) {
    let bed = Bed::new(mode);
    let world = &bed.world;
    let sticky = |seconds: u32| {
        spec(json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}))
    };
    let all = [A, B, FAR];
    bed.apply(planned(&[(sticky(100), &all)]));
    let first = world.outside.ask(VIP).by().to_owned();
    assert_eq!(answers(|| world.outside.ask(VIP)), names(&[&first]));
    // Neither another endpoint more or less, nor writing everything anew, moves a client.
    let without: Vec<_> =
        all.iter().copied().filter(|e| !matches!((*e, first.as_str()), (A, "b") | (B, "a" | "far"))).collect();
    bed.apply(planned(&[(sticky(100), &without)]));
    assert_eq!(answers(|| world.outside.ask(VIP)), names(&[&first]));
    bed.forget();
    assert_eq!(bed.apply(planned(&[(sticky(100), &all)])), Extent::Full);
    assert_eq!(answers(|| world.outside.ask(VIP)), names(&[&first]));
    // Its own endpoint gone, it goes elsewhere.
    let others: Vec<_> =
        all.iter().copied().filter(|e| !matches!((*e, first.as_str()), (A, "a") | (B, "b") | (FAR, "far"))).collect();
    bed.apply(planned(&[(sticky(100), &others)]));
    let second = world.outside.ask(VIP).by().to_owned();
    assert!(second != first && second.len() < 4, "{first} {second}");
    // The kernel's virtual servers remember a client while it knows a connection of it.
    if mode == Mode::Ipvs {
        return;
    }
    // One second forgets fast: of clients that come later some go elsewhere.
    bed.apply(planned(&[(sticky(1), &all)]));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let before = world.outside.ask(VIP).by().to_owned();
    loop {
        assert!(std::time::Instant::now() < deadline, "the client never goes elsewhere");
        // The memory of the last visit has to run out.
        std::thread::park_timeout(std::time::Duration::from_millis(2100));
        if world.outside.ask(VIP).by() != before {
            break;
        }
    }
}

fn udp_flows_follow_their_endpoints(mode: Mode) {
    let bed = Bed::new(mode);
    let world = &bed.world;
    let service = || spec(json!({"type": "NodePort", "ports": [{"port": 80, "protocol": "UDP", "nodePort": 30081}]}));
    bed.apply(planned(&[(service(), &[])]));
    assert_ne!(world.pod_b.ask_udp(VIP, 4000).by().len(), 1);
    bed.apply(planned(&[(service(), &[A])]));
    // The same client port, so the same flow.
    assert_eq!(world.pod_b.ask_udp(VIP, 4000).by(), "a");
    assert_eq!(world.outside.ask_udp("192.168.50.1:30081", 4001).by(), "a");
    bed.apply(planned(&[(service(), &[FAR])]));
    assert_eq!(world.pod_b.ask_udp(VIP, 4000).by(), "far");
    assert_eq!(world.outside.ask_udp("192.168.50.1:30081", 4001).by(), "far");
    bed.apply(planned(&[(service(), &[])]));
    assert_eq!(world.pod_b.ask_udp(VIP, 4000), Outcome::Refused);
}

fn services_come_and_go(mode: Mode) {
    let bed = Bed::new(mode);
    let world = &bed.world;
    let other = spec(json!({"clusterIP": "10.96.0.11"}));
    bed.apply(planned(&[(spec(json!({})), &[A]), (other.clone(), &[B])]));
    assert_eq!((world.outside.ask(VIP).by(), world.outside.ask("10.96.0.11:80").by()), ("a", "b"));
    bed.apply(planned(&[(spec(json!({})), &[A])]));
    assert_ne!(world.outside.ask("10.96.0.11:80").by(), "b");
    assert_eq!(world.outside.ask(VIP).by(), "a");
    // The same Service again, at once and after what is left of it was removed.
    for _ in 0..2 {
        bed.apply(planned(&[(spec(json!({})), &[A]), (other.clone(), &[B])]));
        assert_eq!(world.outside.ask("10.96.0.11:80").by(), "b");
        bed.apply(planned(&[(spec(json!({})), &[A])]));
        std::thread::park_timeout(std::time::Duration::from_millis(1100));
        assert!(bed.maintain());
    }
    // A back end that knows nothing finds what another one left.
    let fresh = backend::open(mode, settings(), Metrics::default());
    bed.backend.blocking_lock().0 = fresh;
    assert_eq!(bed.apply(planned(&[(other, &[B])])), Extent::Full);
    assert_ne!(world.outside.ask(VIP).by(), "a");
}

fn what_somebody_throws_away_comes_back(mode: Mode) {
    let bed = Bed::new(mode);
    bed.apply(planned(&[(spec(json!({})), &[A])]));
    assert!(bed.maintain());
    assert_eq!(bed.apply(planned(&[(spec(json!({})), &[A])])), Extent::Nothing);
    bed.world.node.run("nft flush ruleset");
    // Virtual servers are no rules.
    if mode != Mode::Ipvs {
        assert_ne!(bed.world.outside.ask(VIP).by(), "a");
    }
    assert!(!bed.maintain());
    assert_eq!(bed.apply(planned(&[(spec(json!({})), &[A])])), Extent::Full);
    assert_eq!(bed.world.outside.ask(VIP).by(), "a");
}

fn cleaning_up_leaves_nothing(mode: Mode) {
    let bed = Bed::new(mode);
    bed.apply(planned(&[
        (spec(json!({"sessionAffinity": "ClientIP"})), &[A]),
        (spec(json!({"clusterIP": "10.96.0.11"})), &[]),
    ]));
    bed.on_node(|| backend::cleanup(None)).expect("rules that can be removed");
    let left = bed.world.node.inside(|| {
        let output = std::process::Command::new("nft").args(["list", "ruleset"]).output().expect("nft runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    // The kubelet's chain stays; it has its own copy.
    let ours = left.lines().filter(|l| l.contains("KUBE-") && !l.contains("KUBE-FIREWALL") || l.contains("kube-proxy"));
    assert_eq!(ours.collect::<Vec<_>>(), Vec::<&str>::new(), "{left}");
    // Once more is no error.
    bed.on_node(|| backend::cleanup(None)).expect("nothing to remove");
}

fn the_second_family_works_beside_the_first(mode: Mode) {
    let bed = Bed::new(mode);
    let world = &bed.world;
    world.add_second_family();
    bed.apply(planned(&[(spec(json!({})), &[A])]));
    let settings = Settings {
        family: Family::V6,
        local: LocalTraffic::Cidr("fd00:244::/64".parse().expect("a CIDR")),
        node_ip: "fd00:50::1".parse().ok(),
        ..settings()
    };
    let second = Bed::beside(bed, mode, settings);
    let (bed, world) = (&second, &second.world);
    let service = |more: Value| {
        let mut service = spec(json!({"type": "NodePort", "clusterIP": "fd00:96::10", "clusterIPs": ["fd00:96::10"],
            "externalIPs": ["fd00:5::8"], "ports": [{"port": 80, "nodePort": 30080}]}));
        service["spec"].as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        service
    };
    let (a, b) = ("fd00:244::2 n1", "fd00:244::3 n1");
    bed.apply(planned_in(Family::V6, &[(service(json!({})), &[a, b])]));
    for address in ["[fd00:96::10]:80", "[fd00:5::8]:80", "[fd00:50::1]:30080"] {
        assert_eq!(answers(|| world.outside.ask(address)), names(&["a", "b"]), "{address}");
    }
    bed.apply(planned_in(Family::V6, &[(service(json!({"sessionAffinity": "ClientIP"})), &[a, b])]));
    let first = world.outside.ask("[fd00:96::10]:80").by().to_owned();
    assert_eq!(answers(|| world.outside.ask("[fd00:96::10]:80")), names(&[&first]));
    bed.apply(planned_in(Family::V6, &[(service(json!({"externalTrafficPolicy": "Local"})), &[a])]));
    assert_eq!(world.outside.ask("[fd00:50::1]:30080"), answered("a", "fd00:50::2"));
    assert_eq!(world.pod_a.ask("[fd00:96::10]:80"), answered("a", "fd00:244::1"));
    let udp = |endpoints: &[&str]| {
        let ports = json!({"ports": [{"port": 80, "protocol": "UDP", "nodePort": 30080}]});
        planned_in(Family::V6, &[(service(ports), endpoints)])
    };
    bed.apply(udp(&[a]));
    assert_eq!(world.outside.ask_udp("[fd00:96::10]:80", 4000).by(), "a");
    bed.apply(udp(&[b]));
    assert_eq!(world.outside.ask_udp("[fd00:96::10]:80", 4000).by(), "b");
    bed.apply(udp(&[]));
    assert_eq!(world.outside.ask_udp("[fd00:96::10]:80", 4000), Outcome::Refused);
    // The first family never noticed.
    assert_eq!(world.outside.ask(VIP).by(), "a");
}

/// One test per back end for each function above.
macro_rules! battery {
    ($($name:ident)*) => {
        mod iptables { $(#[test] fn $name() { super::on_root(|| super::$name(super::Mode::Iptables)); })* }
        mod ipvs { $(#[test] fn $name() { super::on_ipvs(|| super::$name(super::Mode::Ipvs)); })* }
        mod nftables { $(#[test] fn $name() { super::on_root(|| super::$name(super::Mode::Nftables)); })* }
    };
}

battery! {
    cluster_ip hairpin external_ways node_ports_on_some_addresses local_policies balancers_and_their_sources
    affinity udp_flows_follow_their_endpoints services_come_and_go what_somebody_throws_away_comes_back
    cleaning_up_leaves_nothing the_second_family_works_beside_the_first
}

fn on_root(test: impl FnOnce()) {
    match rustix::process::geteuid().is_root() {
        true => test(),
        false => println!("network namespaces need root: nothing is tested"),
    }
}

fn on_ipvs(test: impl FnOnce()) {
    on_root(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        match runtime.block_on(kube_proxy::ipvs::works("rr")) {
            Ok(()) => test(),
            Err(error) => println!("{error}: nothing is tested"),
        }
    });
}

/// Only nftables knows which addresses belong to Services.
#[test]
fn addresses_that_no_service_has_are_not_routed() {
    on_root(|| {
        let bed = Bed::new(Mode::Nftables);
        let mut plan = planned(&[(spec(json!({})), &[A])]);
        bed.apply(plan.clone());
        assert_eq!(bed.world.pod_b.ask("10.96.0.10:81"), Outcome::Refused);
        plan.service_cidrs = vec!["10.96.0.0/12".parse().expect("a CIDR")];
        assert_eq!(bed.apply(plan), Extent::Partial);
        assert_eq!(bed.world.pod_b.ask("10.96.0.99:80"), Outcome::Silence);
        assert_eq!(bed.world.pod_b.ask("10.96.0.10:81"), Outcome::Refused);
        assert_eq!(bed.world.pod_b.ask(VIP).by(), "a");
    });
}

/// Only iptables has counters with names.
#[test]
fn packets_are_counted_by_name() {
    on_root(|| {
        let bed = Bed::new(Mode::Iptables);
        if !bed.world.node.inside(kube_proxy::iptables::ensure_counters) {
            println!("this kernel counts nothing by name: nothing is tested");
            return;
        }
        assert!(bed.world.node.inside(kube_proxy::iptables::ensure_counters), "counters that are there");
        let backend = backend::open(Mode::Iptables, Settings { counters: true, ..settings() }, Metrics::default());
        bed.backend.blocking_lock().0 = backend;
        let service = spec(json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}));
        bed.apply(planned(&[(service, &[A])]));
        assert_eq!(bed.world.node.ask("127.0.0.1:30080").by(), "a");
        let shown = bed.world.node.inside(|| {
            let mut registry = component::metrics::Registry::default();
            kube_proxy::iptables::register(&mut registry);
            component::metrics::encode(&registry)
        });
        for line in [
            "kubeproxy_iptables_localhost_nodeports_accepted_packets_total 1",
            "kubeproxy_iptables_ct_state_invalid_dropped_packets_total 0",
        ] {
            assert!(shown.lines().any(|l| l == line), "no {line} in\n{shown}");
        }
    });
}

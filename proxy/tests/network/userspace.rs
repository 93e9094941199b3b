//! The userspace back end beside the battery of the others: it hands connections on itself, so that it needs a runtime
//! that goes on, and endpoints see the node.

use super::{A, B, FAR, NODE, Outcome, VIP, World, answered, answers, names, on_root, planned, settings, spec};
use kube_proxy::backend::{self, Extent, Mode, Settings};
use kube_proxy::metrics::Metrics;
use kube_proxy::model::Plan;
use serde_json::json;
use std::sync::mpsc::{Sender, channel};

enum Ask {
    Apply(Plan, Sender<Extent>),
    Maintain(Sender<bool>),
    Cleanup(Sender<bool>),
}

/// A world whose node has a proxy that runs.
struct Bed {
    world: World,
    asks: tokio::sync::mpsc::UnboundedSender<Ask>,
}

impl Bed {
    fn new(settings: Settings) -> Self {
        let world = World::new();
        let (asks, mut asked) = tokio::sync::mpsc::unbounded_channel();
        world.node.inside(move || {
            // Threads stay in the namespace of who starts them; this one ends with the bed.
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async move {
                    let mut backend = backend::open(Mode::Userspace, settings, Metrics::default());
                    while let Some(ask) = asked.recv().await {
                        let sent = match ask {
                            Ask::Apply(plan, done) => {
                                done.send(backend.apply(&plan).await.expect("rules that the kernel takes")).is_ok()
                            }
                            Ask::Maintain(done) => done.send(backend.maintain().await.expect("a look")).is_ok(),
                            Ask::Cleanup(done) => done.send(backend::cleanup(None).await.is_ok()).is_ok(),
                        };
                        assert!(sent, "the test waits");
                    }
                });
            });
        });
        Self { world, asks }
    }

    fn ask<T>(&self, ask: impl FnOnce(Sender<T>) -> Ask) -> T {
        let (done, ended) = channel();
        assert!(self.asks.send(ask(done)).is_ok(), "the proxy runs");
        ended.recv().expect("an answer")
    }

    fn apply(&self, plan: Plan) -> Extent {
        self.ask(|done| Ask::Apply(plan, done))
    }
}

#[test]
fn connections_are_handed_on_in_turn() {
    on_root(|| {
        let bed = Bed::new(settings());
        let world = &bed.world;
        assert_eq!(bed.apply(planned(&[(spec(json!({})), &[A, FAR])])), Extent::Full);
        assert_eq!(answers(|| world.pod_b.ask(VIP)), names(&["a", "far"]));
        assert_eq!(answers(|| world.node.ask(VIP)), names(&["a", "far"]));
        assert_eq!(answers(|| world.pod_a.ask(VIP)), names(&["a", "far"]));
        // Endpoints change without a change of rules.
        assert_eq!(bed.apply(planned(&[(spec(json!({})), &[FAR])])), Extent::Nothing);
        assert_eq!(world.pod_b.ask(VIP), answered("far", "192.168.51.1"));
        bed.apply(planned(&[(spec(json!({})), &[])]));
        assert_eq!(world.pod_b.ask(VIP), Outcome::Refused);
        assert_eq!(world.node.ask(VIP), Outcome::Refused);
        bed.apply(planned(&[(spec(json!({})), &[A])]));
        assert_eq!(world.pod_b.ask(VIP).by(), "a");
    });
}

#[test]
fn all_ways_from_outside_lead_to_it() {
    on_root(|| {
        let bed = Bed::new(settings());
        let world = &bed.world;
        let service = |policy: &str| {
            spec(json!({"type": "NodePort", "externalIPs": ["5.6.7.8"], "externalTrafficPolicy": policy,
                "ports": [{"port": 80, "nodePort": 30080}]}))
        };
        let outside = ["192.168.50.1:30080", "192.168.50.9:30080", "5.6.7.8:80"];
        bed.apply(planned(&[(service("Cluster"), &[B, FAR])]));
        for address in outside {
            assert_eq!(answers(|| world.outside.ask(address)), names(&["b", "far"]), "{address}");
        }
        assert_eq!(answers(|| world.node.ask("127.0.0.1:30080")), names(&["b", "far"]));
        // Those of this node alone; the cluster IP still leads to all.
        bed.apply(planned(&[(service("Local"), &[B, FAR])]));
        for address in outside {
            assert_eq!(answers(|| world.outside.ask(address)), names(&["b"]), "{address}");
        }
        assert_eq!(answers(|| world.pod_a.ask(VIP)), names(&["b", "far"]));
        bed.apply(planned(&[(service("Local"), &[FAR])]));
        assert_eq!(world.outside.ask("192.168.50.1:30080"), Outcome::Silence);
        bed.apply(planned(&[(service("Local"), &[])]));
        assert_eq!(world.outside.ask("192.168.50.1:30080"), Outcome::Refused);
    });
}

#[test]
fn sources_are_guarded_also_at_the_socket_itself() {
    on_root(|| {
        let bed = Bed::new(settings());
        let world = &bed.world;
        let balanced = |range: &str| {
            let mut service = spec(json!({"type": "LoadBalancer", "loadBalancerSourceRanges": [range]}));
            service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "5.6.7.8"}]}});
            planned(&[(service, &[A])])
        };
        bed.apply(balanced("192.168.50.0/24"));
        assert_eq!(world.outside.ask("5.6.7.8:80").by(), "a");
        bed.apply(balanced("172.16.0.0/12"));
        assert_eq!(world.outside.ask("5.6.7.8:80"), Outcome::Silence);
        let sockets = world.node.inside(|| std::fs::read_to_string("/proc/thread-self/net/tcp").expect("sockets"));
        let listening = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let own =
            listening.filter(|words| words.get(3) == Some(&"0A")).filter_map(|words| words.get(1)?.split_once(':'));
        let ports: Vec<u16> = own.filter_map(|(_, port)| u16::from_str_radix(port, 16).ok()).collect();
        assert!(!ports.is_empty(), "{sockets}");
        for port in ports {
            assert_eq!(world.outside.ask(&format!("{NODE}:{port}")), Outcome::Silence);
        }
    });
}

#[test]
fn clients_of_udp_are_told_apart_and_stick() {
    on_root(|| {
        let bed = Bed::new(settings());
        let world = &bed.world;
        let service =
            |affinity: &str| spec(json!({"sessionAffinity": affinity, "ports": [{"port": 80, "protocol": "UDP"}]}));
        bed.apply(planned(&[(service("None"), &[A, FAR])]));
        let mut from = 40_000;
        let mut ask = || {
            from += 1;
            world.pod_b.ask_udp(VIP, from)
        };
        let seen: std::collections::BTreeSet<_> = (0..8).map(|_| ask().by().to_owned()).collect();
        assert_eq!(seen, names(&["a", "far"]));
        bed.apply(planned(&[(service("ClientIP"), &[A, FAR])]));
        let seen: std::collections::BTreeSet<_> = (0..8).map(|_| ask().by().to_owned()).collect();
        assert_eq!(seen.len(), 1, "{seen:?}");
        // Flows leave an endpoint that has gone.
        bed.apply(planned(&[(service("None"), &[A])]));
        assert_eq!(world.pod_b.ask_udp(VIP, 41_000).by(), "a");
        bed.apply(planned(&[(service("None"), &[FAR])]));
        assert_eq!(world.pod_b.ask_udp(VIP, 41_000).by(), "far");
    });
}

#[test]
fn rules_come_back_and_go() {
    on_root(|| {
        let bed = Bed::new(settings());
        let world = &bed.world;
        let plan = || planned(&[(spec(json!({})), &[A])]);
        bed.apply(plan());
        assert!(bed.ask(Ask::Maintain));
        world.node.run("iptables -t nat -F\niptables -t nat -X");
        assert!(!bed.ask(Ask::Maintain));
        assert_eq!(bed.apply(plan()), Extent::Full);
        assert_eq!(world.pod_b.ask(VIP).by(), "a");
        assert!(bed.ask(Ask::Cleanup));
        let rules = world.node.inside(|| std::process::Command::new("iptables-save").output().expect("rules").stdout);
        let rules = String::from_utf8_lossy(&rules).into_owned();
        assert!(!rules.contains("KUBE-"), "{rules}");
    });
}

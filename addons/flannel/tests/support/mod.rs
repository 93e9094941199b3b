//! Network namespaces that live as long as their value: each is held by a process that ends when its
//! input closes, which happens at the latest when the test ends, however it does.

pub(crate) mod api;

use flannel::config::{Backend, Family, Vxlan};
use flannel::interface::{Choice, choose};
use flannel::kernel::{Kernel, Scope};
use flannel::lease::{Annotations, missing_annotations};
use flannel::rules::Kind;
use flannel::sync::{Network, Settings};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// How long a connection that is refused in silence is waited for.
const SILENCE: Duration = Duration::from_millis(700);

/// Whether namespaces can be made; says so if not.
pub(crate) fn is_root() -> bool {
    let is = rustix::process::geteuid().is_root();
    if !is {
        println!("skipped: needs root");
    }
    is
}

pub(crate) fn read<K: serde::de::DeserializeOwned>(values: &[Value]) -> Vec<Arc<K>> {
    values.iter().map(|value| Arc::new(serde_json::from_value(value.clone()).expect("an object"))).collect()
}

pub(crate) fn vxlan(direct_routing: bool) -> Backend {
    let (port, mtu, mac_prefix) = (None, None, None);
    Backend::Vxlan(Vxlan { vni: 1, port, mtu, gbp: false, learning: false, direct_routing, mac_prefix })
}

/// A network namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    holder: Child,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo made; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().expect("output")).read_line(&mut line).expect("a line");
        assert_eq!(line, "made\n");
        let namespace = Self { holder };
        namespace.run("ip link set lo up");
        for setting in ["all/accept_dad", "default/accept_dad"] {
            namespace.set(&format!("ipv6/conf/{setting}"), "0");
        }
        namespace
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// Runs a command of a shell in it.
    pub(crate) fn run(&self, command: &str) {
        let output = Command::new("nsenter")
            .args([&format!("--net={}", self.path()), "sh", "-c", command])
            .output()
            .expect("nsenter");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn set(&self, setting: &str, value: &str) {
        self.run(&format!("echo {value} > /proc/sys/net/{setting}"));
    }

    /// Runs a future on a thread of its own that is in the namespace, with all that it starts.
    pub(crate) fn within<T: Send>(&self, work: impl AsyncFnOnce() -> T + Send) -> T {
        self.thread(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(work())
        })
    }

    fn thread<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = self.path();
        std::thread::scope(|scope| {
            let inside = move || {
                let namespace = std::fs::File::open(path).expect("the namespace");
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
                work()
            };
            scope.spawn(inside).join().expect("no panic")
        })
    }

    /// A program that is to run in it; its process is the program's own.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([&format!("--net={}", self.path()), program]);
        command
    }

    /// The answer of a server in it.
    pub(crate) fn get(&self, address: &str, path: &str) -> String {
        let mut stream = self.thread(|| TcpStream::connect(address)).expect("a connection");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Connects to a server in another namespace; the address under which that one saw the caller.
    pub(crate) fn talk_to(&self, other: &Self, address: IpAddr, port: u16) -> Option<IpAddr> {
        self.call(other, address, port).map(|line| line.seen)
    }

    /// A connection to a server in another namespace, which listens for it.
    pub(crate) fn call(&self, other: &Self, address: IpAddr, port: u16) -> Option<Line> {
        let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let server = other.thread(|| TcpListener::bind((any, port)).expect("a listener"));
        let client = self.thread(|| TcpStream::connect_timeout(&SocketAddr::new(address, port), SILENCE)).ok()?;
        let (server, from) = server.accept().expect("the connection");
        Some(Line { client, server, seen: from.ip() })
    }

    /// A cable to another namespace.
    fn cable(&self, name: &str, other: &Self, other_name: &str) {
        self.run(&format!("ip link add {name} type veth peer name {other_name} netns {}", other.holder.id()));
        self.run(&format!("ip link set {name} up"));
        other.run(&format!("ip link set {other_name} up"));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        self.holder.wait().ok();
    }
}

/// Both ends of a connection.
#[derive(Debug)]
pub(crate) struct Line {
    client: TcpStream,
    server: TcpStream,
    seen: IpAddr,
}

impl Line {
    /// Whether what one end says arrives at the other.
    pub(crate) fn still_talks(&self) -> bool {
        let (mut client, mut server, mut heard) = (&self.client, &self.server, [0; 5]);
        server.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        client.write_all(b"hello").is_ok() && server.read_exact(&mut heard).is_ok() && &heard == b"hello"
    }
}

/// A process that ends with its value.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn new(mut command: Command) -> Self {
        Self(command.spawn().expect("the program"))
    }

    /// Sends SIGTERM; the code that it ends with.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the process");
        self.0.wait().expect("the process").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Calls a function when it is dropped, also by a panic.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

pub(crate) fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n\
         users: [{{name: u, user: {{}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    )
}

/// A node with a pod.
#[derive(Debug)]
pub(crate) struct TestNode {
    number: u8,
    pub(crate) host: Namespace,
    pub(crate) pod: Namespace,
    object: Node,
}

impl TestNode {
    fn new(number: u8, switch: &Namespace) -> Self {
        let (host, n) = (Namespace::new(), number);
        plug(n, &host, switch);
        for command in [
            "ip link add cni0 type bridge; ip link set cni0 up".to_owned(),
            format!("ip addr add 10.244.{n}.1/24 dev cni0; ip addr add fd00:10:0:{n}::1/64 dev cni0 nodad"),
            // Forwarding is refused unless somebody allows it.
            "iptables -P FORWARD DROP; ip6tables -P FORWARD DROP".to_owned(),
        ] {
            host.run(&command);
        }
        for setting in [
            "ipv4/ip_forward",
            "ipv6/conf/all/forwarding",
            "bridge/bridge-nf-call-iptables",
            "bridge/bridge-nf-call-ip6tables",
        ] {
            host.set(setting, "1");
        }
        let object = json!({
            "metadata": {"name": format!("node-{n}"), "uid": format!("{n}")},
            "spec": {"podCIDRs": [format!("10.244.{n}.0/24"), format!("fd00:10:0:{n}::/64")]},
        });
        let object = serde_json::from_value(object).expect("a node");
        let pod = pod_of(&host, n, 2);
        Self { number, host, pod, object }
    }

    /// Pulls the node's cable and plugs in another one.
    pub(crate) fn plug_again(&self, switch: &Namespace, mtu: u32) {
        self.host.run("ip link delete eth0");
        plug(self.number, &self.host, switch);
        self.host.run(&format!("ip link set eth0 mtu {mtu}"));
    }

    /// Another pod of the node.
    pub(crate) fn second_pod(&self) -> Namespace {
        pod_of(&self.host, self.number, 3)
    }

    /// Takes over what an apiserver holds.
    pub(crate) fn set_object(&mut self, object: &Value) {
        self.object = serde_json::from_value(object.clone()).expect("a node");
    }

    /// The pod's addresses.
    pub(crate) fn pod_addresses(&self) -> [IpAddr; 2] {
        let n = self.number;
        [format!("10.244.{n}.2"), format!("fd00:10:0:{n}::2")].map(|text| text.parse().expect("an address"))
    }
}

/// A node's cable, its addresses and its way to everybody else.
fn plug(n: u8, host: &Namespace, switch: &Namespace) {
    host.cable("eth0", switch, &format!("port{n}"));
    switch.run(&format!("ip link set port{n} master br0"));
    host.run(&format!("ip addr add 192.0.2.{n}/24 dev eth0; ip addr add 2001:db8::{n}/64 dev eth0 nodad"));
    host.run("ip route add default via 192.0.2.254; ip -6 route add default via 2001:db8::fe");
}

fn pod_of(host: &Namespace, n: u8, last: u8) -> Namespace {
    let pod = Namespace::new();
    pod.cable("eth0", host, &format!("veth{last}"));
    host.run(&format!("ip link set veth{last} master cni0; bridge link set dev veth{last} hairpin on"));
    pod.run(&format!("ip addr add 10.244.{n}.{last}/24 dev eth0; ip addr add fd00:10:0:{n}::{last}/64 dev eth0 nodad"));
    pod.run(&format!("ip route add default via 10.244.{n}.1; ip -6 route add default via fd00:10:0:{n}::1"));
    pod
}

/// Nodes on one network.
#[derive(Debug)]
pub(crate) struct Fabric {
    pub(crate) switch: Namespace,
    pub(crate) nodes: Vec<TestNode>,
}

impl Fabric {
    pub(crate) fn new(nodes: u8) -> Self {
        let switch = Namespace::new();
        switch.run("ip link add br0 type bridge; ip link set br0 up");
        switch.run("ip addr add 192.0.2.254/24 dev br0; ip addr add 2001:db8::fe/64 dev br0 nodad");
        let nodes = (1..=nodes).map(|number| TestNode::new(number, &switch)).collect();
        Self { switch, nodes }
    }

    /// The nodes' objects.
    pub(crate) fn objects(&self) -> Vec<Node> {
        self.nodes.iter().map(|node| node.object.clone()).collect()
    }

    /// As daemons that start: devices, rules, annotations.
    pub(crate) fn settle(&mut self, backend: &Backend) {
        self.settle_with(backend, Kind::Iptables);
    }

    /// As [`Self::settle`], with rules of this kind.
    pub(crate) fn settle_with(&mut self, backend: &Backend, rules: Kind) {
        for node in &mut self.nodes {
            let object = &node.object;
            let patch = node.host.within(async || {
                let mut daemon = daemon(backend, rules).await;
                let own = daemon.settle(object).await.expect("a part of the network");
                daemon.ensure_rules(&own).await.expect("rules");
                let leases: Vec<_> = own.iter().map(|own| (own.family, own.lease.clone())).collect();
                missing_annotations(object, &names(), &leases)
            });
            let annotations = node.object.metadata.annotations.get_or_insert_default();
            for (name, value) in patch.iter().flat_map(|p| p["metadata"]["annotations"].as_object()).flatten() {
                annotations.insert(name.clone(), value.as_str().expect("a text").to_owned());
            }
        }
    }

    /// As daemons that start, and that see only some of the nodes: how many routes, neighbours and
    /// forwarding entries each has afterwards.
    pub(crate) fn connect(&self, backend: &Backend, seen: &[usize]) -> Vec<(usize, usize, usize)> {
        let all = self.objects();
        let seen: Vec<Arc<Node>> = seen.iter().map(|n| Arc::new(all[*n].clone())).collect();
        self.nodes.iter().map(|node| Self::connect_node(backend, node, &seen)).collect()
    }

    /// As [`Self::connect`], one node only.
    pub(crate) fn connect_one(&self, backend: &Backend, node: usize, seen: &[usize]) -> (usize, usize, usize) {
        let seen: Vec<Arc<Node>> = seen.iter().map(|n| Arc::new(self.nodes[*n].object.clone())).collect();
        Self::connect_node(backend, &self.nodes[node], &seen)
    }

    /// One daemon that connects, and again after something has happened.
    pub(crate) fn connect_around(&self, backend: &Backend, node: usize, event: impl FnOnce(&Self) + Send) {
        let (node, all) = (&self.nodes[node], self.objects().into_iter().map(Arc::new).collect::<Vec<_>>());
        node.host.within(async || {
            let mut daemon = daemon(backend, Kind::Iptables).await;
            let own = daemon.settle(&node.object).await.expect("a part of the network");
            daemon.connect(&own, &all).await.expect("ways");
            event(self);
            let own = daemon.settle(&node.object).await.expect("a part of the network");
            let failed = daemon.connect(&own, &all).await.expect("ways");
            assert!(failed.is_empty(), "{failed:?}");
        });
    }

    fn connect_node(backend: &Backend, node: &TestNode, seen: &[Arc<Node>]) -> (usize, usize, usize) {
        node.host.within(async || {
            let mut daemon = daemon(backend, Kind::Iptables).await;
            let own = daemon.settle(&node.object).await.expect("a part of the network");
            let failed = daemon.connect(&own, seen).await.expect("ways");
            assert!(failed.is_empty(), "{failed:?}");
            count().await
        })
    }
}

fn names() -> Annotations {
    Annotations::new("flannel.alpha.coreos.com").expect("a prefix")
}

fn networks() -> Vec<(Family, IpNet)> {
    let net = |text: &str| text.parse().expect("a network");
    vec![(Family::V4, net("10.244.0.0/16")), (Family::V6, net("fd00:10::/48"))]
}

async fn kernel() -> Kernel {
    Kernel::open(&component::Supervisor::new()).expect("netlink")
}

/// A daemon that has just started.
async fn daemon(backend: &Backend, rules: Kind) -> Network {
    let kernel = kernel().await;
    let default = kernel.default_interface(Family::V4).await.expect("routes");
    let choice = Choice { default, ..Choice::default() };
    let interfaces = kernel.interfaces().await.expect("interfaces");
    let external = choose(&interfaces, &choice, &[Family::V4, Family::V6]).expect("an interface");
    assert_eq!(external.interface.name, "eth0");
    let settings = Settings {
        networks: networks(),
        backend: backend.clone(),
        names: names(),
        external,
        public: Vec::new(),
        rules,
        ip_masq: true,
        random: true,
        forward: true,
        blackhole: false,
    };
    Network::new(kernel, settings)
}

/// All entries of both families.
async fn count() -> (usize, usize, usize) {
    let kernel = kernel().await;
    let interfaces = kernel.interfaces().await.expect("interfaces");
    let index = |name: &str| interfaces.iter().find(|i| i.name == name).map(|i| i.index);
    let mut sum = (0, 0, 0);
    for ((_, network), device) in networks().into_iter().zip(["flannel.1", "flannel-v6.1"]) {
        let external = index("eth0").expect("eth0");
        let scope = Scope { network, external, tunnel: index(device), refusing: false };
        let found = kernel.found(&scope).await.expect("entries");
        sum.0 += found.routes.len();
        sum.1 += found.neighbours.len();
        sum.2 += found.forwards.len();
    }
    sum
}

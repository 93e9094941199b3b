//! A node with pods and an outside world, each in a network namespace of its own. A namespace belongs
//! to a thread, and goes when the thread ends: nothing is left behind, whatever a test does.

use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

/// The node's address towards pods.
pub(crate) const NODE_TO_PODS: &str = "10.244.0.1";
/// The node's address towards the outside.
pub(crate) const NODE: &str = "192.168.50.1";
/// Someone outside.
pub(crate) const OUTSIDE: &str = "192.168.50.2";

const PATIENCE: Duration = Duration::from_millis(700);

/// How an attempt to reach an address ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// This endpoint answered, and saw this source.
    Answered { by: String, seen: IpAddr },
    /// Refused at once.
    Refused,
    /// No answer.
    Silence,
}

impl Outcome {
    /// Who answered.
    pub(crate) fn by(&self) -> &str {
        match self {
            Self::Answered { by, .. } => by,
            Self::Refused => "refused",
            Self::Silence => "silence",
        }
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a network namespace of its own.
pub(crate) struct Host {
    jobs: mpsc::Sender<Job>,
    thread: i32,
}

impl Host {
    /// A namespace with only loopback.
    pub(crate) fn new() -> Self {
        let (jobs, work) = mpsc::channel::<Job>();
        let (started, ready) = mpsc::channel();
        std::thread::spawn(move || {
            // SAFETY: only the network namespace of this thread changes; file tables stay shared.
            #[allow(unsafe_code)]
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.expect("a network namespace");
            run("ip link set lo up");
            started.send(rustix::thread::gettid().as_raw_nonzero().get()).expect("the test waits");
            work.into_iter().for_each(|job| job());
        });
        Self { jobs, thread: ready.recv().expect("the thread starts") }
    }

    /// Runs something in the namespace and waits for its result.
    pub(crate) fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (send, result) = mpsc::channel();
        let job: Job = Box::new(move || drop(send.send(work())));
        self.jobs.send(job).expect("the thread lives");
        result.recv().expect("the work did not panic")
    }

    /// Runs commands, one a line, in the namespace.
    pub(crate) fn run(&self, commands: &str) {
        let commands = commands.to_owned();
        self.inside(move || commands.lines().map(str::trim).filter(|l| !l.is_empty()).for_each(run));
    }

    /// Connects another host with this one; the other gets an address and a route to everything.
    pub(crate) fn connect(&self, other: &Host, name: &str, own: &str, address: &str, length: u8) {
        self.run(&format!(
            "ip link add {name} type veth peer name eth0 netns {}
             ip link set {name} up",
            other.thread
        ));
        other.run(&format!(
            "ip addr add {address}/{length} dev eth0
             ip link set eth0 up
             ip route add {own} dev eth0
             ip route add default via {own}"
        ));
    }

    /// Answers on a port, TCP and UDP, with the name and the source that is seen.
    pub(crate) fn serve(&self, name: &str, port: u16) {
        let name = name.to_owned();
        self.inside(move || {
            let tcp = TcpListener::bind(("::", port)).expect("a free port");
            let udp = UdpSocket::bind(("::", port)).expect("a free port");
            let answer = name.clone();
            // Threads stay in the namespace of who starts them.
            std::thread::spawn(move || {
                for mut stream in tcp.incoming().flatten() {
                    let seen = stream.peer_addr().map(|peer| peer.ip().to_canonical()).expect("a peer");
                    let _gone = stream.write_all(format!("{answer} {seen}").as_bytes());
                }
            });
            std::thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok((_, from)) = udp.recv_from(&mut buffer) {
                    let _gone = udp.send_to(format!("{name} {}", from.ip().to_canonical()).as_bytes(), from);
                }
            });
        });
    }

    /// Asks an address over TCP.
    pub(crate) fn ask(&self, address: &str) -> Outcome {
        let address: SocketAddr = address.parse().expect("an address");
        self.inside(move || {
            let mut text = String::new();
            let asked = TcpStream::connect_timeout(&address, PATIENCE).and_then(|mut stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.read_to_string(&mut text)
            });
            outcome(asked.map(|_| text.as_str()).map_err(|error| error.kind()))
        })
    }

    /// Asks an address over UDP from a certain port.
    pub(crate) fn ask_udp(&self, address: &str, from: u16) -> Outcome {
        let address: SocketAddr = address.parse().expect("an address");
        self.inside(move || {
            let any = if address.is_ipv4() { "0.0.0.0" } else { "::" };
            let socket = UdpSocket::bind((any, from)).expect("a free port");
            socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
            let mut buffer = [0; 64];
            let asked = socket.connect(address).and_then(|()| socket.send(b"?")).and_then(|_| socket.recv(&mut buffer));
            let text = asked.map(|n| String::from_utf8_lossy(&buffer[..n]).into_owned());
            outcome(text.as_deref().map_err(std::io::Error::kind))
        })
    }
}

fn outcome(answer: Result<&str, ErrorKind>) -> Outcome {
    match answer {
        Ok(text) => {
            let (by, seen) = text.split_once(' ').expect("name and source");
            Outcome::Answered { by: by.to_owned(), seen: seen.parse().expect("an address") }
        }
        Err(ErrorKind::ConnectionRefused) => Outcome::Refused,
        Err(_) => Outcome::Silence,
    }
}

/// Runs a command in the namespace of the calling thread.
pub(crate) fn run(command: &str) {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a program");
    let output = Command::new(program).args(words).output().expect("the program runs");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A node with two pods of its own, someone outside, and a pod of another node.
pub(crate) struct World {
    /// The node.
    pub(crate) node: Host,
    /// `10.244.0.2`.
    pub(crate) pod_a: Host,
    /// `10.244.0.3`.
    pub(crate) pod_b: Host,
    /// `10.244.1.2`, on another node.
    pub(crate) far: Host,
    /// `192.168.50.2`.
    pub(crate) outside: Host,
}

impl World {
    /// All of it, with servers on port 8080 of every pod.
    pub(crate) fn new() -> Self {
        let world =
            Self { node: Host::new(), pod_a: Host::new(), pod_b: Host::new(), far: Host::new(), outside: Host::new() };
        world.node.run(
            "sysctl -qw net.ipv4.ip_forward=1
             sysctl -qw net.ipv4.conf.all.route_localnet=1
             ip link add cni0 type bridge
             ip link set cni0 up
             ip addr add 10.244.0.1/24 dev cni0",
        );
        for (pod, name, address) in [(&world.pod_a, "veth-a", "10.244.0.2"), (&world.pod_b, "veth-b", "10.244.0.3")] {
            world.node.connect(pod, name, NODE_TO_PODS, address, 24);
            // A pod must be able to reach itself through the bridge.
            world.node.run(&format!("ip link set {name} master cni0\nbridge link set dev {name} hairpin on"));
        }
        world.node.connect(&world.far, "veth-far", "192.168.51.1", "10.244.1.2", 32);
        world.node.run("ip addr add 192.168.51.1/32 dev veth-far\nip route add 10.244.1.2 dev veth-far");
        world.node.connect(&world.outside, "veth-out", NODE, OUTSIDE, 24);
        world.node.run("ip addr add 192.168.50.1/24 dev veth-out\nip addr add 192.168.50.9/24 dev veth-out\nip route add default via 192.168.50.2");
        world.pod_a.serve("a", 8080);
        world.pod_b.serve("b", 8080);
        world.far.serve("far", 8080);
        world
    }

    /// Gives the node, its pods and the outside addresses of the other family, too.
    pub(crate) fn add_second_family(&self) {
        self.node.run(
            "sysctl -qw net.ipv6.conf.all.forwarding=1
             ip addr add fd00:244::1/64 dev cni0 nodad
             ip addr add fd00:50::1/64 dev veth-out nodad
             ip -6 route add default via fd00:50::2",
        );
        for (host, address, node) in [
            (&self.pod_a, "fd00:244::2", "fd00:244::1"),
            (&self.pod_b, "fd00:244::3", "fd00:244::1"),
            (&self.outside, "fd00:50::2", "fd00:50::1"),
        ] {
            host.run(&format!(
                "ip addr add {address}/64 dev eth0 nodad
                 ip -6 route add default via {node}"
            ));
        }
    }
}

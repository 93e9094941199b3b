//! What went through the interfaces of a network namespace, from `/proc/PID/net/dev`.
//!
//! Upstream: `google/cadvisor` `container/libcontainer/handler.go`.

use super::types::{Interface, Network, Packets, Time};

/// The interface that stands for the whole, as upstream has it.
const MAIN: &str = "eth0";
/// Where the numbers of received and sent traffic stand in a line, after its name.
const COLUMNS: [usize; 8] = [0, 2, 8, 10, 1, 3, 9, 11];

/// The traffic of the namespace that a process is in.
pub(super) fn of_process(pid: u32, time: Time) -> Option<Network> {
    std::fs::read_to_string(format!("/proc/{pid}/net/dev")).ok().map(|text| network(&text, time))
}

fn network(text: &str, time: Time) -> Network {
    let interfaces: Vec<Interface> = text.lines().filter_map(interface).filter(is_real).collect();
    let main = interfaces.iter().find(|i| i.name == MAIN).or_else(|| interfaces.first());
    Network { time, main: main.cloned().unwrap_or_default(), interfaces }
}

fn interface(line: &str) -> Option<Interface> {
    let (name, numbers) = line.split_once(':')?;
    let numbers: Vec<u64> = numbers.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let [rx_bytes, rx_errors, tx_bytes, tx_errors, rx, rx_dropped, tx, tx_dropped] =
        COLUMNS.map(|column| numbers.get(column).copied());
    Some(Interface {
        name: name.trim().to_owned(),
        rx_bytes: rx_bytes?,
        rx_errors: rx_errors?,
        tx_bytes: tx_bytes?,
        tx_errors: tx_errors?,
        packets: Packets { rx: rx?, rx_dropped: rx_dropped?, tx: tx?, tx_dropped: tx_dropped? },
    })
}

/// Loopback and the ends of pods' cables say nothing of their own.
fn is_real(interface: &Interface) -> bool {
    interface.name != "lo" && !["veth", "docker"].iter().any(|kind| interface.name.starts_with(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
cni0:  7 1 2 0 0 0 0 0 8 1 3 0 0 0 0 0
veth12: 1 1 1 0 0 0 0 0 1 1 1 0 0 0 0 0
  eth0: 1000 10 1 0 0 0 0 0 2000 20 2 0 0 0 0 0
";

    #[test]
    fn the_main_interface_stands_for_all() {
        let found = network(TEXT, Time::default());
        let packets = Packets { rx: 10, rx_dropped: 0, tx: 20, tx_dropped: 0 };
        let eth0 =
            Interface { name: "eth0".into(), rx_bytes: 1000, rx_errors: 1, tx_bytes: 2000, tx_errors: 2, packets };
        assert_eq!(found.main, eth0);
        assert_eq!(found.interfaces.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["cni0", "eth0"]);
        assert_eq!(network("", Time::default()).main, Interface::default());
    }
}

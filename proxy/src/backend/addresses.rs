//! This node's own addresses, as the kernel lists them.

use crate::model::Family;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses of the network namespace that the calling thread is in, sorted. None if they cannot
/// be read.
pub fn node_addresses(family: Family) -> Vec<IpAddr> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
    let mut found: Vec<IpAddr> = match family {
        Family::V4 => local_v4(&read("fib_trie")).into_iter().map(IpAddr::V4).collect(),
        Family::V6 => local_v6(&read("if_inet6")).into_iter().map(IpAddr::V6).collect(),
    };
    found.sort_unstable();
    found.dedup();
    found
}

/// In the routing trie an address stands above the routes to it: `|-- 10.0.0.1`, `/32 host LOCAL`.
fn local_v4(trie: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut address: Option<Ipv4Addr> = None;
    for line in trie.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("|-- ") {
            address = text.parse().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(address);
        }
    }
    found
}

fn local_v6(list: &str) -> Vec<Ipv6Addr> {
    let digits = list.lines().filter_map(|line| line.split_whitespace().next());
    digits.filter_map(|digits| u128::from_str_radix(digits, 16).ok()).map(Ipv6Addr::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_lists() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.1\n        \
                    /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n";
        assert_eq!(local_v4(trie), [Ipv4Addr::new(10, 0, 0, 1)]);
        let list = "00000000000000000000000000000001 01 80 10 80       lo\nfd000000000000000000000000000005 02 40 00 80 eth0\n";
        assert_eq!(local_v6(list), [Ipv6Addr::LOCALHOST, "fd00::5".parse().expect("an address")]);
    }
}

//! Names of chains and sets of a port: a digest, and what they are for in plain words.

use crate::backend::digest;
use crate::model::PortName;
use std::net::SocketAddr;

/// What the kernel allows, less the longest prefix.
const LONGEST: usize = 256 - 16;

/// `HASH-namespace/service/tcp/port`: what the chains of a port have in common. No other chain of the
/// table has a slash in its name.
pub(super) fn of_port(name: &PortName) -> String {
    hashed(format!("{}/{}/{}/{}", name.namespace, name.service, name.protocol.as_str(), name.port))
}

/// `HASH-namespace/service/tcp/port__10.0.0.1/80`: what chain and set of an endpoint have in common.
pub(super) fn of_endpoint(name: &PortName, address: &SocketAddr) -> String {
    // Colons cannot stand in a name.
    let ip = address.ip().to_string().replace(':', ".");
    let protocol = name.protocol.as_str();
    let port = address.port();
    hashed(format!("{}/{}/{protocol}/{}__{ip}/{port}", name.namespace, name.service, name.port))
}

/// Whether a chain belongs to one port and goes when the port goes.
pub(super) fn is_per_port(chain: &str) -> bool {
    chain.contains('/')
}

/// Whether a set remembers the clients of an endpoint.
pub(super) fn is_affinity(set: &str) -> bool {
    set.starts_with("affinity-")
}

/// The digest keeps names apart that are cut off, and makes those that differ in a digit look different.
fn hashed(name: String) -> String {
    let mut hashed = format!("{}-{name}", digest(&[&name], 8));
    if hashed.len() > LONGEST {
        hashed.truncate(LONGEST - 3);
        hashed.push_str("...");
    }
    hashed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Protocol;

    fn name(port: &str) -> PortName {
        PortName { namespace: "ns1".into(), service: "svc1".into(), port: port.into(), protocol: Protocol::Tcp }
    }

    #[test]
    fn names_are_those_of_upstream() {
        assert_eq!(of_port(&name("p80")), "ULMVA6XW-ns1/svc1/tcp/p80");
        let endpoint = "10.180.0.1:80".parse().expect("an address");
        assert_eq!(of_endpoint(&name("p80"), &endpoint), "5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80");
    }

    #[test]
    fn long_names_are_cut_off() {
        let long = of_port(&name(&"p".repeat(300)));
        assert_eq!(long.len(), LONGEST);
        assert!(long.ends_with("...") && is_per_port(&long));
        assert!(is_affinity("affinity-X") && !is_affinity("cluster-ips"));
    }
}

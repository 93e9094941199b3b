//! Names of chains: a digest of what they are for, short enough for the kernel.

use crate::backend::digest;

/// `KUBE-SVC-`: all endpoints of a port.
pub(super) fn service(port: &str, protocol: &str) -> String {
    named("KUBE-SVC-", &[port, protocol])
}

/// `KUBE-SVL-`: the endpoints of a port on this node.
pub(super) fn local(port: &str, protocol: &str) -> String {
    named("KUBE-SVL-", &[port, protocol])
}

/// `KUBE-EXT-`: traffic to a port from outside.
pub(super) fn external(port: &str, protocol: &str) -> String {
    named("KUBE-EXT-", &[port, protocol])
}

/// `KUBE-FW-`: source ranges of a load balancer.
pub(super) fn firewall(port: &str, protocol: &str) -> String {
    named("KUBE-FW-", &[port, protocol])
}

/// `KUBE-SEP-`: one endpoint of a port.
pub(super) fn endpoint(port: &str, protocol: &str, address: &str) -> String {
    named("KUBE-SEP-", &[port, protocol, address])
}

/// Whether a chain belongs to one port and goes when the port goes.
pub(super) fn is_per_port(chain: &str) -> bool {
    ["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-"].iter().any(|prefix| chain.starts_with(prefix))
}

fn named(prefix: &str, parts: &[&str]) -> String {
    format!("{prefix}{}", digest(parts, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_upstream() {
        // The chain of the API's own Service, the same in every cluster.
        assert_eq!(service("default/kubernetes:https", "tcp"), "KUBE-SVC-NPX46M4PTMTKRN6Y");
        assert_eq!(service("kube-system/kube-dns:dns", "udp"), "KUBE-SVC-TCOU7JCQXEZGVUNU");
    }

    #[test]
    fn chains_fit_the_kernel() {
        assert!(endpoint("a/b", "tcp", "10.0.0.1:80").len() <= 28);
        assert!(is_per_port(&local("a", "tcp")) && !is_per_port("KUBE-SERVICES"));
    }
}

//! What a node's object says about its part of the pods' network, and what a node says about itself:
//! annotations and the part in its spec.
//!
//! Upstream: `pkg/subnet/kube/kube.go`, `pkg/subnet/kube/annotations.go`.

use crate::config::Family;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Map, Value, json};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Why a node's object, or a prefix, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Annotations need a domain and a slash.
    #[error("annotation prefix {0:?}: must be a domain and at most one slash with letters, digits, _ or - behind it")]
    Prefix(String),
    /// No part of the network of this family.
    #[error("no {0:?} pod CIDR")]
    NoSubnet(Family),
    /// A part that is none.
    #[error("pod CIDR {0:?} is not understood")]
    Subnet(String),
    /// A part outside of the network of all pods.
    #[error("pod CIDR {subnet} is not within the network {network}")]
    Outside {
        /// The part.
        subnet: IpNet,
        /// The network of all pods.
        network: IpNet,
    },
    /// An annotation that is missing or not understood.
    #[error("annotation {name}={value:?} is not understood")]
    Annotation {
        /// Its name.
        name: String,
        /// Its value, shortened.
        value: String,
    },
    /// The node uses another backend.
    #[error("backend type {0:?} is another one")]
    Backend(String),
}

/// The names of the annotations.
#[derive(Clone, Debug)]
pub struct Annotations {
    prefix: String,
}

impl Annotations {
    /// Names that begin with `prefix`.
    pub fn new(prefix: &str) -> Result<Self, LeaseError> {
        let fail = || LeaseError::Prefix(prefix.chars().take(300).collect());
        let (domain, rest) = prefix.split_once('/').unwrap_or((prefix, ""));
        let word =
            |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
        let labels: Vec<&str> = domain.split('.').collect();
        if labels.len() < 2 || labels.iter().any(|label| label.is_empty() || !word(label)) || !word(rest) {
            return Err(fail());
        }
        let dash = if rest.is_empty() || rest.ends_with('-') { "" } else { "-" };
        Ok(Self { prefix: format!("{domain}/{rest}{dash}") })
    }

    fn name(&self, what: &str) -> String {
        format!("{}{what}", self.prefix)
    }

    fn managed(&self) -> String {
        self.name("kube-subnet-manager")
    }

    fn backend_type(&self) -> String {
        self.name("backend-type")
    }

    fn backend_data(&self, family: Family) -> String {
        self.name(if family == Family::V4 { "backend-data" } else { "backend-v6-data" })
    }

    fn public_ip(&self, family: Family) -> String {
        self.name(if family == Family::V4 { "public-ip" } else { "public-ipv6" })
    }

    fn public_ip_overwrite(&self, family: Family) -> String {
        self.name(if family == Family::V4 { "public-ip-overwrite" } else { "public-ipv6-overwrite" })
    }

    fn node_public_ip(&self, family: Family) -> String {
        self.name(if family == Family::V4 { "node-public-ip" } else { "node-public-ipv6" })
    }
}

/// A hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// A random address that no manufacturer gave away, beginning with `prefix`.
    pub fn random(prefix: Option<[u8; 2]>) -> Self {
        let mut octets: [u8; 6] = rand::random();
        match prefix {
            Some(prefix) => octets[..2].copy_from_slice(&prefix),
            None => octets[0] = octets[0] & 0xfe | 0x02,
        }
        Self(octets)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut octets = [0; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(())?;
            *octet = u8::from_str_radix(part, 16).map_err(drop)?;
        }
        parts.next().is_none().then_some(Self(octets)).ok_or(())
    }
}

/// How a node is reached, as its annotations say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Through a tunnel to its device.
    Vxlan {
        /// The network's identifier.
        vni: u32,
        /// The device's hardware address.
        mac: Mac,
    },
    /// By a plain route.
    HostGw,
}

impl Reach {
    /// The annotation `backend-type`.
    pub fn backend_type(&self) -> &'static str {
        match self {
            Self::Vxlan { .. } => "vxlan",
            Self::HostGw => "host-gw",
        }
    }

    fn backend_data(&self) -> String {
        match self {
            Self::Vxlan { vni, mac } => format!(r#"{{"VNI":{vni},"VtepMAC":"{mac}"}}"#),
            Self::HostGw => "null".to_owned(),
        }
    }
}

/// A node's part of the network in one family, and the way there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Addresses of the node's pods.
    pub subnet: IpNet,
    /// Where other nodes reach it.
    pub public_ip: IpAddr,
    /// How.
    pub reach: Reach,
}

/// A node's part of `network`: of its spec.
pub fn subnet(node: &Node, family: Family, network: IpNet) -> Result<IpNet, LeaseError> {
    let spec = node.spec.as_ref();
    let many = spec.and_then(|spec| spec.pod_cidrs.as_ref()).filter(|cidrs| !cidrs.is_empty());
    let one = spec.and_then(|spec| spec.pod_cidr.as_ref()).filter(|cidr| !cidr.is_empty());
    let cidrs = many.map_or_else(|| one.map(std::slice::from_ref).unwrap_or_default(), Vec::as_slice);
    for text in cidrs {
        let subnet: IpNet = text.parse().map_err(|_| LeaseError::Subnet(text.chars().take(100).collect()))?;
        if family.has(subnet.addr()) {
            let subnet = subnet.trunc();
            return if network.contains(&subnet) { Ok(subnet) } else { Err(LeaseError::Outside { subnet, network }) };
        }
    }
    Err(LeaseError::NoSubnet(family))
}

/// What a node says about its part of `network`; nothing if it does not take part. `backend` is the
/// backend that the network uses.
pub fn lease(
    node: &Node,
    names: &Annotations,
    family: Family,
    network: IpNet,
    backend: &str,
) -> Result<Option<Lease>, LeaseError> {
    if annotation(node, &names.managed()) != Some("true") {
        return Ok(None);
    }
    let kind = annotation(node, &names.backend_type()).unwrap_or_default();
    if kind != backend {
        return Err(LeaseError::Backend(kind.chars().take(50).collect()));
    }
    let name = names.public_ip(family);
    let public_ip = annotation(node, &name).and_then(|text| text.parse().ok()).filter(|ip| family.has(*ip));
    let public_ip = public_ip.ok_or_else(|| not_understood(node, name))?;
    let reach = match backend {
        "vxlan" => {
            let name = names.backend_data(family);
            let (vni, mac) = tunnel_end(node, &name).ok_or_else(|| not_understood(node, name))?;
            Reach::Vxlan { vni, mac }
        }
        _ => Reach::HostGw,
    };
    Ok(Some(Lease { subnet: subnet(node, family, network)?, public_ip, reach }))
}

/// The hardware address that the node's device had before, so that others need not learn a new one.
pub fn former_mac(node: &Node, names: &Annotations, family: Family) -> Option<Mac> {
    tunnel_end(node, &names.backend_data(family)).map(|(_, mac)| mac)
}

/// The address that somebody else decided others should use, before any flag.
pub fn decided_public_ip(node: &Node, names: &Annotations, family: Family) -> Option<IpAddr> {
    annotation(node, &names.node_public_ip(family))?.parse().ok().filter(|ip| family.has(*ip))
}

/// The annotations that are missing or wrong for these parts; nothing if all are right.
pub fn missing_annotations(node: &Node, names: &Annotations, leases: &[(Family, Lease)]) -> Option<Value> {
    let mut missing = Map::new();
    let mut want = |name: String, value: String| {
        if annotation(node, &name) != Some(&value) {
            missing.insert(name, Value::String(value));
        }
    };
    for (family, lease) in leases {
        let overwritten = annotation(node, &names.public_ip_overwrite(*family)).filter(|text| !text.is_empty());
        want(names.backend_type(), lease.reach.backend_type().to_owned());
        want(names.backend_data(*family), lease.reach.backend_data());
        want(names.public_ip(*family), overwritten.map_or_else(|| lease.public_ip.to_string(), str::to_owned));
    }
    want(names.managed(), "true".to_owned());
    (!missing.is_empty()).then(|| json!({"metadata": {"annotations": missing}}))
}

/// Whether two states of a node's object differ in nothing that matters here.
pub fn same(old: &Node, new: &Node, names: &Annotations) -> bool {
    let cidrs = |node: &Node| node.spec.as_ref().map(|spec| (spec.pod_cidr.clone(), spec.pod_cidrs.clone()));
    let ours = |node: &Node| {
        let all = node.metadata.annotations.iter().flatten();
        all.filter(|(name, _)| name.starts_with(&names.prefix)).map(|(n, v)| (n.clone(), v.clone())).collect::<Vec<_>>()
    };
    old.metadata.uid == new.metadata.uid && cidrs(old) == cidrs(new) && ours(old) == ours(new)
}

fn annotation<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    node.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// `{"VNI":1,"VtepMAC":"..."}`.
fn tunnel_end(node: &Node, name: &str) -> Option<(u32, Mac)> {
    let data: Value = serde_json::from_str(annotation(node, name)?).ok()?;
    let vni = data.get("VNI").and_then(Value::as_u64).and_then(|vni| u32::try_from(vni).ok())?;
    Some((vni, data.get("VtepMAC")?.as_str()?.parse().ok()?))
}

fn not_understood(node: &Node, name: String) -> LeaseError {
    let value = annotation(node, &name).unwrap_or_default().chars().take(100).collect();
    LeaseError::Annotation { name, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Annotations {
        Annotations::new("flannel.alpha.coreos.com").unwrap()
    }

    fn node(cidrs: &[&str], annotations: &[(&str, &str)]) -> Node {
        let annotations: Map<String, Value> = annotations
            .iter()
            .map(|(name, value)| (format!("flannel.alpha.coreos.com/{name}"), (*value).into()))
            .collect();
        serde_json::from_value(json!({
            "metadata": {"name": "n", "annotations": annotations},
            "spec": {"podCIDR": cidrs.first(), "podCIDRs": cidrs},
        }))
        .unwrap()
    }

    fn network() -> IpNet {
        "10.244.0.0/16".parse().unwrap()
    }

    #[test]
    fn prefixes() {
        for (prefix, wanted) in [
            ("flannel.alpha.coreos.com", Some("flannel.alpha.coreos.com/public-ip")),
            ("flannel.alpha.coreos.com/", Some("flannel.alpha.coreos.com/public-ip")),
            ("a.b/net", Some("a.b/net-public-ip")),
            ("a.b/net-", Some("a.b/net-public-ip")),
            ("a.b/c/d", None),
            ("nodomain", None),
            ("A.b", None),
            ("", None),
        ] {
            let name = Annotations::new(prefix).ok().map(|names| names.public_ip(Family::V4));
            assert_eq!(name.as_deref(), wanted, "{prefix}");
        }
    }

    #[test]
    fn what_nodes_say() {
        let managed = ("kube-subnet-manager", "true");
        let data = ("backend-data", r#"{"VNI":1,"VtepMAC":"12:c6:65:89:b4:e3"}"#);
        let kind = ("backend-type", "vxlan");
        let ip = ("public-ip", "192.0.2.7");
        let good = Lease {
            subnet: "10.244.7.0/24".parse().unwrap(),
            public_ip: "192.0.2.7".parse().unwrap(),
            reach: Reach::Vxlan { vni: 1, mac: "12:c6:65:89:b4:e3".parse().unwrap() },
        };
        let cases: &[(&str, Node, Result<Option<Lease>, &str>)] = &[
            ("all there", node(&["10.244.7.0/24"], &[managed, data, kind, ip]), Ok(Some(good.clone()))),
            ("second CIDR", node(&["fd00::/64", "10.244.7.0/24"], &[managed, data, kind, ip]), Ok(Some(good))),
            ("not managed", node(&["10.244.7.0/24"], &[data, kind, ip]), Ok(None)),
            ("no CIDR", node(&[], &[managed, data, kind, ip]), Err("no V4 pod CIDR")),
            ("bad CIDR", node(&["x"], &[managed, data, kind, ip]), Err("pod CIDR \"x\" is not understood")),
            (
                "everything",
                node(&["0.0.0.0/0"], &[managed, data, kind, ip]),
                Err("pod CIDR 0.0.0.0/0 is not within the network 10.244.0.0/16"),
            ),
            ("other backend", node(&["10.244.7.0/24"], &[managed, data, ("backend-type", "host-gw"), ip]), {
                Err("backend type \"host-gw\" is another one")
            }),
            ("no address", node(&["10.244.7.0/24"], &[managed, data, kind]), {
                Err("annotation flannel.alpha.coreos.com/public-ip=\"\" is not understood")
            }),
            ("bad address", node(&["10.244.7.0/24"], &[managed, data, kind, ("public-ip", "fd00::1")]), {
                Err("annotation flannel.alpha.coreos.com/public-ip=\"fd00::1\" is not understood")
            }),
            ("no hardware address", node(&["10.244.7.0/24"], &[managed, ("backend-data", "null"), kind, ip]), {
                Err("annotation flannel.alpha.coreos.com/backend-data=\"null\" is not understood")
            }),
        ];
        for (what, node, wanted) in cases {
            let found = lease(node, &names(), Family::V4, network(), "vxlan").map_err(|error| error.to_string());
            assert_eq!(found, wanted.clone().map_err(str::to_owned), "{what}");
        }
    }

    #[test]
    fn annotations_are_written_until_they_are_right() {
        let mac: Mac = "12:c6:65:89:b4:e3".parse().unwrap();
        let own = Lease {
            subnet: "10.244.7.0/24".parse().unwrap(),
            public_ip: "192.0.2.7".parse().unwrap(),
            reach: Reach::Vxlan { vni: 1, mac },
        };
        let leases = [(Family::V4, own)];
        let mut node = node(&["10.244.7.0/24"], &[]);
        let patch = missing_annotations(&node, &names(), &leases).unwrap();
        let wanted = json!({"metadata": {"annotations": {
            "flannel.alpha.coreos.com/backend-data": r#"{"VNI":1,"VtepMAC":"12:c6:65:89:b4:e3"}"#,
            "flannel.alpha.coreos.com/backend-type": "vxlan",
            "flannel.alpha.coreos.com/kube-subnet-manager": "true",
            "flannel.alpha.coreos.com/public-ip": "192.0.2.7",
        }}});
        assert_eq!(patch, wanted);
        node.metadata.annotations = Some(serde_json::from_value(wanted["metadata"]["annotations"].clone()).unwrap());
        assert_eq!(missing_annotations(&node, &names(), &leases), None);
        assert_eq!(former_mac(&node, &names(), Family::V4), Some(mac));
        let overwrite = "flannel.alpha.coreos.com/public-ip-overwrite".to_owned();
        node.metadata.annotations.as_mut().unwrap().insert(overwrite, "198.51.100.1".into());
        assert_eq!(
            missing_annotations(&node, &names(), &leases),
            Some(json!({"metadata": {"annotations": {"flannel.alpha.coreos.com/public-ip": "198.51.100.1"}}}))
        );
    }

    #[test]
    fn heartbeats_change_nothing() {
        let old = node(&["10.244.7.0/24"], &[("public-ip", "192.0.2.7")]);
        let mut new = old.clone();
        new.metadata.resource_version = Some("2".into());
        new.metadata.annotations.as_mut().unwrap().insert("other/thing".into(), "x".into());
        assert!(same(&old, &new, &names()));
        assert!(!same(&old, &node(&["10.244.7.0/24"], &[("public-ip", "192.0.2.8")]), &names()));
        assert!(!same(&old, &node(&["10.244.8.0/24"], &[("public-ip", "192.0.2.7")]), &names()));
    }

    #[test]
    fn hardware_addresses() {
        assert_eq!("12:C6:65:89:b4:e3".parse::<Mac>().unwrap().to_string(), "12:c6:65:89:b4:e3");
        for bad in ["", "12:c6:65:89:b4", "12:c6:65:89:b4:e3:00", "12:c6:65:89:b4:g3", "1:c6:65:89:b4:e3"] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
        assert_eq!(Mac::random(None).0[0] & 3, 2, "local and of no group");
        assert_eq!(Mac::random(Some([0x0e, 0x2a])).0[..2], [0x0e, 0x2a]);
    }
}

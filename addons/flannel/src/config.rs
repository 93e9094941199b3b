//! `net-conf.json`: the network of all pods and how nodes reach each other's part of it.
//!
//! Upstream: `pkg/subnet/config.go`, `pkg/backend/vxlan/vxlan.go`. Keys are read in any case, as Go does.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::net::IpAddr;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON, or a value of the wrong type.
    #[error("net-conf.json: {0}")]
    Json(#[from] serde_json::Error),
    /// Both families are switched off.
    #[error("net-conf.json: EnableIPv4 or EnableIPv6 must be true")]
    NoFamily,
    /// A family is on, and its network is not given.
    #[error("net-conf.json: {0} is missing")]
    NoNetwork(&'static str),
    /// A backend that is not built.
    #[error("net-conf.json: backend type {0:?} is not built; vxlan and host-gw are")]
    Backend(String),
    /// A value that is out of its range.
    #[error("net-conf.json: {field} {value}: {why}")]
    Range {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        why: &'static str,
    },
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Whether an address is of it.
    pub fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }

    /// Bits of an address.
    pub fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

/// What `net-conf.json` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The families that are on, with the network of all pods.
    pub networks: Vec<(Family, IpNet)>,
    /// Whether rules are those of nftables instead of iptables.
    pub nftables: bool,
    /// How nodes reach each other.
    pub backend: Backend,
    /// Keys that mean nothing here.
    pub unknown: Vec<String>,
}

/// How nodes reach each other's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Through a tunnel that carries Ethernet frames in UDP.
    Vxlan(Vxlan),
    /// By plain routes; all nodes are on one network.
    HostGw,
}

/// The tunnel's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vxlan {
    /// The network's identifier.
    pub vni: u32,
    /// The UDP port; the kernel's own choice if there is none.
    pub port: Option<u16>,
    /// MTU of the network that carries the tunnel; the external interface's if there is none.
    pub mtu: Option<u32>,
    /// Group-based policy in the tunnel's header.
    pub gbp: bool,
    /// Whether the device learns where addresses are.
    pub learning: bool,
    /// No tunnel between nodes of one network.
    pub direct_routing: bool,
    /// How a new device's hardware address begins.
    pub mac_prefix: Option<[u8; 2]>,
}

/// What the tunnel adds to each packet.
pub const VXLAN_OVERHEAD: u32 = 50;
/// Exclusive bound of an identifier.
const VNI_END: u32 = 1 << 24;
/// Keys that only a subnet manager without Kubernetes looks at.
const FOREIGN: &[&str] = &["subnetlen", "subnetmin", "subnetmax", "ipv6subnetlen", "ipv6subnetmin", "ipv6subnetmax"];

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
struct Raw {
    #[serde(default = "yes")]
    enableipv4: bool,
    #[serde(default)]
    enableipv6: bool,
    #[serde(default)]
    enablenftables: bool,
    network: Option<String>,
    ipv6network: Option<String>,
    #[serde(default)]
    backend: RawBackend,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
struct RawBackend {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    vni: Option<u32>,
    #[serde(default)]
    port: u16,
    mtu: Option<u32>,
    #[serde(default)]
    gbp: bool,
    #[serde(default)]
    learning: bool,
    #[serde(default)]
    directrouting: bool,
    #[serde(default)]
    macprefix: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

fn yes() -> bool {
    true
}

impl Config {
    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let raw: Raw = serde_json::from_value(lower_keys(serde_json::from_str(text)?, 2))?;
        let mut networks = Vec::new();
        if raw.enableipv4 {
            let text = raw.network.ok_or(ConfigError::NoNetwork("Network"))?;
            let network = text.parse::<Ipv4Net>().map_err(|_| no_cidr("Network", &text))?;
            networks.push((Family::V4, IpNet::V4(network.trunc())));
        }
        if raw.enableipv6 {
            let text = raw.ipv6network.ok_or(ConfigError::NoNetwork("IPv6Network"))?;
            let network = text.parse::<Ipv6Net>().map_err(|_| no_cidr("IPv6Network", &text))?;
            networks.push((Family::V6, IpNet::V6(network.trunc())));
        }
        if networks.is_empty() {
            return Err(ConfigError::NoFamily);
        }
        let unknown = raw.rest.keys().filter(|key| !FOREIGN.contains(&key.as_str())).cloned();
        let unknown = unknown.chain(raw.backend.rest.keys().map(|key| format!("backend.{key}"))).collect();
        Ok(Self { networks, nftables: raw.enablenftables, backend: raw.backend.checked()?, unknown })
    }
}

impl RawBackend {
    fn checked(self) -> Result<Backend, ConfigError> {
        match self.kind.as_deref() {
            Some("host-gw") => return Ok(Backend::HostGw),
            Some("vxlan") => {}
            // Upstream's default, which nobody should use.
            other => return Err(ConfigError::Backend(other.unwrap_or("udp").to_owned())),
        }
        let vni = self.vni.unwrap_or(1);
        if vni >= VNI_END {
            return Err(ConfigError::Range { field: "VNI", value: vni.to_string(), why: "must be below 16777216" });
        }
        let mtu = self.mtu.filter(|mtu| *mtu != 0);
        if let Some(mtu) = mtu.filter(|mtu| !(VXLAN_OVERHEAD + 68..=65_535).contains(mtu)) {
            return Err(ConfigError::Range { field: "MTU", value: mtu.to_string(), why: "must be 118 to 65535" });
        }
        Ok(Backend::Vxlan(Vxlan {
            vni,
            port: Some(self.port).filter(|port| *port != 0),
            mtu,
            gbp: self.gbp,
            learning: self.learning,
            direct_routing: self.directrouting,
            mac_prefix: mac_prefix(&self.macprefix)?,
        }))
    }
}

/// `0E-2A`: the first two octets.
fn mac_prefix(text: &str) -> Result<Option<[u8; 2]>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    let octet = |text: &str| (text.len() == 2).then(|| u8::from_str_radix(text, 16).ok()).flatten();
    let octets = text.split_once(['-', ':']).and_then(|(first, second)| Some([octet(first)?, octet(second)?]));
    // A group's address cannot be a device's.
    let octets = octets.filter(|octets| octets[0] & 1 == 0);
    let why = "must be two octets such as 0E-2A, of no group";
    octets.map(Some).ok_or_else(|| ConfigError::Range { field: "MacPrefix", value: text.to_owned(), why })
}

fn no_cidr(field: &'static str, value: &str) -> ConfigError {
    ConfigError::Range { field, value: value.to_owned(), why: "must be a CIDR of its family" }
}

/// Keys of the outermost `levels` objects in lower case.
fn lower_keys(value: Value, levels: u8) -> Value {
    match value {
        Value::Object(fields) if levels > 0 => {
            fields.into_iter().map(|(key, value)| (key.to_lowercase(), lower_keys(value, levels - 1))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vxlan() -> Vxlan {
        Vxlan { vni: 1, port: None, mtu: None, gbp: false, learning: false, direct_routing: false, mac_prefix: None }
    }

    #[test]
    fn what_files_say() {
        let v4 = (Family::V4, "10.244.0.0/16".parse().unwrap());
        let v6 = (Family::V6, "fd00:10::/48".parse().unwrap());
        let cases: &[(&str, Vec<(Family, IpNet)>, Backend)] = &[
            (r#"{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}"#, vec![v4], Backend::Vxlan(vxlan())),
            (
                r#"{"network": "10.244.1.2/16", "SubnetLen": 24, "backend": {"type": "host-gw"}}"#,
                vec![v4],
                Backend::HostGw,
            ),
            (
                r#"{"Network": "10.244.0.0/16", "EnableIPv6": true, "IPv6Network": "fd00:10::/48", "EnableNFTables": false,
                    "Backend": {"Type": "vxlan", "VNI": 4096, "Port": 4789, "MTU": 1450, "DirectRouting": true,
                                "GBP": true, "Learning": true, "MacPrefix": "0E-2A"}}"#,
                vec![v4, v6],
                Backend::Vxlan(Vxlan {
                    vni: 4096,
                    port: Some(4789),
                    mtu: Some(1450),
                    gbp: true,
                    learning: true,
                    direct_routing: true,
                    mac_prefix: Some([0x0e, 0x2a]),
                }),
            ),
            (
                r#"{"EnableIPv4": false, "EnableIPv6": true, "IPv6Network": "fd00:10::/48", "Backend": {"Type": "vxlan"}}"#,
                vec![v6],
                Backend::Vxlan(vxlan()),
            ),
        ];
        for (text, networks, backend) in cases {
            let config = Config::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((&config.networks, &config.backend), (networks, backend), "{text}");
            assert!(config.unknown.is_empty(), "{text}: {:?}", config.unknown);
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let cases = [
            ("{", "EOF while parsing"),
            (r#"{"Backend": {"Type": "vxlan"}}"#, "Network is missing"),
            (r#"{"Network": "fd00::/48", "Backend": {"Type": "vxlan"}}"#, "Network fd00::/48: must be a CIDR"),
            (r#"{"EnableIPv4": false}"#, "EnableIPv4 or EnableIPv6"),
            (r#"{"Network": "10.0.0.0/8"}"#, "backend type \"udp\" is not built"),
            (r#"{"Network": "10.0.0.0/8", "Backend": {"Type": "wireguard"}}"#, "\"wireguard\" is not built"),
            (r#"{"Network": "10.0.0.0/8", "Backend": {"Type": "vxlan", "VNI": 16777216}}"#, "VNI 16777216"),
            (r#"{"Network": "10.0.0.0/8", "Backend": {"Type": "vxlan", "MTU": 90}}"#, "MTU 90"),
            (r#"{"Network": "10.0.0.0/8", "Backend": {"Type": "vxlan", "Port": 70000}}"#, "70000"),
            (r#"{"Network": "10.0.0.0/8", "Backend": {"Type": "vxlan", "MacPrefix": "01-2A"}}"#, "MacPrefix 01-2A"),
        ];
        for (text, wanted) in cases {
            let error = Config::parse(text).expect_err(text).to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn rules_are_those_of_iptables_unless_told_otherwise() {
        for (key, wanted) in [("", false), (r#""EnableNFTables": false,"#, false), (r#""enableNFTables": true,"#, true)]
        {
            let text = format!(r#"{{{key} "Network": "10.0.0.0/8", "Backend": {{"Type": "vxlan"}}}}"#);
            assert_eq!(Config::parse(&text).unwrap().nftables, wanted, "{key}");
        }
    }

    #[test]
    fn unknown_keys_are_kept_to_be_named() {
        let text = r#"{"Network": "10.0.0.0/8", "Color": 1, "Backend": {"Type": "host-gw", "Speed": 2}}"#;
        assert_eq!(Config::parse(text).unwrap().unknown, ["color", "backend.speed"]);
    }
}

//! `subnet.env`: what `flanneld` tells the CNI plugin.
//!
//! Upstream: `WriteSubnetFile` in `pkg/subnet/subnet.go`; the plugin's `loadFlannelSubnetEnv`.

use crate::config::Family;
use ipnet::IpNet;
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// Most bytes that are read of a file.
const LONGEST: u64 = 64 << 10;

/// The file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubnetFile {
    /// Per family: the network of all pods and this node's part of it.
    pub subnets: Vec<(IpNet, IpNet)>,
    /// MTU of the pods' devices.
    pub mtu: u32,
    /// Whether the daemon masquerades, so that plugins need not.
    pub ip_masq: bool,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SubnetFileError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A value that is none.
    #[error("{key}={value} is not understood")]
    Value {
        /// The variable.
        key: String,
        /// Its value.
        value: String,
    },
    /// Variables that are not there.
    #[error("missing {0}")]
    Missing(String),
}

impl SubnetFile {
    /// The file's text. The node's part is written as its first usable address.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (network, subnet) in &self.subnets {
            let prefix = if network.addr().is_ipv4() { "FLANNEL" } else { "FLANNEL_IPV6" };
            let first = IpNet::new(next(subnet.network()), subnet.prefix_len()).unwrap_or(*subnet);
            let _ = writeln!(text, "{prefix}_NETWORK={network}\n{prefix}_SUBNET={first}");
        }
        let _ = writeln!(text, "FLANNEL_MTU={}\nFLANNEL_IPMASQ={}", self.mtu, self.ip_masq);
        text
    }

    /// Writes the file, whole or not at all. Whether it was another one before.
    pub fn write(&self, path: &Path) -> io::Result<bool> {
        let text = self.render();
        if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
            return Ok(false);
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let temporary = path.with_extension("env.new");
        std::fs::write(&temporary, text)?;
        std::fs::rename(&temporary, path)?;
        Ok(true)
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, SubnetFileError> {
        use std::io::Read as _;
        let mut text = String::new();
        std::fs::File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, SubnetFileError> {
        let value = |wanted: &str| {
            let lines = text.lines().filter_map(|line| line.split_once('='));
            lines.filter(|(key, _)| *key == wanted).map(|(_, value)| value.trim()).next_back()
        };
        let subnets = [Family::V4, Family::V6].into_iter().filter_map(|family| subnet(family, &value).transpose());
        let subnets: Vec<_> = subnets.collect::<Result<_, _>>()?;
        let mtu = value("FLANNEL_MTU");
        let ip_masq = value("FLANNEL_IPMASQ");
        let mut missing = Vec::new();
        if subnets.is_empty() {
            missing.push("FLANNEL_NETWORK, FLANNEL_IPV6_NETWORK, FLANNEL_SUBNET, FLANNEL_IPV6_SUBNET");
        }
        let (Some(mtu), Some(ip_masq), true) = (mtu, ip_masq, missing.is_empty()) else {
            missing.extend(mtu.is_none().then_some("FLANNEL_MTU"));
            missing.extend(ip_masq.is_none().then_some("FLANNEL_IPMASQ"));
            return Err(SubnetFileError::Missing(missing.join(", ")));
        };
        let mtu = mtu.parse().map_err(|_| not_understood("FLANNEL_MTU", mtu))?;
        Ok(Self { subnets, mtu, ip_masq: ip_masq == "true" })
    }
}

/// The network and the part of a family, if both are there.
fn subnet<'a>(
    family: Family,
    value: &impl Fn(&str) -> Option<&'a str>,
) -> Result<Option<(IpNet, IpNet)>, SubnetFileError> {
    let prefix = if family == Family::V4 { "FLANNEL" } else { "FLANNEL_IPV6" };
    let net = |name: &str| -> Result<Option<IpNet>, SubnetFileError> {
        let key = format!("{prefix}_{name}");
        // Several networks may stand there, of which the first is the pods'.
        let Some(text) = value(&key).and_then(|text| text.split(',').next()) else { return Ok(None) };
        let net: Option<IpNet> = text.parse().ok().filter(|net: &IpNet| family.has(net.addr()));
        net.map(|net| Some(net.trunc())).ok_or_else(|| not_understood(&key, text))
    };
    Ok(net("NETWORK")?.zip(net("SUBNET")?))
}

fn not_understood(key: &str, value: &str) -> SubnetFileError {
    SubnetFileError::Value { key: key.to_owned(), value: value.chars().take(100).collect() }
}

/// The address behind this one.
fn next(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4(v4.to_bits().wrapping_add(1).into()),
        IpAddr::V6(v6) => IpAddr::V6(v6.to_bits().wrapping_add(1).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/subnet.env");
        let file = SubnetFile {
            subnets: vec![(net("10.244.0.0/16"), net("10.244.3.0/24")), (net("fd00:10::/48"), net("fd00:10:0:3::/64"))],
            mtu: 1450,
            ip_masq: true,
        };
        assert!(file.write(&path).unwrap());
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\nFLANNEL_IPV6_NETWORK=fd00:10::/48\n\
             FLANNEL_IPV6_SUBNET=fd00:10:0:3::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
        );
        assert!(!file.write(&path).unwrap(), "written only once");
        assert_eq!(SubnetFile::read(&path).unwrap(), file);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let cases = [
            (
                "",
                "missing FLANNEL_NETWORK, FLANNEL_IPV6_NETWORK, FLANNEL_SUBNET, FLANNEL_IPV6_SUBNET, FLANNEL_MTU, FLANNEL_IPMASQ",
            ),
            ("FLANNEL_NETWORK=10.0.0.0/8\nFLANNEL_SUBNET=10.1.0.1/24\nFLANNEL_MTU=1450\n", "missing FLANNEL_IPMASQ"),
            ("FLANNEL_NETWORK=x\nFLANNEL_SUBNET=10.1.0.1/24\n", "FLANNEL_NETWORK=x is not understood"),
            ("FLANNEL_NETWORK=10.0.0.0/8\nFLANNEL_SUBNET=fd00::/64\n", "FLANNEL_SUBNET=fd00::/64 is not understood"),
            (
                "FLANNEL_NETWORK=10.0.0.0/8\nFLANNEL_SUBNET=10.1.0.1/24\nFLANNEL_MTU=-1\nFLANNEL_IPMASQ=no",
                "FLANNEL_MTU=-1 is not understood",
            ),
        ];
        for (text, wanted) in cases {
            assert_eq!(SubnetFile::parse(text).unwrap_err().to_string(), wanted, "{text}");
        }
    }
}

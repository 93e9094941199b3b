//! `KubeProxyConfiguration` v1alpha1: the fields that are built, with upstream's defaults.
//!
//! Upstream: `staging/src/k8s.io/kube-proxy/config/v1alpha1`.

use component::GoDuration;
use component::kinds::Kind;
use component::layers::FieldFlag;
use serde::{Deserialize, Serialize};

/// The file's kind, and what of it is not built yet.
pub const KIND: Kind = Kind {
    api_version: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    unbuilt: &[
        "bindAddressHardFail",
        "clientConnection.acceptContentTypes",
        "clientConnection.burst",
        "clientConnection.contentType",
        "clientConnection.qps",
        "configSyncPeriod",
        "conntrack.tcpBeLiberal",
        "conntrack.tcpCloseWaitTimeout",
        "conntrack.tcpEstablishedTimeout",
        "conntrack.udpStreamTimeout",
        "conntrack.udpTimeout",
        "detectLocal",
        "enableProfiling",
        "featureGates",
        "ipvs",
        "logging",
        "nftables",
        "oomScoreAdj",
        "portRange",
        "showHiddenMetricsForVersion",
        "winkernel",
        "windowsRunAsService",
    ],
};

/// Flags that set a field.
pub const FLAGS: [FieldFlag; 10] = [
    FieldFlag { flag: "bind-address", path: "bindAddress" },
    FieldFlag { flag: "cluster-cidr", path: "clusterCIDR" },
    FieldFlag { flag: "healthz-bind-address", path: "healthzBindAddress" },
    FieldFlag { flag: "hostname-override", path: "hostnameOverride" },
    FieldFlag { flag: "iptables-masquerade-bit", path: "iptables.masqueradeBit" },
    FieldFlag { flag: "iptables-min-sync-period", path: "iptables.minSyncPeriod" },
    FieldFlag { flag: "kubeconfig", path: "clientConnection.kubeconfig" },
    FieldFlag { flag: "masquerade-all", path: "iptables.masqueradeAll" },
    FieldFlag { flag: "metrics-bind-address", path: "metricsBindAddress" },
    FieldFlag { flag: "proxy-mode", path: "mode" },
];

/// The configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProxyConfig {
    /// Address to serve on; its family is the primary one.
    pub bind_address: String,
    /// How to reach the apiserver.
    pub client_connection: ClientConnection,
    /// Pod addresses; traffic from elsewhere is masqueraded.
    #[serde(rename = "clusterCIDR")]
    pub cluster_cidr: String,
    /// Connection tracking.
    pub conntrack: Conntrack,
    /// How local traffic is told apart.
    pub detect_local_mode: String,
    /// Address of `/healthz`.
    pub healthz_bind_address: String,
    /// Node name, if it is not the host's.
    pub hostname_override: String,
    /// The iptables back end.
    pub iptables: IptablesConfig,
    /// Address of `/metrics`.
    pub metrics_bind_address: String,
    /// `iptables`; `ipvs` and `nftables` fall back to it.
    pub mode: String,
    /// CIDRs of the addresses that node ports answer on; none is all.
    pub node_port_addresses: Option<Vec<String>>,
}

/// `clientConnection`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClientConnection {
    /// Path to a kubeconfig; the pod's service account if empty.
    pub kubeconfig: String,
}

/// `conntrack`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Conntrack {
    /// Tracked connections per core; 0 leaves the kernel's limit.
    pub max_per_core: u32,
    /// Tracked connections at least.
    pub min: u32,
}

/// `iptables`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct IptablesConfig {
    /// Node ports answer on loopback addresses.
    pub localhost_node_ports: bool,
    /// Masquerade everything.
    pub masquerade_all: bool,
    /// Bit of the packet mark.
    pub masquerade_bit: u8,
    /// Least time between two syncs.
    pub min_sync_period: GoDuration,
    /// Most time between two syncs.
    pub sync_period: GoDuration,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            bind_address: "0.0.0.0".into(),
            client_connection: ClientConnection::default(),
            cluster_cidr: String::new(),
            conntrack: Conntrack::default(),
            detect_local_mode: "ClusterCIDR".into(),
            healthz_bind_address: "0.0.0.0:10256".into(),
            hostname_override: String::new(),
            iptables: IptablesConfig::default(),
            metrics_bind_address: "127.0.0.1:10249".into(),
            mode: "iptables".into(),
            node_port_addresses: None,
        }
    }
}

impl Default for Conntrack {
    fn default() -> Self {
        Self { max_per_core: 32_768, min: 131_072 }
    }
}

impl Default for IptablesConfig {
    fn default() -> Self {
        Self {
            localhost_node_ports: true,
            masquerade_all: false,
            masquerade_bit: 14,
            min_sync_period: GoDuration::from_secs(1),
            sync_period: GoDuration::from_secs(30),
        }
    }
}

/// A value that cannot work.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not a bit of a 32-bit mark.
    #[error("iptables.masqueradeBit: Invalid value: {0}: must be within the range [0, 31]")]
    MasqueradeBit(u8),
    /// Not a CIDR.
    #[error(
        "{field}: Invalid value: {value:?}: must be a valid CIDR block (e.g. 10.100.0.0/16 or fde4:8dba:82e1::/48)"
    )]
    Cidr {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// Not an address with a port.
    #[error("{field}: Invalid value: {value:?}: must be IP:port")]
    Address {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// Not an address.
    #[error("bindAddress: Invalid value: {0:?}: not a valid textual representation of an IP address")]
    BindAddress(String),
    /// Not a mode.
    #[error(
        "mode: Invalid value: {0:?}: must be iptables, ipvs, nftables or blank (blank means the best-available proxy [currently iptables])"
    )]
    Mode(String),
}

impl ProxyConfig {
    /// Refuses impossible values.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.iptables.masquerade_bit > 31 {
            return Err(ConfigError::MasqueradeBit(self.iptables.masquerade_bit));
        }
        if self.bind_address.parse::<std::net::IpAddr>().is_err() {
            return Err(ConfigError::BindAddress(self.bind_address.clone()));
        }
        let cluster = self.cluster_cidr.split(',').filter(|c| !c.is_empty()).map(|c| ("clusterCIDR", c));
        let node_ports = self.node_port_addresses.iter().flatten().map(|c| ("nodePortAddresses", c.as_str()));
        for (field, value) in cluster.chain(node_ports.filter(|(_, c)| *c != "primary")) {
            if value.trim().parse::<ipnet::IpNet>().is_err() {
                return Err(ConfigError::Cidr { field, value: value.into() });
            }
        }
        for (field, value) in
            [("healthzBindAddress", &self.healthz_bind_address), ("metricsBindAddress", &self.metrics_bind_address)]
        {
            if !value.is_empty() && value.parse::<std::net::SocketAddr>().is_err() {
                return Err(ConfigError::Address { field, value: value.clone() });
            }
        }
        match self.mode.as_str() {
            "" | "iptables" | "ipvs" | "nftables" => Ok(()),
            other => Err(ConfigError::Mode(other.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_impossible_values() {
        let with = |change: fn(&mut ProxyConfig)| {
            let mut config = ProxyConfig::default();
            change(&mut config);
            config.validate().map_err(|e| e.to_string().split(':').next().map(str::to_owned).unwrap_or_default())
        };
        assert_eq!(with(|_| {}), Ok(()));
        assert_eq!(with(|c| c.cluster_cidr = "10.244.0.0/16,fd00::/8".into()), Ok(()));
        assert_eq!(with(|c| c.iptables.masquerade_bit = 32), Err("iptables.masqueradeBit".into()));
        assert_eq!(with(|c| c.cluster_cidr = "10.244.0.0".into()), Err("clusterCIDR".into()));
        assert_eq!(with(|c| c.node_port_addresses = Some(vec!["x".into()])), Err("nodePortAddresses".into()));
        assert_eq!(with(|c| c.healthz_bind_address = "x".into()), Err("healthzBindAddress".into()));
        assert_eq!(with(|c| c.mode = "magic".into()), Err("mode".into()));
        assert_eq!(with(|c| c.bind_address = "x".into()), Err("bindAddress".into()));
    }

    #[test]
    fn reads_a_file_as_clusters_have_it() {
        let text = r#"{"kind": "KubeProxyConfiguration", "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "bindAddress": "0.0.0.0",
            "clientConnection": {"kubeconfig": "/x", "qps": 5}, "clusterCIDR": "10.244.0.0/16", "mode": "iptables",
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpBeLiberal": true}, "ipvs": {"scheduler": "rr"}, "iptables": {"minSyncPeriod": "2s"}}"#;
        let loaded = component::kinds::parse::<ProxyConfig>(text, "test", &KIND).expect("a good file");
        assert_eq!(loaded.config.iptables.min_sync_period, GoDuration::from_secs(2));
        assert_eq!(loaded.config.conntrack.max_per_core, 0);
        assert!(
            loaded.unbuilt.contains(&"ipvs".to_owned()) && loaded.unbuilt.contains(&"clientConnection.qps".to_owned())
        );
        assert!(component::kinds::parse::<ProxyConfig>(&text.replace("mode", "mod"), "test", &KIND).is_err());
    }
}

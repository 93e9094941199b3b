//! `KubeProxyConfiguration` v1alpha1 with upstream's defaults.
//!
//! Upstream: `staging/src/k8s.io/kube-proxy/config/v1alpha1`, `pkg/proxy/apis/config`.

mod defaults;
mod validate;

pub use defaults::{append_port, fill};
pub use validate::Invalid;

use component::GoDuration;
use component::kinds::Kind;
use component::layers::FieldFlag;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The file's kind, and what of it is not built: profiling of Go programs.
pub const KIND: Kind = Kind {
    api_version: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    unbuilt: &["enableProfiling"],
};

/// Flags that set a field. Those whose names begin with `nftables-` stand for flags that upstream
/// shares between modes; see `crate::options`.
pub const FLAGS: [FieldFlag; 42] = [
    FieldFlag { flag: "bind-address", path: "bindAddress" },
    FieldFlag { flag: "bind-address-hard-fail", path: "bindAddressHardFail" },
    FieldFlag { flag: "cluster-cidr", path: "clusterCIDR" },
    FieldFlag { flag: "config-sync-period", path: "configSyncPeriod" },
    FieldFlag { flag: "conntrack-max-per-core", path: "conntrack.maxPerCore" },
    FieldFlag { flag: "conntrack-min", path: "conntrack.min" },
    FieldFlag { flag: "conntrack-tcp-be-liberal", path: "conntrack.tcpBeLiberal" },
    FieldFlag { flag: "conntrack-tcp-timeout-close-wait", path: "conntrack.tcpCloseWaitTimeout" },
    FieldFlag { flag: "conntrack-tcp-timeout-established", path: "conntrack.tcpEstablishedTimeout" },
    FieldFlag { flag: "conntrack-udp-timeout", path: "conntrack.udpTimeout" },
    FieldFlag { flag: "conntrack-udp-timeout-stream", path: "conntrack.udpStreamTimeout" },
    FieldFlag { flag: "detect-local-mode", path: "detectLocalMode" },
    FieldFlag { flag: "healthz-bind-address", path: "healthzBindAddress" },
    FieldFlag { flag: "hostname-override", path: "hostnameOverride" },
    FieldFlag { flag: "iptables-localhost-nodeports", path: "iptables.localhostNodePorts" },
    FieldFlag { flag: "iptables-masquerade-bit", path: "iptables.masqueradeBit" },
    FieldFlag { flag: "iptables-min-sync-period", path: "iptables.minSyncPeriod" },
    FieldFlag { flag: "iptables-sync-period", path: "iptables.syncPeriod" },
    FieldFlag { flag: "ipvs-min-sync-period", path: "ipvs.minSyncPeriod" },
    FieldFlag { flag: "ipvs-scheduler", path: "ipvs.scheduler" },
    FieldFlag { flag: "ipvs-strict-arp", path: "ipvs.strictARP" },
    FieldFlag { flag: "ipvs-sync-period", path: "ipvs.syncPeriod" },
    FieldFlag { flag: "ipvs-tcp-timeout", path: "ipvs.tcpTimeout" },
    FieldFlag { flag: "ipvs-tcpfin-timeout", path: "ipvs.tcpFinTimeout" },
    FieldFlag { flag: "ipvs-udp-timeout", path: "ipvs.udpTimeout" },
    FieldFlag { flag: "kube-api-burst", path: "clientConnection.burst" },
    FieldFlag { flag: "kube-api-content-type", path: "clientConnection.contentType" },
    FieldFlag { flag: "kube-api-qps", path: "clientConnection.qps" },
    FieldFlag { flag: "kubeconfig", path: "clientConnection.kubeconfig" },
    FieldFlag { flag: "logging-format", path: "logging.format" },
    FieldFlag { flag: "masquerade-all", path: "iptables.masqueradeAll" },
    FieldFlag { flag: "metrics-bind-address", path: "metricsBindAddress" },
    FieldFlag { flag: "nftables-masquerade-all", path: "nftables.masqueradeAll" },
    FieldFlag { flag: "nftables-min-sync-period", path: "nftables.minSyncPeriod" },
    FieldFlag { flag: "nftables-sync-period", path: "nftables.syncPeriod" },
    FieldFlag { flag: "oom-score-adj", path: "oomScoreAdj" },
    FieldFlag { flag: "pod-bridge-interface", path: "detectLocal.bridgeInterface" },
    FieldFlag { flag: "pod-interface-name-prefix", path: "detectLocal.interfaceNamePrefix" },
    FieldFlag { flag: "profiling", path: "enableProfiling" },
    FieldFlag { flag: "proxy-mode", path: "mode" },
    FieldFlag { flag: "show-hidden-metrics-for-version", path: "showHiddenMetricsForVersion" },
    FieldFlag { flag: "v", path: "logging.verbosity" },
];

/// The configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProxyConfig {
    /// The node's address for rules, unless it is unspecified; its family is the primary one.
    pub bind_address: String,
    /// A port that cannot be bound is fatal.
    pub bind_address_hard_fail: bool,
    /// How to reach the apiserver.
    pub client_connection: ClientConnection,
    /// Pod addresses, one range per family, for `detectLocalMode: ClusterCIDR`.
    #[serde(rename = "clusterCIDR")]
    pub cluster_cidr: String,
    /// How often clients list again, upstream. Watches here never miss anything, so that it says nothing.
    pub config_sync_period: GoDuration,
    /// Connection tracking.
    pub conntrack: Conntrack,
    /// Details of how local traffic is told apart.
    pub detect_local: DetectLocal,
    /// How traffic from this node's pods is told apart.
    pub detect_local_mode: String,
    /// Profiling of Go programs; not built.
    pub enable_profiling: bool,
    /// Features switched on and off.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub feature_gates: BTreeMap<String, bool>,
    /// Address of `/healthz`.
    pub healthz_bind_address: String,
    /// Node name, if it is not the host's.
    pub hostname_override: String,
    /// The iptables back end.
    pub iptables: IptablesConfig,
    /// The ipvs back end.
    pub ipvs: IpvsConfig,
    /// Logs.
    pub logging: Logging,
    /// Address of `/metrics`.
    pub metrics_bind_address: String,
    /// `iptables`, `nftables`, or `ipvs`, which falls back to iptables where the kernel cannot.
    pub mode: String,
    /// The nftables back end.
    pub nftables: NftablesConfig,
    /// Ranges of the addresses that node ports answer on, or `primary`; none is all, and `primary` for nftables.
    pub node_port_addresses: Option<Vec<String>>,
    /// How readily the kernel kills the proxy when memory is short.
    pub oom_score_adj: i32,
    /// Has no effect, upstream neither.
    pub port_range: String,
    /// Shows metrics that this version hides; it hides none.
    pub show_hidden_metrics_for_version: String,
    /// Says something on Windows only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub windows_run_as_service: bool,
    /// Says something on Windows only.
    pub winkernel: Winkernel,
}

/// `clientConnection`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClientConnection {
    /// Types that are understood; the client asks for JSON always.
    pub accept_content_types: String,
    /// Requests that may come at once.
    pub burst: i32,
    /// The type that is sent; the client sends JSON always.
    pub content_type: String,
    /// Path to a kubeconfig; the pod's service account if empty.
    pub kubeconfig: String,
    /// Requests per second; less than 0 is no limit.
    #[serde(serialize_with = "as_go_prints")]
    pub qps: f32,
}

/// Without a fraction where there is none.
fn as_go_prints<S: serde::Serializer>(number: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    match number.fract() == 0.0 && number.abs() < 1e6 {
        true => serializer.serialize_i32(*number as i32),
        false => serializer.serialize_f32(*number),
    }
}

/// `conntrack`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Conntrack {
    /// Tracked connections per core; 0 leaves the kernel's limit.
    pub max_per_core: i32,
    /// Tracked connections at least.
    pub min: i32,
    /// Packets out of the window are not invalid.
    pub tcp_be_liberal: bool,
    /// Time that a half-closed connection is known; 0 leaves the kernel's.
    pub tcp_close_wait_timeout: GoDuration,
    /// Time that an idle connection is known; 0 leaves the kernel's.
    pub tcp_established_timeout: GoDuration,
    /// Time that a UDP flow with answers is known; 0 leaves the kernel's.
    pub udp_stream_timeout: GoDuration,
    /// Time that a UDP flow without answers is known; 0 leaves the kernel's.
    pub udp_timeout: GoDuration,
}

/// `detectLocal`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DetectLocal {
    /// For `BridgeInterface`: the bridge.
    pub bridge_interface: String,
    /// For `InterfaceNamePrefix`: how names of pods' interfaces begin.
    pub interface_name_prefix: String,
}

/// `iptables`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct IptablesConfig {
    /// Node ports answer on loopback addresses.
    pub localhost_node_ports: bool,
    /// Masquerade everything.
    pub masquerade_all: bool,
    /// Bit of the packet mark.
    pub masquerade_bit: i32,
    /// Least time between two syncs.
    pub min_sync_period: GoDuration,
    /// Time between two looks at whether the rules are still there.
    pub sync_period: GoDuration,
}

/// `ipvs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct IpvsConfig {
    /// Virtual servers in these ranges are somebody else's.
    #[serde(rename = "excludeCIDRs")]
    pub exclude_cidrs: Option<Vec<String>>,
    /// Least time between two syncs.
    pub min_sync_period: GoDuration,
    /// How endpoints are chosen.
    pub scheduler: String,
    /// Answer ARP only for addresses of the interface that asks.
    #[serde(rename = "strictARP")]
    pub strict_arp: bool,
    /// Time between two looks at whether the rules are still there.
    pub sync_period: GoDuration,
    /// Time that a closing connection is known; 0 leaves the kernel's.
    pub tcp_fin_timeout: GoDuration,
    /// Time that an idle connection is known; 0 leaves the kernel's.
    pub tcp_timeout: GoDuration,
    /// Time that a UDP flow is known; 0 leaves the kernel's.
    pub udp_timeout: GoDuration,
}

/// `nftables`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NftablesConfig {
    /// Masquerade everything.
    pub masquerade_all: bool,
    /// Bit of the packet mark.
    pub masquerade_bit: i32,
    /// Least time between two syncs.
    pub min_sync_period: GoDuration,
    /// Time between two looks at whether the rules are still there.
    pub sync_period: GoDuration,
}

/// `winkernel`, which says something on Windows only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Winkernel {
    #[serde(rename = "enableDSR")]
    pub enable_dsr: bool,
    pub forward_health_check_vip: bool,
    pub network_name: String,
    pub root_hns_endpoint_name: String,
    pub source_vip: String,
}

/// `logging`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Logging {
    /// Time between two flushes; lines go out at once here.
    pub flush_frequency: GoDuration,
    /// `text` or `json`.
    pub format: String,
    /// Details of the formats.
    pub options: LoggingOptions,
    /// 4 and more is debug, 6 and more is trace.
    pub verbosity: i32,
    /// Modules that say more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vmodule: Vec<ModuleVerbosity>,
}

/// `logging.options`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LoggingOptions {
    /// Of `json`.
    pub json: Streams,
    /// Of `text`.
    pub text: Streams,
}

/// How lines are buffered and spread over streams: here not at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Streams {
    /// Size of the buffer for what is no error.
    pub info_buffer_size: String,
    /// Errors go to another stream.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub split_stream: bool,
}

/// A module that says more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ModuleVerbosity {
    /// Name of the module.
    pub file_pattern: String,
    /// As `verbosity`.
    pub verbosity: i32,
}

/// What the configured mode says of what all modes have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OfMode {
    /// Masquerade everything.
    pub masquerade_all: bool,
    /// Bit of the packet mark.
    pub masquerade_bit: i32,
    /// Least time between two syncs.
    pub min_sync_period: Duration,
    /// Time between two looks at whether the rules are still there.
    pub sync_period: Duration,
}

impl ProxyConfig {
    /// What the configured mode says. As upstream, ipvs takes from iptables what it has not itself.
    pub fn of_mode(&self) -> OfMode {
        let (iptables, nftables) = (&self.iptables, &self.nftables);
        let of_iptables = OfMode {
            masquerade_all: iptables.masquerade_all,
            masquerade_bit: iptables.masquerade_bit,
            min_sync_period: iptables.min_sync_period.0,
            sync_period: iptables.sync_period.0,
        };
        match self.mode.as_str() {
            "ipvs" => OfMode {
                min_sync_period: self.ipvs.min_sync_period.0,
                sync_period: self.ipvs.sync_period.0,
                ..of_iptables
            },
            "nftables" => OfMode {
                masquerade_all: nftables.masquerade_all,
                masquerade_bit: nftables.masquerade_bit,
                min_sync_period: nftables.min_sync_period.0,
                sync_period: nftables.sync_period.0,
            },
            _ => of_iptables,
        }
    }

    /// The configuration as it is shown: with the periods of the mode that runs only, as upstream has it.
    #[must_use]
    pub fn shown(&self) -> Self {
        let mut shown = self.clone();
        let none = GoDuration::default();
        if self.mode != "iptables" {
            (shown.iptables.sync_period, shown.iptables.min_sync_period) = (none, none);
        }
        if self.mode != "ipvs" {
            (shown.ipvs.sync_period, shown.ipvs.min_sync_period) = (none, none);
        }
        if self.mode != "nftables" {
            (shown.nftables.sync_period, shown.nftables.min_sync_period) = (none, none);
        }
        shown
    }

    /// How ipvs chooses endpoints.
    pub fn ipvs_scheduler(&self) -> &str {
        if self.ipvs.scheduler.is_empty() { "rr" } else { &self.ipvs.scheduler }
    }

    /// The ranges in `clusterCIDR`.
    pub fn cluster_cidrs(&self) -> Vec<&str> {
        if self.cluster_cidr.is_empty() { Vec::new() } else { self.cluster_cidr.split(',').collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_file_as_clusters_have_it() {
        let text = r#"{"kind": "KubeProxyConfiguration", "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "bindAddress": "0.0.0.0",
            "clientConnection": {"kubeconfig": "/x", "qps": 5}, "clusterCIDR": "10.244.0.0/16", "mode": "iptables", "enableProfiling": true,
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpBeLiberal": true}, "ipvs": {"scheduler": "rr"}, "iptables": {"minSyncPeriod": "2s"}}"#;
        let loaded = component::kinds::parse::<ProxyConfig>(text, "test", &KIND).expect("a good file");
        assert_eq!(loaded.config.iptables.min_sync_period, GoDuration::from_secs(2));
        assert_eq!(loaded.config.conntrack.max_per_core, 0);
        assert!(loaded.config.conntrack.tcp_be_liberal && loaded.config.ipvs.scheduler == "rr");
        assert_eq!(loaded.unbuilt, ["enableProfiling"]);
        assert!(component::kinds::parse::<ProxyConfig>(&text.replace("mode", "mod"), "test", &KIND).is_err());
    }

    #[test]
    fn each_mode_has_its_periods() {
        let mut config = ProxyConfig::default();
        config.nftables.sync_period = GoDuration::from_secs(7);
        config.iptables.sync_period = GoDuration::from_secs(8);
        assert_eq!(config.of_mode().sync_period, Duration::from_secs(8));
        config.mode = "nftables".into();
        assert_eq!(config.of_mode().sync_period, Duration::from_secs(7));
    }

    #[test]
    fn defaults_are_upstreams() {
        let shown = component::kinds::show(&ProxyConfig::default().shown(), &KIND);
        let upstream = serde_json::json!({"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "bindAddress": "0.0.0.0", "bindAddressHardFail": false,
            "clientConnection": {"acceptContentTypes": "", "burst": 10, "contentType": "application/vnd.kubernetes.protobuf", "kubeconfig": "", "qps": 5},
            "clusterCIDR": "", "configSyncPeriod": "15m0s",
            "conntrack": {"maxPerCore": 32768, "min": 131072, "tcpBeLiberal": false, "tcpCloseWaitTimeout": "1h0m0s", "tcpEstablishedTimeout": "24h0m0s", "udpStreamTimeout": "0s", "udpTimeout": "0s"},
            "detectLocal": {"bridgeInterface": "", "interfaceNamePrefix": ""}, "detectLocalMode": "ClusterCIDR", "enableProfiling": false,
            "healthzBindAddress": "0.0.0.0:10256", "hostnameOverride": "",
            "iptables": {"localhostNodePorts": true, "masqueradeAll": false, "masqueradeBit": 14, "minSyncPeriod": "1s", "syncPeriod": "30s"},
            "ipvs": {"excludeCIDRs": null, "minSyncPeriod": "0s", "scheduler": "", "strictARP": false, "syncPeriod": "0s", "tcpFinTimeout": "0s", "tcpTimeout": "0s", "udpTimeout": "0s"},
            "kind": "KubeProxyConfiguration",
            "logging": {"flushFrequency": "5s", "format": "text", "options": {"json": {"infoBufferSize": "0"}, "text": {"infoBufferSize": "0"}}, "verbosity": 0},
            "metricsBindAddress": "127.0.0.1:10249", "mode": "iptables",
            "nftables": {"masqueradeAll": false, "masqueradeBit": 14, "minSyncPeriod": "0s", "syncPeriod": "0s"},
            "nodePortAddresses": null, "oomScoreAdj": -999, "portRange": "", "showHiddenMetricsForVersion": "",
            "winkernel": {"enableDSR": false, "forwardHealthCheckVip": false, "networkName": "", "rootHnsEndpointName": "", "sourceVip": ""}});
        assert_eq!(shown, upstream);
    }
}

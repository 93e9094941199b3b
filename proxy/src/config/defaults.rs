//! Upstream's defaults, which also stand in for empty values of a file.
//!
//! Upstream: `pkg/proxy/apis/config/v1alpha1/defaults.go`, `cmd/kube-proxy/app/server_linux.go`.

use super::{ClientConnection, Conntrack, IptablesConfig, IpvsConfig, Logging, NftablesConfig, ProxyConfig, Streams};
use component::GoDuration;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

const HEALTHZ_PORT: u16 = 10256;
const METRICS_PORT: u16 = 10249;

/// Fields for whose empty values there is a default.
const NOT_EMPTY: [&str; 17] = [
    "/bindAddress",
    "/healthzBindAddress",
    "/metricsBindAddress",
    "/configSyncPeriod",
    "/clientConnection/contentType",
    "/clientConnection/qps",
    "/clientConnection/burst",
    "/iptables/syncPeriod",
    "/iptables/minSyncPeriod",
    "/ipvs/syncPeriod",
    "/nftables/syncPeriod",
    "/nftables/minSyncPeriod",
    "/mode",
    "/detectLocalMode",
    "/logging/format",
    "/logging/flushFrequency",
    "/logging/options",
];

/// The defaults for a file, from which empty values are taken that mean a default.
pub fn fill(file: Option<&mut Value>) -> ProxyConfig {
    let mut defaults = ProxyConfig::default();
    let Some(file) = file else { return defaults };
    for path in NOT_EMPTY {
        let Some((parent, field)) = path.rsplit_once('/') else { continue };
        let parent = if parent.is_empty() { Some(&mut *file) } else { file.pointer_mut(parent) };
        if let Some(fields) = parent.and_then(Value::as_object_mut)
            && fields.get(field).is_some_and(is_empty)
        {
            fields.remove(field);
        }
    }
    let bind = file["bindAddress"].as_str().and_then(|bind| bind.parse::<IpAddr>().ok());
    if bind.is_some_and(|ip| ip.is_ipv6()) {
        defaults.healthz_bind_address = format!("[::]:{HEALTHZ_PORT}");
        defaults.metrics_bind_address = format!("[::1]:{METRICS_PORT}");
    }
    for (field, port) in [("healthzBindAddress", HEALTHZ_PORT), ("metricsBindAddress", METRICS_PORT)] {
        if let Some(Value::String(address)) = file.get_mut(field) {
            *address = append_port(address, port);
        }
    }
    defaults
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty() || text.parse::<GoDuration>().is_ok_and(|d| d.0.is_zero()),
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

/// An address without a port gets this one.
pub fn append_port(address: &str, port: u16) -> String {
    match address.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => address.to_owned(),
    }
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            bind_address: "0.0.0.0".into(),
            bind_address_hard_fail: false,
            client_connection: ClientConnection::default(),
            cluster_cidr: String::new(),
            config_sync_period: GoDuration::from_secs(15 * 60),
            conntrack: Conntrack::default(),
            detect_local: super::DetectLocal::default(),
            detect_local_mode: "ClusterCIDR".into(),
            enable_profiling: false,
            feature_gates: Default::default(),
            healthz_bind_address: format!("0.0.0.0:{HEALTHZ_PORT}"),
            hostname_override: String::new(),
            iptables: IptablesConfig::default(),
            ipvs: IpvsConfig { sync_period: GoDuration::from_secs(30), ..IpvsConfig::default() },
            logging: Logging::default(),
            metrics_bind_address: format!("127.0.0.1:{METRICS_PORT}"),
            mode: "iptables".into(),
            nftables: NftablesConfig::default(),
            node_port_addresses: None,
            oom_score_adj: -999,
            port_range: String::new(),
            show_hidden_metrics_for_version: String::new(),
            windows_run_as_service: false,
            winkernel: super::Winkernel::default(),
        }
    }
}

impl Default for ClientConnection {
    fn default() -> Self {
        Self {
            accept_content_types: String::new(),
            burst: 10,
            content_type: "application/vnd.kubernetes.protobuf".into(),
            kubeconfig: String::new(),
            qps: 5.0,
        }
    }
}

impl Default for Conntrack {
    fn default() -> Self {
        Self {
            max_per_core: 32_768,
            min: 131_072,
            tcp_be_liberal: false,
            tcp_close_wait_timeout: GoDuration::from_secs(3600),
            tcp_established_timeout: GoDuration::from_secs(24 * 3600),
            udp_stream_timeout: GoDuration::default(),
            udp_timeout: GoDuration::default(),
        }
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

impl Default for NftablesConfig {
    fn default() -> Self {
        Self {
            masquerade_all: false,
            masquerade_bit: 14,
            min_sync_period: GoDuration::from_secs(1),
            sync_period: GoDuration::from_secs(30),
        }
    }
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            flush_frequency: GoDuration::from_secs(5),
            format: "text".into(),
            options: super::LoggingOptions::default(),
            verbosity: 0,
            vmodule: Vec::new(),
        }
    }
}

impl Default for Streams {
    fn default() -> Self {
        Self { info_buffer_size: "0".into(), split_stream: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn empty_values_of_a_file_are_defaults() {
        let mut file = json!({"mode": "", "healthzBindAddress": "", "metricsBindAddress": "0.0.0.0",
            "iptables": {"syncPeriod": "0s", "minSyncPeriod": "5s"}, "clientConnection": {"qps": 0, "kubeconfig": ""}});
        fill(Some(&mut file));
        let want = json!({"metricsBindAddress": "0.0.0.0:10249", "iptables": {"minSyncPeriod": "5s"}, "clientConnection": {"kubeconfig": ""}});
        assert_eq!(file, want);
    }

    #[test]
    fn the_family_of_the_bind_address_says_where_servers_listen() {
        let defaults = fill(Some(&mut json!({"bindAddress": "fd00::1"})));
        assert_eq!((&*defaults.healthz_bind_address, &*defaults.metrics_bind_address), ("[::]:10256", "[::1]:10249"));
        assert_eq!(append_port("fd00::1", 1), "[fd00::1]:1");
        assert_eq!(append_port("x", 1), "x");
    }
}

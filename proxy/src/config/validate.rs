//! What cannot work, in upstream's words.
//!
//! Upstream: `pkg/proxy/apis/config/validation`; paths are those of its internal type.

use super::ProxyConfig;
use component::{Gates, GoDuration};
use ipnet::IpNet;
use serde_json::json;
use std::net::IpAddr;

/// Everything that cannot work.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", aggregate(.0))]
pub struct Invalid(Vec<String>);

fn aggregate(problems: &[String]) -> String {
    match problems {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn invalid(&mut self, field: &str, value: impl serde::Serialize, why: &str) {
        let value = json!(value);
        let problem = format!("KubeProxyConfiguration.{field}: Invalid value: {value}: {why}");
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }
}

const CIDR_PAIR: &str =
    "must be a either a single CIDR or dual-stack pair of CIDRs (e.g. [10.100.0.0/16, fde4:8dba:82e1::/48]";

impl ProxyConfig {
    /// Refuses impossible values, all at once.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut problems = Problems::default();
        if let Err(error) = Gates::from_map(self.feature_gates.clone()) {
            problems.invalid("featureGates", &self.feature_gates, &error.to_string());
        }
        self.back_ends(&mut problems);
        self.linux(&mut problems);
        self.modes(&mut problems);
        self.periods(&mut problems);
        self.addresses(&mut problems);
        self.local(&mut problems);
        self.logs(&mut problems);
        if problems.0.is_empty() { Ok(()) } else { Err(Invalid(problems.0)) }
    }

    fn back_ends(&self, problems: &mut Problems) {
        let mut bit = |field: &str, bit: i32| {
            if !(0..=31).contains(&bit) {
                problems.invalid(&format!("{field}.MasqueradeBit"), bit, "must be within the range [0, 31]");
            }
        };
        bit("KubeProxyIPTablesConfiguration", self.iptables.masquerade_bit);
        if self.mode == "nftables" {
            bit("KubeProxyNFTablesConfiguration", self.nftables.masquerade_bit);
        }
        for (i, cidr) in self.ipvs.exclude_cidrs.iter().flatten().enumerate().filter(|_| self.mode == "ipvs") {
            if cidr.parse::<IpNet>().is_err() {
                let field = format!("KubeProxyIPVSConfiguration.ExcludeCidrs[{i}]");
                problems.invalid(&field, cidr, "must be a valid CIDR");
            }
        }
    }

    fn linux(&self, problems: &mut Problems) {
        let conntrack = "KubeProxyLinuxConfiguration.KubeProxyConntrackConfiguration";
        for (field, value) in [("MaxPerCore", self.conntrack.max_per_core), ("Min", self.conntrack.min)] {
            if value < 0 {
                problems.invalid(&format!("{conntrack}.{field}"), value, "must be greater than or equal to 0");
            }
        }
        if !(-1000..=1000).contains(&self.oom_score_adj) {
            let why = "must be within the range [-1000, 1000]";
            problems.invalid("KubeProxyLinuxConfiguration.OOMScoreAdj", self.oom_score_adj, why);
        }
    }

    fn modes(&self, problems: &mut Problems) {
        if !matches!(self.mode.as_str(), "" | "iptables" | "ipvs" | "nftables" | "userspace") {
            let why =
                "must be iptables, ipvs, nftables or blank (blank means the best-available proxy [currently iptables])";
            problems.invalid("Mode.ProxyMode", &self.mode, why);
        }
        if self.client_connection.burst < 0 {
            let why = "must be greater than or equal to 0";
            problems.invalid("ClientConnection.Burst", self.client_connection.burst, why);
        }
    }

    fn periods(&self, problems: &mut Problems) {
        let of_mode = self.of_mode();
        let (least, most) = (GoDuration(of_mode.min_sync_period), GoDuration(of_mode.sync_period));
        let mut positive = |field: &str, value: GoDuration| {
            if value.0.is_zero() {
                problems.invalid(field, value, "must be greater than 0");
            }
        };
        positive("ConfigSyncPeriod", self.config_sync_period);
        positive("SyncPeriod", most);
        if least.0 > most.0 {
            let why = "must be greater than or equal to KubeProxyConfiguration.MinSyncPeriod";
            problems.invalid("SyncPeriod", least, why);
        }
    }

    fn addresses(&self, problems: &mut Problems) {
        if self.bind_address.parse::<IpAddr>().is_err() {
            let why = "not a valid textual representation of an IP address";
            problems.invalid("BindAddress", &self.bind_address, why);
        }
        // Without an address there is no server.
        for (field, address) in
            [("HealthzBindAddress", &self.healthz_bind_address), ("MetricsBindAddress", &self.metrics_bind_address)]
        {
            if !address.is_empty() {
                host_port(problems, field, address);
            }
        }
        for (i, range) in self.node_port_addresses.iter().flatten().enumerate() {
            let field = format!("NodePortAddresses[{i}]");
            if range == "primary" {
                if self.node_port_addresses.as_ref().is_some_and(|all| all.len() != 1) {
                    problems.invalid(&field, range, "can't use both 'primary' and CIDRs");
                }
                break;
            }
            if range.parse::<IpNet>().is_err() {
                problems.invalid(&field, range, "must be a valid CIDR");
            }
        }
        let version = &self.show_hidden_metrics_for_version;
        let previous = "1.35";
        if !version.is_empty() && version != previous {
            let why = format!(
                "invalid showHiddenMetricsForVersion: showHiddenMetricsForVersion: Invalid value: {version:?}: must be omitted or have the value '{previous}'; only the previous minor version is allowed"
            );
            problems.invalid("ShowHiddenMetricsForVersion", version, &why);
        }
    }

    fn local(&self, problems: &mut Problems) {
        let mut named = |field: &str, name: &str| {
            if name.is_empty() {
                problems.invalid(&format!("DetectLocalConfiguration.{field}"), name, "must not be empty");
            }
        };
        match self.detect_local_mode.as_str() {
            "BridgeInterface" => named("InterfaceName", &self.detect_local.bridge_interface),
            "InterfaceNamePrefix" => named("InterfacePrefix", &self.detect_local.interface_name_prefix),
            "ClusterCIDR" => self.cluster_ranges(problems),
            "" | "NodeCIDR" => {}
            other => problems.0.push(format!(
                "KubeProxyConfiguration.DetectLocalMode: Unsupported value: {other:?}: supported values: \"ClusterCIDR\", \"NodeCIDR\", \"BridgeInterface\", \"InterfaceNamePrefix\", \"\""
            )),
        }
    }

    fn cluster_ranges(&self, problems: &mut Problems) {
        let ranges = self.cluster_cidrs();
        let field = "DetectLocalConfiguration.ClusterCIDRs";
        if ranges.len() > 2 {
            return problems.invalid(field, &ranges, CIDR_PAIR);
        }
        for (i, range) in ranges.iter().enumerate() {
            if range.parse::<IpNet>().is_err() {
                let why = "must be a valid CIDR block (e.g. 10.100.0.0/16 or fde4:8dba:82e1::/48)";
                problems.invalid(&format!("{field}[{i}]"), range, why);
            }
        }
        let parsed: Vec<IpNet> = ranges.iter().filter_map(|range| range.parse().ok()).collect();
        if let [one, two] = parsed[..]
            && one.addr().is_ipv4() == two.addr().is_ipv4()
        {
            problems.invalid(field, &ranges, CIDR_PAIR);
        }
    }

    fn logs(&self, problems: &mut Problems) {
        if !matches!(self.logging.format.as_str(), "text" | "json") {
            problems.0.push(format!(
                "KubeProxyConfiguration.logging.format: Invalid value: {:?}: Unsupported log format",
                self.logging.format
            ));
        }
        if self.logging.verbosity < 0 {
            let why = format!("Must be between 0 and {}", i32::MAX);
            problems.invalid("logging.verbosity", self.logging.verbosity, &why);
        }
    }
}

fn host_port(problems: &mut Problems, field: &str, address: &str) {
    let Some((host, port)) = address.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'))
    else {
        return problems.invalid(field, address, "must be IP:port");
    };
    let ip = host.trim_start_matches('[').trim_end_matches(']');
    if ip.parse::<IpAddr>().is_err() {
        problems.invalid(field, ip, "must be a valid IP");
    }
    if port.parse::<u16>().is_ok_and(|port| port > 0) {
        return;
    }
    problems.invalid(field, port, "must be a valid port");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl Fn(&mut ProxyConfig)) -> String {
        let mut config = ProxyConfig::default();
        change(&mut config);
        config.validate().err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn refuses_impossible_values() {
        let table: [(fn(&mut ProxyConfig), &str); 15] = [
            (|_| {}, ""),
            (|c| c.cluster_cidr = "10.244.0.0/16,fd00::/8".into(), ""),
            (|c| c.metrics_bind_address = String::new(), ""),
            (
                |c| c.iptables.masquerade_bit = 32,
                "KubeProxyConfiguration.KubeProxyIPTablesConfiguration.MasqueradeBit: Invalid value: 32: must be within the range [0, 31]",
            ),
            (
                |c| c.cluster_cidr = "10.244.0.0".into(),
                r#"KubeProxyConfiguration.DetectLocalConfiguration.ClusterCIDRs[0]: Invalid value: "10.244.0.0": must be a valid CIDR block (e.g. 10.100.0.0/16 or fde4:8dba:82e1::/48)"#,
            ),
            (
                |c| c.cluster_cidr = "10.0.0.0/8,10.1.0.0/16".into(),
                r#"KubeProxyConfiguration.DetectLocalConfiguration.ClusterCIDRs: Invalid value: ["10.0.0.0/8","10.1.0.0/16"]: must be a either a single CIDR or dual-stack pair of CIDRs (e.g. [10.100.0.0/16, fde4:8dba:82e1::/48]"#,
            ),
            (
                |c| c.node_port_addresses = Some(vec!["x".into()]),
                r#"KubeProxyConfiguration.NodePortAddresses[0]: Invalid value: "x": must be a valid CIDR"#,
            ),
            (
                |c| c.node_port_addresses = Some(vec!["primary".into(), "10.0.0.0/8".into()]),
                r#"KubeProxyConfiguration.NodePortAddresses[0]: Invalid value: "primary": can't use both 'primary' and CIDRs"#,
            ),
            (
                |c| c.healthz_bind_address = "x".into(),
                r#"KubeProxyConfiguration.HealthzBindAddress: Invalid value: "x": must be IP:port"#,
            ),
            (
                |c| c.healthz_bind_address = "[::1]:0".into(),
                r#"KubeProxyConfiguration.HealthzBindAddress: Invalid value: "0": must be a valid port"#,
            ),
            (
                |c| c.mode = "magic".into(),
                r#"KubeProxyConfiguration.Mode.ProxyMode: Invalid value: "magic": must be iptables, ipvs, nftables or blank (blank means the best-available proxy [currently iptables])"#,
            ),
            (
                |c| c.bind_address = "x".into(),
                r#"KubeProxyConfiguration.BindAddress: Invalid value: "x": not a valid textual representation of an IP address"#,
            ),
            (
                |c| c.detect_local_mode = "BridgeInterface".into(),
                r#"KubeProxyConfiguration.DetectLocalConfiguration.InterfaceName: Invalid value: "": must not be empty"#,
            ),
            (
                |c| c.iptables.min_sync_period = GoDuration::from_secs(60),
                r#"KubeProxyConfiguration.SyncPeriod: Invalid value: "1m0s": must be greater than or equal to KubeProxyConfiguration.MinSyncPeriod"#,
            ),
            (
                |c| (c.oom_score_adj, c.conntrack.min) = (2000, -1),
                "[KubeProxyConfiguration.KubeProxyLinuxConfiguration.KubeProxyConntrackConfiguration.Min: Invalid value: -1: must be greater than or equal to 0, KubeProxyConfiguration.KubeProxyLinuxConfiguration.OOMScoreAdj: Invalid value: 2000: must be within the range [-1000, 1000]]",
            ),
        ];
        for (change, want) in table {
            assert_eq!(with(change), want);
        }
    }

    #[test]
    fn unknown_gates_are_named() {
        let text = with(|c| c.feature_gates = [("Nonesuch".to_owned(), true)].into());
        assert!(text.ends_with("unrecognized feature gate: Nonesuch"), "{text}");
    }
}

//! Flags of kube-proxy, and the configuration they, the file and the environment make together.
//!
//! Upstream: `cmd/kube-proxy/app/options.go`.

use crate::config::{self, FLAGS, KIND, ProxyConfig};
use anyhow::Context as _;
use component::daemon::Daemon;
use component::flags::{Common, LogFormat};

/// The flags; those that set a field of the file override it.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The path to the configuration file.
    #[arg(long, default_value = "")]
    pub config: String,
    /// If set, write the configuration values to this file and exit.
    #[arg(long, default_value = "")]
    pub write_config_to: String,
    /// If true cleanup the rules of all proxy modes and exit.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    pub cleanup: bool,
    /// If true, perform any initialization steps that must be done with full root privileges, and then exit.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    pub init_only: bool,
    /// The address of the Kubernetes API server (overrides any value in kubeconfig).
    #[arg(long, default_value = "")]
    pub master: String,
    /// Path to kubeconfig file with authorization information.
    #[arg(long)]
    pub kubeconfig: Option<String>,
    /// Content type of requests sent to apiserver.
    #[arg(long)]
    pub kube_api_content_type: Option<String>,
    /// Burst to use while talking with kubernetes apiserver.
    #[arg(long, allow_negative_numbers = true)]
    pub kube_api_burst: Option<i32>,
    /// QPS to use while talking with kubernetes apiserver.
    #[arg(long, allow_negative_numbers = true)]
    pub kube_api_qps: Option<f32>,
    /// If non-empty, will be used as the name of the Node.
    #[arg(long)]
    pub hostname_override: Option<String>,
    /// Overrides the proxy's idea of what its node's primary IP is.
    #[arg(long)]
    pub bind_address: Option<String>,
    /// The IP address and port for the health check server to serve on; empty disables it.
    #[arg(long)]
    pub healthz_bind_address: Option<String>,
    /// The IP address and port for the metrics server to serve on; empty disables it.
    #[arg(long)]
    pub metrics_bind_address: Option<String>,
    /// The port to bind the health check server (deprecated); 0 disables it.
    #[arg(long, allow_negative_numbers = true)]
    pub healthz_port: Option<i32>,
    /// The port to bind the metrics server (deprecated); 0 disables it.
    #[arg(long, allow_negative_numbers = true)]
    pub metrics_port: Option<i32>,
    /// If true a failure to bind to a port is fatal.
    #[arg(long, action = clap::ArgAction::Set)]
    pub bind_address_hard_fail: Option<bool>,
    /// If true enables profiling; not built.
    #[arg(long, action = clap::ArgAction::Set)]
    pub profiling: Option<bool>,
    /// The previous version for which hidden metrics are shown.
    #[arg(long)]
    pub show_hidden_metrics_for_version: Option<String>,
    /// Which proxy mode to use: iptables, nftables or ipvs.
    #[arg(long)]
    pub proxy_mode: Option<String>,
    /// Bit of the fwmark space to mark packets requiring SNAT with.
    #[arg(long, allow_negative_numbers = true)]
    pub iptables_masquerade_bit: Option<i32>,
    /// SNAT all traffic sent via Service cluster IPs.
    #[arg(long, action = clap::ArgAction::Set)]
    pub masquerade_all: Option<bool>,
    /// If false, node ports cannot be reached by loopback addresses.
    #[arg(long, action = clap::ArgAction::Set)]
    pub iptables_localhost_nodeports: Option<bool>,
    /// How often it is checked that the rules are there.
    #[arg(long)]
    pub iptables_sync_period: Option<component::GoDuration>,
    /// The minimum period between rule resyncs.
    #[arg(long)]
    pub iptables_min_sync_period: Option<component::GoDuration>,
    /// How often it is checked that the rules are there, with ipvs.
    #[arg(long)]
    pub ipvs_sync_period: Option<component::GoDuration>,
    /// The minimum period between rule resyncs, with ipvs.
    #[arg(long)]
    pub ipvs_min_sync_period: Option<component::GoDuration>,
    /// The ipvs scheduler type.
    #[arg(long)]
    pub ipvs_scheduler: Option<String>,
    /// CIDRs which ipvs should not touch when cleaning up.
    #[arg(long, value_delimiter = ',')]
    pub ipvs_exclude_cidrs: Vec<String>,
    /// Enable strict ARP with ipvs.
    #[arg(long, action = clap::ArgAction::Set)]
    pub ipvs_strict_arp: Option<bool>,
    /// The timeout for idle IPVS TCP connections, 0 to leave as-is.
    #[arg(long)]
    pub ipvs_tcp_timeout: Option<component::GoDuration>,
    /// The timeout for IPVS TCP connections after a FIN packet, 0 to leave as-is.
    #[arg(long)]
    pub ipvs_tcpfin_timeout: Option<component::GoDuration>,
    /// The timeout for IPVS UDP packets, 0 to leave as-is.
    #[arg(long)]
    pub ipvs_udp_timeout: Option<component::GoDuration>,
    /// How to detect local traffic: ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix.
    #[arg(long)]
    pub detect_local_mode: Option<String>,
    /// A bridge; traffic from it is local with BridgeInterface.
    #[arg(long)]
    pub pod_bridge_interface: Option<String>,
    /// Traffic from interfaces with this prefix is local with InterfaceNamePrefix.
    #[arg(long)]
    pub pod_interface_name_prefix: Option<String>,
    /// The CIDR range of the pods in the cluster, one per family.
    #[arg(long)]
    pub cluster_cidr: Option<String>,
    /// CIDR ranges of the node IPs that node ports answer on, or 'primary'.
    #[arg(long, value_delimiter = ',')]
    pub nodeport_addresses: Vec<String>,
    /// The oom-score-adj value of the process, within [-1000, 1000].
    #[arg(long, allow_negative_numbers = true)]
    pub oom_score_adj: Option<i32>,
    /// Maximum number of connections to track per CPU core (0 leaves the limit as-is).
    #[arg(long, allow_negative_numbers = true)]
    pub conntrack_max_per_core: Option<i32>,
    /// Minimum number of conntrack entries, regardless of conntrack-max-per-core.
    #[arg(long, allow_negative_numbers = true)]
    pub conntrack_min: Option<i32>,
    /// Idle timeout for established TCP connections (0 to leave as-is).
    #[arg(long)]
    pub conntrack_tcp_timeout_established: Option<component::GoDuration>,
    /// Timeout for TCP connections in the CLOSE_WAIT state.
    #[arg(long)]
    pub conntrack_tcp_timeout_close_wait: Option<component::GoDuration>,
    /// Enable liberal mode for tracking TCP packets.
    #[arg(long, action = clap::ArgAction::Set)]
    pub conntrack_tcp_be_liberal: Option<bool>,
    /// Idle timeout for UNREPLIED UDP connections (0 to leave as-is).
    #[arg(long)]
    pub conntrack_udp_timeout: Option<component::GoDuration>,
    /// Idle timeout for ASSURED UDP connections (0 to leave as-is).
    #[arg(long)]
    pub conntrack_udp_timeout_stream: Option<component::GoDuration>,
    /// How often configuration from the apiserver is refreshed. Must be greater than 0.
    #[arg(long)]
    pub config_sync_period: Option<component::GoDuration>,
}

/// Reads the configuration in all its layers, and warns of what is not built.
pub fn configuration(daemon: &Daemon<Options>) -> anyhow::Result<ProxyConfig> {
    let mut file = match daemon.options.config.as_str() {
        "" => None,
        path => Some(component::kinds::load::<ProxyConfig>(path.as_ref(), &KIND)?),
    };
    for field in file.iter().flat_map(|f| &f.unbuilt) {
        tracing::warn!(field, "configuration field {field} is known but not built; it has no effect");
    }
    let config = layered(file.as_mut().map(|f| &mut f.value), &daemon.options, &daemon.given)?;
    config.validate().context("failed validate")?;
    if config.enable_profiling {
        tracing::warn!("profiling is known but not built; it has no effect");
    }
    for gate in component::Gates::from_map(config.feature_gates.clone())?.unbuilt(&["AllowServiceExternalIPs"]) {
        tracing::warn!(gate, "feature gate {gate} is known but not built; it has no effect");
    }
    Ok(config)
}

/// The options for logs that the configuration makes, where flags do not.
pub fn logging(config: &ProxyConfig, flags: &Common) -> Common {
    let modules = config.logging.vmodule.iter().map(|m| format!("{}={}", m.file_pattern, m.verbosity));
    let modules: Vec<_> = modules.chain(Some(flags.vmodule.clone()).filter(|m| !m.is_empty())).collect();
    Common {
        verbosity: config.logging.verbosity,
        vmodule: modules.join(","),
        logging_format: if config.logging.format == "json" { LogFormat::Json } else { LogFormat::Text },
        feature_gates: flags.feature_gates.clone(),
    }
}

fn layered(
    mut file: Option<&mut serde_json::Value>,
    options: &Options,
    given: &[(String, String)],
) -> anyhow::Result<ProxyConfig> {
    let defaults = config::fill(file.as_deref_mut());
    let mode = options.proxy_mode.as_deref().or_else(|| file.as_deref()?.get("mode")?.as_str()).unwrap_or_default();
    let given = for_mode(mode, given);
    let mut config: ProxyConfig = component::layers::layered(&defaults, file.as_deref(), &FLAGS, &given)?;
    for (flag, field) in [
        (&options.nodeport_addresses, &mut config.node_port_addresses),
        (&options.ipvs_exclude_cidrs, &mut config.ipvs.exclude_cidrs),
    ] {
        if !flag.is_empty() {
            *field = Some(flag.clone());
        }
    }
    for (port, address) in [
        (options.healthz_port, &mut config.healthz_bind_address),
        (options.metrics_port, &mut config.metrics_bind_address),
    ] {
        // Upstream heeds them only where there is no file.
        match port.filter(|_| file.is_none()) {
            Some(0) => address.clear(),
            Some(port) => *address = config::append_port(address, u16::try_from(port)?),
            None => {}
        }
    }
    for pair in given.iter().filter(|(flag, _)| flag == "feature-gates").flat_map(|(_, value)| value.split(',')) {
        if let Some((gate, value)) = pair.split_once('=') {
            config.feature_gates.insert(gate.trim().to_owned(), value.trim() == "true");
        }
    }
    if config.mode == "nftables" && config.node_port_addresses.as_ref().is_none_or(Vec::is_empty) {
        config.node_port_addresses = Some(vec!["primary".to_owned()]);
    }
    config.hostname_override = config.hostname_override.trim().to_ascii_lowercase();
    Ok(config)
}

/// Flags with the name of one mode that upstream shares with another one.
fn for_mode(mode: &str, given: &[(String, String)]) -> Vec<(String, String)> {
    let name = |flag: &str| match (mode, flag) {
        ("nftables", "masquerade-all") => "nftables-masquerade-all".to_owned(),
        ("nftables", "iptables-sync-period") => "nftables-sync-period".to_owned(),
        ("nftables", "iptables-min-sync-period") => "nftables-min-sync-period".to_owned(),
        _ => flag.to_owned(),
    };
    given.iter().map(|(flag, value)| (name(flag), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use component::flags::{Parsed, parse};
    use serde_json::{Value, json};

    fn config(line: &str, file: Option<Value>) -> ProxyConfig {
        let words = line.split_whitespace().map(str::to_owned);
        let Parsed::Start(start) = parse::<Options>("kube-proxy", words, |_| None).expect("good flags") else {
            panic!("{line} starts nothing")
        };
        assert_eq!(start.unbuilt, Vec::<String>::new());
        let mut file = file;
        let config = layered(file.as_mut(), &start.options, &start.given).expect("a configuration");
        config.validate().expect("a good configuration");
        config
    }

    #[test]
    fn flags_set_fields() {
        let config = config(
            "--nodeport-addresses=10.0.0.0/8,fd00::/8 --oom-score-adj=-5 --conntrack-udp-timeout 7s --kube-api-qps=-1 \
             --detect-local-mode NodeCIDR --feature-gates=AllowServiceExternalIPs=false --metrics-bind-address= \
             --healthz-port=0 --v=4 --conntrack-tcp-be-liberal",
            None,
        );
        assert_eq!(config.node_port_addresses, Some(vec!["10.0.0.0/8".into(), "fd00::/8".into()]));
        assert_eq!((config.oom_score_adj, config.client_connection.qps, config.logging.verbosity), (-5, -1.0, 4));
        assert_eq!(config.conntrack.udp_timeout, component::GoDuration::from_secs(7));
        assert_eq!(config.detect_local_mode, "NodeCIDR");
        assert!(!config.feature_gates["AllowServiceExternalIPs"]);
        assert!(config.healthz_bind_address.is_empty() && config.metrics_bind_address.is_empty());
        assert!(config.conntrack.tcp_be_liberal);
    }

    #[test]
    fn shared_flags_go_to_the_mode_that_runs() {
        let flags = "--proxy-mode=nftables --masquerade-all --iptables-sync-period=40s";
        let nftables = config(flags, None);
        assert!(nftables.nftables.masquerade_all && !nftables.iptables.masquerade_all);
        assert_eq!(nftables.of_mode().sync_period.as_secs(), 40);
        // The address that the Node object names first is the safe choice; iptables is older than it.
        assert_eq!(nftables.node_port_addresses, Some(vec!["primary".into()]));
        let iptables = config("--masquerade-all --iptables-sync-period=40s", Some(json!({"mode": "iptables"})));
        assert!(iptables.iptables.masquerade_all && iptables.node_port_addresses.is_none());
        assert_eq!(iptables.of_mode().sync_period.as_secs(), 40);
    }

    #[test]
    fn a_file_has_its_say_on_logs() {
        let file = json!({"logging": {"format": "json", "verbosity": 3, "vmodule": [{"filePattern": "sync", "verbosity": 6}]}});
        let common = logging(&config("", Some(file)), &Common { vmodule: "x=1".into(), ..Common::default() });
        assert_eq!((common.verbosity, common.vmodule.as_str()), (3, "sync=6,x=1"));
        assert_eq!(common.logging_format, LogFormat::Json);
    }
}

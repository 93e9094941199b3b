//! Flags of kube-proxy, and the configuration they, the file and the environment make together.

use crate::config::{FLAGS, KIND, ProxyConfig};
use component::daemon::Daemon;
use std::path::PathBuf;

/// The flags; those that set a field of the file override it.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The path to the configuration file.
    #[arg(long, default_value = "")]
    pub config: String,
    /// If true cleanup iptables rules and exit.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    pub cleanup: bool,
    /// Overrides for the Node IP that the proxy will use for its primary family.
    #[arg(long)]
    pub bind_address: Option<String>,
    /// The CIDR range of the pods in the cluster.
    #[arg(long)]
    pub cluster_cidr: Option<String>,
    /// The IP address and port for the health check server to serve on.
    #[arg(long)]
    pub healthz_bind_address: Option<String>,
    /// If non-empty, will be used as the name of the Node.
    #[arg(long)]
    pub hostname_override: Option<String>,
    /// Bit of the fwmark space to mark packets requiring SNAT with.
    #[arg(long)]
    pub iptables_masquerade_bit: Option<u8>,
    /// The minimum period between iptables rule resyncs.
    #[arg(long)]
    pub iptables_min_sync_period: Option<component::GoDuration>,
    /// Path to kubeconfig file with authorization information.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// SNAT all traffic sent via Service cluster IPs.
    #[arg(long, action = clap::ArgAction::Set)]
    pub masquerade_all: Option<bool>,
    /// The IP address and port for the metrics server to serve on.
    #[arg(long)]
    pub metrics_bind_address: Option<String>,
    /// Which proxy mode to use.
    #[arg(long)]
    pub proxy_mode: Option<String>,
}

/// Reads the configuration in all its layers, and warns of what is not built.
pub fn configuration(daemon: &Daemon<Options>) -> anyhow::Result<ProxyConfig> {
    let file = match daemon.options.config.as_str() {
        "" => None,
        path => Some(component::kinds::load::<ProxyConfig>(path.as_ref(), &KIND)?),
    };
    for field in file.iter().flat_map(|f| &f.unbuilt) {
        tracing::warn!(field, "configuration field {field} is known but not built; it has no effect");
    }
    let value = file.as_ref().map(|f| &f.value);
    let config: ProxyConfig = component::layers::layered(&ProxyConfig::default(), value, &FLAGS, &daemon.given)?;
    config.validate()?;
    Ok(config)
}

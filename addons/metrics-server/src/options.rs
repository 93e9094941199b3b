//! The flags, with upstream's names and defaults.

use component::GoDuration;
use component::serve::SecureServing;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The flags.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The path to the kubeconfig used to connect to the Kubernetes API server and the kubelets; the pod's
    /// service account if empty.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// How often kubelets are asked, 10s at least.
    #[arg(long, default_value = "1m0s")]
    pub metric_resolution: GoDuration,
    /// How long a kubelet may take to answer.
    #[arg(long, default_value = "10s")]
    pub kubelet_request_timeout: GoDuration,
    /// Do not verify the certificates that kubelets show.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    pub kubelet_insecure_tls: bool,
    /// File with the authorities of the kubelets' certificates; those of the apiserver if empty.
    #[arg(long)]
    pub kubelet_certificate_authority: Option<PathBuf>,
    /// The kubelets' port, unless --kubelet-use-node-status-port is given.
    #[arg(long, default_value_t = 10250)]
    pub kubelet_port: u16,
    /// Take the kubelet's port from the node's status.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    pub kubelet_use_node_status_port: bool,
    /// The kinds of addresses to reach kubelets at, in the order of their preference.
    #[arg(long, value_delimiter = ',', default_value = "Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP")]
    pub kubelet_preferred_address_types: Vec<AddressType>,
    /// Only nodes with these labels.
    #[arg(long, default_value = "")]
    pub node_selector: String,
    /// The secure endpoint.
    #[command(flatten)]
    pub serving: SecureServing,
}

impl Options {
    /// How often to ask.
    pub fn resolution(&self) -> Duration {
        self.metric_resolution.0.max(Duration::from_secs(10))
    }
}

/// A kind of a node's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressType(pub String);

impl FromStr for AddressType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "Hostname" | "InternalDNS" | "InternalIP" | "ExternalDNS" | "ExternalIP" => Ok(Self(text.to_owned())),
            _ => Err(format!("{text:?} is no kind of a node's addresses")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use component::flags::{self, Parsed};

    #[test]
    fn flags_are_read_as_upstream_reads_them() {
        let words = [
            "--kubelet-use-node-status-port",
            "--metric-resolution=1s",
            "--kubelet-preferred-address-types=InternalIP,Hostname",
        ];
        let parsed = flags::parse::<Options>("metrics-server", words.map(str::to_owned), |_| None);
        let Ok(Parsed::Start(start)) = parsed else { panic!("no start") };
        let options = start.options;
        assert!(options.kubelet_use_node_status_port && !options.kubelet_insecure_tls);
        assert_eq!(options.resolution(), Duration::from_secs(10));
        assert_eq!(options.kubelet_preferred_address_types.len(), 2);
        let wrong = ["--kubelet-preferred-address-types=Telephone".to_owned()];
        assert!(flags::parse::<Options>("metrics-server", wrong, |_| None).is_err());
    }
}

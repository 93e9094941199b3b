//! The command line. Most of upstream's flags only set a field of the configuration file; they
//! are named here once and reach the configuration by [`FIELDS`].

use component::layers::FieldFlag;
use std::net::IpAddr;
use std::path::PathBuf;

/// The kubelet's own flags.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The kubelet will load its initial configuration from this file.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Path to a kubeconfig file; without it the kubelet runs static pods only.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// If non-empty, will use this string as identification instead of the actual hostname.
    #[arg(long)]
    pub hostname_override: Option<String>,
    /// IP address (or comma-separated dual-stack IP addresses) of the node.
    #[arg(long, value_delimiter = ',')]
    pub node_ip: Vec<IpAddr>,
    /// Directory path for managing kubelet files (volume mounts, etc).
    #[arg(long, default_value = "/var/lib/kubelet")]
    pub root_dir: PathBuf,
    /// Labels to add when registering the node in the cluster.
    #[arg(long, value_delimiter = ',')]
    pub node_labels: Vec<String>,
    /// Unique identifier for identifying the node in a machine database, i.e cloud provider.
    #[arg(long)]
    pub provider_id: Option<String>,
    /// The directory where the TLS certs are located.
    #[arg(long, default_value = "/var/lib/kubelet/pki")]
    pub cert_dir: PathBuf,
    /// The IP address for the Kubelet to serve on.
    #[arg(long)]
    pub address: Option<IpAddr>,
    /// The port for the Kubelet to serve on.
    #[arg(long)]
    pub port: Option<u16>,
    /// The port of the localhost healthz endpoint (set to 0 to disable).
    #[arg(long)]
    pub healthz_port: Option<u16>,
    /// The IP address for the healthz server to serve on.
    #[arg(long)]
    pub healthz_bind_address: Option<IpAddr>,
    /// Path to the directory containing static pod files to run.
    #[arg(long)]
    pub pod_manifest_path: Option<String>,
    /// The endpoint of remote runtime service.
    #[arg(long)]
    pub container_runtime_endpoint: Option<String>,
    /// The endpoint of remote image service.
    #[arg(long)]
    pub image_service_endpoint: Option<String>,
    /// Driver that the kubelet uses to manipulate cgroups on the host.
    #[arg(long)]
    pub cgroup_driver: Option<String>,
    /// Optional root cgroup to use for pods.
    #[arg(long)]
    pub cgroup_root: Option<String>,
    /// Comma-separated list of DNS server IP address.
    #[arg(long, value_delimiter = ',')]
    pub cluster_dns: Vec<String>,
    /// Domain for this cluster.
    #[arg(long)]
    pub cluster_domain: Option<String>,
    /// Resolver configuration file used as the basis for the container DNS resolution configuration.
    #[arg(long)]
    pub resolv_conf: Option<String>,
    /// Number of Pods that can run on this Kubelet.
    #[arg(long)]
    pub max_pods: Option<u32>,
    /// File containing x509 Certificate used for serving HTTPS.
    #[arg(long)]
    pub tls_cert_file: Option<String>,
    /// File containing x509 private key matching --tls-cert-file.
    #[arg(long)]
    pub tls_private_key_file: Option<String>,
    /// Authorities of client certificates.
    #[arg(long)]
    pub client_ca_file: Option<String>,
    /// Enables anonymous requests to the Kubelet server.
    #[arg(long)]
    pub anonymous_auth: Option<bool>,
    /// Use the TokenReview API to determine authentication for bearer tokens.
    #[arg(long)]
    pub authentication_token_webhook: Option<bool>,
    /// Authorization mode for Kubelet server.
    #[arg(long)]
    pub authorization_mode: Option<String>,
    /// Makes the Kubelet fail to start if swap is enabled on the node.
    #[arg(long)]
    pub fail_swap_on: Option<bool>,
    /// Register the node with the apiserver.
    #[arg(long)]
    pub register_node: Option<bool>,
    /// Pull images one at a time.
    #[arg(long)]
    pub serialize_image_pulls: Option<bool>,
}

/// Flags that set a field of the configuration file.
pub const FIELDS: &[FieldFlag] = &[
    FieldFlag { flag: "address", path: "address" },
    FieldFlag { flag: "port", path: "port" },
    FieldFlag { flag: "healthz-port", path: "healthzPort" },
    FieldFlag { flag: "healthz-bind-address", path: "healthzBindAddress" },
    FieldFlag { flag: "pod-manifest-path", path: "staticPodPath" },
    FieldFlag { flag: "container-runtime-endpoint", path: "containerRuntimeEndpoint" },
    FieldFlag { flag: "image-service-endpoint", path: "imageServiceEndpoint" },
    FieldFlag { flag: "cgroup-driver", path: "cgroupDriver" },
    FieldFlag { flag: "cgroup-root", path: "cgroupRoot" },
    FieldFlag { flag: "cluster-domain", path: "clusterDomain" },
    FieldFlag { flag: "resolv-conf", path: "resolvConf" },
    FieldFlag { flag: "max-pods", path: "maxPods" },
    FieldFlag { flag: "tls-cert-file", path: "tlsCertFile" },
    FieldFlag { flag: "tls-private-key-file", path: "tlsPrivateKeyFile" },
    FieldFlag { flag: "client-ca-file", path: "authentication.x509.clientCAFile" },
    FieldFlag { flag: "anonymous-auth", path: "authentication.anonymous.enabled" },
    FieldFlag { flag: "authentication-token-webhook", path: "authentication.webhook.enabled" },
    FieldFlag { flag: "authorization-mode", path: "authorization.mode" },
    FieldFlag { flag: "fail-swap-on", path: "failSwapOn" },
    FieldFlag { flag: "register-node", path: "registerNode" },
    FieldFlag { flag: "serialize-image-pulls", path: "serializeImagePulls" },
];

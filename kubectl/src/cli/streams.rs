//! Flags of the commands that move bytes: `attach`, `cp`, `port-forward`, `proxy`.

use clap::Args;

/// `attach`.
#[derive(Debug, Args)]
pub struct Attach {
    /// Pod, or TYPE/NAME.
    pub targets: Vec<String>,
    /// Container name.
    #[arg(long, short = 'c', default_value = "")]
    pub container: String,
    /// The keys that end the session and leave the process running.
    #[arg(long, default_value = "ctrl-p,ctrl-q")]
    pub detach_keys: String,
    /// The length of time to wait until at least one pod is running.
    #[arg(long, default_value = "1m0s")]
    pub pod_running_timeout: String,
    /// Only print output from the remote session.
    #[arg(long, short = 'q')]
    pub quiet: bool,
    /// Pass stdin to the container.
    #[arg(long, short = 'i')]
    pub stdin: bool,
    /// Stdin is a TTY.
    #[arg(long, short = 't')]
    pub tty: bool,
}

/// `cp`.
#[derive(Debug, Args)]
pub struct Cp {
    /// Source and destination.
    pub words: Vec<String>,
    /// Container name.
    #[arg(long, short = 'c', default_value = "")]
    pub container: String,
    /// The copied file/directory's ownership and permissions will not be preserved in the container.
    #[arg(long)]
    pub no_preserve: bool,
    /// Set number of retries to complete a copy operation from a container; 0 to disable, negative for infinite.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub retries: i32,
}

/// `port-forward`.
#[derive(Debug, Args)]
pub struct PortForward {
    /// TYPE/NAME and ports.
    pub words: Vec<String>,
    /// Addresses to listen on (comma separated).
    #[arg(long, value_delimiter = ',', default_value = "localhost")]
    pub address: Vec<String>,
    /// The length of time to wait until at least one pod is running.
    #[arg(long, default_value = "1m0s")]
    pub pod_running_timeout: String,
}

/// `proxy`.
#[derive(Debug, Args)]
pub struct Proxy {
    /// Regular expression for hosts that the proxy should accept.
    #[arg(long, default_value = r"^localhost$,^127\.0\.0\.1$,^\[::1\]$")]
    pub accept_hosts: String,
    /// Regular expression for paths that the proxy should accept.
    #[arg(long, default_value = "^.*")]
    pub accept_paths: String,
    /// The IP address on which to serve on.
    #[arg(long, default_value = "127.0.0.1")]
    pub address: String,
    /// Prefix to serve the proxied API under.
    #[arg(long, default_value = "/")]
    pub api_prefix: String,
    /// If true, enables automatic path appending of the kube context server path to each request.
    #[arg(long)]
    pub append_server_path: bool,
    /// If true, disable request filtering in the proxy.
    #[arg(long)]
    pub disable_filter: bool,
    /// The keep-alive period for an active network connection.
    #[arg(long, default_value = "0s")]
    pub keepalive: String,
    /// The port on which to run the proxy. Set to 0 to pick a random port.
    #[arg(long, short = 'p', default_value_t = 8001)]
    pub port: u16,
    /// Regular expression for HTTP methods that the proxy should reject.
    #[arg(long, default_value = "^$")]
    pub reject_methods: String,
    /// Regular expression for paths that the proxy should reject.
    #[arg(long, default_value = "^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach")]
    pub reject_paths: String,
    /// Unix socket on which to run the proxy.
    #[arg(long, short = 'u', default_value = "")]
    pub unix_socket: String,
    /// Also serve static files from the given directory under the specified prefix.
    #[arg(long, short = 'w', default_value = "")]
    pub www: String,
    /// Prefix to serve static files under, if static file directory is specified.
    #[arg(long, short = 'P', default_value = "/static/")]
    pub www_prefix: String,
}

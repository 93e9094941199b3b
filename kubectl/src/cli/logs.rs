//! Flags of `logs`.

use clap::Args;

/// `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Pod or TYPE/NAME, and a container.
    pub words: Vec<String>,
    /// Get all containers' logs in the pod(s).
    #[arg(long)]
    pub all_containers: bool,
    /// Get logs from all pod(s). Sets prefix to true.
    #[arg(long)]
    pub all_pods: bool,
    /// Print the logs of this container.
    #[arg(long, short = 'c', default_value = "")]
    pub container: String,
    /// Specify if the logs should be streamed.
    #[arg(long, short = 'f')]
    pub follow: bool,
    /// If watching / following pod logs, allow for any errors that occur to be non-fatal.
    #[arg(long)]
    pub ignore_errors: bool,
    /// Skip verifying the identity of the kubelet that logs are requested from.
    #[arg(long)]
    pub insecure_skip_tls_verify_backend: bool,
    /// Maximum bytes of logs to return.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub limit_bytes: i64,
    /// Specify maximum number of concurrent logs to follow when using by a selector.
    #[arg(long, default_value_t = 5)]
    pub max_log_requests: usize,
    /// The length of time to wait until at least one pod is running.
    #[arg(long, default_value = "20s")]
    pub pod_running_timeout: String,
    /// Prefix each log line with the log source (pod name and container name).
    #[arg(long)]
    pub prefix: bool,
    /// If true, print the logs for the previous instance of the container in a pod if it exists.
    #[arg(long, short = 'p')]
    pub previous: bool,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
    /// Only return logs newer than a relative duration like 5s, 2m, or 3h.
    #[arg(long, default_value = "0s")]
    pub since: String,
    /// Only return logs after a specific date (RFC3339).
    #[arg(long, default_value = "")]
    pub since_time: String,
    /// Lines of recent log file to display.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub tail: i64,
    /// Include timestamps on each line in the log output.
    #[arg(long)]
    pub timestamps: bool,
}

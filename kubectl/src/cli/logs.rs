//! Flags of `logs`.

use clap::Args;

/// `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Pod, or TYPE/NAME.
    pub target: String,
    /// Container, if not by flag.
    pub container_word: Option<String>,
    /// Print the logs of this container.
    #[arg(long, short = 'c')]
    pub container: Option<String>,
    /// Specify if the logs should be streamed.
    #[arg(long, short = 'f')]
    pub follow: bool,
    /// If true, print the logs for the previous instance of the container in a pod if it exists.
    #[arg(long, short = 'p')]
    pub previous: bool,
    /// Lines of recent log file to display.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub tail: i64,
    /// Include timestamps on each line in the log output.
    #[arg(long)]
    pub timestamps: bool,
    /// Maximum bytes of logs to return.
    #[arg(long, default_value_t = 0)]
    pub limit_bytes: u64,
    /// Only return logs newer than a relative duration like 5s, 2m, or 3h.
    #[arg(long)]
    pub since: Option<String>,
    /// Only return logs after a specific date (RFC3339).
    #[arg(long)]
    pub since_time: Option<String>,
}

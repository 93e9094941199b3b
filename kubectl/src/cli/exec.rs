//! Flags of `exec`.

use clap::Args;

/// `exec`.
#[derive(Debug, Args)]
pub struct Exec {
    /// Pod, or TYPE/NAME; nothing else may stand before `--`.
    pub words: Vec<String>,
    /// Whether `--` stands behind them, be it without a command.
    #[arg(skip)]
    pub ended: bool,
    /// Files that name the pod instead.
    #[arg(long = "filename", short = 'f', value_delimiter = ',')]
    pub filenames: Vec<String>,
    /// Container name.
    #[arg(long, short = 'c')]
    pub container: Option<String>,
    /// The length of time to wait until at least one pod is running.
    #[arg(long, default_value = "1m0s")]
    pub pod_running_timeout: String,
    /// Pass stdin to the container.
    #[arg(long, short = 'i')]
    pub stdin: bool,
    /// Stdin is a TTY.
    #[arg(long, short = 't')]
    pub tty: bool,
    /// Only print output from the remote session.
    #[arg(long, short = 'q')]
    pub quiet: bool,
    /// The command and its arguments, after `--`.
    #[arg(last = true)]
    pub command: Vec<String>,
}

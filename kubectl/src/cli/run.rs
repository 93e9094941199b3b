//! Flags of `run`.

use super::Files;
use super::delete::Removal;
use super::writing::{DryRunFlag, Printing, RecordFlag};
use clap::Args;

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The pod's name.
    pub names: Vec<String>,
    #[command(flatten)]
    /// Nothing: upstream has these flags here, and does not look at them.
    pub files: Files,
    #[command(flatten)]
    /// Whether to write.
    pub dry_run: DryRunFlag,
    #[command(flatten)]
    /// How the result is printed.
    pub printing: Printing,
    #[command(flatten)]
    /// Whether the command line is kept.
    pub record: RecordFlag,
    #[command(flatten)]
    /// How `--rm` deletes.
    pub removal: Removal,
    /// Annotations to apply to the pod.
    #[arg(long)]
    pub annotations: Vec<String>,
    /// If true, wait for the Pod to start running, and then attach to the Pod. Defaults to --stdin.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub attach: Option<bool>,
    /// If true and extra arguments are present, use them as the 'command' field in the container.
    #[arg(long)]
    pub command: bool,
    /// The keys that end the session and leave the process running.
    #[arg(long, default_value = "ctrl-p,ctrl-q")]
    pub detach_keys: String,
    /// Environment variables to set in the container.
    #[arg(long)]
    pub env: Vec<String>,
    /// If true, create a ClusterIP service associated with the pod. Requires --port.
    #[arg(long)]
    pub expose: bool,
    /// Name of the manager used to track field ownership.
    #[arg(long, default_value = "kubectl-run")]
    pub field_manager: String,
    /// The image for the container to run.
    #[arg(long, default_value = "")]
    pub image: String,
    /// The image pull policy for the container.
    #[arg(long, default_value = "")]
    pub image_pull_policy: String,
    /// Comma separated labels to apply to the pod.
    #[arg(long, short = 'l', default_value = "")]
    pub labels: String,
    /// If the pod is started in interactive mode or with stdin, leave stdin open after the first attach completes.
    #[arg(long)]
    pub leave_stdin_open: bool,
    /// The method used to override the generated object: json, merge, or strategic.
    #[arg(long, default_value = "merge")]
    pub override_type: String,
    /// An inline JSON override for the generated object.
    #[arg(long, default_value = "")]
    pub overrides: String,
    /// The length of time to wait until at least one pod is running.
    #[arg(long, default_value = "1m0s")]
    pub pod_running_timeout: String,
    /// The port that this container exposes.
    #[arg(long, default_value = "")]
    pub port: String,
    /// If true, run the container in privileged mode.
    #[arg(long)]
    pub privileged: bool,
    /// If true, suppress prompt messages.
    #[arg(long, short = 'q')]
    pub quiet: bool,
    /// The restart policy for this Pod. Legal values [Always, OnFailure, Never].
    #[arg(long, default_value = "Always")]
    pub restart: String,
    /// If true, delete the pod after it exits. Only valid when attaching to the container.
    #[arg(long)]
    pub rm: bool,
    /// If true, the configuration of current object will be saved in its annotation.
    #[arg(long)]
    pub save_config: bool,
    /// Keep stdin open on the container in the pod, even if nothing is attached.
    #[arg(long, short = 'i')]
    pub stdin: bool,
    /// Allocate a TTY for the container in the pod.
    #[arg(long, short = 't')]
    pub tty: bool,
    /// If true, wait for resources to be gone before returning.
    #[arg(long)]
    pub wait: bool,
    /// The command and its arguments.
    #[arg(last = true)]
    pub args: Vec<String>,
}

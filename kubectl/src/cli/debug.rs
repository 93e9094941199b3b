//! Flags of `debug`.

use clap::Args;

/// `debug`.
#[derive(Debug, Args)]
pub struct Debug {
    /// Pods, or TYPE/NAME.
    pub targets: Vec<String>,
    /// If specified, everything after -- will be passed to the new container as Args instead of Command.
    #[arg(long)]
    pub arguments_only: bool,
    /// If true, wait for the container to start running, and then attach as if 'kubectl attach ...' were called.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub attach: Option<bool>,
    /// Container name to use for debug container.
    #[arg(long, short = 'c', default_value = "")]
    pub container: String,
    /// Create a copy of the target Pod with this name.
    #[arg(long, default_value = "")]
    pub copy_to: String,
    /// Path to a JSON or YAML file containing a partial container spec to customize built-in debug profiles.
    #[arg(long, default_value = "")]
    pub custom: String,
    /// Environment variables to set in the container.
    #[arg(long, value_parser = pairs)]
    pub env: Vec<String>,
    /// Files that identify the resource to debug.
    #[arg(long = "filename", short = 'f', value_delimiter = ',')]
    pub filenames: Vec<String>,
    /// Container image to use for debug container.
    #[arg(long, default_value = "")]
    pub image: String,
    /// The image pull policy for the container.
    #[arg(long, default_value = "")]
    pub image_pull_policy: String,
    /// If true, keep the original pod annotations.(This flag only works when used with '--copy-to').
    #[arg(long)]
    pub keep_annotations: bool,
    /// Run the init containers for the pod.(This flag only works when used with '--copy-to').
    #[arg(long, default_value_t = true)]
    pub keep_init_containers: bool,
    /// If true, keep the original pod labels.(This flag only works when used with '--copy-to').
    #[arg(long)]
    pub keep_labels: bool,
    /// If true, keep the original pod liveness probes.(This flag only works when used with '--copy-to').
    #[arg(long)]
    pub keep_liveness: bool,
    /// If true, keep the original pod readiness probes.(This flag only works when used with '--copy-to').
    #[arg(long)]
    pub keep_readiness: bool,
    /// If true, keep the original startup probes.(This flag only works when used with '--copy-to').
    #[arg(long)]
    pub keep_startup: bool,
    /// Options are "general", "baseline", "restricted", "netadmin" or "sysadmin".
    #[arg(long = "profile", default_value = "general")]
    pub profile: String,
    /// If true, suppress informational messages.
    #[arg(long, short = 'q')]
    pub quiet: bool,
    /// When used with '--copy-to', delete the original Pod.
    #[arg(long)]
    pub replace: bool,
    /// When used with '--copy-to', schedule the copy of target Pod on the same node.
    #[arg(long)]
    pub same_node: bool,
    /// When used with '--copy-to', a list of name=image pairs for changing container images.
    #[arg(long, value_parser = pairs)]
    pub set_image: Vec<String>,
    /// When used with '--copy-to', enable process namespace sharing in the copy.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub share_processes: Option<bool>,
    /// Keep stdin open on the container(s) in the pod, even if nothing is attached.
    #[arg(long, short = 'i')]
    pub stdin: bool,
    /// When using an ephemeral container, target processes in this container name.
    #[arg(long, default_value = "")]
    pub target: String,
    /// Allocate a TTY for the debugging container.
    #[arg(long, short = 't')]
    pub tty: bool,
    /// The command of the container.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// The pairs of one flag. Only where there are several can a comma be between them.
pub fn split(text: &str) -> Vec<&str> {
    if text.matches('=').count() == 1 { vec![text] } else { text.split(',').collect() }
}

/// `KEY=VALUE`, as it is; there may be several of them, with commas between.
fn pairs(text: &str) -> Result<String, String> {
    match split(text).into_iter().find(|part| !part.contains('=')) {
        None => Ok(text.to_owned()),
        Some(part) => Err(format!("{part} must be formatted as key=value")),
    }
}

//! The command line, as typed.

use clap::{Args as ClapArgs, Parser, Subcommand};
use std::path::PathBuf;

/// kubectl-rs controls the Kubernetes cluster manager.
#[derive(Debug, Parser)]
#[command(name = "kubectl-rs", disable_version_flag = true, infer_long_args = false)]
pub struct Args {
    #[command(flatten)]
    /// Flags of every command.
    pub global: Global,
    #[command(subcommand)]
    /// The command.
    pub command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Global {
    /// Path to the kubeconfig file to use for CLI requests.
    #[arg(long, global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// The name of the kubeconfig context to use.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// The name of the kubeconfig cluster to use.
    #[arg(long, global = true)]
    pub cluster: Option<String>,
    /// The name of the kubeconfig user to use.
    #[arg(long, global = true)]
    pub user: Option<String>,
    /// If present, the namespace scope for this CLI request.
    #[arg(long, short = 'n', global = true)]
    pub namespace: Option<String>,
    /// The address and port of the Kubernetes API server.
    #[arg(long, short = 's', global = true)]
    pub server: Option<String>,
    /// Bearer token for authentication to the API server.
    #[arg(long, global = true)]
    pub token: Option<String>,
    /// Username to impersonate for the operation.
    #[arg(long = "as", global = true)]
    pub impersonate: Option<String>,
    /// Group to impersonate for the operation.
    #[arg(long = "as-group", global = true)]
    pub impersonate_groups: Vec<String>,
    /// UID to impersonate for the operation.
    #[arg(long = "as-uid", global = true)]
    pub impersonate_uid: Option<String>,
    /// The length of time to wait before giving up on a single server request.
    #[arg(long, global = true, default_value = "0")]
    pub request_timeout: String,
    /// If true, the server's certificate will not be checked for validity.
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub insecure_skip_tls_verify: String,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Display one or many resources.
    Get(Get),
    /// Show details of a specific resource or group of resources.
    Describe(Describe),
    /// Create a resource from a file or from stdin.
    Create(Create),
    /// Apply a configuration to a resource by file name or stdin.
    Apply(Apply),
    /// Delete resources by file names, stdin, resources and names, or by resources and label selector.
    Delete(Delete),
    /// Print the logs for a container in a pod.
    Logs(Logs),
    /// Execute a command in a container.
    Exec(Exec),
    /// Set a new size for a deployment, replica set, or replication controller.
    Scale(Scale),
    /// Print the client and server version information.
    Version(Version),
    /// Print the supported API resources on the server.
    ApiResources(ApiResources),
}

/// Which objects: by selector, in all namespaces, from files.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Selection {
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
    /// If present, list the requested objects across all namespaces.
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
}

/// Manifests.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Files {
    /// Files, folders or URLs that contain the configuration; `-` is standard input.
    #[arg(long = "filename", short = 'f')]
    pub filenames: Vec<String>,
    /// Process the directory used in -f, --filename recursively.
    #[arg(long, short = 'R')]
    pub recursive: bool,
}

/// `get`.
#[derive(Debug, ClapArgs)]
pub struct Get {
    /// Resources, and names.
    pub resources: Vec<String>,
    #[command(flatten)]
    /// Which objects.
    pub selection: Selection,
    #[command(flatten)]
    /// Which objects, by manifest.
    pub files: Files,
    /// Output format: json, yaml, name, wide.
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
    /// Selector (field query) to filter on.
    #[arg(long, default_value = "")]
    pub field_selector: String,
    /// If the requested object does not exist the command will return exit code 0.
    #[arg(long)]
    pub ignore_not_found: bool,
    /// When using the default or custom-column output format, don't print headers.
    #[arg(long)]
    pub no_headers: bool,
    /// When printing, show all labels as the last column.
    #[arg(long)]
    pub show_labels: bool,
    /// Accepts a comma separated list of labels that are going to be presented as columns.
    #[arg(long, short = 'L', value_delimiter = ',')]
    pub label_columns: Vec<String>,
    /// Keep the managedFields when printing objects in JSON or YAML format.
    #[arg(long)]
    pub show_managed_fields: bool,
    /// After listing/getting the requested object, watch for changes.
    #[arg(long, short = 'w')]
    pub watch: bool,
}

/// `describe`.
#[derive(Debug, ClapArgs)]
pub struct Describe {
    /// Resources, and names.
    pub resources: Vec<String>,
    #[command(flatten)]
    /// Which objects.
    pub selection: Selection,
}

/// `create`.
#[derive(Debug, ClapArgs)]
pub struct Create {
    /// `namespace NAME`, when no file is given.
    pub words: Vec<String>,
    #[command(flatten)]
    /// The manifests.
    pub files: Files,
    /// If true, the configuration of current object will be saved in its annotation.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub save_config: String,
    /// Record current kubectl command in the resource annotation.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub record: String,
    /// Output format.
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
    /// Must be "none", "server", or "client".
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "unchanged", default_value = "none")]
    pub dry_run: String,
}

/// `apply`.
#[derive(Debug, ClapArgs)]
pub struct Apply {
    #[command(flatten)]
    /// The manifests.
    pub files: Files,
    /// Record current kubectl command in the resource annotation.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub record: String,
    /// Output format.
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
    /// Must be "none", "server", or "client".
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "unchanged", default_value = "none")]
    pub dry_run: String,
    /// If true, apply runs in the server instead of the client.
    #[arg(long)]
    pub server_side: bool,
    /// If true, server-side apply will force the changes against conflicts.
    #[arg(long)]
    pub force_conflicts: bool,
}

/// `delete`.
#[derive(Debug, ClapArgs)]
pub struct Delete {
    /// Resources, and names.
    pub resources: Vec<String>,
    #[command(flatten)]
    /// Which objects.
    pub selection: Selection,
    #[command(flatten)]
    /// Which objects, by manifest.
    pub files: Files,
    /// Delete all resources, in the namespace of the specified resource types.
    #[arg(long)]
    pub all: bool,
    /// Period of time in seconds given to the resource to terminate gracefully.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub grace_period: i64,
    /// If true, immediately remove resources from API and bypass graceful deletion.
    #[arg(long)]
    pub force: bool,
    /// Treat "resource not found" as a successful delete.
    #[arg(long)]
    pub ignore_not_found: bool,
    /// If true, wait for resources to be gone before returning.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true")]
    pub wait: String,
    /// Must be "background", "orphan", or "foreground".
    #[arg(long, default_value = "background")]
    pub cascade: String,
    /// Output format: name.
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
}

/// `logs`.
#[derive(Debug, ClapArgs)]
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

/// `exec`.
#[derive(Debug, ClapArgs)]
pub struct Exec {
    /// Pod, or TYPE/NAME.
    pub target: String,
    /// Container name.
    #[arg(long, short = 'c')]
    pub container: Option<String>,
    /// Pass stdin to the container.
    #[arg(long, short = 'i')]
    pub stdin: bool,
    /// Stdin is a TTY.
    #[arg(long, short = 't')]
    pub tty: bool,
    /// Only print output from the remote session.
    #[arg(long, short = 'q')]
    pub quiet: bool,
    /// The command and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub command: Vec<String>,
}

/// `scale`.
#[derive(Debug, ClapArgs)]
pub struct Scale {
    /// Resources, and names.
    pub resources: Vec<String>,
    /// The new desired number of replicas.
    #[arg(long)]
    pub replicas: i32,
    /// Precondition for current size.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub current_replicas: i32,
}

/// `version`.
#[derive(Debug, ClapArgs)]
pub struct Version {
    /// If true, shows client version only (no server required).
    #[arg(long)]
    pub client: bool,
    /// One of 'yaml' or 'json'.
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
}

/// `api-resources`.
#[derive(Debug, ClapArgs)]
pub struct ApiResources {
    /// Output format: wide, name.
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
    /// Limit to resources in the specified API group.
    #[arg(long)]
    pub api_group: Option<String>,
    /// If false, non-namespaced resources will be returned.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub namespaced: Option<bool>,
    /// When using the default output format, don't print headers.
    #[arg(long)]
    pub no_headers: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn reads_the_documented_forms() {
        for line in [
            "kubectl-rs get service --all-namespaces -o wide",
            "kubectl-rs get pods -A -owide",
            "kubectl-rs create -f x.yaml --save-config --record",
            "kubectl-rs apply --record -f x.yaml",
            "kubectl-rs exec -it web -- bash -c ls",
            "kubectl-rs -n magedu logs web -f --tail=5",
            "kubectl-rs delete pod a --grace-period=0 --force",
            "kubectl-rs scale deployment web --replicas=3",
        ] {
            assert!(Args::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }
}

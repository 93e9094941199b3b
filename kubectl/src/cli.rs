//! The command line, as typed: a file per command.

mod api_resources;
pub mod apply;
pub mod auth;
pub mod certificate;
pub mod cluster_info;
mod complaint;
pub mod config;
mod create;
pub mod debug;
pub mod delete;
mod describe;
pub mod diff;
pub mod edit;
pub mod events;
mod exec;
pub mod explain;
pub mod expose;
pub mod generators;
mod get;
mod global;
mod help;
pub mod kuberc;
pub mod kustomize;
pub mod label;
mod language;
mod lists;
mod logs;
mod manual;
mod near;
pub mod node;
pub mod patch;
mod print_flags;
pub mod replace;
mod retold;
pub mod rollout;
pub mod run;
mod scale;
pub mod set;
pub mod streams;
pub mod switches;
pub mod top;
mod usage;
mod version;
pub mod wait;
pub mod why;
mod words;
pub mod writing;

pub use api_resources::ApiResources;
pub use apply::Apply;
pub use create::Create;
pub use delete::Delete;
pub use describe::Describe;
pub use exec::Exec;
pub use get::Get;
pub use global::Global;
pub use help::{help_of, options};
pub use logs::Logs;
pub(crate) use near::distance;
pub use print_flags::PrintFlags;
pub(crate) use retold::retold;
pub use scale::{Autoscale, Scale};
pub use usage::{UsageError, command, has_command, parse};
pub use version::Version;
pub use words::{Walk, flag, given, reads_manifest, takes_word, walk};

use clap::{Args as ClapArgs, Parser, Subcommand};

/// kubectl controls the Kubernetes cluster manager.
#[derive(Debug, Parser)]
#[command(name = "kubectl", disable_version_flag = true, infer_long_args = false)]
pub struct Args {
    #[command(flatten)]
    /// Flags of every command.
    pub global: Global,
    #[command(subcommand)]
    /// The command.
    pub command: Command,
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
    /// Run a particular image on the cluster.
    Run(run::Run),
    /// Attach to a running container.
    Attach(streams::Attach),
    /// Copy files and directories to and from containers.
    Cp(streams::Cp),
    /// Forward one or more local ports to a pod.
    PortForward(streams::PortForward),
    /// Run a proxy to the Kubernetes API server.
    Proxy(streams::Proxy),
    /// Build a kustomization target from a directory.
    Kustomize(kustomize::Kustomize),
    /// Diff the live version against a would-be applied version.
    Diff(diff::Diff),
    /// Bring back what was there at the last 'diff --record'.
    Undo(diff::Undo),
    /// Set a new size for a deployment, replica set, or replication controller.
    Scale(Scale),
    /// Auto-scale a deployment, replica set, stateful set, or replication controller.
    Autoscale(Autoscale),
    /// Take a replication controller, service, deployment or pod and expose it as a new service.
    Expose(expose::Expose),
    /// Edit a resource on the server.
    Edit(edit::Edit),
    /// Replace a resource by file name or stdin.
    Replace(replace::Replace),
    /// Update fields of a resource.
    Patch(patch::Patch),
    /// Update the labels on a resource.
    Label(label::Label),
    /// Update the annotations on a resource.
    Annotate(label::Annotate),
    /// Set specific features on objects.
    #[command(subcommand)]
    Set(set::Set),
    /// Manage the rollout of a resource.
    #[command(subcommand)]
    Rollout(rollout::Rollout),
    /// Modify certificate resources.
    #[command(subcommand)]
    Certificate(certificate::Certificate),
    /// Mark node as unschedulable.
    Cordon(node::Cordon),
    /// Mark node as schedulable.
    Uncordon(node::Cordon),
    /// Drain node in preparation for maintenance.
    Drain(node::Drain),
    /// Update the taints on one or more nodes.
    Taint(node::Taint),
    /// Print the client and server version information.
    Version(Version),
    /// Print the supported API resources on the server.
    ApiResources(ApiResources),
    /// Print the supported API versions on the server, in the form of "group/version".
    ApiVersions(cluster_info::ApiVersions),
    /// Display cluster information.
    #[command(alias = "clusterinfo")]
    ClusterInfo(cluster_info::ClusterInfo),
    /// Modify kubeconfig files.
    #[command(subcommand)]
    Config(config::Config),
    /// Inspect authorization.
    #[command(subcommand)]
    Auth(auth::Auth),
    /// Wait for a specific condition on one or many resources.
    Wait(wait::Wait),
    /// List events.
    Events(events::Events),
    /// Display resource (CPU/memory) usage.
    #[command(subcommand)]
    Top(top::Top),
    /// Get documentation for a resource.
    Explain(explain::Explain),
    /// Create debugging sessions for troubleshooting workloads and nodes.
    Debug(Box<debug::Debug>),
    /// Tell in a few words why an object is as it is, with the evidence.
    Why(why::Why),
    /// Manage kuberc configuration files.
    #[command(subcommand)]
    Kuberc(kuberc::Kuberc),
    /// Provides utilities for interacting with plugins.
    #[command(subcommand)]
    Plugin(kuberc::Plugin),
    /// Output shell completion code for the specified shell (bash, zsh, fish, or powershell).
    Completion(kuberc::Completion),
    /// Commands for features in alpha.
    #[command(hide = true)]
    Alpha(config::Words),
    /// Print the list of flags inherited by all commands.
    #[command(hide = true)]
    Options(config::Words),
}

impl Command {
    /// Whether variables are read from standard input: `set env deployment/web -`.
    pub fn reads_environment(&self) -> bool {
        match self {
            Self::Set(set::Set::Env(env)) => env.setting.words.iter().chain(&env.env).any(|word| word == "-"),
            _ => false,
        }
    }
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
    #[arg(long = "filename", short = 'f', value_delimiter = ',')]
    pub filenames: Vec<String>,
    /// Process the directory used in -f, --filename recursively.
    #[arg(long, short = 'R')]
    pub recursive: bool,
    /// Process a kustomization directory.
    #[arg(long, short = 'k', default_value = "")]
    pub kustomize: String,
}

impl Files {
    /// Whether a manifest is named at all.
    pub fn any(&self) -> bool {
        self.names().next().is_some() || !self.kustomize.is_empty()
    }

    /// That manifests or a kustomization are named, but not both.
    pub fn required(&self) -> anyhow::Result<()> {
        match (self.names().next().is_some(), self.kustomize.is_empty()) {
            (false, true) => anyhow::bail!("must specify one of -f and -k"),
            (true, false) => anyhow::bail!("only one of -f or -k can be specified"),
            (false, false) if self.recursive => anyhow::bail!("the -k flag can't be used with -f or -R"),
            _ => Ok(()),
        }
    }

    /// That not both manifests and a kustomization are named.
    pub fn one_kind(&self) -> anyhow::Result<()> {
        match (self.names().next().is_some(), self.kustomize.is_empty()) {
            (true, false) => anyhow::bail!("only one of -f or -k can be specified"),
            _ => Ok(()),
        }
    }

    /// The names: `-f ""` names nothing, while among others an empty one is a name that leads nowhere.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let alone = self.filenames.len() == 1;
        self.filenames.iter().map(String::as_str).filter(move |name| !(alone && name.is_empty()))
    }
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
    fn variables_on_standard_input_are_noticed() {
        for (line, want) in [
            ("kubectl set env deployment/web -", true),
            ("kubectl set env deployment/web -e -", true),
            ("kubectl set env deployment/web A-", false),
            ("kubectl get pods", false),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(parse(&words).expect("a command").command.reads_environment(), want, "{line}");
        }
    }

    #[test]
    fn flags_of_exec_stand_anywhere_before_the_command() {
        for line in [
            "k exec web -c=app -ti -- sh -c x",
            "k exec -capp -it web -- sh -c x",
            "k exec -c app -i web -t -- sh -c x",
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let Command::Exec(exec) = parse(&words).expect("a command").command else { panic!("{line}") };
            assert_eq!((exec.words.join(" "), exec.container.as_deref()), ("web".into(), Some("app")), "{line}");
            assert_eq!((exec.command.join(" "), exec.stdin, exec.tty), ("sh -c x".into(), true, true), "{line}");
        }
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
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert!(parse(&words).is_ok(), "{line}");
        }
    }
}

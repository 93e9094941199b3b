//! Entry point of the bootstrap tool, which `deploy/up` and `deploy/down` call.

use bootstrap::control_plane::ControlPlane;
use bootstrap::layout::{Layout, MAX_NODES};
use bootstrap::network::PodNetwork;
use bootstrap::{down, host, supervise, up};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "bootstrap", about = "Makes a cluster on this machine, and ends it")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring a cluster up, or repair it.
    Up {
        /// Folder for all state.
        #[arg(long)]
        dir: PathBuf,
        /// Folder of the binaries.
        #[arg(long)]
        binaries: PathBuf,
        /// Folder of this repository's `deploy`.
        #[arg(long)]
        deploy: PathBuf,
        /// So many node hosts in namespaces, instead of this machine as the node.
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_NODES)))]
        nodes: Option<u8>,
        /// How pods of different nodes reach each other; flannel runs on node hosts.
        #[arg(long, value_enum, default_value_t)]
        network: PodNetwork,
        /// Run the control plane as static pods of this machine.
        #[arg(long, conflicts_with = "nodes")]
        static_pods: bool,
        /// Run the dashboard.
        #[arg(long)]
        dashboard: bool,
    },
    /// Make certificates, configuration and the units' environment files; start nothing.
    Files {
        /// Folder for all state.
        #[arg(long)]
        dir: PathBuf,
        /// Folder of the environment files.
        #[arg(long, default_value = "/etc/kubernetes")]
        environment: PathBuf,
    },
    /// Make a cluster of the processes of units that have been started.
    Complete {
        /// Folder of the state.
        #[arg(long)]
        dir: PathBuf,
        /// Folder of the binaries.
        #[arg(long)]
        binaries: PathBuf,
        /// Folder of this repository's `deploy`.
        #[arg(long)]
        deploy: PathBuf,
    },
    /// Stop all that `up` started.
    Down {
        /// Folder of the state.
        #[arg(long)]
        dir: PathBuf,
        /// Remove state, mounts, rules, bridges and cgroups, too.
        #[arg(long)]
        purge: bool,
    },
    /// Run and restart the processes of a plan (what `up` starts in the background).
    Supervise {
        /// Folder of the state.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Become a node host (what the supervisor starts).
    #[command(hide = true)]
    Host(HostArgs),
    /// Be process 1 of a node host.
    #[command(hide = true)]
    Init(HostArgs),
}

#[derive(clap::Args)]
struct HostArgs {
    /// Folder of the node's state.
    #[arg(long)]
    dir: PathBuf,
    /// Name of the node.
    #[arg(long)]
    node: String,
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Up { dir, binaries, deploy, nodes, network, static_pods, dashboard } => {
            let control_plane = if static_pods { ControlPlane::StaticPods } else { ControlPlane::Processes };
            let (binaries, deploy) = (&binaries, &deploy);
            let request = up::Request { binaries, deploy, hosts: nodes, network, control_plane, dashboard };
            up::run(&Layout::new(dir), &request)
        }
        Command::Complete { dir, binaries, deploy } => up::complete(&Layout::new(dir), &binaries, &deploy),
        Command::Files { dir, environment } => up::files(&Layout::new(dir), &environment),
        Command::Down { dir, purge } => down::run(&Layout::new(dir), purge),
        Command::Supervise { dir } => supervise::run(&Layout::new(dir)),
        Command::Host(host) => host::enter(&Layout::new(host.dir), &host.node),
        Command::Init(host) => host::init(&Layout::new(host.dir), &host.node),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! Entry point of the bootstrap tool, which `deploy/up` and `deploy/down` call.

use bootstrap::control_plane::ControlPlane;
use bootstrap::layout::{Layout, MAX_MASTERS, MAX_NODES};
use bootstrap::network::PodNetwork;
use bootstrap::{backup, down, host, supervise, up};
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
        /// So many master hosts in namespaces behind a load balancer, instead of this machine as the master.
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_MASTERS)), conflicts_with = "static_pods")]
        masters: Option<u8>,
        /// So many node hosts in namespaces, instead of this machine as the node.
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_NODES)))]
        nodes: Option<u8>,
        /// How pods of different nodes reach each other; flannel runs on node hosts.
        #[arg(long, value_enum, default_value_t)]
        network: PodNetwork,
        /// Measure what nodes and pods use.
        #[arg(long)]
        metrics_server: bool,
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
    /// Save the store and what certificates and tokens are made with.
    Backup {
        /// Folder of the state.
        #[arg(long)]
        dir: PathBuf,
        /// The archive to write.
        file: PathBuf,
    },
    /// Stop all processes and put back what a backup saved; `up` starts them again.
    Restore {
        /// Folder of the state.
        #[arg(long)]
        dir: PathBuf,
        /// So many master hosts, instead of this machine as the master.
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_MASTERS)))]
        masters: Option<u8>,
        /// The archive.
        file: PathBuf,
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
        Command::Up { dir, binaries, deploy, masters, nodes, network, metrics_server, dashboard, static_pods } => {
            let control_plane = if static_pods { ControlPlane::StaticPods } else { ControlPlane::Processes };
            let request = up::Request {
                binaries: &binaries,
                deploy: &deploy,
                masters,
                nodes,
                network,
                control_plane,
                metrics: metrics_server,
                dashboard,
            };
            up::run(&Layout::new(dir), &request)
        }
        Command::Complete { dir, binaries, deploy } => up::complete(&Layout::new(dir), &binaries, &deploy),
        Command::Files { dir, environment } => up::files(&Layout::new(dir), &environment),
        Command::Backup { dir, file } => backup::save(&Layout::new(dir), &file),
        Command::Restore { dir, masters, file } => backup::restore(&Layout::new(dir), masters, &file),
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

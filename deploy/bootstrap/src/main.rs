//! Entry point of the bootstrap tool, which `deploy/up` and `deploy/down` call.

use bootstrap::{down, layout::Layout, supervise, up};
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
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Up { dir, binaries, deploy } => up::run(&Layout::new(dir), &binaries, &deploy),
        Command::Down { dir, purge } => down::run(&Layout::new(dir), purge),
        Command::Supervise { dir } => supervise::run(&Layout::new(dir)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

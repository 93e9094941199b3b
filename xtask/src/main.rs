//! Chores of the repository: `cargo run -p xtask -- COMMAND`.

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Chores of the repository")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the tables of types and resources anew from facts about a Kubernetes release.
    Codegen(xtask::codegen::Args),
    /// Check the rules that ARCHITECTURE.md and CONTRIBUTING.md state: dependency edges, who may
    /// know etcd, CRI and netfilter, paths that documents name, text that does not belong; and that
    /// what is depended on is as `deny.toml` says.
    Tidy,
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Codegen(args) => xtask::codegen::run(&args),
        Command::Tidy => xtask::tidy::run(),
    }
}

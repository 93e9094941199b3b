//! Entry point of `kubectl-rs`.

use clap::Parser;
use kubectl::{cli::Args, commands};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(args)) {
        Ok(code) => code,
        // Whoever read our output has had enough, as in `get pods | head -1`.
        Err(error) if commands::is_broken_pipe(&error) => ExitCode::from(141),
        Err(error) => {
            eprintln!("{}", commands::error_text(&error));
            ExitCode::FAILURE
        }
    }
}

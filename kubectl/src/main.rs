//! Entry point of `kubectl-rs`.

use clap::{CommandFactory, FromArgMatches};
use kubectl::cli::{Args, switches};
use kubectl::commands;
use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = switches::loosen(Args::command()).get_matches();
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(commands::run(args));
    // A thread may still wait for standard input.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        // Whoever read our output has had enough, as in `get pods | head -1`.
        Err(error) if commands::is_broken_pipe(&error) => ExitCode::from(141),
        Err(error) => {
            eprintln!("{}", commands::error_text(&error));
            ExitCode::FAILURE
        }
    }
}

//! Entry point of `kubectl-rs`.

use kubectl::cli::{self, UsageError};
use kubectl::commands;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let args = match cli::parse(&words) {
        Ok(args) => args,
        Err(UsageError::Help(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(UsageError::Wrong(text)) => {
            eprintln!("{text}");
            return ExitCode::FAILURE;
        }
    };
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

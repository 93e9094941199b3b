//! Entry point of `kubectl-rs`.

use kubectl::cli::{self, UsageError};
use kubectl::{commands, interrupt, plugins, preferences, print};
use std::future::Future;
use std::io::IsTerminal;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if let Some(described) = asks_for_completion(&words) {
        let words = words.get(2..).unwrap_or_default();
        return run(async { commands::complete(words, described).await.map(|()| ExitCode::SUCCESS) });
    }
    let prepared = preferences::load(&words).and_then(|preferences| {
        let words = preferences.apply(words)?;
        Ok((words, preferences))
    });
    let (words, preferences) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return fail(&format!("error occurred while applying preferences {error}")),
    };
    // `create` takes words, and yet may be continued by a plugin.
    if words.iter().any(|word| word == "create")
        && let Err(error) = plugins::run_if_any(&words, &cli::walk(&cli::command(), &words))
    {
        return fail(&format!("Error: {error:#}"));
    }
    match cli::parse(&words) {
        Ok(mut args) => {
            args.global.plugins = preferences.plugins;
            args.global.stdin_in_use = cli::reads_manifest(&words) || args.command.reads_environment();
            let global = args.global.clone();
            run_with(commands::run(args), |error| tell_what_to_do(error, &global))
        }
        Err(usage) => instead(&words, usage),
    }
}

/// Whether a shell wants candidates, and if so, whether with descriptions.
fn asks_for_completion(words: &[String]) -> Option<bool> {
    match words.get(1).map(String::as_str) {
        Some("__complete") => Some(true),
        Some("__completeNoDesc") => Some(false),
        _ => None,
    }
}

/// What is no command may be a plugin; otherwise it is help or a complaint.
fn instead(words: &[String], usage: UsageError) -> ExitCode {
    let root = cli::command();
    if let Err(error) = plugins::run_if_any(words, &cli::walk(&root, words)) {
        return fail(&format!("Error: {error:#}"));
    }
    match usage {
        UsageError::Help(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        UsageError::Lost(text) => {
            print!("{text}");
            ExitCode::FAILURE
        }
        UsageError::Wrong(text) => fail(&text),
        UsageError::NotCompared(text) => {
            fail(&text);
            ExitCode::from(2)
        }
    }
}

fn fail(text: &str) -> ExitCode {
    // The text may repeat what a server says.
    let text = print::harmless(text);
    if text.ends_with('\n') {
        eprint!("{text}")
    } else {
        eprintln!("{text}")
    }
    ExitCode::FAILURE
}

/// Tells a person what to do about an error; a script that reads it gets no more than upstream's words.
fn tell_what_to_do(error: &anyhow::Error, global: &cli::Global) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    if let Some(hint) = commands::hint(error, global) {
        fail(&hint);
    }
}

fn run(command: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    run_with(command, |_| {})
}

fn run_with(
    command: impl Future<Output = anyhow::Result<ExitCode>>,
    also_tell: impl FnOnce(&anyhow::Error),
) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("error: {error}")),
    };
    let outcome = runtime.block_on(interrupt::or_ended(command));
    // A thread may still wait for standard input.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        // Whoever read our output has had enough, as in `get pods | head -1`.
        Err(error) if commands::is_broken_pipe(&error) => ExitCode::from(141),
        Err(error) => {
            let code = fail(&commands::error_text(&error));
            also_tell(&error);
            code
        }
    }
}

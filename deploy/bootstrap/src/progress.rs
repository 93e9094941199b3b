//! Steps on a terminal: one line each, with a spinner while it runs and its time at the end.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Runs a step and tells how it went. Without a terminal each step is one plain line.
pub fn step<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let started = Instant::now();
    let bar = std::io::stderr().is_terminal().then(|| spinner(what));
    let outcome = work();
    let seconds = started.elapsed().as_secs_f64();
    let line = match &outcome {
        Ok(_) => format!("  {what}: {seconds:.1} s"),
        Err(_) => format!("  {what}: failed after {seconds:.1} s"),
    };
    match bar {
        Some(bar) => {
            bar.finish_and_clear();
            eprintln!("{line}");
        }
        None => eprintln!("{line}"),
    }
    outcome
}

fn spinner(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("  {spinner} {msg} ({elapsed})")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style).with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

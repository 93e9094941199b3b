//! Runs the system's own tools: `ip`, `ctr` and the like.

use anyhow::{Context, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a program; its output, or what it complained about.
pub fn run(program: impl AsRef<Path>, arguments: &[&str]) -> anyhow::Result<String> {
    let program = program.as_ref();
    let shown = || format!("{} {}", program.display(), arguments.join(" "));
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().with_context(shown)?;
    if !output.status.success() {
        bail!("{}: {}", shown(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `ip`, with the words of one line.
pub fn ip(line: &str) -> anyhow::Result<()> {
    let words: Vec<&str> = line.split_whitespace().collect();
    run("ip", &words).map(drop)
}

/// Runs a program whose failure means that there is nothing to do.
pub fn quietly(program: impl AsRef<Path>, arguments: &[&str]) {
    run(program, arguments).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_was_run_and_why_it_failed() {
        let error = run("sh", &["-c", "echo no >&2; exit 1"]).expect_err("a failure");
        assert_eq!(error.to_string(), "sh -c echo no >&2; exit 1: no");
        assert_eq!(run("echo", &["yes"]).expect("an answer"), "yes\n");
    }
}

//! Runs other programs, such as those that speak to the kernel's packet filter: what they read, what
//! they print, why they refuse, and never for longer than they may take.
//!
//! Upstream: `k8s.io/utils/exec`, which waits for ever.

use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// How long a program may take. The largest sets of rules load within a minute, and programs wait for
/// each other's lock; one that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(300);
/// Most characters of a complaint.
const LONGEST: usize = 500;

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It cannot be run.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It refused.
    #[error("{program} failed: {message}")]
    Refused {
        /// The program.
        program: &'static str,
        /// What it said, shortened.
        message: String,
    },
    /// It did not end, and was killed.
    #[error("{program} took longer than {patience:?}")]
    Slow {
        /// The program.
        program: &'static str,
        /// What it was given.
        patience: Duration,
    },
}

/// Runs a program that reads `input`, and gives what it printed.
pub async fn run(program: &'static str, arguments: &[&str], input: &str) -> Result<String, ProgramError> {
    run_within(PATIENCE, program, arguments, input).await
}

async fn run_within(
    patience: Duration,
    program: &'static str,
    arguments: &[&str],
    input: &str,
) -> Result<String, ProgramError> {
    let failed = |source| ProgramError::Run { program, source };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let stdin = child.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program that ends early says why by itself; the broken pipe adds nothing.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    // Who prints much before it has read everything must not wait for us to read.
    let talk = async { tokio::join!(feed, child.wait_with_output()).1 };
    let output = tokio::time::timeout(patience, talk).await.map_err(|_| ProgramError::Slow { program, patience })?;
    let output = output.map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().chars().take(LONGEST).collect();
    Err(ProgramError::Refused { program, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_gets_its_input_and_says_why_it_failed() {
        let text = "x".repeat(200_000);
        assert_eq!(run("cat", &[], &text).await.expect("a copy"), text);
        let error = run("cat", &["/dev/null/nothing"], "").await.expect_err("no such file");
        assert!(
            error.to_string().starts_with("cat failed: ") && error.to_string().contains("Not a directory"),
            "{error}"
        );
        assert!(matches!(run("no-such-program", &[], "").await, Err(ProgramError::Run { .. })));
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_given_up() {
        let patience = Duration::from_millis(50);
        let error = run_within(patience, "sleep", &["1000"], "").await.expect_err("too slow");
        assert_eq!(error.to_string(), "sleep took longer than 50ms");
    }
}

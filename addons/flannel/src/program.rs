//! Runs the programs that speak to the packet filter.

use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// How long one may take; they wait for each other's lock.
const PATIENCE: Duration = Duration::from_secs(60);
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
    /// It did not end.
    #[error("{0} took longer than {PATIENCE:?}")]
    Slow(&'static str),
}

/// Runs a program with `input`; what it printed.
pub async fn run(program: &'static str, arguments: &[&str], input: &str) -> Result<String, ProgramError> {
    let failed = |source| ProgramError::Run { program, source };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
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
    let talk = async { futures::future::join(feed, child.wait_with_output()).await.1 };
    let output = tokio::time::timeout(PATIENCE, talk).await.map_err(|_| ProgramError::Slow(program))?;
    let output = output.map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().chars().take(LONGEST).collect();
    Err(ProgramError::Refused { program, message })
}

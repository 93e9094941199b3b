//! The kernel's packet filter is spoken to by its own programs.

use std::process::Stdio;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Why rules could not be applied or read.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The program cannot be run.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The kernel refused.
    #[error("ipvs: cannot {what}")]
    Kernel {
        /// What was to be done.
        what: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The program refused.
    #[error("{program} failed: {message}")]
    Refused {
        /// The program.
        program: &'static str,
        /// What it said, shortened.
        message: String,
    },
}

/// What a program reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input<'a> {
    Nothing,
    Text(&'a str),
}

/// Runs a program and gives what it printed.
pub(crate) async fn run(program: &'static str, arguments: &[&str], input: Input<'_>) -> Result<String, ProgramError> {
    let failed = |source| ProgramError::Run { program, source };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(if matches!(input, Input::Text(_)) { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let stdin = child.stdin.take();
    let write = async {
        if let (Some(mut stdin), Input::Text(text)) = (stdin, input) {
            // A program that ends early says why by itself; the broken pipe adds nothing.
            let _ = stdin.write_all(text.as_bytes()).await;
        }
    };
    // Who prints much before it has read everything must not wait for us to read.
    let ((), output) = tokio::join!(write, child.wait_with_output());
    let output = output.map_err(failed)?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let message: String = String::from_utf8_lossy(&output.stderr).trim().chars().take(500).collect();
            Err(ProgramError::Refused { program, message })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_gets_its_input_and_says_why_it_failed() {
        let text = "x".repeat(200_000);
        assert_eq!(run("cat", &[], Input::Text(&text)).await.expect("a copy"), text);
        let error = run("cat", &["/dev/null/nothing"], Input::Nothing).await.expect_err("no such file");
        assert!(
            error.to_string().starts_with("cat failed: ") && error.to_string().contains("Not a directory"),
            "{error}"
        );
        assert!(matches!(run("no-such-program", &[], Input::Nothing).await, Err(ProgramError::Run { .. })));
    }
}

//! A process in a container: its streams, its terminal, and how it ended.
//!
//! [`websocket`] and [`spdy`] are the two protocols that carry it, [`terminal`] is ours.
//!
//! Upstream: `client-go/tools/remotecommand`.

mod spdy;
mod terminal;
mod websocket;

use crate::detach::Detach;
use crate::http::Client;
use crate::upgrade::{Gate, NoWebSocket};
use anyhow::bail;
use apimachinery::Value;
use std::io::Write;
use std::process::ExitCode;
use terminal::RawTerminal;
pub use terminal::is_terminal;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of standard input that go on their way together.
const PORTION: usize = 32 * 1024;

/// Where a process' bytes come from and go to.
pub struct Streams {
    /// Passed on until it ends.
    pub stdin: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// What it prints.
    pub stdout: Box<dyn Write + Send>,
    /// What it complains.
    pub stderr: Box<dyn Write + Send>,
    /// The terminal is raw, and its size is told.
    pub tty: bool,
    /// Keys that end the session and leave the process running.
    pub detach: Option<Detach>,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams").field("tty", &self.tty).finish_non_exhaustive()
    }
}

impl Streams {
    /// Our own standard streams.
    pub fn standard(stdin: bool, tty: bool) -> Self {
        Self {
            stdin: stdin.then(|| Box::new(tokio::io::stdin()) as Box<dyn AsyncRead + Send + Unpin>),
            stdout: Box::new(std::io::stdout()),
            stderr: Box::new(std::io::stderr()),
            tty,
            detach: None,
        }
    }

    /// The sides that are used at the same time.
    fn split(self) -> (Option<Input>, Output) {
        let input = self.stdin.map(|source| Input { source, detach: self.detach, buffer: vec![0; PORTION] });
        (input, Output { stdout: self.stdout, stderr: self.stderr })
    }
}

/// Runs a process until it ends; the status that the server tells, null if none came.
pub async fn run(client: &Client, path: &str, streams: Streams) -> anyhow::Result<Value> {
    if Gate::RemoteCommand.allows_websockets() {
        match websocket::connect(client, path).await {
            Ok(socket) => return attached(streams.tty, websocket::converse(socket, streams)).await,
            Err(NoWebSocket::Failed(error)) => return Err(error),
            Err(NoWebSocket::Refused(_)) => {}
        }
    }
    let connection = spdy::connect(client, path).await?;
    attached(streams.tty, spdy::converse(connection, streams)).await
}

/// A conversation, with the terminal raw while it lasts.
async fn attached(tty: bool, conversation: impl Future<Output = anyhow::Result<Value>>) -> anyhow::Result<Value> {
    let raw = tty.then(RawTerminal::new).transpose()?;
    let outcome = conversation.await;
    drop(raw);
    outcome
}

/// Standard input.
struct Input {
    source: Box<dyn AsyncRead + Send + Unpin>,
    detach: Option<Detach>,
    buffer: Vec<u8>,
}

/// What comes of reading standard input.
#[derive(Debug, PartialEq, Eq)]
enum Portion {
    /// Bytes for the process.
    Bytes(Vec<u8>),
    /// There are no more.
    End,
    /// The keys that end the session.
    Detach,
}

impl Input {
    async fn next(&mut self) -> std::io::Result<Portion> {
        loop {
            let length = self.source.read(&mut self.buffer).await?;
            let mut bytes = self.buffer[..length].to_vec();
            if length == 0 {
                return Ok(Portion::End);
            }
            if self.detach.as_mut().is_some_and(|detach| detach.feed(&mut bytes)) {
                return Ok(Portion::Detach);
            }
            if !bytes.is_empty() {
                return Ok(Portion::Bytes(bytes));
            }
        }
    }
}

/// Where the process' output goes.
struct Output {
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
}

/// What the error stream says: a status, or a text of a server that does not know it.
fn status(data: &[u8]) -> Value {
    if data.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(data).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(data).into_owned()))
}

/// The exit code that a status stands for.
pub fn exit_code(status: &Value) -> anyhow::Result<u8> {
    let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default();
    if status.is_null() || text("status") == "Success" {
        return Ok(0);
    }
    let causes = status.pointer("/details/causes").and_then(Value::as_array).into_iter().flatten();
    let mut codes =
        causes.filter(|c| c["reason"] == "ExitCode").filter_map(|c| c["message"].as_str()?.parse::<u8>().ok());
    match codes.next() {
        Some(code) => Ok(code),
        None => bail!("{}", if text("message").is_empty() { status.to_string() } else { text("message").to_owned() }),
    }
}

/// Ends a command as the process in the container ended.
pub fn ended(status: &Value) -> anyhow::Result<ExitCode> {
    let code = exit_code(status)?;
    if code != 0 {
        eprintln!("command terminated with exit code {code}");
    }
    Ok(ExitCode::from(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn exit_codes_come_from_the_status() {
        let failed = json!({"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}});
        assert_eq!(exit_code(&failed).expect("a code"), 3);
        assert_eq!(exit_code(&json!({"status": "Success"})).expect("a code"), 0);
        assert!(exit_code(&json!({"status": "Failure", "message": "no such container"})).is_err());
    }

    #[test]
    fn the_error_stream_may_be_empty_or_text() {
        assert_eq!(status(b""), Value::Null);
        assert_eq!(status(b"{\"status\":\"Success\"}"), json!({"status": "Success"}));
        assert_eq!(status(b"no such container"), json!("no such container"));
    }

    #[tokio::test]
    async fn input_ends_with_its_keys() {
        let input = |keys: &str, bytes: &'static [u8]| Input {
            source: Box::new(bytes),
            detach: Detach::parse(keys).expect("keys"),
            buffer: vec![0; 8],
        };
        let mut plain = input("", b"ab");
        assert_eq!(plain.next().await.expect("reads"), Portion::Bytes(b"ab".to_vec()));
        assert_eq!(plain.next().await.expect("reads"), Portion::End);
        assert_eq!(input("ctrl-p,ctrl-q", b"\x10\x11").next().await.expect("reads"), Portion::Detach);
    }
}

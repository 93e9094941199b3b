//! A command in a container over WebSocket: channels for the streams, the error channel for its
//! exit code.
//!
//! Upstream: `client-go/tools/remotecommand/websocket.go`.

use crate::http::{Client, Stream, refused};
use anyhow::{Context, bail};
use apimachinery::Value;
use futures::{SinkExt, StreamExt};
use rustix::termios;
use std::io::Write;
use std::process::ExitCode;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Channels by their first byte.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// Version 5: the channel in the second byte is closed.
const CLOSE: u8 = 255;

/// Sub-protocols, the preferred one first.
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

/// What to run.
#[derive(Debug)]
pub struct Plan {
    /// Path and query.
    pub path: String,
    /// Pass standard input on.
    pub stdin: bool,
    /// The terminal is raw.
    pub tty: bool,
}

/// Whether standard input is a terminal.
pub fn is_terminal() -> bool {
    termios::isatty(rustix::stdio::stdin())
}

/// Runs a command until it ends; its exit code is ours.
pub async fn run(client: &Client, plan: Plan) -> anyhow::Result<ExitCode> {
    let (socket, protocol) = connect(client, &plan.path).await?;
    let raw = plan.tty.then(RawTerminal::new).transpose()?;
    let outcome = converse(socket, &plan, protocol == PROTOCOLS[0]).await;
    drop(raw);
    let status = outcome?;
    exit_code(&status)
}

/// Servers that know only version 4 refuse a request for version 5.
async fn connect(client: &Client, path: &str) -> anyhow::Result<(WebSocketStream<Box<dyn Stream>>, &'static str)> {
    let mut refusal = None;
    for protocol in PROTOCOLS {
        let scheme = if client.server().starts_with("https") { "wss" } else { "ws" };
        let host = client.server().split("://").nth(1).unwrap_or_default().to_owned();
        let mut request = format!("{scheme}://{host}{path}").into_client_request()?;
        for (name, value) in &client.headers()? {
            request.headers_mut().append(name.clone(), value.clone());
        }
        request.headers_mut().remove(http::header::HOST);
        request.headers_mut().insert(http::header::HOST, host.split('/').next().unwrap_or_default().parse()?);
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse()?);
        match tokio_tungstenite::client_async(request, client.dial().await?).await {
            Ok((socket, _)) => return Ok((socket, protocol)),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
                refusal = Some(refused(response.status().as_u16(), response.body().as_deref().unwrap_or_default()));
                if !matches!(response.status().as_u16(), 400 | 403 | 500) {
                    break;
                }
            }
            Err(error) => return Err(error).context("opening the stream"),
        }
    }
    match refusal {
        Some(refused) => Err(refused.into()),
        None => bail!("the server does not stream"),
    }
}

/// Moves bytes until the error channel tells how the command ended.
async fn converse(socket: WebSocketStream<Box<dyn Stream>>, plan: &Plan, can_close: bool) -> anyhow::Result<Value> {
    let (mut sink, mut source) = socket.split();
    let mut window = signal(SignalKind::window_change())?;
    if plan.tty {
        sink.send(size_message()).await?;
    }
    let mut stdin = tokio::io::stdin();
    let mut buffer = vec![0; 32 * 1024];
    let mut reading = plan.stdin;
    loop {
        tokio::select! {
            message = source.next() => match message {
                Some(Ok(Message::Binary(bytes))) => if let Some(status) = receive(&bytes)? {
                    return Ok(status);
                },
                Some(Ok(Message::Close(_))) | None => return Ok(Value::Null),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error).context("the stream broke off"),
            },
            read = stdin.read(&mut buffer), if reading => {
                let length = read?;
                reading = length > 0;
                if length > 0 {
                    sink.send(Message::binary([&[STDIN], &buffer[..length]].concat())).await?;
                } else if can_close {
                    sink.send(Message::binary(vec![CLOSE, STDIN])).await?;
                }
            }
            _ = window.recv(), if plan.tty => sink.send(size_message()).await?,
        }
    }
}

/// Prints output; the status that ends the command, when it comes.
fn receive(bytes: &[u8]) -> anyhow::Result<Option<Value>> {
    let Some((channel, data)) = bytes.split_first() else { return Ok(None) };
    match *channel {
        STDOUT => {
            let mut out = std::io::stdout().lock();
            out.write_all(data)?;
            out.flush()?;
        }
        STDERR => std::io::stderr().write_all(data)?,
        ERROR => {
            return Ok(Some(
                serde_json::from_slice(data)
                    .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(data).into_owned())),
            ));
        }
        _ => {}
    }
    Ok(None)
}

fn size_message() -> Message {
    let size = termios::tcgetwinsize(rustix::stdio::stdout());
    let (width, height) = size.map_or((80, 24), |s| (s.ws_col, s.ws_row));
    let text = serde_json::json!({"Width": width, "Height": height}).to_string();
    Message::binary([&[RESIZE], text.as_bytes()].concat())
}

/// The exit code that a status stands for.
fn exit_code(status: &Value) -> anyhow::Result<ExitCode> {
    let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default();
    if status.is_null() || text("status") == "Success" {
        return Ok(ExitCode::SUCCESS);
    }
    let causes = status.pointer("/details/causes").and_then(Value::as_array).into_iter().flatten();
    let mut codes =
        causes.filter(|c| c["reason"] == "ExitCode").filter_map(|c| c["message"].as_str()?.parse::<u8>().ok());
    match codes.next() {
        Some(code) => {
            eprintln!("command terminated with exit code {code}");
            Ok(ExitCode::from(code))
        }
        None => bail!("{}", if text("message").is_empty() { status.to_string() } else { text("message").to_owned() }),
    }
}

/// A raw terminal until it is dropped.
struct RawTerminal {
    before: termios::Termios,
}

impl RawTerminal {
    fn new() -> anyhow::Result<Self> {
        let before = termios::tcgetattr(rustix::stdio::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(rustix::stdio::stdin(), termios::OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no mending.
        let _ = termios::tcsetattr(rustix::stdio::stdin(), termios::OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn exit_codes_come_from_the_status() {
        let failed = json!({"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}});
        assert_eq!(exit_code(&failed).expect("a code"), ExitCode::from(3));
        assert_eq!(exit_code(&json!({"status": "Success"})).expect("a code"), ExitCode::SUCCESS);
        assert!(exit_code(&json!({"status": "Failure", "message": "no such container"})).is_err());
    }

    #[test]
    fn the_error_channel_ends_the_conversation() {
        assert_eq!(receive(b"\x03{\"status\":\"Success\"}").expect("fine"), Some(json!({"status": "Success"})));
        assert_eq!(receive(b"").expect("fine"), None);
    }
}

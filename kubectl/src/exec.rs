//! A process in a container over WebSocket: channels for the streams, the error channel for its
//! exit code.
//!
//! Upstream: `client-go/tools/remotecommand/websocket.go`.

use crate::detach::Detach;
use crate::http::{Client, Stream, refused};
use anyhow::{Context, bail};
use apimachinery::Value;
use futures::{SinkExt, StreamExt};
use rustix::termios;
use std::io::Write;
use std::process::ExitCode;
use tokio::io::{AsyncRead, AsyncReadExt};
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
}

/// Whether standard input is a terminal.
pub fn is_terminal() -> bool {
    termios::isatty(rustix::stdio::stdin())
}

/// Runs a process until it ends; the status that the error channel tells, null if none came.
pub async fn run(client: &Client, path: &str, streams: Streams) -> anyhow::Result<Value> {
    let (socket, protocol) = connect(client, path, &PROTOCOLS).await?;
    let raw = streams.tty.then(RawTerminal::new).transpose()?;
    let outcome = converse(socket, streams, protocol == PROTOCOLS[0]).await;
    drop(raw);
    outcome
}

/// Opens a WebSocket with the first protocol that the server takes. Servers that know only an
/// older one refuse the others.
pub async fn connect<'p>(
    client: &Client,
    path: &str,
    protocols: &[&'p str],
) -> anyhow::Result<(WebSocketStream<Box<dyn Stream>>, &'p str)> {
    let mut refusal = None;
    for protocol in protocols {
        let scheme = if client.server().starts_with("https") { "wss" } else { "ws" };
        let host = client.server().split("://").nth(1).unwrap_or_default().to_owned();
        let mut request = format!("{scheme}://{host}{path}").into_client_request()?;
        request.headers_mut().remove(http::header::HOST);
        for (name, value) in &client.headers()? {
            request.headers_mut().append(name.clone(), value.clone());
        }
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

/// Moves bytes until the error channel tells how the process ended.
async fn converse(
    socket: WebSocketStream<Box<dyn Stream>>,
    mut streams: Streams,
    can_close: bool,
) -> anyhow::Result<Value> {
    let (mut sink, mut source) = socket.split();
    let mut window = signal(SignalKind::window_change())?;
    if streams.tty {
        sink.send(size_message()).await?;
    }
    let mut stdin = streams.stdin.take();
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let read = async {
            match &mut stdin {
                Some(stdin) => stdin.read(&mut buffer).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = source.next() => match message {
                Some(Ok(Message::Binary(bytes))) => if let Some(status) = receive(&bytes, &mut streams)? {
                    return Ok(status);
                },
                Some(Ok(Message::Close(_))) | None => return Ok(Value::Null),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error).context("the stream broke off"),
            },
            read = read => {
                let length = read?;
                let mut bytes = buffer[..length].to_vec();
                if let Some(detach) = &mut streams.detach
                    && detach.feed(&mut bytes)
                {
                    return Ok(Value::Null);
                }
                if length == 0 {
                    stdin = None;
                    if can_close {
                        sink.send(Message::binary(vec![CLOSE, STDIN])).await?;
                    }
                } else if !bytes.is_empty() {
                    sink.send(Message::binary([&[STDIN], bytes.as_slice()].concat())).await?;
                }
            }
            _ = window.recv(), if streams.tty => sink.send(size_message()).await?,
        }
    }
}

/// Prints output; the status that ends the process, when it comes.
fn receive(bytes: &[u8], streams: &mut Streams) -> anyhow::Result<Option<Value>> {
    let Some((channel, data)) = bytes.split_first() else { return Ok(None) };
    match *channel {
        STDOUT => {
            streams.stdout.write_all(data)?;
            streams.stdout.flush()?;
        }
        STDERR => streams.stderr.write_all(data)?,
        // The channel opens with an empty message.
        ERROR if !data.is_empty() => {
            let text = || Value::String(String::from_utf8_lossy(data).into_owned());
            return Ok(Some(serde_json::from_slice(data).unwrap_or_else(|_| text())));
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
        assert_eq!(exit_code(&failed).expect("a code"), 3);
        assert_eq!(exit_code(&json!({"status": "Success"})).expect("a code"), 0);
        assert!(exit_code(&json!({"status": "Failure", "message": "no such container"})).is_err());
    }

    #[test]
    fn the_error_channel_ends_the_conversation() {
        let mut streams = Streams::standard(false, false);
        let status = receive(b"\x03{\"status\":\"Success\"}", &mut streams).expect("fine");
        assert_eq!(status, Some(json!({"status": "Success"})));
        assert_eq!(receive(b"", &mut streams).expect("fine"), None);
        assert_eq!(receive(b"\x03", &mut streams).expect("fine"), None);
    }
}

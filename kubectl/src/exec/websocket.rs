//! A process over WebSocket: the first byte of a message says which stream it belongs to.
//!
//! Upstream: `client-go/tools/remotecommand/websocket.go`.

use super::terminal::Sizes;
use super::{Input, Output, Portion, Streams, status};
use crate::http::{Client, Stream};
use crate::upgrade::{self, NoWebSocket};
use anyhow::Context;
use apimachinery::Value;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use std::future::pending;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// The stream in the second byte has ended.
const CLOSE: u8 = 255;

/// Older versions cannot end standard input alone; servers that know only them speak SPDY, which can.
const PROTOCOL: &str = "v5.channel.k8s.io";

type Socket = WebSocketStream<Box<dyn Stream>>;

pub(super) async fn connect(client: &Client, path: &str) -> Result<Socket, NoWebSocket> {
    upgrade::websocket(client, path, PROTOCOL).await
}

/// Moves bytes until the error stream tells how the process ended. Both directions move by
/// themselves: a process may wait for us to read before it reads on.
pub(super) async fn converse(socket: Socket, streams: Streams) -> anyhow::Result<Value> {
    let (sink, source) = socket.split();
    let sizes = streams.tty.then(Sizes::new).transpose()?;
    let (input, output) = streams.split();
    tokio::select! {
        status = download(source, output) => status,
        detached = upload(sink, input, sizes) => detached.map(|()| Value::Null),
    }
}

/// Prints what comes; the status that ends the process.
async fn download(mut source: SplitStream<Socket>, mut output: Output) -> anyhow::Result<Value> {
    loop {
        match source.next().await {
            Some(Ok(Message::Binary(bytes))) => {
                if let Some(status) = receive(&bytes, &mut output)? {
                    return Ok(status);
                }
            }
            Some(Ok(Message::Close(_))) | None => return Ok(Value::Null),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error).context("the stream broke off"),
        }
    }
}

fn receive(bytes: &[u8], output: &mut Output) -> std::io::Result<Option<Value>> {
    let Some((channel, data)) = bytes.split_first() else { return Ok(None) };
    match *channel {
        STDOUT => {
            output.stdout.write_all(data)?;
            output.stdout.flush()?;
        }
        STDERR => output.stderr.write_all(data)?,
        // The channel opens with an empty message.
        ERROR if !data.is_empty() => return Ok(Some(status(data))),
        _ => {}
    }
    Ok(None)
}

/// Sends standard input and the terminal's size; ends only with the keys that end the session.
async fn upload(
    mut sink: SplitSink<Socket, Message>,
    mut input: Option<Input>,
    mut sizes: Option<Sizes>,
) -> anyhow::Result<()> {
    loop {
        let portion = async {
            match &mut input {
                Some(input) => input.next().await,
                None => pending().await,
            }
        };
        let size = async {
            match &mut sizes {
                Some(sizes) => sizes.next().await,
                None => pending().await,
            }
        };
        let sent = tokio::select! {
            size = size => sink.send(message(RESIZE, size.to_string().as_bytes())).await,
            portion = portion => match portion? {
                Portion::Bytes(bytes) => sink.send(message(STDIN, &bytes)).await,
                Portion::Detach => return Ok(()),
                Portion::End => {
                    input = None;
                    sink.send(message(CLOSE, &[STDIN])).await
                }
            },
        };
        settled(sent).await;
    }
}

/// A server that takes nothing any more has said why, or will: the other direction hears it.
async fn settled(sent: Result<(), Error>) {
    if sent.is_err() {
        pending().await
    }
}

fn message(channel: u8, data: &[u8]) -> Message {
    Message::binary([&[channel], data].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_error_channel_ends_the_conversation() {
        let mut output = Output { stdout: Box::new(std::io::sink()), stderr: Box::new(std::io::sink()) };
        let status = receive(b"\x03{\"status\":\"Success\"}", &mut output).expect("fine");
        assert_eq!(status, Some(json!({"status": "Success"})));
        assert_eq!(receive(b"", &mut output).expect("fine"), None);
        assert_eq!(receive(b"\x03", &mut output).expect("fine"), None);
        assert_eq!(receive(b"\x01text", &mut output).expect("fine"), None);
    }
}

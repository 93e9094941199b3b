//! A process over SPDY: a stream of the connection for each of its streams.
//!
//! Upstream: `client-go/tools/remotecommand/{spdy,v4}.go`.

use super::terminal::Sizes;
use super::{Input, Output, Portion, Streams, status};
use crate::http::{Client, Stream};
use crate::spdy::{self, Connection, Reader, Writer};
use crate::upgrade;
use apimachinery::Value;
use bytes::Bytes;
use std::future::pending;
use std::io::Write;
use std::pin::pin;

/// The version whose error stream is a status; all servers know it.
const PROTOCOL: &str = "v4.channel.k8s.io";

pub(super) async fn connect(client: &Client, path: &str) -> anyhow::Result<Box<dyn Stream>> {
    upgrade::spdy(client, path, PROTOCOL).await
}

/// Moves bytes until the process has ended and all of its output is here.
pub(super) async fn converse(io: Box<dyn Stream>, streams: Streams) -> anyhow::Result<Value> {
    let (connection, driver) = spdy::begin(io);
    let sizes = streams.tty.then(Sizes::new).transpose()?;
    let tty = streams.tty;
    let (input, output) = streams.split();
    let mut conversation = pin!(async {
        let channels = Channels::open(&connection, input.is_some(), tty).await?;
        channels.converse(input, output, sizes).await
    });
    tokio::select! {
        outcome = &mut conversation => outcome,
        // What has come before the end is still to be read.
        ended = driver.drive() => match (conversation.await, ended) {
            (Err(_), Err(error)) => Err(error.into()),
            (outcome, _) => outcome,
        },
    }
}

/// The streams of a process.
struct Channels {
    error: Reader,
    stdin: Option<(Writer, Reader)>,
    stdout: Reader,
    stderr: Option<Reader>,
    resize: Option<Writer>,
}

impl Channels {
    /// Opens them in upstream's order; the server waits for all of them.
    async fn open(connection: &Connection, stdin: bool, tty: bool) -> anyhow::Result<Self> {
        let open = |kind: &str| connection.open(vec![("streamtype", kind.to_owned())]);
        let error = open("error").await?.1;
        let stdin = if stdin { Some(open("stdin").await?) } else { None };
        let stdout = open("stdout").await?.1;
        let stderr = if tty { None } else { Some(open("stderr").await?.1) };
        let resize = if tty { Some(open("resize").await?.0) } else { None };
        Ok(Self { error, stdin, stdout, stderr, resize })
    }

    async fn converse(
        mut self,
        input: Option<Input>,
        mut output: Output,
        sizes: Option<Sizes>,
    ) -> anyhow::Result<Value> {
        let stderr = async {
            match &mut self.stderr {
                Some(stderr) => print(stderr, &mut *output.stderr).await,
                None => Ok(()),
            }
        };
        let error = async { Ok(status(&self.error.collect().await?)) };
        let ended = async {
            let (status, (), ()) = tokio::try_join!(error, print(&mut self.stdout, &mut *output.stdout), stderr)?;
            anyhow::Ok(status)
        };
        tokio::select! {
            ended = ended => ended,
            detached = upload(self.stdin, input) => detached.map(|()| Value::Null),
            () = resize(self.resize, sizes) => Ok(Value::Null),
        }
    }
}

async fn print(reader: &mut Reader, out: &mut dyn Write) -> anyhow::Result<()> {
    while let Some(bytes) = reader.next().await? {
        out.write_all(&bytes)?;
        out.flush()?;
    }
    Ok(())
}

/// Sends standard input; ends only with the keys that end the session.
async fn upload(stdin: Option<(Writer, Reader)>, input: Option<Input>) -> anyhow::Result<()> {
    let (Some((writer, mut reader)), Some(mut input)) = (stdin, input) else { return pending().await };
    loop {
        let portion = tokio::select! {
            portion = input.next() => portion?,
            // The process reads no more, which the server tells by ending its direction.
            _ = reader.next() => break,
        };
        let sent = match portion {
            Portion::Bytes(bytes) => writer.write(Bytes::from(bytes)).await,
            Portion::Detach => return Ok(()),
            Portion::End => break,
        };
        if sent.is_err() {
            break;
        }
    }
    // How the process ends is told elsewhere.
    let _ = writer.finish().await;
    pending().await
}

/// Tells the terminal's sizes; does not end.
async fn resize(writer: Option<Writer>, sizes: Option<Sizes>) {
    if let (Some(writer), Some(mut sizes)) = (writer, sizes) {
        while writer.write(Bytes::from(format!("{}\n", sizes.next().await))).await.is_ok() {}
    }
    pending().await
}

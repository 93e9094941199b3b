//! An apiserver with a kubelet that is not there: processes run on this machine, ports are echoed.

use crate::spdy::{self, Frame, Frames};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::Stdio;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

/// What the server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// WebSocket and SPDY.
    All,
    /// SPDY only.
    Spdy,
}

/// The port that nobody listens on.
pub(crate) const CLOSED: &str = "81";

/// A server on a thread of its own; it ends with the test's process.
pub(crate) fn serve(speaks: Speaks) -> SocketAddr {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
            sender.send(listener.local_addr().expect("an address")).expect("the test waits");
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                connections.spawn(connection(stream, speaks));
            }
        });
    });
    receiver.recv().expect("the server runs")
}

async fn connection(mut stream: TcpStream, speaks: Speaks) {
    let head = loop {
        let mut buffer = vec![0; 8192];
        let length = stream.peek(&mut buffer).await.expect("a request");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.contains("\r\n\r\n") || length == 0 {
            break text;
        }
    };
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let path = target.split('?').next().unwrap_or_default();
    let is_exec = path.ends_with("/exec") || path.ends_with("/attach");
    let lower = head.to_ascii_lowercase();
    if lower.contains("upgrade: websocket") && speaks == Speaks::All {
        let Ok(socket) = accept(stream).await else { return };
        return if is_exec { exec_over_websocket(socket, &target).await } else { ports_over_websocket(socket).await };
    }
    let mut request = vec![0; head.len()];
    stream.read_exact(&mut request).await.expect("the request");
    if lower.contains("upgrade: websocket") {
        answer(&mut stream, "403 Forbidden", "websockets are not known here").await;
    } else if lower.contains("upgrade: spdy/3.1") {
        let asked =
            lower.lines().find_map(|line| line.strip_prefix("x-stream-protocol-version: ")).expect("a protocol");
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: {asked}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("answers");
        if is_exec { exec_over_spdy(stream, &target).await } else { ports(stream).await }
    } else {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
            "spec": {"containers": [{"name": "c", "tty": true}]}, "status": {"phase": "Running"}});
        answer(&mut stream, "200 OK", &pod.to_string()).await;
    }
}

async fn answer(stream: &mut TcpStream, status: &str, body: &str) {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("answers");
}

#[expect(clippy::result_large_err, reason = "the handshake's own type")]
async fn accept(stream: TcpStream) -> Result<WebSocketStream<TcpStream>, ()> {
    let callback = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let asked = request.headers()["sec-websocket-protocol"].clone();
        response.headers_mut().insert("sec-websocket-protocol", asked);
        Ok(response)
    };
    tokio_tungstenite::accept_hdr_async(stream, callback).await.map_err(drop)
}

/// The command of a query, running here; whether it has an input, and a terminal.
fn start(target: &str) -> (Child, bool, bool) {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let mut words: Vec<String> = pairs.iter().filter(|(k, _)| k == "command").map(|(_, v)| v.clone()).collect();
    if words.is_empty() {
        // Whoever attaches finds a process that says back what it hears.
        words = vec!["cat".to_owned()];
    }
    let has = |name: &str| pairs.iter().any(|(k, _)| k == name);
    let mut command = tokio::process::Command::new(&words[0]);
    command.args(&words[1..]).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    command.stdin(if has("stdin") { Stdio::piped() } else { Stdio::null() });
    (command.spawn().expect("starts"), has("stdin"), has("tty"))
}

async fn status(child: &mut Child) -> Value {
    match child.wait().await.expect("ends").code().unwrap_or(1) {
        0 => json!({"status": "Success"}),
        code => json!({"status": "Failure", "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}}),
    }
}

/// A process that has what it wants need not read on.
async fn feed(stdin: &mut Option<ChildStdin>, data: &[u8]) {
    if let Some(pipe) = stdin
        && pipe.write_all(data).await.is_err()
    {
        *stdin = None;
    }
}

async fn exec_over_websocket(socket: WebSocketStream<TcpStream>, target: &str) {
    let (mut child, ..) = start(target);
    let (mut stdin, mut stdout) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
    let (sink, mut source) = socket.split();
    let sink = Mutex::new(sink);
    let send = async |channel: u8, data: &[u8]| {
        // The client may be gone.
        let _ = sink.lock().await.send(Message::binary([&[channel], data].concat())).await;
    };
    let input = async {
        while let Some(Ok(message)) = source.next().await {
            match message.into_data().split_first() {
                Some((0, data)) => feed(&mut stdin, data).await,
                // A terminal's size is told by printing it.
                Some((4, data)) => send(1, data).await,
                Some((255, _)) => stdin = None,
                _ => {}
            }
        }
    };
    let output = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match stdout.read(&mut buffer).await.expect("reads") {
                0 => break,
                length => send(1, &buffer[..length]).await,
            }
        }
        send(3, status(&mut child).await.to_string().as_bytes()).await;
    };
    let mut input = pin!(input);
    tokio::select! {
        () = output => {}
        () = &mut input => return,
    }
    let _ = sink.lock().await.close().await;
    // To close with bytes unread would take back what was sent.
    input.await;
}

async fn exec_over_spdy(stream: TcpStream, target: &str) {
    let (mut child, has_stdin, tty) = start(target);
    let (mut stdin, mut stdout) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
    let (reading, mut writing) = stream.into_split();
    let mut frames = Frames::new(reading);
    let mut streams: HashMap<String, u32> = HashMap::new();
    while streams.len() < 3 + usize::from(has_stdin) {
        let Some(frame) = frames.next().await else { return };
        if let Frame::Open { stream, headers } = frame {
            spdy::take(&mut writing, stream).await;
            streams.insert(headers["streamtype"].clone(), stream);
        }
    }
    assert_eq!(streams.contains_key("resize"), tty);
    let named = |name: &str| streams.get(name).copied();
    let writing = Mutex::new(writing);
    let input = async {
        while let Some(frame) = frames.next().await {
            let Frame::Data { stream, bytes, last } = frame else { continue };
            if Some(stream) == named("stdin") {
                feed(&mut stdin, &bytes).await;
                if last {
                    stdin = None;
                }
            } else if Some(stream) == named("resize") {
                spdy::say(&mut *writing.lock().await, streams["stdout"], &bytes, false).await;
            }
        }
    };
    let output = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match stdout.read(&mut buffer).await.expect("reads") {
                0 => break,
                length => {
                    spdy::say(&mut *writing.lock().await, streams["stdout"], &buffer[..length], false).await;
                }
            }
        }
        let status = status(&mut child).await.to_string();
        for (name, stream) in &streams {
            let text = if name == "error" { status.as_bytes() } else { b"" };
            spdy::say(&mut *writing.lock().await, *stream, text, true).await;
        }
    };
    let mut input = pin!(input);
    tokio::select! {
        () = output => input.await,
        () = &mut input => {}
    }
}

/// SPDY whose bytes are messages.
async fn ports_over_websocket(socket: WebSocketStream<TcpStream>) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (mut reading, mut writing) = tokio::io::split(theirs);
    let (mut sink, mut source) = socket.split();
    let up = async {
        while let Some(Ok(message)) = source.next().await {
            if writing.write_all(&message.into_data()).await.is_err() {
                return;
            }
        }
    };
    let down = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = reading.read(&mut buffer).await {
            if sink.send(Message::binary(buffer[..length].to_vec())).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
        () = ports(ours) => {}
    }
}

/// A port that says back what it hears, and one that is closed.
async fn ports(io: impl AsyncRead + AsyncWrite) {
    let (reading, mut writing) = tokio::io::split(io);
    let mut frames = Frames::new(Box::pin(reading));
    let mut writing = Box::pin(&mut writing);
    let mut errors: HashMap<String, u32> = HashMap::new();
    let mut data: HashMap<u32, u32> = HashMap::new();
    while let Some(frame) = frames.next().await {
        match frame {
            Frame::Open { stream, headers } => {
                spdy::take(&mut writing, stream).await;
                let request = headers["requestid"].clone();
                if headers["streamtype"] == "error" {
                    errors.insert(request, stream);
                } else if headers["port"] == CLOSED {
                    spdy::say(&mut writing, errors[&request], b"connection refused", true).await;
                    spdy::say(&mut writing, stream, b"", true).await;
                } else {
                    data.insert(stream, errors[&request]);
                }
            }
            Frame::Data { stream, bytes, last } => {
                if let Some(error) = data.get(&stream) {
                    spdy::say(&mut writing, stream, &bytes, last).await;
                    if last {
                        spdy::say(&mut writing, *error, b"", true).await;
                    }
                }
            }
            Frame::Reset { stream } => {
                if let Some(error) = data.remove(&stream) {
                    spdy::say(&mut writing, error, b"", true).await;
                }
            }
            Frame::Other => {}
        }
    }
}

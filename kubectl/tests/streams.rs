//! `exec`, `cp` and `port-forward` of the binary against a kubelet that is not there: processes
//! run on this machine, ports are echoed.

use futures::{SinkExt, StreamExt};
use serde_json::json;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

/// Which sub-protocol the server takes.
#[derive(Clone, Copy)]
enum Speaks {
    V5,
    V4,
}

/// A server on a thread of its own; it ends with the test's process.
fn serve(speaks: Speaks) -> SocketAddr {
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
    if head.to_ascii_lowercase().contains("upgrade: websocket") {
        let path = target.split('?').next().unwrap_or_default().to_owned();
        let Ok(socket) = accept(stream, speaks).await else { return };
        match path.rsplit('/').next() {
            Some("exec") => exec(socket, &target).await,
            _ => echo(socket).await,
        }
        return;
    }
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c"}]}, "status": {"phase": "Running"}})
    .to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{pod}",
        pod.len()
    );
    let mut request = vec![0; head.len()];
    stream.read_exact(&mut request).await.expect("the request");
    stream.write_all(answer.as_bytes()).await.expect("answers");
}

#[expect(clippy::result_large_err, reason = "the handshake's own type")]
async fn accept(stream: TcpStream, speaks: Speaks) -> Result<WebSocketStream<TcpStream>, ()> {
    let callback = move |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let asked = request.headers()["sec-websocket-protocol"].clone();
        if asked == "v5.channel.k8s.io" && matches!(speaks, Speaks::V4) {
            let mut refusal = ErrorResponse::new(Some("only v4".to_owned()));
            *refusal.status_mut() = http::StatusCode::FORBIDDEN;
            return Err(refusal);
        }
        response.headers_mut().insert("sec-websocket-protocol", asked);
        Ok(response)
    };
    tokio_tungstenite::accept_hdr_async(stream, callback).await.map_err(drop)
}

/// Runs the command of the query here.
async fn exec(mut socket: WebSocketStream<TcpStream>, target: &str) {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let words: Vec<String> = pairs.iter().filter(|(k, _)| k == "command").map(|(_, v)| v.clone()).collect();
    let with_stdin = pairs.iter().any(|(k, _)| k == "stdin");
    let mut command = tokio::process::Command::new(&words[0]);
    command.args(&words[1..]).stdout(Stdio::piped()).stderr(Stdio::null());
    command.stdin(if with_stdin { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().expect("starts");
    let (mut stdin, mut stdout) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
    let mut buffer = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            read = stdout.read(&mut buffer) => match read.expect("reads") {
                0 => break,
                length => {
                    let message = [&[1], &buffer[..length]].concat();
                    socket.send(Message::binary(message)).await.expect("sends");
                }
            },
            message = socket.next() => match message {
                Some(Ok(Message::Binary(bytes))) => match bytes.split_first() {
                    Some((0, data)) => if let Some(stdin) = &mut stdin {
                        // A process that has what it wants need not read on.
                        let _ = stdin.write_all(data).await;
                    },
                    // A terminal's size is told by printing it.
                    Some((4, data)) => {
                        let message = [&[1], data].concat();
                        socket.send(Message::binary(message)).await.expect("sends");
                    }
                    Some((255, _)) => stdin = None,
                    _ => {}
                },
                Some(Ok(_)) => {}
                _ => return,
            },
        }
    }
    let code = child.wait().await.expect("ends").code().unwrap_or(1);
    let status = match code {
        0 => json!({"status": "Success"}),
        code => json!({"status": "Failure", "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}}),
    };
    let message = [&[3], status.to_string().as_bytes()].concat();
    socket.send(Message::binary(message)).await.expect("sends");
    // The client may be gone already.
    let _ = socket.close(None).await;
}

/// A port that says back what it hears.
async fn echo(mut socket: WebSocketStream<TcpStream>) {
    for channel in [0, 1] {
        socket.send(Message::binary(vec![channel, 80, 0])).await.expect("sends");
    }
    while let Some(Ok(message)) = socket.next().await {
        if message.is_binary() && socket.send(message).await.is_err() {
            return;
        }
    }
}

fn kubectl(server: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-rs"));
    command.env("KUBECONFIG", "/dev/null").arg(format!("--server=http://{server}"));
    command
}

fn run(server: SocketAddr, words: &[&str], input: &[u8]) -> Output {
    use std::io::Write;
    let mut command = kubectl(server);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    child.stdin.take().expect("a pipe").write_all(input).expect("writes");
    child.wait_with_output().expect("ends")
}

#[test]
fn exec_closes_the_input_and_tells_the_exit_code() {
    let server = serve(Speaks::V5);
    let output = run(server, &["exec", "-i", "p", "--", "cat"], b"hello");
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"hello"[..], Some(0)));
    let output = run(server, &["exec", "p", "--", "sh", "-c", "exit 3"], b"");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "command terminated with exit code 3\n");
}

#[test]
fn exec_falls_back_to_the_older_protocol() {
    let output = run(serve(Speaks::V4), &["exec", "p", "--", "echo", "hi"], b"");
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"hi\n"[..], Some(0)));
}

#[test]
fn cp_copies_both_ways() {
    let server = serve(Speaks::V5);
    let root = tempfile::tempdir().expect("a folder");
    let path = |name: &str| root.path().join(name).to_string_lossy().into_owned();
    std::fs::create_dir_all(root.path().join("here/sub")).expect("creates");
    std::fs::create_dir_all(root.path().join("there")).expect("creates");
    let content: Vec<u8> = (0..3_000_000_u32).map(|i| (i * 7 % 251) as u8).collect();
    std::fs::write(root.path().join("here/sub/big"), &content).expect("writes");
    let up = run(server, &["cp", &path("here"), &format!("p:{}", path("there"))], b"");
    assert!(up.status.success(), "{} {}", up.status, String::from_utf8_lossy(&up.stderr));
    assert!(std::fs::read(root.path().join("there/here/sub/big")).expect("there") == content);
    let down = run(server, &["cp", &format!("p:{}", path("there/here")), &path("back")], b"");
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    assert!(std::fs::read(root.path().join("back/sub/big")).expect("there") == content);
    let none = run(server, &["cp", &path("nothing"), "p:/x"], b"");
    assert!(String::from_utf8_lossy(&none.stderr).ends_with("doesn't exist in local filesystem\n"));
}

#[tokio::test]
async fn port_forward_passes_bytes_both_ways() {
    let server = serve(Speaks::V4);
    let mut command = tokio::process::Command::from(kubectl(server));
    command.args(["port-forward", "p", ":80"]).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let line = lines.next_line().await.expect("reads").expect("a line");
    let address = line.strip_prefix("Forwarding from ").and_then(|l| l.strip_suffix(" -> 80")).expect("the address");
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(b"ping").await.expect("writes");
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.expect("reads");
    assert_eq!(&answer, b"ping");
    child.kill().await.expect("ends");
}

#[test]
fn a_terminal_is_raw_and_tells_its_size() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::io::{Read, Write};
    let server = serve(Speaks::V5);
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("granted");
    unlockpt(&master).expect("unlocked");
    let size = rustix::termios::Winsize { ws_row: 45, ws_col: 123, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&master, size).expect("a size");
    let name = ptsname(&master, Vec::new()).expect("a name").into_string().expect("text");
    let slave = || std::fs::OpenOptions::new().read(true).write(true).open(&name).expect("opens");
    let mut command = kubectl(server);
    command.args(["exec", "-it", "p", "--", "head", "-c", "1"]);
    let mut child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().expect("starts");
    let mut terminal = std::fs::File::from(master);
    let (mut seen, mut sent) = (Vec::new(), false);
    let mut buffer = [0; 1024];
    while !(sent && seen.contains(&3)) {
        let length = terminal.read(&mut buffer).expect("reads");
        seen.extend_from_slice(&buffer[..length]);
        if !sent && seen.ends_with(b"}") {
            // In a raw terminal Ctrl-C belongs to the process in the container.
            terminal.write_all(&[3]).expect("writes");
            sent = true;
        }
    }
    assert_eq!(child.wait().expect("ends").code(), Some(0));
    assert!(
        String::from_utf8_lossy(&seen).contains("\"Height\":45,\"Width\":123"),
        "{}",
        String::from_utf8_lossy(&seen)
    );
}

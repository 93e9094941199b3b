//! `exec`, `attach`, `cp` and `port-forward` of the binary over WebSocket and SPDY.

mod server;
mod spdy;
#[path = "../support/terminal.rs"]
mod terminal;

use server::{CLOSED, Speaks, serve};
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use terminal::Terminal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout};

/// Both protocols.
const PROTOCOLS: [Speaks; 2] = [Speaks::All, Speaks::Spdy];

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

/// Bytes that do not repeat soon.
fn bytes(length: u32) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[test]
fn exec_closes_the_input_and_tells_the_exit_code() {
    for speaks in PROTOCOLS {
        let server = serve(speaks);
        let output = run(server, &["exec", "-i", "p", "--", "cat"], b"hello");
        assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"hello"[..], Some(0)), "{speaks:?}");
        let output = run(server, &["exec", "p", "--", "sh", "-c", "exit 3"], b"");
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "command terminated with exit code 3\n");
        let output = run(server, &["exec", "p", "cat"], b"");
        let text = "error: exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\n\
                    See 'kubectl exec -h' for help and examples\n";
        assert_eq!((String::from_utf8_lossy(&output.stderr).as_ref(), output.status.code()), (text, Some(1)));
    }
}

#[test]
fn websockets_can_be_switched_off() {
    let mut command = kubectl(serve(Speaks::Spdy));
    command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false");
    let output = command.args(["exec", "p", "--", "echo", "hi"]).output().expect("runs");
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"hi\n"[..], Some(0)));
}

#[test]
fn a_process_may_answer_before_it_has_read_all() {
    use std::io::{Read, Write};
    let all = bytes(20_000_000);
    for speaks in PROTOCOLS {
        let mut command = kubectl(serve(speaks));
        command.args(["exec", "-i", "p", "--", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let (mut stdin, mut stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let sent = all.clone();
        let writing = std::thread::spawn(move || stdin.write_all(&sent));
        let mut got = Vec::new();
        stdout.read_to_end(&mut got).expect("reads");
        writing.join().expect("fine").expect("writes");
        assert!(got == all, "{speaks:?}: {} bytes of {}", got.len(), all.len());
        assert_eq!(child.wait().expect("ends").code(), Some(0));
    }
}

#[test]
fn a_process_may_end_before_it_has_read_all() {
    let all = bytes(5_000_000);
    for speaks in PROTOCOLS {
        let mut command = kubectl(serve(speaks));
        command.args(["exec", "-i", "p", "--", "head", "-c", "3"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let sent = all.clone();
        let writing = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &sent));
        let output = child.wait_with_output().expect("ends");
        assert_eq!((output.stdout.as_slice(), output.status.code()), (&all[..3], Some(0)), "{speaks:?}");
        // The pipe breaks once kubectl has ended.
        let _ = writing.join().expect("fine");
    }
}

#[test]
fn cp_copies_both_ways() {
    for speaks in PROTOCOLS {
        let server = serve(speaks);
        let root = tempfile::tempdir().expect("a folder");
        let path = |name: &str| root.path().join(name).to_string_lossy().into_owned();
        std::fs::create_dir_all(root.path().join("here/sub")).expect("creates");
        std::fs::create_dir_all(root.path().join("there")).expect("creates");
        let content = bytes(3_000_000);
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
}

/// `port-forward` that listens: the process, what it says further, and where it listens.
async fn forwarding(speaks: Speaks, port: &str) -> (Child, Lines<BufReader<ChildStdout>>, String) {
    let mut command = tokio::process::Command::from(kubectl(serve(speaks)));
    command.args(["port-forward", "p", &format!(":{port}")]).kill_on_drop(true);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let line = lines.next_line().await.expect("reads").expect("a line");
    let address = line.strip_prefix("Forwarding from ").and_then(|l| l.split(" -> ").next()).expect("the address");
    (child, lines, address.to_owned())
}

#[tokio::test]
async fn port_forward_passes_bytes_both_ways() {
    for speaks in PROTOCOLS {
        let (mut child, _lines, address) = forwarding(speaks, "80").await;
        let all = bytes(8_000_000);
        let talk = async || {
            let stream = TcpStream::connect(&address).await.expect("connects");
            let (mut reading, mut writing) = stream.into_split();
            let mut got = Vec::new();
            let write = async {
                writing.write_all(&all).await.expect("writes");
                // The other direction stays open.
                writing.shutdown().await.expect("ends");
            };
            let ((), read) = tokio::join!(write, reading.read_to_end(&mut got));
            read.expect("reads");
            assert!(got == all, "{speaks:?}: {} bytes of {}", got.len(), all.len());
        };
        // One after the other, and two at a time.
        talk().await;
        tokio::join!(talk(), talk());
        child.kill().await.expect("ends");
    }
}

#[tokio::test]
async fn port_forward_ends_when_the_pod_cannot_be_reached() {
    let (child, _lines, address) = forwarding(Speaks::All, CLOSED).await;
    let mut stream = TcpStream::connect(&address).await.expect("connects");
    assert_eq!(stream.read(&mut [0]).await.expect("reads"), 0);
    let output = child.wait_with_output().await.expect("ends");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let port = address.rsplit(':').next().expect("a port");
    assert!(
        complaint.contains(&format!("an error occurred forwarding {port} -> {CLOSED}: connection refused")),
        "{complaint}"
    );
    assert!(complaint.ends_with("error: lost connection to pod\n"), "{complaint}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_terminal_is_raw_and_tells_its_sizes() {
    for speaks in PROTOCOLS {
        let mut terminal = Terminal::new(45, 123);
        let mut command = kubectl(serve(speaks));
        command.args(["exec", "-it", "p", "--", "head", "-c", "1"]);
        let mut child = terminal.start(&command);
        terminal.expect("\"Height\":45,\"Width\":123}");
        terminal.resize(20, 60);
        terminal.expect("\"Height\":20,\"Width\":60}");
        // In a raw terminal Ctrl-C belongs to the process in the container.
        terminal.press(&[3]);
        terminal.expect("\x03");
        assert_eq!(child.wait().expect("ends").code(), Some(0), "{speaks:?}");
    }
}

#[test]
fn keys_leave_an_attached_process_running() {
    for speaks in PROTOCOLS {
        let mut terminal = Terminal::new(24, 80);
        let mut command = kubectl(serve(speaks));
        command.args(["attach", "-it", "p"]);
        let mut child = terminal.start(&command);
        terminal.expect("try pressing enter");
        terminal.press(b"hello");
        terminal.expect("hello");
        // Ctrl-P alone is the process', both keys together are not.
        terminal.press(b"\x10x");
        terminal.expect("\x10x");
        terminal.press(b"\x10\x11");
        assert_eq!(child.wait().expect("ends").code(), Some(0), "{speaks:?}");
    }
}

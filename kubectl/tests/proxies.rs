//! Proxies that the environment or a kubeconfig names.

#[path = "support/secure.rs"]
mod secure;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

/// Runs among the files of a folder; what it says, and what it complains of.
fn run(home: &Path, environment: &[(&str, &str)], line: &str) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-rs"));
    command.env_clear().env("KUBECONFIG", "config").env("HOME", home).current_dir(home);
    let output = command.envs(environment.iter().copied()).args(line.split(' ')).output().expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// A proxy that tells the heads of what it is asked, and does with the connections what it is told to.
fn proxy(serve: impl Fn(TcpStream) -> std::io::Result<()> + Send + 'static) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = listener.local_addr().expect("an address");
    let (sender, heads) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Nothing is sent behind the head before its answer.
            let mut reader = BufReader::new(stream.try_clone().expect("clones"));
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
            // The test may be over.
            drop(sender.send(head));
            serve(stream).expect("serves");
        }
    });
    (address, heads)
}

/// A proxy whose tunnels all lead to one server.
fn tunnels(to: SocketAddr) -> (SocketAddr, Receiver<String>) {
    proxy(move |mut client| {
        let mut server = TcpStream::connect(to)?;
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        let (mut from, mut into) = (client.try_clone()?, server.try_clone()?);
        std::thread::spawn(move || std::io::copy(&mut from, &mut into));
        std::thread::spawn(move || std::io::copy(&mut server, &mut client));
        Ok(())
    })
}

#[test]
fn servers_with_tls_are_reached_through_a_tunnel() {
    let server = secure::serve("cluster.example", |asked| match asked.line.as_str() {
        "GET /readyz" if asked.authorization == "Bearer t" => (200, "ok".into()),
        _ => (500, asked.line.clone()),
    });
    let (proxy, heads) = tunnels(server.address);
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("ca.crt"), &server.certificate).expect("written");
    let line = "get --raw /readyz --token=t --server=https://cluster.example:6443 --certificate-authority=ca.crt";
    let url = format!("http://me:p%40ss@{proxy}");
    for environment in [[("HTTPS_PROXY", &*url), ("NO_PROXY", "example:1")], [("https_proxy", &url), ("NO_PROXY", "")]]
    {
        assert_eq!(run(home.path(), &environment, line), ("ok".into(), String::new()));
        let head = heads.recv().expect("asked");
        assert!(head.starts_with("CONNECT cluster.example:6443 HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n"), "{head}");
    }
    let (_, direct) = run(home.path(), &[("HTTPS_PROXY", &url), ("NO_PROXY", "a, .example")], line);
    assert!(direct.contains("lookup cluster.example"), "{direct}");
    let refused =
        "The connection to the server cluster.example:6443 was refused - did you specify the right host or port?\n";
    assert_eq!(run(home.path(), &[("HTTPS_PROXY", "127.0.0.1:1")], line).1, refused);
    // What the kubeconfig says is not asked of the environment.
    let config = format!(
        "{{contexts: [{{name: x, context: {{cluster: c}}}}], current-context: x, clusters: [{{name: c, cluster: {{proxy-url: 'http://{proxy}'}}}}]}}"
    );
    std::fs::write(home.path().join("config"), config).expect("written");
    let environment = [("HTTPS_PROXY", "127.0.0.1:1"), ("NO_PROXY", "*")];
    assert_eq!(run(home.path(), &environment, line), ("ok".into(), String::new()));
}

#[test]
fn proxies_pass_requests_on_for_servers_without_tls() {
    let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    let (proxy, heads) = proxy(move |mut client| client.write_all(answer));
    let home = tempfile::tempdir().expect("a folder");
    let line = "get --raw /readyz --server=http://cluster.example:8080";
    let proxy = proxy.to_string();
    assert_eq!(run(home.path(), &[("HTTP_PROXY", &proxy)], line), ("ok".into(), String::new()));
    let head = heads.recv().expect("asked");
    assert!(head.starts_with("GET http://cluster.example:8080/readyz HTTP/1.1\r\n"), "{head}");
    assert!(run(home.path(), &[("HTTPS_PROXY", &proxy)], line).1.contains("lookup cluster.example"));
    let (_, in_cgi) = run(home.path(), &[("HTTP_PROXY", &proxy), ("REQUEST_METHOD", "GET")], line);
    let want = "refusing to use HTTP_PROXY value in CGI environment; see golang.org/s/cgihttpproxy";
    assert_eq!(in_cgi, format!("Unable to connect to the server: {want}\n"));
}

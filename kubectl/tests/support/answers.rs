//! A server that says what it is told to say.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// What is answered to a method and a path; nothing is a 404.
pub(crate) type Answers = fn(&str, &str, &Value) -> Option<Value>;

/// Serves on a thread of its own; it ends with the test's process.
pub(crate) fn serve(answers: Answers) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || connection(stream, answers));
        }
    });
    address
}

fn connection(stream: TcpStream, answers: Answers) {
    let mut reader = BufReader::new(stream.try_clone().expect("clones"));
    let mut writer = stream;
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        words[1] = without_limit(&words[1]);
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).expect("a header");
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            if header.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let (status, answer) = match answers(&words[0], &words[1], &body) {
            Some(answer) => ("200 OK", answer.to_string()),
            // All servers say that they validate.
            None if words[1].starts_with("/openapi/v3") => ("200 OK", json!({"paths": {}}).to_string()),
            None => ("404 Not Found", json!({"kind": "Status", "reason": "NotFound", "code": 404, "message": format!("{} not found", words[1]), "details": {"name": "x"}}).to_string()),
        };
        // A watch is a stream of lines that ends, or one that stays open if there is an array of them.
        if let (true, Ok(Value::Array(events))) = (words[1].contains("watch=true"), serde_json::from_str(&answer)) {
            return watch(writer, &events);
        }
        let answer = if words[1].contains("watch=true") { answer + "\n" } else { answer };
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", answer.len());
        if writer.write_all(format!("{head}{answer}").as_bytes()).is_err() {
            return;
        }
        line.clear();
    }
}

/// A path without what it says of the time that the answer may take.
fn without_limit(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let rest: Vec<&str> = query.split('&').filter(|parameter| !parameter.starts_with("timeout=")).collect();
    if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) }
}

/// Sends events and waits until the client goes.
fn watch(mut writer: TcpStream, events: &[Value]) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunks = events.iter().map(|event| format!("{event}\n")).map(|line| format!("{:x}\r\n{line}\r\n", line.len()));
    let text: String = std::iter::once(head.to_owned()).chain(chunks).collect();
    let sent = writer.write_all(text.as_bytes());
    // Nothing more comes from the client: this ends with its connection.
    while sent.is_ok() && matches!(writer.read(&mut [0; 64]), Ok(1..)) {}
}

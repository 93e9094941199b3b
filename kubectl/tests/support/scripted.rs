//! A server that misbehaves as it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// What comes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A whole answer: its status, its media type, its body.
    Whole(u16, &'static str, String),
    /// A beginning, and then the connection is closed.
    Cut(&'static str),
    /// These bytes and nothing else, and then the connection is closed.
    Raw(&'static str),
    /// These bytes, and the connection stays open.
    Open(&'static str),
    /// A status, and where to go instead.
    Elsewhere(u16, &'static str),
    /// The connection is closed.
    Close,
    /// The connection stays open.
    Nothing,
    /// A status, and the wish to be asked again at once.
    Later(u16),
}

impl Answer {
    /// JSON, which may be a `Status`.
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Answer::Whole(status, "application/json", body.to_owned())
    }

    /// A text, as proxies say it.
    pub(crate) fn text(status: u16, body: &str) -> Self {
        Answer::Whole(status, "text/plain", body.to_owned())
    }
}

/// Serves on a thread of its own, which ends with the test's process. Paths come without their query.
pub(crate) fn serve(answers: fn(&str, &str) -> Answer) -> SocketAddr {
    serve_targets(move |method, target| answers(method, target.split('?').next().unwrap_or_default()))
}

/// The same with paths and their queries.
pub(crate) fn serve_targets(answers: impl Fn(&str, &str) -> Answer + Copy + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || connection(stream, answers));
        }
    });
    address
}

fn connection(mut writer: TcpStream, answers: impl Fn(&str, &str) -> Answer) {
    let mut reader = BufReader::new(writer.try_clone().expect("clones"));
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let answer = answers(method, target);
        if skip_rest(&mut reader).is_err() || !send(&mut writer, answer) {
            return;
        }
        line.clear();
    }
}

/// The headers and the body of a request.
fn skip_rest(reader: &mut BufReader<TcpStream>) -> std::io::Result<()> {
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if header.trim().is_empty() {
            return reader.read_exact(&mut vec![0; length]);
        }
    }
}

/// Whether the connection goes on.
fn send(writer: &mut TcpStream, answer: Answer) -> bool {
    match answer {
        Answer::Whole(status, media, body) => {
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-type: {media}\r\ncontent-length: {}\r\n\r\n", body.len());
            writer.write_all(format!("{head}{body}").as_bytes()).is_ok()
        }
        Answer::Later(status) => {
            let head = format!("HTTP/1.1 {status} X\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n");
            writer.write_all(head.as_bytes()).is_ok()
        }
        Answer::Raw(bytes) => {
            drop(writer.write_all(bytes.as_bytes()));
            false
        }
        Answer::Open(bytes) => {
            drop(writer.write_all(bytes.as_bytes()));
            while matches!(writer.read(&mut [0; 64]), Ok(1..)) {}
            false
        }
        Answer::Elsewhere(status, location) => {
            let head = format!("HTTP/1.1 {status} X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
            writer.write_all(head.as_bytes()).is_ok()
        }
        Answer::Cut(body) => {
            let head =
                format!("HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{body}");
            drop(writer.write_all(head.as_bytes()));
            false
        }
        Answer::Close => false,
        Answer::Nothing => {
            // Until the client goes.
            while matches!(writer.read(&mut [0; 64]), Ok(1..)) {}
            false
        }
    }
}

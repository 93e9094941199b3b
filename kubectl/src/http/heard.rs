//! What a server said, when it is not HTTP, in Go's words.
//!
//! Upstream: Go's `net/http` (`ReadResponse`), `net/textproto` (`ReadMIMEHeader`).

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is kept of what a server says.
const KEPT: usize = 64 << 10;

/// What keeps of a stream what it hears.
pub(super) trait Listener: Unpin {
    /// Something is said to the server.
    fn spoken_to(&self) {}

    /// The server says something.
    fn hear(&self, bytes: &[u8]);
}

/// What a server said since it was last spoken to.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn said(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing was said.
    pub(super) fn is_empty(&self) -> bool {
        self.said().is_empty()
    }

    /// Why it is no answer; nothing if nothing was said.
    pub(super) fn why(&self) -> Option<String> {
        let said = self.said();
        (!said.is_empty()).then(|| format!("net/http: HTTP/1.x transport connection broken: {}", malformed(&said)))
    }
}

impl Listener for Heard {
    fn spoken_to(&self) {
        self.said().clear();
    }

    fn hear(&self, bytes: &[u8]) {
        keep(&mut self.said(), bytes, KEPT);
    }
}

/// What a server says when TLS begins: the head of its first record, and where it is in a record now.
#[derive(Clone, Debug, Default)]
pub(super) struct Greeting(Arc<Mutex<Records>>);

#[derive(Debug, Default)]
struct Records {
    first: Vec<u8>,
    /// The head of the record that is being read, as far as it is known.
    head: Vec<u8>,
    /// How much of that record is still to come.
    rest: usize,
}

/// How long the head of a record is: what it is, its version, its length.
const HEAD: usize = 5;

/// The longest record that Go reads.
const LONGEST_RECORD: u16 = 16_384 + 2048;

impl Greeting {
    fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why it is none of TLS, if it is not.
    pub(super) fn why(&self) -> Option<String> {
        let records = self.records();
        if records.first == b"HTTP/" {
            return Some("http: server gave HTTP response to HTTPS client".into());
        }
        let [kind, major, minor, high, low] = *records.first.as_slice() else { return None };
        let length = u16::from_be_bytes([high, low]);
        match (kind, u16::from_be_bytes([major, minor])) {
            (0x15 | 0x16, ..0x1000) if length <= LONGEST_RECORD => None,
            (0x15 | 0x16, ..0x1000) => Some(format!("tls: oversized record received with length {length}")),
            _ => Some("tls: first record does not look like a TLS handshake".into()),
        }
    }

    /// Whether the last record is not whole.
    pub(super) fn broke_off(&self) -> bool {
        let records = self.records();
        records.rest > 0 || !records.head.is_empty()
    }
}

impl Listener for Greeting {
    fn hear(&self, bytes: &[u8]) {
        let mut records = self.records();
        keep(&mut records.first, bytes, HEAD);
        let mut bytes = bytes;
        while !bytes.is_empty() {
            let missing = if records.rest > 0 { records.rest } else { HEAD - records.head.len() };
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            bytes = later;
            match records.rest {
                0 => keep(&mut records.head, now, HEAD),
                _ => records.rest -= now.len(),
            }
            if let [_, _, _, high, low] = *records.head.as_slice() {
                records.rest = usize::from(u16::from_be_bytes([high, low]));
                records.head.clear();
            }
        }
    }
}

/// Keeps bytes behind others as long as there is room.
fn keep(kept: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let room = most.saturating_sub(kept.len());
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// A stream that somebody listens to.
pub(super) struct Listening<S, L> {
    pub(super) stream: S,
    pub(super) listener: L,
}

impl<S: AsyncRead + Unpin, L: Listener> AsyncRead for Listening<S, L> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.listener.hear(&buffer.filled()[before..]);
        outcome
    }
}

impl<S: AsyncWrite + Unpin, L: Listener> AsyncWrite for Listening<S, L> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.listener.spoken_to();
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What is wrong with the head of an answer.
fn malformed(said: &[u8]) -> String {
    let mut lines = said.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    let Some(blank) = first.iter().position(|b| *b == b' ') else {
        return format!("malformed HTTP response {}", quoted(first));
    };
    let (version, status) = (&first[..blank], first[blank..].trim_ascii_start());
    let code = status.split(|b| *b == b' ').next().unwrap_or_default();
    if code.len() != 3 || !code.iter().all(u8::is_ascii_digit) {
        return format!("malformed HTTP status code {}", quoted(code));
    }
    if !is_version(version) {
        return format!("malformed HTTP version {}", quoted(version));
    }
    let mut lengths = Vec::new();
    for (number, line) in lines.enumerate() {
        if line.is_empty() {
            return bad_lengths(&lengths);
        }
        if number == 0 && line.starts_with(b" ") {
            return format!("malformed MIME header initial line: {}", quoted(line));
        }
        let Some(colon) = line.iter().position(|b| *b == b':') else {
            return format!("malformed MIME header: missing colon: {}", quoted(line));
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().all(|b| is_of_token(*b)) {
            return format!("malformed MIME header line: {}", quoted(line));
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            lengths.push(quoted(value.trim_ascii()));
        }
    }
    "unexpected EOF".into()
}

/// A head that is whole is wrong in how long it says that the body is, or it is too long itself.
fn bad_lengths(lengths: &[String]) -> String {
    match lengths {
        [] => "malformed HTTP response".into(),
        [one] => format!("bad Content-Length {one}"),
        several => {
            let several = several.join(" ");
            format!("http: message cannot contain multiple Content-Length headers; got [{several}]")
        }
    }
}

fn is_version(version: &[u8]) -> bool {
    match version.strip_prefix(b"HTTP/") {
        Some([major, b'.', minor]) => major.is_ascii_digit() && minor.is_ascii_digit(),
        _ => false,
    }
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Go's `%q`.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                '\t' => text.push_str("\\t"),
                '\r' => text.push_str("\\r"),
                '\u{7}' => text.push_str("\\a"),
                '\u{8}' => text.push_str("\\b"),
                '\u{b}' => text.push_str("\\v"),
                '\u{c}' => text.push_str("\\f"),
                c if c.is_ascii_control() => text.push_str(&format!("\\x{:02x}", u32::from(c))),
                c if c.is_control() => text.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_keep_what_they_need() {
        let (heard, greeting) = (Heard::default(), Greeting::default());
        for listener in [&heard as &dyn Listener, &greeting] {
            listener.spoken_to();
            listener.hear(b"HT");
            listener.hear(b"TP/1.1 200");
        }
        assert!(greeting.why().is_some() && !heard.is_empty());
        heard.spoken_to();
        greeting.spoken_to();
        assert!(greeting.why().is_some() && heard.is_empty());
        heard.hear(&vec![b'x'; 2 * KEPT]);
        assert_eq!(heard.said().len(), KEPT);
    }

    #[test]
    fn tells_what_is_not_tls() {
        let strange = Some("tls: first record does not look like a TLS handshake");
        for (said, why, broke_off) in [
            (&[&b"HTTP/1.1 400 Bad Request"[..]][..], Some("http: server gave HTTP response to HTTPS client"), true),
            (&[b"SSH-2.0-x"], strange, true),
            (&[b"\x17\x03\x03\x00\x01x"], strange, false),
            (&[b"\x16\x03\x03\xff\xffxx"], Some("tls: oversized record received with length 65535"), true),
            (&[b"\x16\x03\x03\x00\x02\x02", b"\x00"], None, false),
            (&[b"\x16\x03\x03\x00\x00\x15\x03"], None, true),
            (&[b"\x16\x03\x03\x00\x40\x02\x00"], None, true),
            (&[b"\x15\x03"], None, true),
            (&[], None, false),
        ] {
            let greeting = Greeting::default();
            said.iter().for_each(|bytes| greeting.hear(bytes));
            assert_eq!((greeting.why().as_deref(), greeting.broke_off()), (why, broke_off), "{said:?}");
        }
    }

    #[test]
    fn tells_what_is_not_http() {
        for (said, want) in [
            (&b"garbage\n"[..], r#"malformed HTTP response "garbage""#),
            (b"\r\n\r\n", r#"malformed HTTP response """#),
            (b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", r#"malformed HTTP status code "Debian""#),
            (b"\x15\x03\x01\x00\x02\x02\x16", r#"malformed HTTP response "\x15\x03\x01\x00\x02\x02\x16""#),
            (b"HTTP/1.1 20 OK\r\n\r\n", r#"malformed HTTP status code "20""#),
            (b"HTTP/1.1 2", r#"malformed HTTP status code "2""#),
            (b"HTTP/9.x 200 OK\r\n\r\n", r#"malformed HTTP version "HTTP/9.x""#),
            (b"\x1b[31mHTTP\x1b[0m x\r\n", r#"malformed HTTP status code "x""#),
            (b"HTTP/1.1 200 OK\r\nfoo bar\r\n\r\n", r#"malformed MIME header: missing colon: "foo bar""#),
            (b"HTTP/1.1 200 OK\r\nconten", r#"malformed MIME header: missing colon: "conten""#),
            (b"HTTP/1.1 200 OK\r\n: x\r\n\r\n", r#"malformed MIME header line: ": x""#),
            (b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n", r#"bad Content-Length "abc""#),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
                r#"http: message cannot contain multiple Content-Length headers; got ["1" "2"]"#,
            ),
        ] {
            assert_eq!(malformed(said), want);
        }
    }
}

//! Request lines of HTTP/1.1 with bytes that no URI has, such as `<` in a selector.
//!
//! Go's server takes all bytes in a request's target but spaces and controls, and hyper does not; it refuses the request
//! before anybody sees it. Such bytes are therefore escaped while they are read, which says the same.
//!
//! Where a head begins is known of the first of a connection, and after each request that hyper has read to its end:
//! nothing else is ever changed. If hyper has read the beginning of the next head together with a request, that head
//! stays as it is.
//!
//! Upstream: Go's `net/http/request.go` (`readRequest`), `net/url` (`ParseRequestURI`).

use bytes::Bytes;
use http::header::UPGRADE;
use http::{Method, Request};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

/// What is read now belongs to a body, or to whatever a connection was upgraded to.
const OTHER: u8 = 0;
/// What is read next begins a head.
const BEGINNING: u8 = 1;
/// A head is being read.
const HEAD: u8 = 2;

/// What is known of the bytes that a connection reads next. Clones know the same.
#[derive(Clone, Debug)]
pub(super) struct Mark(Arc<AtomicU8>);

impl Mark {
    /// Of a connection of which nothing was read.
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU8::new(BEGINNING)))
    }

    /// What is read next begins a head.
    pub(super) fn begin(&self) {
        self.0.store(BEGINNING, Ordering::Release);
    }

    /// A request's head was read. Its body says when the next may begin.
    pub(super) fn follow(&self, request: Request<Incoming>) -> Request<Followed> {
        let is_last = request.headers().contains_key(UPGRADE) || request.method() == Method::CONNECT;
        let is_whole = request.body().is_end_stream();
        self.0.store(if is_whole && !is_last { BEGINNING } else { OTHER }, Ordering::Release);
        let mark = (!is_whole && !is_last).then(|| self.clone());
        request.map(|body| Followed { body, mark })
    }
}

/// A body whose end is told.
pub(super) struct Followed {
    body: Incoming,
    mark: Option<Mark>,
}

impl From<Incoming> for Followed {
    /// One whose end nobody waits for.
    fn from(body: Incoming) -> Self {
        Self { body, mark: None }
    }
}

impl Body for Followed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let is_over = matches!(frame, Poll::Ready(None)) || frame.is_ready() && self.body.is_end_stream();
        if let Some(mark) = self.mark.take_if(|_| is_over) {
            mark.begin();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Where in a head the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Before it; empty lines may come first.
    Start,
    Method,
    Target,
    /// After what is of interest.
    Rest,
}

/// Escapes what request lines have in them.
#[derive(Debug)]
pub(super) struct Escapes {
    mark: Mark,
    part: Part,
}

impl Escapes {
    pub(super) fn new(mark: Mark) -> Self {
        Self { mark, part: Part::Start }
    }

    /// What they know of the bytes that come next.
    pub(super) fn mark(&self) -> Mark {
        self.mark.clone()
    }

    /// What is to be read instead of `bytes`, which were read from the connection; `None` if they are right.
    pub(super) fn apply(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        match self.mark.0.load(Ordering::Acquire) {
            OTHER => return None,
            BEGINNING if !bytes.is_empty() => {
                self.part = Part::Start;
                self.mark.0.store(HEAD, Ordering::Release);
            }
            _ => {}
        }
        let mut out: Option<Vec<u8>> = None;
        for (at, byte) in bytes.iter().enumerate() {
            self.part = self.part.after(*byte);
            match (self.part, &mut out) {
                (Part::Rest, out) => {
                    out.iter_mut().for_each(|out| out.extend_from_slice(&bytes[at..]));
                    break;
                }
                (Part::Target, out) if !is_of_uri(*byte) => {
                    out.get_or_insert_with(|| bytes[..at].to_vec()).extend(format!("%{byte:02X}").bytes());
                }
                (_, Some(out)) => out.push(*byte),
                (_, None) => {}
            }
        }
        out
    }
}

impl Part {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Start, b'\r' | b'\n') => Self::Start,
            (Self::Start, _) => Self::Method,
            (Self::Method, b' ') => Self::Target,
            (Self::Target, b' ') | (_, b'\r' | b'\n') => Self::Rest,
            (part, _) => part,
        }
    }
}

/// Whether a byte can stand in a URI, or is none that Go's server takes either. What begins a fragment elsewhere is a
/// byte like others in a request.
fn is_of_uri(byte: u8) -> bool {
    !matches!(byte, b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of pieces that are read one after the other.
    fn read(mark: &Mark, pieces: &[&[u8]]) -> Vec<u8> {
        let mut escapes = Escapes::new(mark.clone());
        pieces.iter().flat_map(|piece| escapes.apply(piece).unwrap_or_else(|| piece.to_vec())).collect()
    }

    #[test]
    fn targets_become_uris() {
        for (line, want) in [
            (&b"GET /a?b=c%20d HTTP/1.1\r\nX: <\r\n\r\n"[..], &b"GET /a?b=c%20d HTTP/1.1\r\nX: <\r\n\r\n"[..]),
            (b"GET /a<b>?c=\"#d HTTP/1.1\r\nX: <\r\n", b"GET /a%3Cb%3E?c=%22%23d HTTP/1.1\r\nX: <\r\n"),
            (b"\r\nGET /\xc3\xa9\xff` HTTP/1.1\r\n", b"\r\nGET /%C3%A9%FF%60 HTTP/1.1\r\n"),
            (b"G<T /a HTTP/1.1\r\n", b"G<T /a HTTP/1.1\r\n"),
            (b"GET\r\n/a< HTTP/1.1", b"GET\r\n/a< HTTP/1.1"),
            (b"GET /a< b< HTTP/1.1", b"GET /a%3C b< HTTP/1.1"),
            (b"", b""),
        ] {
            let text = String::from_utf8_lossy(line);
            assert_eq!(read(&Mark::new(), &[line]), want, "{text}");
            let bytes: Vec<&[u8]> = line.chunks(1).collect();
            assert_eq!(read(&Mark::new(), &bytes), want, "{text}, by single bytes");
        }
    }

    #[test]
    fn nothing_but_heads_is_changed() {
        let mark = Mark::new();
        let line = &b"GET /< HTTP/1.1\r\n"[..];
        assert_eq!(read(&mark, &[line, line]), b"GET /%3C HTTP/1.1\r\nGET /< HTTP/1.1\r\n");
        assert_eq!(read(&mark, &[b"\r\nGET /<"]), b"\r\nGET /%3C");
        mark.0.store(OTHER, Ordering::Release);
        assert_eq!(read(&mark, &[line]), line);
        mark.begin();
        assert_eq!(read(&mark, &[line]), b"GET /%3C HTTP/1.1\r\n");
    }

    #[test]
    fn what_is_escaped_is_what_uris_do_not_have() {
        for byte in (0x21..=0x7e).chain(0x80..=0xff).filter(|byte| *byte != b'%') {
            let head = [b"GET /a", &[byte][..], b"?b", &[byte], b" HTTP/1.1"].concat();
            let escaped = read(&Mark::new(), &[&head]);
            let target = escaped[4..escaped.len() - 9].to_vec();
            let uri = http::uri::PathAndQuery::try_from(target.as_slice()).expect("a URI");
            assert_eq!(uri.as_str().as_bytes(), target, "{byte:#x}");
        }
    }
}

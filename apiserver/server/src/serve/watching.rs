//! Watches over HTTP/1.1, sent without hyper.
//!
//! hyper keeps 8 KiB to read and 8 KiB to write with each connection, more than all else that an idle watch needs. The
//! connection of a watch is therefore taken from it once the request was read, and is given back when the watch is over.

use super::line::{Escapes, Mark};
use crate::body::Body;
use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, TRANSFER_ENCODING};
use http::{Method, Request, Response, Version, response};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// What a client may send while it watches; more is read when the watch is over.
const MAX_AHEAD: usize = 16 * 1024;
/// The end of a body sent in chunks.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Whether the connection of this request may be taken if its answer is a watch: nothing of the request is still to
/// come, and the connection lives on after it as HTTP/1.1 has it by default.
pub(super) fn may_take(request: &Request<Incoming>) -> bool {
    let persists = |headers: &HeaderMap| {
        headers.get_all(CONNECTION).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(b"keep-alive"))
    };
    request.version() == Version::HTTP_11
        && request.method() == Method::GET
        && request.body().is_end_stream()
        && persists(request.headers())
}

/// Whether this answer is a watch that can be sent from here.
pub(super) fn is_watch(answer: &Response<Body>) -> bool {
    let framed = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];
    answer.body().is_watch() && framed.iter().all(|name| !answer.headers().contains_key(name))
}

/// A connection of which some was read already.
pub(super) struct Stream<I> {
    ahead: Bytes,
    /// The rest of what was read, where it takes more room than it did.
    escaped: Bytes,
    escapes: Escapes,
    inner: I,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Stream<I> {
    /// A connection of which nothing was read yet.
    pub(super) fn new(inner: I) -> Self {
        Self { ahead: Bytes::new(), escaped: Bytes::new(), escapes: Escapes::new(Mark::new()), inner }
    }

    /// What is known of the bytes that come next.
    pub(super) fn mark(&self) -> Mark {
        self.escapes.mark()
    }

    /// Waits until there is something to read.
    ///
    /// # Errors
    /// The client has gone.
    pub(super) async fn heard(&mut self) -> Result<()> {
        if self.ahead.is_empty() { self.read_ahead().await } else { Ok(()) }
    }

    /// The same one, with these bytes before those that were not taken yet.
    pub(super) fn rewound(mut self, before: Bytes) -> Self {
        let pieces = [before, std::mem::take(&mut self.escaped), std::mem::take(&mut self.ahead)];
        let mut filled = pieces.iter().filter(|piece| !piece.is_empty());
        self.ahead = match (filled.next(), filled.next()) {
            (Some(only), None) => only.clone(),
            _ => pieces.concat().into(),
        };
        self.escapes.mark().begin();
        self
    }

    /// Sends a watch to its end.
    ///
    /// # Errors
    /// The client has gone, or the body has broken off: the connection is of no further use.
    pub(super) async fn send(&mut self, watch: Response<Body>) -> Result<()> {
        let (head, mut body) = watch.into_parts();
        self.inner.write_all(&encoded(&head)).await?;
        self.inner.flush().await?;
        loop {
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                gone = self.gone() => return Err(gone),
            };
            let Some(frame) = frame else { break };
            let data = frame.map_err(Error::other)?.into_data().unwrap_or_default();
            if !data.is_empty() {
                let size = format!("{:x}\r\n", data.len());
                self.inner.write_all_buf(&mut Buf::chain(size.as_bytes(), data).chain(&b"\r\n"[..])).await?;
                self.inner.flush().await?;
            }
        }
        self.inner.write_all(LAST_CHUNK).await?;
        self.inner.flush().await
    }

    /// Waits until the client closes the connection. What it sends is kept.
    async fn gone(&mut self) -> Error {
        while self.ahead.len() < MAX_AHEAD {
            if let Err(gone) = self.read_ahead().await {
                return gone;
            }
        }
        std::future::pending().await
    }

    async fn read_ahead(&mut self) -> Result<()> {
        let mut next = [0; 256];
        match self.inner.read(&mut next).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            read => {
                self.ahead = [&self.ahead, &next[..read]].concat().into();
                Ok(())
            }
        }
    }
}

/// The head of an answer whose body follows in chunks.
fn encoded(head: &response::Parts) -> BytesMut {
    let reason = head.status.canonical_reason().unwrap_or_default();
    let mut bytes = BytesMut::from(format!("HTTP/1.1 {} {reason}\r\n", head.status.as_str()).as_bytes());
    for (name, value) in &head.headers {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(piece);
        }
    }
    if !head.headers.contains_key(DATE)
        && let Ok(now) = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&jiff::Timestamp::now())
    {
        bytes.extend_from_slice(format!("date: {now}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
    bytes
}

impl<I: AsyncRead + Unpin> AsyncRead for Stream<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if !self.escaped.is_empty() {
            give(&mut self.escaped, into);
            return Poll::Ready(Ok(()));
        }
        let before = into.filled().len();
        match self.ahead.is_empty() {
            true => ready!(Pin::new(&mut self.inner).poll_read(cx, into))?,
            false => give(&mut self.ahead, into),
        }
        if let Some(instead) = self.escapes.apply(&into.filled()[before..]) {
            into.set_filled(before);
            self.escaped = instead.into();
            give(&mut self.escaped, into);
        }
        Poll::Ready(Ok(()))
    }
}

/// Moves as much as fits.
fn give(from: &mut Bytes, into: &mut ReadBuf<'_>) {
    let fits = from.len().min(into.remaining());
    into.put_slice(&from.split_to(fits));
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Stream<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

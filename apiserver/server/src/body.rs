//! Bodies of responses, and reading those of requests within their limits.

pub mod transform;

use apimachinery::status::{Reason, Status};
use bytes::{Bytes, BytesMut};
use futures::Stream;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Largest request body, as upstream.
pub const MAX_REQUEST: usize = 3 * 1024 * 1024;

/// An error that ends a connection in the middle of a body.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A response body.
pub enum Body {
    /// Everything at once; empty when taken.
    Full(Bytes),
    /// Pieces made on demand. The length is known for lists of stored objects.
    Pieces {
        /// Makes the next piece.
        pieces: Box<dyn Iterator<Item = Bytes> + Send>,
        /// Bytes still to come, if known.
        length: Option<u64>,
    },
    /// Pieces as they happen: watches.
    Stream(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
    /// Another server's answer.
    Proxied(Incoming),
    /// A body that holds something until it has been sent, such as a place among the requests
    /// in flight.
    Guarded(Box<(Body, Box<dyn Send>)>),
    /// A body that is changed while it passes.
    Transformed(Box<transform::Transformed>),
}

impl Body {
    /// Whether it is sent as things happen.
    pub fn is_watch(&self) -> bool {
        match self {
            Body::Stream(_) => true,
            Body::Guarded(inner) => inner.0.is_watch(),
            _ => false,
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Body({:?})", self.size_hint())
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Body::Full(text.into())
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Body::Full(Bytes::from_static(text.as_bytes()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Body::Full(bytes) => match std::mem::take(bytes) {
                empty if empty.is_empty() => Poll::Ready(None),
                all => Poll::Ready(Some(Ok(Frame::data(all)))),
            },
            Body::Pieces { pieces, length } => {
                let piece = pieces.next();
                if let (Some(length), Some(piece)) = (length, &piece) {
                    *length = length.saturating_sub(piece.len() as u64);
                }
                Poll::Ready(piece.map(|p| Ok(Frame::data(p))))
            }
            Body::Stream(stream) => stream.as_mut().poll_next(cx).map(|item| item.map(|p| Ok(Frame::data(p)))),
            Body::Proxied(incoming) => {
                Pin::new(incoming).poll_frame(cx).map(|frame| frame.map(|f| f.map_err(Into::into)))
            }
            Body::Guarded(inner) => Pin::new(&mut inner.0).poll_frame(cx),
            Body::Transformed(inner) => inner.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Full(bytes) => bytes.is_empty(),
            Body::Pieces { length, .. } => *length == Some(0),
            Body::Stream(_) | Body::Transformed(_) => false,
            Body::Proxied(incoming) => incoming.is_end_stream(),
            Body::Guarded(inner) => inner.0.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Pieces { length: Some(length), .. } => SizeHint::with_exact(*length),
            Body::Pieces { .. } | Body::Stream(_) | Body::Transformed(_) => SizeHint::default(),
            Body::Proxied(incoming) => incoming.size_hint(),
            Body::Guarded(inner) => inner.0.size_hint(),
        }
    }
}

/// Reads a request body of at most [`MAX_REQUEST`] bytes.
pub async fn read(
    headers: &HeaderMap,
    mut body: impl HttpBody<Data = Bytes, Error: Into<BodyError>> + Unpin,
) -> Result<Bytes, Status> {
    if let Some(announced) = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok())
        && announced > MAX_REQUEST
    {
        return Err(too_large());
    }
    let mut whole = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreadable(error.into()))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + joined.len() + data.len() > MAX_REQUEST {
            return Err(too_large());
        }
        // Most bodies come in one piece, which is kept as it is.
        match (whole.is_empty(), joined.is_empty()) {
            (true, true) => whole = data,
            (false, _) => {
                joined.extend_from_slice(&std::mem::take(&mut whole));
                joined.extend_from_slice(&data);
            }
            (true, false) => joined.extend_from_slice(&data),
        }
    }
    Ok(if joined.is_empty() { whole } else { joined.freeze() })
}

/// 500 with the words of Go's reader.
fn unreadable(error: BodyError) -> Status {
    let mut cause: Option<&dyn std::error::Error> = Some(&*error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return Status::plain(500, Reason::Unknown, go_words(error));
        }
        cause = error.source();
    }
    Status::plain(500, Reason::Unknown, error.to_string())
}

fn go_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    let words = match &*text {
        _ if error.kind() == std::io::ErrorKind::UnexpectedEof => "unexpected EOF",
        "Invalid chunk size line: Invalid Size" | "Invalid chunk size line: missing size digit" => {
            "invalid byte in chunk length"
        }
        "invalid chunk size: overflow" => "http chunk length too large",
        "Invalid chunk body CR" | "Invalid chunk body LF" | "Invalid chunk size LF" => "malformed chunked encoding",
        _ => return text,
    };
    words.to_owned()
}

/// 413 with upstream's words.
fn too_large() -> Status {
    let why = format!("Request entity too large: limit is {MAX_REQUEST}");
    Status::plain(413, Reason::RequestEntityTooLarge, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Full, StreamBody};

    fn pieces(sizes: &[usize]) -> impl HttpBody<Data = Bytes, Error = std::io::Error> + Unpin + use<> {
        let frames: Vec<_> = sizes.iter().map(|n| Ok(Frame::data(Bytes::from(vec![b'x'; *n])))).collect();
        StreamBody::new(futures::stream::iter(frames))
    }

    #[tokio::test]
    async fn reads_within_the_limit() {
        for (sizes, want) in [
            (&[][..], Ok(0)),
            (&[5], Ok(5)),
            (&[5, 6, 7], Ok(18)),
            (&[MAX_REQUEST], Ok(MAX_REQUEST)),
            (&[MAX_REQUEST, 1], Err(413)),
        ] {
            let read = read(&HeaderMap::new(), pieces(sizes)).await;
            assert_eq!(read.map(|b| b.len()).map_err(|s| s.code), want, "{sizes:?}");
        }
    }

    #[tokio::test]
    async fn refuses_what_is_announced_as_too_large() {
        let headers = HeaderMap::from_iter([(CONTENT_LENGTH, (MAX_REQUEST + 1).into())]);
        let refusal = read(&headers, Full::new(Bytes::new())).await.expect_err("too large");
        assert_eq!(refusal.message, "Request entity too large: limit is 3145728");
    }

    #[tokio::test]
    async fn sends_pieces_with_their_length() {
        let pieces = vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")];
        let body = Body::Pieces { pieces: Box::new(pieces.into_iter()), length: Some(3) };
        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!(body.collect().await.expect("a body").to_bytes(), "abc");
    }
}

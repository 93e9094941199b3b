//! Bodies that are changed while they pass.

use super::{Body, BodyError};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzDecoder, GzEncoder};
use http_body::{Body as HttpBody, Frame};
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A change of bytes, piece by piece.
pub trait Transform: Send {
    /// Takes a piece, and gives what can be given now.
    fn push(&mut self, piece: &[u8]) -> io::Result<Vec<u8>>;
    /// Gives the rest.
    fn finish(&mut self) -> io::Result<Vec<u8>>;
}

/// A body behind a [`Transform`].
pub struct Transformed {
    inner: Body,
    transform: Box<dyn Transform>,
    finished: bool,
}

impl Transformed {
    /// Changes a body.
    pub fn new(inner: Body, transform: impl Transform + 'static) -> Self {
        Self { inner, transform: Box::new(transform), finished: false }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        while !self.finished {
            let out = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                None => {
                    self.finished = true;
                    self.transform.finish()
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.transform.push(&data),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
            };
            match out {
                Ok(out) if out.is_empty() => {}
                out => return Poll::Ready(Some(out.map(|o| Frame::data(o.into())).map_err(Into::into))),
            }
        }
        Poll::Ready(None)
    }
}

/// gzip of what passes.
pub struct Compress(GzEncoder<Vec<u8>>);

impl Compress {
    /// At upstream's level, the fastest one.
    pub fn new() -> Self {
        Self(GzEncoder::new(Vec::new(), Compression::fast()))
    }
}

impl Default for Compress {
    fn default() -> Self {
        Self::new()
    }
}

impl Transform for Compress {
    fn push(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        self.0.write_all(piece)?;
        Ok(std::mem::take(self.0.get_mut()))
    }

    fn finish(&mut self) -> io::Result<Vec<u8>> {
        self.0.try_finish()?;
        Ok(std::mem::take(self.0.get_mut()))
    }
}

/// Another transform on what gzip hides.
pub struct Inside<T> {
    decoder: GzDecoder<Vec<u8>>,
    transform: T,
    encoder: Compress,
}

impl<T: Transform> Inside<T> {
    /// Applies `transform` to the decompressed bytes.
    pub fn new(transform: T) -> Self {
        Self { decoder: GzDecoder::new(Vec::new()), transform, encoder: Compress::new() }
    }
}

impl<T: Transform> Transform for Inside<T> {
    fn push(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        self.decoder.write_all(piece)?;
        let plain = std::mem::take(self.decoder.get_mut());
        self.encoder.push(&self.transform.push(&plain)?)
    }

    fn finish(&mut self) -> io::Result<Vec<u8>> {
        self.decoder.try_finish()?;
        let plain = std::mem::take(self.decoder.get_mut());
        let mut rest = self.transform.push(&plain)?;
        rest.extend(self.transform.finish()?);
        let mut out = self.encoder.push(&rest)?;
        out.extend(self.encoder.finish()?);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::MultiGzDecoder;
    use http_body_util::BodyExt;
    use std::io::Read;

    struct Shout;

    impl Transform for Shout {
        fn push(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
            Ok(piece.to_ascii_uppercase())
        }

        fn finish(&mut self) -> io::Result<Vec<u8>> {
            Ok(b"!".to_vec())
        }
    }

    fn pieces(list: Vec<Bytes>) -> Body {
        Body::Pieces { pieces: Box::new(list.into_iter()), length: None }
    }

    async fn through(body: Body, transform: impl Transform + 'static) -> Bytes {
        let body = Body::Transformed(Box::new(Transformed::new(body, transform)));
        body.collect().await.expect("a body").to_bytes()
    }

    fn gunzip(bytes: &[u8]) -> String {
        let mut text = String::new();
        MultiGzDecoder::new(bytes).read_to_string(&mut text).expect("gzip");
        text
    }

    #[tokio::test]
    async fn bodies_pass_through() {
        let body = || pieces(vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")]);
        assert_eq!(through(body(), Shout).await, "ABC!");
        let zipped = through(body(), Compress::new()).await;
        assert_eq!(gunzip(&zipped), "abc");
        let halves = vec![zipped.slice(..9), zipped.slice(9..)];
        assert_eq!(gunzip(&through(pieces(halves), Inside::new(Shout)).await), "ABC!");
    }

    #[tokio::test]
    async fn broken_gzip_is_an_error() {
        let body = pieces(vec![Bytes::from_static(b"not gzip at all, by no means")]);
        let body = Body::Transformed(Box::new(Transformed::new(body, Inside::new(Shout))));
        assert!(body.collect().await.is_err());
    }
}

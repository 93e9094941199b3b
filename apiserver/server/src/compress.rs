//! gzip of large answers, for clients that take it.
//!
//! Upstream: `apiserver/pkg/endpoints/handlers/responsewriters/writers.go`.

use crate::body::Body;
use crate::body::transform::{Compress, Transformed};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, VARY};
use http::{HeaderMap, Response, StatusCode};

/// Smaller answers are sent as they are: as upstream.
const THRESHOLD: usize = 128 * 1024;

/// Compresses the answer if the client takes it and it is large; watches and tunnels never are.
pub fn apply(request: &HeaderMap, response: Response<Body>) -> Response<Body> {
    let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
    if !accepts_gzip(request) || is_part || response.headers().contains_key(CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let (body, large) = measure(body);
    if !large {
        return Response::from_parts(parts, body);
    }
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    if !parts.headers.get_all(VARY).iter().any(|vary| vary == "Accept-Encoding") {
        parts.headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    Response::from_parts(parts, Body::Transformed(Box::new(Transformed::new(body, Compress::new()))))
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|t| matches!(t.split(';').next().map(str::trim), Some("gzip")))
}

/// Whether a body is large; one of unknown length is made up to the threshold to find out.
fn measure(body: Body) -> (Body, bool) {
    match body {
        Body::Full(bytes) => {
            let large = bytes.len() >= THRESHOLD;
            (Body::Full(bytes), large)
        }
        Body::Pieces { pieces, length: Some(length) } => {
            (Body::Pieces { pieces, length: Some(length) }, length >= THRESHOLD as u64)
        }
        Body::Pieces { mut pieces, length: None } => {
            let (mut first, mut size) = (Vec::new(), 0);
            while size < THRESHOLD {
                let Some(piece) = pieces.next() else { return (Body::Full(join(first, size)), false) };
                size += piece.len();
                first.push(piece);
            }
            (Body::Pieces { pieces: Box::new(first.into_iter().chain(pieces)), length: None }, true)
        }
        Body::Guarded(inner) => {
            let (body, guard) = *inner;
            let (body, large) = measure(body);
            (Body::Guarded(Box::new((body, guard))), large)
        }
        other => (other, false),
    }
}

fn join(pieces: Vec<Bytes>, size: usize) -> Bytes {
    let mut all = Vec::with_capacity(size);
    pieces.iter().for_each(|p| all.extend_from_slice(p));
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn pieces(count: usize, length: Option<u64>) -> Body {
        Body::Pieces { pieces: Box::new((0..count).map(|_| Bytes::from(vec![b'x'; 1024]))), length }
    }

    #[tokio::test]
    async fn only_large_answers_and_willing_clients() {
        let large = THRESHOLD / 1024;
        for (accept, body, want) in [
            ("gzip", Body::Full(vec![b'x'; THRESHOLD].into()), true),
            ("gzip, deflate", pieces(large, None), true),
            ("br;q=1, gzip;q=0.5", pieces(large, Some(THRESHOLD as u64)), true),
            ("gzip", pieces(large - 1, None), false),
            ("gzip", Body::Full(vec![b'x'; THRESHOLD - 1].into()), false),
            ("deflate", pieces(large, None), false),
            ("", pieces(large, None), false),
            ("gzip", Body::Stream(Box::pin(futures::stream::iter([Bytes::from(vec![b'x'; THRESHOLD])]))), false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accept))]);
            let answer = apply(&headers, Response::new(body));
            assert_eq!(answer.headers().contains_key(CONTENT_ENCODING), want, "{accept}");
            let size = answer.into_body().collect().await.expect("a body").to_bytes().len();
            assert_eq!(size < 10 * 1024, want, "{accept}: {size}");
        }
    }
}

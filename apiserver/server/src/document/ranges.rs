//! Parts of documents, for clients that go on where an answer was cut off.
//!
//! Upstream: Go's `net/http` (`ServeContent`). Several parts at a time are answered with the whole, which is allowed.

use crate::body::Body;
use crate::response;
use http::header::{ACCEPT_RANGES, CONTENT_RANGE, ETAG, HeaderValue, IF_RANGE, RANGE};
use http::{HeaderMap, Response, StatusCode};
use std::ops::Range;

/// What a client asks for of a document.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part(Range<usize>),
    /// What is no range.
    Nonsense,
    /// A range behind the end.
    Nothing,
}

/// The part of the answer that the client asks for, and that it may ask for parts.
pub(super) fn apply(mut answer: Response<Body>, request: &HeaderMap) -> Response<Body> {
    let (StatusCode::OK, Body::Full(bytes)) = (answer.status(), answer.body()) else { return answer };
    let bytes = bytes.clone();
    answer.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let is_other = request.get(IF_RANGE).is_some_and(|tag| answer.headers().get(ETAG) != Some(tag));
    let range = request.get(RANGE).filter(|_| !is_other).and_then(|range| range.to_str().ok());
    let (refusal, length) = match range.map_or(Asked::Whole, |range| read(range, bytes.len())) {
        Asked::Whole => return answer,
        Asked::Part(part) => {
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            let (first, last) = (part.start, part.end - 1);
            set_range(&mut answer, &format!("bytes {first}-{last}/{}", bytes.len()));
            *answer.body_mut() = Body::Full(bytes.slice(part));
            return answer;
        }
        Asked::Nonsense => ("invalid range\n", None),
        Asked::Nothing => ("invalid range: failed to overlap\n", Some(bytes.len())),
    };
    let mut refused = response::error_text(StatusCode::RANGE_NOT_SATISFIABLE, refusal);
    if let Some(length) = length {
        set_range(&mut refused, &format!("bytes */{length}"));
    }
    refused
}

fn set_range(answer: &mut Response<Body>, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        answer.headers_mut().insert(CONTENT_RANGE, value);
    }
}

fn read(range: &str, length: usize) -> Asked {
    let Some(range) = range.strip_prefix("bytes=") else { return Asked::Nonsense };
    if range.contains(',') {
        return Asked::Whole;
    }
    let Some((first, last)) = range.trim().split_once('-') else { return Asked::Nonsense };
    match (first.trim(), last.trim()) {
        ("", last) => match last.parse::<usize>() {
            Ok(0) => Asked::Nothing,
            Ok(last) => Asked::Part(length.saturating_sub(last)..length),
            Err(_) => Asked::Nonsense,
        },
        (first, last) => match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), _) if first >= length => Asked::Nothing,
            (Ok(first), _) if last.is_empty() => Asked::Part(first..length),
            (Ok(first), Ok(last)) if first <= last => Asked::Part(first..length.min(last.saturating_add(1))),
            _ => Asked::Nonsense,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        for (range, want) in [
            ("bytes=0-3", Asked::Part(0..4)),
            ("bytes=4-", Asked::Part(4..10)),
            ("bytes=-3", Asked::Part(7..10)),
            ("bytes=-30", Asked::Part(0..10)),
            ("bytes=8-99999999999999999", Asked::Part(8..10)),
            ("bytes=0-1,4-5", Asked::Whole),
            ("bytes=10-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=3-2", Asked::Nonsense),
            ("bytes=x", Asked::Nonsense),
            ("lines=1-2", Asked::Nonsense),
        ] {
            assert_eq!(read(range, 10), want, "{range}");
        }
    }

    #[test]
    fn parts_are_sent_of_what_the_client_has_begun() {
        let answer = |request: &[(http::HeaderName, &str)]| {
            let mut whole = response::json("0123456789");
            whole.headers_mut().insert(ETAG, HeaderValue::from_static("\"a\""));
            apply(whole, &request.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect())
        };
        for (request, code, range) in [
            (vec![], 200, None),
            (vec![(RANGE, "bytes=2-3")], 206, Some("bytes 2-3/10")),
            (vec![(RANGE, "bytes=2-3"), (IF_RANGE, "\"a\"")], 206, Some("bytes 2-3/10")),
            (vec![(RANGE, "bytes=2-3"), (IF_RANGE, "\"b\"")], 200, None),
            (vec![(RANGE, "bytes=12-")], 416, Some("bytes */10")),
        ] {
            let answer = answer(&request);
            let got = answer.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
            assert_eq!((answer.status().as_u16(), got), (code, range), "{request:?}");
        }
    }
}

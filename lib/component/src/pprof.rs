//! `/debug/pprof/`: where a daemon's time goes, in the format that `go tool pprof` reads.
//!
//! A profile says how much CPU time each thread took, by the kernel's clock: threads are its functions. What only Go's
//! runtime has, such as its heap and its goroutines, is no profile here, and is refused as an unknown one.
//!
//! Upstream: `apiserver/pkg/server/routes/profiling.go`, Go's `net/http/pprof`.

mod profile;

use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Response, StatusCode};
use std::time::Duration;

/// How all paths start.
pub const PREFIX: &str = "/debug/pprof";

/// How long a profile runs that does not say for how long.
const USUAL: u64 = 30;
/// How long one runs at most.
const LONGEST: u64 = 3600;

const INDEX: &str = "<html>\n<head>\n<title>/debug/pprof/</title>\n</head>\n<body>\n/debug/pprof/\n<br>\n\
    Types of profiles available:\n<ul>\n\
    <li><a href='profile?seconds=30'>profile</a>: CPU time of each thread</li>\n\
    </ul>\n</body>\n</html>\n";

/// Whether a path is one of profiling.
pub fn is_meant(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers a path that [`is_meant`]. A profile takes as many seconds as `query` says.
pub async fn answer(method: &Method, path: &str, query: Option<&str>) -> Response<Bytes> {
    match path.strip_prefix(PREFIX).unwrap_or_default() {
        "" => redirect(method),
        "/" => with_type(StatusCode::OK, "text/html; charset=utf-8", Bytes::from_static(INDEX.as_bytes())),
        // None can be looked up: a profile has the names in it.
        "/symbol" => with_type(StatusCode::OK, "text/plain; charset=utf-8", Bytes::from_static(b"num_symbols: 0\n")),
        "/profile" => match profile::of_cpu(Duration::from_secs(seconds(query))).await {
            Ok(bytes) => {
                let mut response = with_type(StatusCode::OK, "application/octet-stream", bytes);
                let attachment = HeaderValue::from_static("attachment; filename=\"profile\"");
                response.headers_mut().insert(CONTENT_DISPOSITION, attachment);
                response
            }
            Err(error) => {
                refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("Could not enable CPU profiling: {error}\n"))
            }
        },
        _ => refusal(StatusCode::NOT_FOUND, "Unknown profile\n".to_owned()),
    }
}

fn redirect(method: &Method) -> Response<Bytes> {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let body: &[u8] = if is_read { b"<a href=\"/debug/pprof/\">Found</a>.\n\n" } else { b"" };
    let mut response = Response::new(Bytes::from_static(body));
    *response.status_mut() = StatusCode::FOUND;
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::from_static("/debug/pprof/"));
    if is_read {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    }
    response
}

/// The parameter `seconds`; what is no number above zero is none.
fn seconds(query: Option<&str>) -> u64 {
    let mut pairs = query.unwrap_or_default().split('&');
    let given = pairs.find_map(|pair| pair.strip_prefix("seconds=")).and_then(|text| text.parse().ok());
    given.filter(|seconds| *seconds > 0).unwrap_or(USUAL).min(LONGEST)
}

fn refusal(code: StatusCode, why: String) -> Response<Bytes> {
    let mut response = with_type(code, "text/plain; charset=utf-8", why.into());
    response.headers_mut().insert(HeaderName::from_static("x-go-pprof"), HeaderValue::from_static("1"));
    response
}

fn with_type(code: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_as_upstream() {
        for (path, code, body) in [
            ("/debug/pprof", 302, "<a href=\"/debug/pprof/\">Found</a>.\n\n"),
            ("/debug/pprof/", 200, INDEX),
            ("/debug/pprof/symbol", 200, "num_symbols: 0\n"),
            ("/debug/pprof/cmdline", 404, "Unknown profile\n"),
            ("/debug/pprof/heap", 404, "Unknown profile\n"),
        ] {
            assert!(is_meant(path));
            let response = answer(&Method::GET, path, None).await;
            assert_eq!((response.status().as_u16(), &response.body()[..]), (code, body.as_bytes()), "{path}");
        }
        assert!(!is_meant("/debug/pproff"));
    }

    #[test]
    fn profiles_are_of_bounded_length() {
        for (query, want) in [
            (None, USUAL),
            (Some("seconds=5"), 5),
            (Some("debug=1&seconds=7"), 7),
            (Some("seconds=x"), USUAL),
            (Some("seconds=-1"), USUAL),
            (Some("seconds=0"), USUAL),
            (Some("seconds=99999999"), LONGEST),
        ] {
            assert_eq!(seconds(query), want, "{query:?}");
        }
    }
}

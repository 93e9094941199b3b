//! `/debug/pprof` and `/debug/flags`, which `--profiling` switches on.
//!
//! Upstream: `apiserver/pkg/server/routes/{profiling,flags}.go`.

use crate::body::{self, Body};
use crate::chain::{Exchange, Incoming};
use crate::response;
use apimachinery::status::Status;
use component::{logging, pprof};
use http::{Method, Response, StatusCode};

const FLAGS: &str = "/debug/flags";
const INDEX: &str = "<html>\n<head>\n<title>/debug/flags/</title>\n</head>\n<body>\n/debug/flags/<br>\n<br>\nflags:<br>\n\
    <table>\n<tr>v<br>\n</table>\n<br>\nfull flags configurable<br>\n</body>\n</html>\n";

/// Whether a path is one of these.
pub(crate) fn is_meant(path: &str) -> bool {
    pprof::is_meant(path) || path.strip_prefix(FLAGS).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers one of them.
pub(crate) async fn serve<B: Incoming>(exchange: &Exchange<'_>, body: B) -> Result<Response<Body>, Status> {
    let (path, method) = (exchange.info.path, &exchange.parts.method);
    if pprof::is_meant(path) {
        return Ok(pprof::answer(method, path, exchange.parts.uri.query()).await.map(Body::Full));
    }
    match path.strip_prefix(FLAGS) {
        Some("/v") if method == Method::PUT => {
            let given = body::read(&exchange.parts.headers, body).await?;
            Ok(match logging::set_verbosity(&String::from_utf8_lossy(&given)) {
                Ok(done) => plain(StatusCode::OK, done),
                Err(why) => plain(StatusCode::BAD_REQUEST, why),
            })
        }
        Some("/v") => Ok(plain(StatusCode::NOT_ACCEPTABLE, "unsupported http method".to_owned())),
        _ => Ok(response::with_type(StatusCode::OK, "text/html; charset=utf-8", INDEX.into())),
    }
}

fn plain(code: StatusCode, mut text: String) -> Response<Body> {
    text.push('\n');
    let mut response = response::error_text(code, text);
    let content_type = http::HeaderValue::from_static("text/plain");
    response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    response
}

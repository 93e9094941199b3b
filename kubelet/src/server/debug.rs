//! `/debug/pprof` and `/debug/flags/v`, each switched off by a field of the configuration.
//!
//! Upstream: `InstallProfilingHandler` and `InstallDebugFlagsHandler` of `pkg/kubelet/server/server.go`.

use component::serve::{Request, Response, Router, router};
use component::{logging, pprof};
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};

const FLAG: &str = "/debug/flags/v";
const PROFILES: &str = "/debug/pprof/";
/// Characters of a number.
const LONGEST: usize = 64;

/// Adds both, or what says that one is off.
pub(super) fn routes(router: Router, profiling: bool, flags: bool) -> Router {
    let router = match profiling {
        true => router.route(PROFILES, profile),
        false => router.route(PROFILES, |_| disabled("profiling endpoint is disabled.\n")),
    };
    match flags {
        true => router.route(FLAG, verbosity),
        false => router.route(FLAG, |_| disabled("flags endpoint is disabled.\n")),
    }
}

pub(super) fn disabled(why: &'static str) -> std::future::Ready<Response> {
    std::future::ready(router::text(StatusCode::METHOD_NOT_ALLOWED, why))
}

async fn profile(request: Request) -> Response {
    let uri = request.http.uri();
    router::whole(pprof::answer(request.http.method(), uri.path(), uri.query()).await)
}

async fn verbosity(request: Request) -> Response {
    if request.http.method() != Method::PUT {
        return router::text(StatusCode::NOT_ACCEPTABLE, "unsupported http method\n");
    }
    let given = Limited::new(request.http.into_body(), LONGEST).collect().await;
    let Ok(given) = given else { return router::text(StatusCode::BAD_REQUEST, "error reading body\n") };
    match logging::set_verbosity(&String::from_utf8_lossy(&given.to_bytes())) {
        Ok(done) => router::text(StatusCode::OK, format!("{done}\n")),
        Err(why) => router::text(StatusCode::BAD_REQUEST, format!("{why}\n")),
    }
}

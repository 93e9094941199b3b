//! Which path leads where.

use crate::guard::{self, Kind};
use crate::login::{self, Gate};
use crate::proxy::{self, ProxyError};
use crate::session::cookie::Cookie;
use crate::session::{Session, Sessions, Use};
use crate::upstream::Upstream;
use crate::{assets, documents};
use component::Supervisor;
use component::serve::{Request, Response, Router, router};
use http::header::HeaderMap;
use http::{StatusCode, header};
use std::sync::Arc;
use tokio::time::Instant;

/// What handlers need.
#[derive(Clone, Debug)]
pub struct App {
    /// The apiserver.
    pub upstream: Upstream,
    /// Who is logged in.
    pub sessions: Arc<Sessions>,
    /// Who tries to.
    pub gate: Arc<Gate>,
    /// Owns terminals.
    pub supervisor: Supervisor,
}

impl App {
    /// Without sessions yet.
    pub fn new(upstream: Upstream, sessions: Arc<Sessions>, supervisor: Supervisor) -> Self {
        Self { upstream, sessions, gate: Arc::default(), supervisor }
    }

    /// All paths.
    pub fn router(self) -> Router {
        let (to_session, to_api, to_documents) = (self.clone(), self.clone(), self);
        Router::new()
            .get("/healthz", |_| router::text(StatusCode::OK, "ok"))
            .get("/", |request: &Request| assets::answer(request.http.method(), request.path(), request.http.headers()))
            .route("/session", move |request| {
                let app = to_session.clone();
                async move {
                    match guard::check(request.http.headers(), guard::host(&request.http), Kind::Fetch) {
                        Ok(()) => protected(login::handle(app, request).await),
                        Err(foreign) => protected(ProxyError::Foreign(foreign).response()),
                    }
                }
            })
            .route("/k8s/", move |request| {
                let app = to_api.clone();
                async move { protected(proxy::handle(app, request).await) }
            })
            .route("/documents", move |request| {
                let app = to_documents.clone();
                async move { protected(documents::handle(app, request).await) }
            })
    }

    /// The session of a request, or the answer that there is none.
    pub fn session(&self, headers: &HeaderMap, usage: Use) -> Result<Session, Response> {
        let session = Cookie::of_request(headers).and_then(|cookie| self.sessions.find(&cookie, usage, Instant::now()));
        session.ok_or_else(|| {
            let mut response =
                failure(StatusCode::UNAUTHORIZED, "Unauthorized", "The session has ended, or never began.");
            response.headers_mut().insert(header::SET_COOKIE, Cookie::unset());
            response
        })
    }
}

fn protected(mut response: Response) -> Response {
    guard::protect_data(response.headers_mut());
    response
}

/// What the dashboard itself refuses, in the form in which the apiserver does.
pub fn failure(status: StatusCode, reason: &str, message: &str) -> Response {
    router::status(status, reason, message)
}

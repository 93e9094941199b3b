//! `/session`: logging in, who one is, logging out.

use crate::credential::{Credential, Login};
use crate::limit::Tries;
use crate::server::{App, failure};
use crate::session::Use;
use crate::session::cookie::Cookie;
use crate::upstream::UpstreamError;
use bytes::Bytes;
use component::serve::{Request, Response, router};
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Most bytes of a login.
const LONGEST: usize = 256 << 10;
/// Most bytes of the apiserver's answer to it.
const LONGEST_ANSWER: usize = 1 << 20;
/// How long a login's text may take to come.
const SLOWEST: Duration = Duration::from_secs(10);
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/// What is known of the tries to log in.
#[derive(Debug, Default)]
pub struct Gate(Mutex<Tries>);

/// Who somebody is, as the apiserver says.
#[derive(Debug, PartialEq, Eq)]
struct Who {
    name: String,
    groups: Vec<String>,
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("Too many tries to log in. Try again in {0} seconds.")]
    Tries(u64),
    #[error("The login is too long, did not come in time, or is not what a login looks like.")]
    Malformed,
    #[error("{0}")]
    Credential(#[from] crate::credential::CredentialError),
    #[error("The API server does not know this credential: it is wrong, or has expired.")]
    Unknown,
    #[error("The API server answered {0} when it was asked who this is.")]
    Answer(StatusCode),
    #[error("{0}")]
    Upstream(#[from] UpstreamError),
    #[error("The session cannot be kept.")]
    Session,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Tries(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Malformed | Self::Credential(_) => StatusCode::BAD_REQUEST,
            Self::Unknown | Self::Upstream(UpstreamError::Certificate(_) | UpstreamError::Token) => {
                StatusCode::UNAUTHORIZED
            }
            Self::Answer(_) | Self::Upstream(UpstreamError::Unreachable(_)) => StatusCode::BAD_GATEWAY,
            Self::Session => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Refusal {
    /// As the apiserver would call it.
    fn reason(&self) -> &'static str {
        match self.status() {
            StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
            StatusCode::BAD_REQUEST => "BadRequest",
            StatusCode::UNAUTHORIZED => "Unauthorized",
            StatusCode::BAD_GATEWAY => "ServiceUnavailable",
            _ => "InternalError",
        }
    }
}

/// Answers `/session`.
pub async fn handle(app: App, request: Request) -> Response {
    match *request.http.method() {
        Method::GET => show(&app, &request),
        Method::POST => open(&app, request).await,
        Method::DELETE => close(&app, &request),
        _ => failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "a session is opened, looked at or closed"),
    }
}

/// Asking is a use: the page asks when its viewer does something.
fn show(app: &App, request: &Request) -> Response {
    match app.session(request.http.headers(), Use::Viewer) {
        Ok(session) => router::json(StatusCode::OK, &described(app, &session.user, &[])),
        Err(refusal) => refusal,
    }
}

fn close(app: &App, request: &Request) -> Response {
    if let Some(cookie) = Cookie::of_request(request.http.headers()) {
        app.sessions.close(&cookie);
    }
    let mut response = router::json(StatusCode::OK, &json!({}));
    response.headers_mut().insert(header::SET_COOKIE, Cookie::unset());
    response
}

async fn open(app: &App, request: Request) -> Response {
    let peer = request.peer.ip();
    match admitted(app, peer, request).await {
        Ok((cookie, who)) => {
            tracing::info!(%peer, user = who.name, "logged in");
            let mut response = router::json(StatusCode::CREATED, &described(app, &who.name, &who.groups));
            response.headers_mut().insert(header::SET_COOKIE, cookie.set());
            response
        }
        Err(refusal) => {
            tracing::info!(%peer, %refusal, "login refused");
            let mut response = failure(refusal.status(), refusal.reason(), &refusal.to_string());
            if let Refusal::Tries(seconds) = refusal {
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            response
        }
    }
}

async fn admitted(app: &App, peer: IpAddr, request: Request) -> Result<(Cookie, Who), Refusal> {
    let now = Instant::now();
    app.gate.0.lock().take(peer, now).map_err(|wait| Refusal::Tries(wait.as_secs().max(1)))?;
    // One who logs in again leaves the session before.
    if let Some(old) = Cookie::of_request(request.http.headers()) {
        app.sessions.close(&old);
    }
    let body = Limited::new(request.http.into_body(), LONGEST).collect();
    let body = tokio::time::timeout(SLOWEST, body).await.map_err(|_| Refusal::Malformed)?;
    let body = Zeroizing::new(body.map_err(|_| Refusal::Malformed)?.to_bytes().to_vec());
    let login: Login = serde_json::from_slice(&body).map_err(|_| Refusal::Malformed)?;
    let credential = login.credential()?;
    let who = review(app, &credential).await?;
    let cookie = app.sessions.open(&credential, &who.name, Instant::now()).ok_or(Refusal::Session)?;
    Ok((cookie, who))
}

/// Asks the apiserver who this is.
async fn review(app: &App, credential: &Credential) -> Result<Who, Refusal> {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let request = http::Request::post(REVIEWS)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(review.to_string()))
        .map_err(|_| Refusal::Malformed)?;
    let response = app.upstream.send_as(credential, request).await?;
    match response.status() {
        StatusCode::CREATED => {
            let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
            let body = body.map_err(|_| Refusal::Answer(StatusCode::CREATED))?.to_bytes();
            Ok(who(&serde_json::from_slice(&body).unwrap_or_default()))
        }
        StatusCode::UNAUTHORIZED => Err(Refusal::Unknown),
        // Known, but not allowed to ask who it is.
        StatusCode::FORBIDDEN => Ok(who(&Value::Null)),
        other => Err(Refusal::Answer(other)),
    }
}

fn who(review: &Value) -> Who {
    let info = &review["status"]["userInfo"];
    let groups = info["groups"].as_array().into_iter().flatten();
    Who {
        name: info["username"].as_str().unwrap_or("(unnamed)").to_owned(),
        groups: groups.filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

fn described(app: &App, user: &str, groups: &[String]) -> Value {
    json!({"user": user, "groups": groups, "idleSeconds": app.sessions.lifetime().idle.as_secs()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_who_somebody_is() {
        let review = json!({"status": {"userInfo": {"username": "jane", "groups": ["dev", "system:authenticated"]}}});
        let want = Who { name: "jane".into(), groups: vec!["dev".into(), "system:authenticated".into()] };
        assert_eq!(who(&review), want);
        assert_eq!(who(&Value::Null).name, "(unnamed)");
    }

    #[test]
    fn refusals_say_whose_fault_it_is() {
        for (refusal, status, reason) in [
            (Refusal::Tries(3), 429, "TooManyRequests"),
            (Refusal::Malformed, 400, "BadRequest"),
            (Refusal::Unknown, 401, "Unauthorized"),
            (Refusal::Upstream(UpstreamError::Unreachable("gone".into())), 502, "ServiceUnavailable"),
            (Refusal::Upstream(UpstreamError::Certificate("bad".into())), 401, "Unauthorized"),
        ] {
            assert_eq!((refusal.status().as_u16(), refusal.reason()), (status, reason), "{refusal}");
        }
    }
}

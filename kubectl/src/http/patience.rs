//! When a request is made once more.
//!
//! Upstream: `client-go/rest/with_retry.go`.

use super::Why;
use http::{Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use std::time::Duration;

/// How often a request is made again.
const MAX_RETRIES: u32 = 10;

/// How long to wait when the server does not say.
const PAUSE: Duration = Duration::from_secs(1);

/// How much is read of an answer that is not wanted, so that its connection can be used again.
const MAX_REST: usize = 2 << 10;

/// What a request is made again for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Nothing: it becomes a stream both ways.
    None,
    /// Answers that say when to come back.
    Answers,
    /// Those, and reads of which the answer never came.
    Reads,
    /// Those, and what took too long.
    Watches,
}

impl Patience {
    /// Whether it is for what leads to objects, and to them only.
    pub(super) fn is_for_objects(self) -> bool {
        matches!(self, Patience::Reads | Patience::Watches)
    }

    /// How long to wait before the next attempt, if there is to be one.
    pub(super) fn pause<B>(
        self,
        attempt: u32,
        method: &Method,
        outcome: &Result<Response<B>, Why>,
    ) -> Option<Duration> {
        let pause = match (self, outcome) {
            (Patience::None, _) => None,
            (_, Ok(response)) => come_back(response),
            (Patience::Reads, Err(Why::Gone(_))) if method == Method::GET => Some(PAUSE),
            (Patience::Watches, Err(why)) if why.may_pass() => Some(PAUSE),
            (_, Err(_)) => None,
        };
        pause.filter(|_| attempt <= MAX_RETRIES)
    }
}

/// `Retry-After` of an answer that says that the server could not, in seconds.
fn come_back<B>(response: &Response<B>) -> Option<Duration> {
    let status = response.status();
    if status != StatusCode::TOO_MANY_REQUESTS && status < StatusCode::INTERNAL_SERVER_ERROR {
        return None;
    }
    let seconds: i64 = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Reads what is left of an answer.
pub(super) async fn finish(response: Response<Incoming>) {
    let rest = Limited::new(response.into_body(), MAX_REST).collect();
    // If it does not come, a new connection is made.
    drop(tokio::time::timeout(PAUSE, rest).await);
}

/// A path that tells the server how long its answer may take.
pub(super) fn with_limit(path: &str, limit: Duration) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut parameters: Vec<&str> = query.split('&').filter(|parameter| !parameter.is_empty()).collect();
    let limit = format!("timeout={}", go_duration(limit));
    parameters.push(&limit);
    // As Go orders them.
    parameters.sort_by_key(|parameter| parameter.split('=').next());
    format!("{path}?{}", parameters.join("&"))
}

/// `1m30s`, as Go writes a duration of a second or more.
fn go_duration(duration: Duration) -> String {
    let (seconds, fraction) = (duration.as_secs(), duration.subsec_nanos());
    if seconds == 0 {
        return format!("{}ms", f64::from(fraction) / 1e6);
    }
    let rest = f64::from(u32::try_from(seconds % 60).unwrap_or(0)) + f64::from(fraction) / 1e9;
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{rest}s"),
        (0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry: &str) -> Result<Response<()>, Why> {
        let response = Response::builder().status(status);
        let response = if retry.is_empty() { response } else { response.header(header::RETRY_AFTER, retry) };
        Ok(response.body(()).expect("a response"))
    }

    #[test]
    fn comes_back_when_it_is_told_to() {
        let pause = |outcome| Patience::Answers.pause(1, &Method::POST, &outcome).map(|pause| pause.as_secs());
        for (status, retry, want) in [
            (429, "2", Some(2)),
            (503, "0", Some(0)),
            (500, "-1", Some(0)),
            (429, "soon", None),
            (429, "", None),
            (404, "1", None),
            (200, "1", None),
        ] {
            assert_eq!(pause(answer(status, retry)), want, "{status} {retry}");
        }
        assert_eq!(Patience::Answers.pause(11, &Method::GET, &answer(429, "1")), None);
        assert_eq!(Patience::None.pause(1, &Method::POST, &answer(429, "1")), None);
    }

    #[test]
    fn reads_again_what_was_not_answered() {
        let gone = || Err::<Response<()>, _>(Why::Gone("EOF".into()));
        assert_eq!(Patience::Reads.pause(1, &Method::GET, &gone()), Some(PAUSE));
        assert_eq!(Patience::Reads.pause(1, &Method::POST, &gone()), None);
        assert_eq!(Patience::Answers.pause(1, &Method::GET, &gone()), None);
        let late = Err::<Response<()>, _>(Why::Late);
        assert_eq!(Patience::Reads.pause(1, &Method::GET, &late), None);
        assert_eq!(Patience::Watches.pause(1, &Method::GET, &late), Some(PAUSE));
    }

    #[test]
    fn limits_are_told_to_the_server() {
        for (path, seconds, want) in [
            ("/api", 32, "/api?timeout=32s"),
            ("/x?limit=500&watch=true", 90, "/x?limit=500&timeout=1m30s&watch=true"),
            ("/x?a=b", 3600, "/x?a=b&timeout=1h0m0s"),
        ] {
            assert_eq!(with_limit(path, Duration::from_secs(seconds)), want);
        }
        assert_eq!(with_limit("/x", Duration::from_millis(1500)), "/x?timeout=1.5s");
    }
}

//! Watches that are shown as they come.
//!
//! Upstream: `apimachinery/pkg/watch/streamwatcher.go`, `client-go/rest/request.go` (`Watch`).

use super::unanswered::UNEXPECTED_END;
use super::{Client, Lines, OutOfTime, Patience, Torn, Unanswered};
use crate::writing::{log_info, log_warning};
use apimachinery::{Value, codec};
use serde_json::json;
use std::time::Duration;

/// From this verbosity on, the log tells why a watch ended.
const TELLS_ENDS: u8 = 5;

/// The events of a watch.
#[derive(Debug)]
pub struct Watch {
    /// Nothing once the watch is over.
    lines: Option<Lines>,
    verbosity: u8,
}

impl Watch {
    /// The next event; nothing once the server ends the watch or goes away, or the watch's time is up: it may take
    /// as long as it was given. What cannot be read is an event, too, of type `ERROR` and the last.
    pub async fn next(&mut self) -> Option<Value> {
        let lines = self.lines.as_mut()?;
        let told = match lines.next().await {
            Ok(Some(line)) => match event(&line) {
                Ok(event) => return Some(event),
                // The rest of it did not come.
                Err(why) if lines.at_end() && why == CUT => None,
                Err(why) => Some(why),
            },
            Ok(None) => None,
            Err(error) if error.is::<OutOfTime>() => {
                if self.verbosity >= TELLS_ENDS {
                    let text = format!("\"Unable to decode an event from the watch stream\" err=\"{error}\"");
                    log_info("streamwatcher.go:123", &text);
                }
                None
            }
            // A server that goes away ends its watches.
            Err(error) if error.downcast_ref::<Torn>().is_some_and(Torn::is_end) => None,
            Err(error) => Some(error.to_string()),
        };
        self.lines = None;
        told.map(|why| unreadable(&why))
    }
}

impl Torn {
    fn is_end(&self) -> bool {
        self.0 == UNEXPECTED_END || self.0.ends_with("connection reset by peer")
    }
}

/// What Go says of JSON that ends too early.
const CUT: &str = "unexpected end of JSON input";

fn event(line: &[u8]) -> Result<Value, String> {
    let event: Value = serde_json::from_slice(line).map_err(|error| json_words(line, &error))?;
    if !event["kind"].as_str().unwrap_or_default().is_empty() {
        return Err("unable to decode to metav1.WatchEvent".into());
    }
    match event["type"].as_str().unwrap_or_default() {
        "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR" if event["object"].is_null() => {
            Err(format!("unable to decode watch event: {CUT}"))
        }
        "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR" => Ok(event),
        other => Err(format!("got invalid watch event type: {other}")),
    }
}

/// What Go says of text that is not JSON.
pub(super) fn json_words(text: &[u8], error: &serde_json::Error) -> String {
    match codec::json::to_value(text) {
        Err(error) => error.to_string(),
        Ok(_) => error.to_string(),
    }
}

/// An event about a watch that says nonsense.
fn unreadable(why: &str) -> Value {
    let said = format!("unable to decode an event from the watch stream: {why}");
    let message = format!("an error on the server ({said:?}) has prevented the request from succeeding");
    json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": "InternalError", "details": {"causes": [
            {"reason": "UnexpectedServerResponse", "message": said},
            {"reason": "ClientWatchDecoding", "message": said}]}, "code": 500}})
}

impl Client {
    /// Watches a collection. A refusal is an error already here; a server that goes away before it answers has
    /// nothing to tell.
    pub async fn watch(&self, path: &str, accept: &str) -> anyhow::Result<Watch> {
        let lines = match self.stream(path, accept, Patience::Watches).await {
            Ok(flow) => Some(Lines::new(flow)),
            Err(error) if error.downcast_ref::<Unanswered>().is_some_and(|error| error.why.may_pass()) => None,
            Err(error) => return Err(error),
        };
        Ok(Watch { lines, verbosity: self.connection.verbosity })
    }
}

/// What lies between two looks at what is followed: longer and longer, as long as nothing comes of them.
///
/// Upstream: `client-go/tools/cache/reflector.go` (`backoffManager`), without its random part.
#[derive(Debug)]
pub(crate) struct Pauses {
    next: Duration,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(800);
    const LONGEST: Duration = Duration::from_secs(30);

    pub(crate) fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// Something came of the last look.
    pub(crate) fn reset(&mut self) {
        self.next = Self::FIRST;
    }

    /// Tells why the last look was in vain, and lets time pass.
    pub(crate) async fn after(&mut self, error: &anyhow::Error) {
        log_warning("reflector.go:227", &format!("\"Failed to watch\" err={:?}", format!("{error:#}")));
        self.pass().await;
    }

    /// Lets time pass.
    pub(crate) async fn pass(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(Self::LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_events() {
        for (line, want) in [
            (r#"{"type":"ADDED","object":{}}"#, Ok("ADDED")),
            ("garbage", Err("invalid character 'g' looking for beginning of value")),
            (r#"{"type":"X"}"#, Err("got invalid watch event type: X")),
            (r#"{"object":{}}"#, Err("got invalid watch event type: ")),
        ] {
            let event = event(line.as_bytes());
            let read = event.as_ref().map(|event| event["type"].as_str().unwrap_or_default());
            assert_eq!(read.map_err(String::as_str), want, "{line}");
        }
        assert_eq!(
            unreadable("x")["object"]["message"],
            "an error on the server (\"unable to decode an event from the watch stream: x\") has prevented the request from succeeding"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow() {
        let (mut pauses, begin) = (Pauses::new(), tokio::time::Instant::now());
        for _ in 0..8 {
            pauses.pass().await;
        }
        assert_eq!(begin.elapsed(), Duration::from_millis(800 * 63) + 2 * Pauses::LONGEST);
        pauses.reset();
        assert_eq!(pauses.next, Pauses::FIRST);
    }
}

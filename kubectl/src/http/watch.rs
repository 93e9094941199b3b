//! Watches that are shown as they come.
//!
//! Upstream: `apimachinery/pkg/watch/streamwatcher.go`.

use super::{Client, Lines, OutOfTime, Patience, Torn};
use crate::writing::log_info;

/// From this verbosity on, the log tells why a watch ended.
const TELLS_ENDS: u8 = 5;

/// The events of a watch.
#[derive(Debug)]
pub struct Watch {
    lines: Lines,
    verbosity: u8,
}

impl Watch {
    /// The next event; nothing once the server ends the watch, or its time is up: a watch may take
    /// as long as it was given.
    pub async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        match self.lines.next().await {
            Err(error) if error.is::<OutOfTime>() => {
                if self.verbosity >= TELLS_ENDS {
                    let text = format!("\"Unable to decode an event from the watch stream\" err=\"{error}\"");
                    log_info("streamwatcher.go:123", &text);
                }
                Ok(None)
            }
            // A server that goes away ends its watches.
            Err(error) if error.is::<Torn>() => Ok(None),
            next => next,
        }
    }
}

impl Client {
    /// Watches a collection. A refusal is an error already here.
    pub async fn watch(&self, path: &str, accept: &str) -> anyhow::Result<Watch> {
        let lines = Lines::new(self.stream(path, accept, Patience::Reads).await?);
        Ok(Watch { lines, verbosity: self.connection.verbosity })
    }
}

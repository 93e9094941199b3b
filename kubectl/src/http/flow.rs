//! Bodies that come bit by bit, and their lines.

use super::{Deadline, Route, unanswered};
use anyhow::bail;
use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use tokio::time::Instant;

/// A body that comes bit by bit, at the longest until the request's time is up.
#[derive(Debug)]
pub struct Flow {
    body: Incoming,
    deadline: Option<Instant>,
    route: String,
}

impl Flow {
    pub(super) fn of(response: Response<Incoming>) -> Self {
        let deadline = response.extensions().get().map(|Deadline(deadline)| *deadline);
        let route = Route::of(&response);
        Self { body: response.into_body(), deadline, route }
    }

    /// The next bytes; nothing at the end.
    pub async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        while let Some(frame) = self.frame().await? {
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    async fn frame(&mut self) -> anyhow::Result<Option<Frame<Bytes>>> {
        let frame = self.body.frame();
        let frame = match self.deadline {
            None => frame.await,
            Some(deadline) => tokio::time::timeout_at(deadline, frame).await.map_err(|_| OutOfTime)?,
        };
        Ok(frame.transpose().map_err(|error| Torn(unanswered::body(&error, &self.route)))?)
    }
}

/// `--request-timeout` ended an answer that was still coming.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("context deadline exceeded (Client.Timeout or context cancellation while reading body)")]
pub struct OutOfTime;

/// The server ended an answer before all of it was there.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Torn(pub(super) String);

/// A body, line by line: watches and logs.
#[derive(Debug)]
pub struct Lines {
    body: Flow,
    seen: Vec<u8>,
    /// The last line had no break.
    cut: bool,
}

impl Lines {
    /// Longest line; an object in etcd is far smaller.
    const MAX: usize = 64 << 20;

    /// The lines of a body.
    pub fn new(body: Flow) -> Self {
        Self { body, seen: Vec::new(), cut: false }
    }

    /// Whether the last line ended the body without a break.
    pub fn at_end(&self) -> bool {
        self.cut
    }

    /// The next line without its break; nothing at the end.
    pub async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.seen[searched..].iter().position(|b| *b == b'\n') {
                let rest = self.seen.split_off(searched + at + 1);
                let mut line = std::mem::replace(&mut self.seen, rest);
                line.pop();
                return Ok(Some(line));
            }
            searched = self.seen.len();
            if searched > Self::MAX {
                bail!("a line of the answer is too long");
            }
            match self.body.next().await? {
                Some(data) => self.seen.extend_from_slice(&data),
                None if self.seen.is_empty() => return Ok(None),
                None => {
                    self.cut = true;
                    return Ok(Some(std::mem::take(&mut self.seen)));
                }
            }
        }
    }
}

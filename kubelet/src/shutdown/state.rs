//! When the last graceful shutdown began and ended: a file that outlives it, and metrics.
//!
//! Upstream: `pkg/kubelet/nodeshutdown/storage.go`.

use k8s_openapi::jiff::Timestamp;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

/// The file's name below `--root-dir`.
pub const FILE: &str = "graceful_node_shutdown_state";
/// Two times need no more.
const LONGEST: u64 = 4096;
/// A time that Go has not set.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// What the file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    #[serde(default, serialize_with = "write_time", deserialize_with = "read_time")]
    pub start_time: Option<Timestamp>,
    #[serde(default, serialize_with = "write_time", deserialize_with = "read_time")]
    pub end_time: Option<Timestamp>,
}

fn write_time<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_str(NEVER),
    }
}

fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        NEVER => Ok(None),
        text => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

/// The file and the metrics that tell of it.
#[derive(Clone, Debug)]
pub struct Record {
    file: PathBuf,
    start: Gauge<f64, AtomicU64>,
    end: Gauge<f64, AtomicU64>,
}

impl Record {
    /// The record below a folder, with what a kubelet before this one has left there.
    pub fn load(root: &Path) -> Self {
        let record = Self { file: root.join(FILE), start: Gauge::default(), end: Gauge::default() };
        match record.read() {
            Ok(state) => record.show(state),
            Err(error) => tracing::error!(%error, "Failed to load graceful shutdown state"),
        }
        record
    }

    /// Serves the metrics.
    pub fn register(&self, registry: &mut Registry) {
        let start = "[ALPHA] Last graceful shutdown start time since unix epoch in seconds";
        registry.register("kubelet_graceful_shutdown_start_time_seconds", start, self.start.clone());
        let end = "[ALPHA] Last graceful shutdown end time since unix epoch in seconds";
        registry.register("kubelet_graceful_shutdown_end_time_seconds", end, self.end.clone());
    }

    /// Writes the file and the metrics. Pods end also where it cannot be written.
    pub fn set(&self, state: State) {
        if let Err(error) = self.write(state) {
            tracing::error!(%error, "Failed to store graceful shutdown state");
        }
        self.show(state);
    }

    /// What the file says; nothing if there is none.
    pub fn read(&self) -> io::Result<State> {
        let file = match std::fs::File::open(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
            opened => opened?,
        };
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text)?;
        Ok(serde_json::from_str(&text)?)
    }

    fn write(&self, state: State) -> io::Result<()> {
        let temporary = self.file.with_file_name(format!(".tmp-{FILE}"));
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o644).open(&temporary)?;
        file.write_all(&serde_json::to_vec(&state)?)?;
        // The machine is about to be switched off.
        file.sync_all()?;
        std::fs::rename(&temporary, &self.file)
    }

    fn show(&self, state: State) {
        let seconds = |time: Option<Timestamp>| time.map_or(0.0, |time| time.as_second() as f64);
        self.start.set(seconds(state.start_time));
        self.end.set(seconds(state.end_time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_kubelet_tells_of_the_shutdown() {
        let folder = tempfile::tempdir().unwrap();
        let first = Record::load(folder.path());
        assert_eq!((first.start.get(), first.read().unwrap()), (0.0, State::default()));
        let start_time = Timestamp::from_second(1_700_000_000).unwrap();
        first.set(State { start_time: Some(start_time), end_time: None });
        let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert_eq!(text, r#"{"startTime":"2023-11-14T22:13:20Z","endTime":"0001-01-01T00:00:00Z"}"#);
        let second = Record::load(folder.path());
        assert_eq!((second.start.get(), second.end.get()), (1_700_000_000.0, 0.0));
    }

    #[test]
    fn what_go_wrote_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"startTime":"2026-01-02T03:04:05.123456789+01:00","endTime":"0001-01-01T00:00:00Z"}"#;
        std::fs::write(folder.path().join(FILE), text).unwrap();
        let state = Record::load(folder.path()).read().unwrap();
        assert_eq!(state.start_time.unwrap().as_second(), 1_767_319_445);
        std::fs::write(folder.path().join(FILE), "no JSON").unwrap();
        assert!(Record::load(folder.path()).read().is_err());
    }
}

//! The log: a line an event, in a file that rotates by size and age, or on standard output.
//!
//! Upstream: `apiserver/plugin/pkg/audit/log`, `lumberjack`.

mod rotate;

use super::event::Event;
use super::sink::Encoded;
use parking_lot::Mutex;
use rotate::RotatingFile;
use std::io::Write;
use std::path::PathBuf;

/// `--audit-log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// Words, as of old.
    Legacy,
}

/// `--audit-log-*`.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The file; `-` is standard output.
    pub path: PathBuf,
    /// How events are written.
    pub format: Format,
    /// Days that old files are kept; 0 is for ever.
    pub max_age: u32,
    /// Old files that are kept; 0 is all.
    pub max_backups: u32,
    /// Megabytes of a file before it is rotated; 0 rotates never.
    pub max_size: u64,
    /// Whether old files are compressed.
    pub compress: bool,
}

/// The log.
#[derive(Debug)]
pub struct Log {
    format: Format,
    target: Mutex<Target>,
}

#[derive(Debug)]
enum Target {
    Stdout,
    File(RotatingFile),
}

impl Log {
    /// Opens the log.
    pub fn open(options: LogOptions) -> std::io::Result<Self> {
        let format = options.format;
        let target = match options.path.to_str() {
            Some("-") => Target::Stdout,
            _ => Target::File(RotatingFile::open(options)?),
        };
        Ok(Self { format, target: Mutex::new(target) })
    }

    /// An event as a line.
    pub(super) fn encode(&self, event: &Event) -> Vec<u8> {
        let mut line = match self.format {
            Format::Json => serde_json::to_vec(event).unwrap_or_default(),
            Format::Legacy => event.legacy().into_bytes(),
        };
        line.push(b'\n');
        line
    }

    /// Whether the line is written.
    pub(super) fn write(&self, event: &Encoded) -> bool {
        let written = match &mut *self.target.lock() {
            Target::Stdout => std::io::stdout().write_all(&event.bytes),
            Target::File(file) => file.write(&event.bytes),
        };
        match written {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, audit_id = event.audit_id, "Error in audit plugin 'log' affecting 1 audit event");
                false
            }
        }
    }
}

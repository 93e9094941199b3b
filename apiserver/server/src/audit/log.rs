//! The log: a line an event, in a file that rotates by size and age, or on standard output.
//!
//! Upstream: `apiserver/plugin/pkg/audit/log`, `lumberjack`.

mod rotate;

use super::event::Event;
use parking_lot::Mutex;
use rotate::RotatingFile;
use std::io::Write;
use std::path::PathBuf;
use tokio::sync::mpsc;

/// Events that wait in batch mode (`--audit-log-batch-buffer-size`); what comes on top is dropped.
const BUFFER: usize = 10_000;

/// `--audit-log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// Words, as of old.
    Legacy,
}

/// `--audit-log-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Written before the request goes on.
    Blocking,
    /// Written by a task of its own.
    Batch,
}

/// `--audit-log-*`.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The file; `-` is standard output.
    pub path: PathBuf,
    /// How events are written.
    pub format: Format,
    /// When.
    pub mode: Mode,
    /// Days that old files are kept; 0 is for ever.
    pub max_age: u32,
    /// Old files that are kept; 0 is all.
    pub max_backups: u32,
    /// Megabytes of a file before it is rotated; 0 is 100.
    pub max_size: u64,
    /// Whether old files are compressed.
    pub compress: bool,
}

/// The log.
#[derive(Debug)]
pub struct Log {
    format: Format,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Direct(Mutex<Target>),
    Queue(mpsc::Sender<Vec<u8>>),
}

#[derive(Debug)]
enum Target {
    Stdout,
    File(RotatingFile),
}

impl Log {
    /// Opens the log; in batch mode its task hangs on the supervisor.
    pub fn open(options: LogOptions, supervisor: &component::Supervisor) -> std::io::Result<Self> {
        let (format, mode) = (options.format, options.mode);
        let target = match options.path.to_str() {
            Some("-") => Target::Stdout,
            _ => Target::File(RotatingFile::open(options)?),
        };
        let way = match mode {
            Mode::Blocking => Way::Direct(Mutex::new(target)),
            Mode::Batch => Way::Queue(queue(target, supervisor)),
        };
        Ok(Self { format, way })
    }

    pub(super) fn write(&self, event: &Event) {
        let mut line = match self.format {
            Format::Json => serde_json::to_vec(event).unwrap_or_default(),
            Format::Legacy => event.legacy().into_bytes(),
        };
        line.push(b'\n');
        match &self.way {
            Way::Direct(target) => target.lock().write(&line),
            Way::Queue(queue) => {
                if queue.try_send(line).is_err() {
                    tracing::error!(audit_id = event.audit_id, "audit buffer queue blocked, event dropped");
                }
            }
        }
    }
}

/// A task that writes what is sent to it, until the supervisor stops and nothing is left.
fn queue(mut target: Target, supervisor: &component::Supervisor) -> mpsc::Sender<Vec<u8>> {
    let (sender, mut lines) = mpsc::channel::<Vec<u8>>(BUFFER);
    let stopping = supervisor.clone();
    supervisor.spawn("audit log", async move {
        loop {
            let line = tokio::select! {
                line = lines.recv() => line,
                () = stopping.stopping() => lines.try_recv().ok(),
            };
            match line {
                Some(line) => target.write(&line),
                None => return,
            }
        }
    });
    sender
}

impl Target {
    fn write(&mut self, line: &[u8]) {
        let written = match self {
            Target::Stdout => std::io::stdout().write_all(line),
            Target::File(file) => file.write(line),
        };
        if let Err(error) = written {
            tracing::error!(%error, "cannot write the audit log");
        }
    }
}

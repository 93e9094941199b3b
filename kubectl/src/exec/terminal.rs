//! Our own terminal: raw while somebody else reads its keys, and its size.
//!
//! Upstream: `kubectl/pkg/util/term`.

use apimachinery::Value;
use rustix::termios;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The size that is told where there is no telling.
const USUAL: (u16, u16) = (80, 24);

/// Whether standard input is a terminal.
pub fn is_terminal() -> bool {
    termios::isatty(rustix::stdio::stdin())
}

/// A raw terminal until it is dropped.
pub(super) struct RawTerminal {
    before: termios::Termios,
}

impl RawTerminal {
    pub(super) fn new() -> anyhow::Result<Self> {
        let before = termios::tcgetattr(rustix::stdio::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(rustix::stdio::stdin(), termios::OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no mending.
        let _ = termios::tcsetattr(rustix::stdio::stdin(), termios::OptionalActions::Now, &self.before);
    }
}

/// The sizes of the terminal, now and whenever they change.
pub(super) struct Sizes {
    changes: Signal,
    told: bool,
}

impl Sizes {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { changes: signal(SignalKind::window_change())?, told: false })
    }

    /// The next size, as servers read it.
    pub(super) async fn next(&mut self) -> Value {
        if std::mem::replace(&mut self.told, true) {
            self.changes.recv().await;
        }
        let size = termios::tcgetwinsize(rustix::stdio::stdout());
        let (width, height) = size.map_or(USUAL, |size| (size.ws_col, size.ws_row));
        json!({"Width": width, "Height": height})
    }
}

//! A line that shows how far something is, on a terminal only: scripts see what kubectl prints.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// How often the line moves.
const TICK: Duration = Duration::from_millis(120);

/// A progress line, or nothing.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Something without a known end.
    pub fn waiting(what: impl Into<String>) -> Self {
        let progress = Self::new(ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}");
        progress.bar.set_message(what.into());
        progress
    }

    /// A number of steps.
    pub fn counted(what: &str, steps: usize) -> Self {
        let bar = ProgressBar::new(steps as u64);
        let progress = Self::new(bar, "{spinner} {pos}/{len} {msg} {elapsed}");
        progress.bar.set_message(what.to_owned());
        progress
    }

    /// Bytes that are copied; their number is not known.
    pub fn bytes(what: impl Into<String>) -> Self {
        let progress = Self::new(ProgressBar::new_spinner(), "{spinner} {msg} {bytes} {bytes_per_sec} {elapsed}");
        progress.bar.set_message(what.into());
        progress
    }

    fn new(bar: ProgressBar, template: &str) -> Self {
        let shown = std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
        bar.set_draw_target(if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if shown {
            bar.enable_steady_tick(TICK);
        }
        Self { bar }
    }

    /// One step further.
    pub fn step(&self) {
        self.bar.inc(1);
    }

    /// So many bytes further.
    pub fn advance(&self, bytes: usize) {
        self.bar.inc(bytes as u64);
    }

    /// What is going on now.
    pub fn say(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
    }

    /// A line of output above the progress line.
    pub fn print(&self, line: &str) -> anyhow::Result<()> {
        self.bar.suspend(|| {
            crate::outln!("{line}");
            Ok(())
        })
    }

    /// A line on standard error above the progress line.
    pub fn complain(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

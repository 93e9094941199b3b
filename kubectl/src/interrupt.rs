//! Signals that end what goes on until somebody ends it.
//!
//! Upstream: `kubectl/pkg/util/interrupt`.

use std::future::Future;
use std::process::ExitCode;
use std::sync::Once;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// A signal came that was to be heeded.
static ENDED: Notify = Notify::const_new();

/// From now on a signal ends the command as a failure of which nothing is said; before, it ends the process.
pub(crate) fn heed() {
    static HEEDED: Once = Once::new();
    HEEDED.call_once(|| {
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()] {
            let Ok(mut signals) = signal(kind) else { continue };
            #[expect(clippy::disallowed_methods, reason = "waits for signals as long as the process lives")]
            tokio::spawn(async move {
                signals.recv().await;
                ENDED.notify_one();
            });
        }
    });
}

/// Runs a command until it is done, or ended by a signal that is heeded.
///
/// # Errors
/// Those of the command.
pub async fn or_ended(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::select! {
        done = command => done,
        () = ENDED.notified() => Ok(ExitCode::FAILURE),
    }
}

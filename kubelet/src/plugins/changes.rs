//! Waiting until something in a tree of folders changes.
//!
//! What changed is not told: who waits looks again. So nothing is lost when the kernel's queue overflows, and several
//! changes at once cost one look.

use futures::{FutureExt, StreamExt};
use inotify::{EventStream, Inotify, WatchMask};
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long to wait where the kernel does not tell: its watches are limited (`fs.inotify`).
const BLIND: Duration = Duration::from_secs(1);
/// Room for a few events; each has at most a file name of 255 bytes.
const BUFFER: usize = 4096;

/// The folders that are watched.
pub struct Changes {
    events: Option<EventStream<[u8; BUFFER]>>,
    /// A folder could not be watched when it was read last.
    blind: bool,
}

impl Default for Changes {
    /// Watches nothing yet.
    fn default() -> Self {
        let events = Inotify::init().and_then(|inotify| inotify.into_event_stream([0; BUFFER]));
        Self { events: events.inspect_err(complain).ok(), blind: false }
    }
}

impl Changes {
    /// Watches the entries of a folder. Again is fine; a folder that is gone is forgotten by the kernel.
    ///
    /// Call it before reading the folder, so that nothing comes in between.
    pub fn watch(&mut self, folder: &Path) {
        let Some(events) = &self.events else { return };
        let mask = WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        if let Err(error) = events.watches().add(folder, mask) {
            tracing::debug!(%error, folder = %folder.display(), "a folder cannot be watched");
            self.blind = true;
        }
    }

    /// Waits until an entry of a watched folder came or went, for a second where that is not known.
    pub async fn next(&mut self) {
        if std::mem::take(&mut self.blind) {
            return tokio::time::sleep(BLIND).await;
        }
        let Some(events) = &mut self.events else { return tokio::time::sleep(BLIND).await };
        match events.next().await {
            // The rest of what is there already belongs to the same look.
            Some(Ok(_)) => while let Some(Some(Ok(_))) = events.next().now_or_never() {},
            Some(Err(error)) => {
                complain(&error);
                tokio::time::sleep(BLIND).await;
            }
            None => self.events = None,
        }
    }
}

fn complain(error: &io::Error) {
    tracing::warn!(%error, "folders of plugins cannot be watched, they are read each second");
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    /// The clock is paused: it jumps when nothing else is left to wait for.
    async fn told(changes: &mut Changes) -> bool {
        tokio::time::timeout(LONG, changes.next()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn tells_of_what_comes_and_goes_and_of_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut changes = Changes::default();
        changes.watch(folder.path());
        assert!(!told(&mut changes).await);
        let (file, moved) = (folder.path().join("a"), folder.path().join("b"));
        let steps: [&dyn Fn(); 4] = [
            &|| std::fs::write(&file, "").unwrap(),
            &|| std::fs::rename(&file, &moved).unwrap(),
            &|| std::fs::remove_file(&moved).unwrap(),
            &|| std::fs::remove_dir(folder.path()).unwrap(),
        ];
        for (n, step) in steps.iter().enumerate() {
            step();
            changes.next().await;
            assert!(!told(&mut changes).await, "step {n} is told once");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn looks_each_second_where_the_kernel_does_not_tell() {
        let mut none = Changes { events: None, blind: false };
        none.watch(Path::new("/"));
        let begun = tokio::time::Instant::now();
        assert!(told(&mut none).await);
        assert_eq!(begun.elapsed().as_secs(), BLIND.as_secs());
        let mut refused = Changes::default();
        let file = tempfile::NamedTempFile::new().unwrap();
        for gone in [file.path().to_owned(), file.path().join("absent")] {
            refused.watch(&gone);
        }
        assert!(told(&mut refused).await);
        assert!(!told(&mut refused).await);
    }
}

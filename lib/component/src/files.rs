//! Noticing that files change, whatever way they are replaced: written over, renamed over, or reached
//! through a symbolic link that is swapped.
//!
//! Upstream: `apiserver/pkg/server/dynamiccertificates`, which watches folders and looks every minute.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often files are looked at: one `stat` each.
const INTERVAL: Duration = Duration::from_secs(1);

/// Files, and how they looked when they were last asked about.
#[derive(Debug)]
pub struct Watch {
    files: Vec<(PathBuf, Option<Stamp>)>,
}

/// What differs between two states of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watch {
    /// Files as they are now. Create it before reading them, or a change in between is missed.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let look = |path: PathBuf| {
            let stamp = Stamp::of(&path);
            (path, stamp)
        };
        Self { files: paths.into_iter().map(look).collect() }
    }

    /// Whether there are no files.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether any file looks different than the last time; one that is gone does.
    pub fn take_change(&mut self) -> bool {
        let mut different = false;
        for (path, known) in &mut self.files {
            let now = Stamp::of(path);
            different |= now != *known;
            *known = now;
        }
        different
    }

    /// Waits until a file has changed; for ever if there are none.
    pub async fn changed(&mut self) {
        if self.is_empty() {
            return std::future::pending().await;
        }
        while !self.take_change() {
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

impl Stamp {
    /// Links are followed.
    fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self {
            file: (found.dev(), found.ino()),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_way_of_replacing_a_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
        for version in ["v1", "v2"] {
            std::fs::create_dir(path(version)).unwrap();
            write(&format!("{version}/tls.crt"), version);
        }
        symlink("v1", path("data")).unwrap();
        symlink("data/tls.crt", path("tls.crt")).unwrap();
        write("plain", "a");
        let mut watch = Watch::new([path("tls.crt"), path("plain")]);
        let swap = || {
            symlink("v2", path("next")).unwrap();
            std::fs::rename(path("next"), path("data")).unwrap();
        };
        let rename = || {
            write("new", "b");
            std::fs::rename(path("new"), path("plain")).unwrap();
        };
        let steps: [(&str, &dyn Fn()); 4] = [
            ("swapped", &swap),
            ("renamed over", &rename),
            ("written over", &|| write("plain", "longer")),
            ("removed", &|| std::fs::remove_file(path("plain")).unwrap()),
        ];
        for (how, step) in steps {
            assert!(!watch.take_change(), "before it was {how}");
            step();
            assert!(watch.take_change(), "{how}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_files_there_is_no_change() {
        let waited = tokio::time::timeout(Duration::from_secs(3600), Watch::new([]).changed()).await;
        assert!(waited.is_err());
    }
}

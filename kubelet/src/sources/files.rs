//! Static pods: every manifest in a folder.
//!
//! Upstream: `pkg/kubelet/config/file.go`.

use super::manifest::{self, MAX_MANIFEST};
use super::statics::{Pods, Source, Statics};
use crate::pod::PodExt;
use k8s_openapi::api::core::v1::Pod;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often the folder is looked at for changes.
const LOOK: Duration = Duration::from_secs(1);

/// The folder, and who is told of its pods.
pub struct Files {
    folder: PathBuf,
    node: String,
    statics: Statics,
}

impl Files {
    /// The manifests of `folder` for the node `node`.
    pub fn new(folder: PathBuf, node: String, statics: Statics) -> Self {
        Self { folder, node, statics }
    }

    /// Tells of the folder's pods as they are now; whether one has to wait for its predecessor.
    /// Called once before the first orphan is looked for.
    pub fn look(&self) -> bool {
        self.statics.set(Source::File, self.read())
    }

    /// Follows the folder for ever; give it to the supervisor.
    pub async fn run(self, every: Duration) {
        loop {
            let pause = if self.look() { LOOK } else { every };
            self.changed(pause).await;
        }
    }

    /// Waits until something in the folder changes, at most for `every`.
    async fn changed(&self, every: Duration) {
        let before = stamps(&self.folder);
        let poll = async {
            while stamps(&self.folder) == before {
                tokio::time::sleep(LOOK).await;
            }
        };
        let _ = tokio::time::timeout(every, poll).await;
    }

    fn read(&self) -> Pods {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let files = entries.map(|e| e.path()).filter(|p| is_manifest(p));
        files.filter_map(|path| self.read_one(&path)).map(|pod| (pod.uid().to_owned(), Arc::new(pod))).collect()
    }

    fn read_one(&self, path: &Path) -> Option<Pod> {
        let mut text = String::new();
        let read = std::fs::File::open(path).and_then(|f| f.take(MAX_MANIFEST).read_to_string(&mut text));
        if let Err(e) = read {
            tracing::warn!(path = %path.display(), error = %e, "cannot read a manifest");
            return None;
        }
        manifest::parse(&text, &path.to_string_lossy(), &self.node)
            .inspect_err(|e| tracing::warn!(path = %path.display(), error = %e, "skipping a manifest"))
            .ok()
    }
}

/// When each file of the folder was written.
fn stamps(folder: &Path) -> Vec<(PathBuf, std::time::SystemTime)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<_> = entries.filter_map(|e| Some((e.path(), e.metadata().ok()?.modified().ok()?))).collect();
    all.sort();
    all
}

fn is_manifest(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or(".");
    !name.starts_with('.') && path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_are_no_manifests() {
        let folder = tempfile::tempdir().unwrap();
        for (name, want) in [("a.yaml", true), (".a.yaml.swp", false), ("b", true)] {
            let path = folder.path().join(name);
            std::fs::write(&path, "x").unwrap();
            assert_eq!(is_manifest(&path), want, "{name}");
        }
        assert!(!is_manifest(folder.path()));
        assert_eq!(stamps(folder.path()).len(), 3);
    }
}

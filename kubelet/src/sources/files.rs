//! Static pods: every manifest in a folder.
//!
//! A pod whose manifest changed is another pod. It begins when the one before, which may hold its
//! ports, has ended.
//!
//! Upstream: `pkg/kubelet/config/file.go`.

use super::manifest::{self, MAX_MANIFEST};
use crate::pod::{CONFIG_HASH, PodExt};
use crate::workers::Workers;
use k8s_openapi::api::core::v1::Pod;
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often the folder is looked at for changes.
const LOOK: Duration = Duration::from_secs(1);

/// Pods by UID.
type Pods = HashMap<String, Arc<Pod>>;

/// The folder, and who is told of its pods.
pub struct Files {
    folder: PathBuf,
    node: String,
    workers: Workers,
    /// What the workers were told of.
    told: Pods,
    wanted: watch::Sender<Vec<Arc<Pod>>>,
}

impl Files {
    /// The manifests of `folder` for the node `node`, and the pods that are wanted as they change.
    pub fn new(folder: PathBuf, node: String, workers: Workers) -> (Self, watch::Receiver<Vec<Arc<Pod>>>) {
        let (wanted, receiver) = watch::channel(Vec::new());
        (Self { folder, node, workers, told: Pods::new(), wanted }, receiver)
    }

    /// Tells of the folder's pods as they are now; whether one has to wait for its predecessor.
    /// Called once before the first orphan is looked for.
    pub fn look(&mut self) -> bool {
        let now = self.read();
        let gone: Vec<String> = self.told.keys().filter(|uid| !now.contains_key(*uid)).cloned().collect();
        for uid in gone {
            self.workers.remove(&uid);
            self.told.remove(&uid);
        }
        let mut waiting = false;
        let is_new = |pod: &Pod| self.told.get(pod.uid()).is_none_or(|told| !same(told, pod));
        let new: Vec<_> = now.values().filter(|pod| is_new(pod)).cloned().collect();
        for pod in new {
            let uid = pod.uid().to_owned();
            if self.workers.find(pod.namespace(), pod.name()).is_some_and(|other| other.uid() != uid) {
                waiting = true;
                continue;
            }
            tracing::info!(pod = pod.formatted(), "a static pod");
            self.workers.update(pod.clone());
            self.told.insert(uid, pod);
        }
        self.wanted.send_if_modified(|wanted| {
            let is_there = |pod: &Arc<Pod>| now.get(pod.uid()).is_some_and(|now| same(now, pod));
            let changed = wanted.len() != now.len() || !wanted.iter().all(is_there);
            if changed {
                *wanted = now.into_values().collect();
            }
            changed
        });
        waiting
    }

    /// Follows the folder for ever; give it to the supervisor.
    pub async fn run(mut self, every: Duration) {
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

/// Whether two pods come from one state of a manifest.
fn same(a: &Pod, b: &Pod) -> bool {
    a.annotation(CONFIG_HASH) == b.annotation(CONFIG_HASH)
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

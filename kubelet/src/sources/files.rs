//! Static pods: every manifest in a folder.

use super::manifest::{self, MAX_MANIFEST};
use crate::cluster::Cluster;
use crate::pod::PodExt;
use crate::workers::Workers;
use k8s_openapi::api::core::v1::Pod;
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The folder, and who is told of its pods.
pub struct Files {
    pub folder: PathBuf,
    pub node: String,
    pub workers: Workers,
    pub cluster: Arc<dyn Cluster>,
}

impl Files {
    /// The folder's pods as they are now; called once before the first orphan is looked for.
    pub fn begin(&self) -> HashMap<String, Arc<Pod>> {
        let pods = self.read();
        pods.values().for_each(|pod| self.workers.update(pod.clone()));
        pods
    }

    /// Follows the folder for ever; give it to the supervisor.
    pub async fn run(self, mut known: HashMap<String, Arc<Pod>>, every: Duration) {
        let mut mirrored = Vec::new();
        loop {
            self.mirror(&known, &mut mirrored).await;
            let pause = if mirrored.len() < known.len() { Duration::from_secs(2) } else { every };
            self.changed(pause).await;
            let now = self.read();
            for uid in known.keys().filter(|uid| !now.contains_key(*uid)) {
                self.workers.remove(uid);
            }
            for (uid, pod) in now.iter().filter(|(uid, _)| !known.contains_key(*uid)) {
                tracing::info!(pod = pod.name(), uid, "a static pod");
                self.workers.update(pod.clone());
            }
            self.remove_mirrors(&known, &now).await;
            mirrored.retain(|uid| now.contains_key(uid));
            known = now;
        }
    }

    /// Waits until something in the folder changes, at most for `every`.
    async fn changed(&self, every: Duration) {
        let folder = self.folder.clone();
        let stamp = move |folder: &Path| -> Vec<(PathBuf, std::time::SystemTime)> {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let mut all: Vec<_> =
                entries.filter_map(|e| Some((e.path(), e.metadata().ok()?.modified().ok()?))).collect();
            all.sort();
            all
        };
        let before = stamp(&folder);
        let poll = async {
            while stamp(&folder) == before {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let _ = tokio::time::timeout(every, poll).await;
    }

    fn read(&self) -> HashMap<String, Arc<Pod>> {
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
        manifest::parse(&text, &self.node)
            .inspect_err(|e| tracing::warn!(path = %path.display(), error = %e, "skipping a manifest"))
            .ok()
    }

    async fn mirror(&self, pods: &HashMap<String, Arc<Pod>>, mirrored: &mut Vec<String>) {
        for (uid, pod) in pods {
            if mirrored.contains(uid) {
                continue;
            }
            match self.cluster.create_pod(&manifest::mirror(pod, None)).await {
                Ok(()) => mirrored.push(uid.clone()),
                Err(e) => tracing::debug!(pod = pod.name(), error = %e, "cannot create the mirror pod yet"),
            }
        }
    }

    async fn remove_mirrors(&self, known: &HashMap<String, Arc<Pod>>, now: &HashMap<String, Arc<Pod>>) {
        for (_, pod) in known.iter().filter(|(uid, _)| !now.contains_key(*uid)) {
            if let Err(e) = self.cluster.delete_mirror(pod.namespace(), pod.name()).await {
                tracing::warn!(pod = pod.name(), error = %e, "cannot delete the mirror pod");
            }
        }
    }
}

fn is_manifest(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or(".");
    !name.starts_with('.') && path.is_file()
}

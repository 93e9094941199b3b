//! Remembers what pods were granted that ask for something else, over restarts of the kubelet.

use super::{Resources, with};
use crate::pod::PodExt;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The file's name below `--root-dir`.
const FILE: &str = "allocated_pods_state";

type Neighbours = Box<dyn Fn() -> Vec<Arc<Pod>> + Send + Sync>;

/// What was granted, by UID. Cheap to clone.
#[derive(Clone)]
pub struct Allocations(Arc<Shared>);

struct Shared {
    file: PathBuf,
    pods: Mutex<BTreeMap<String, Resources>>,
    /// The pods that use the node's resources.
    neighbours: OnceLock<Neighbours>,
}

impl Allocations {
    /// What the file below `root` tells. A file that cannot be read is as good as none: every pod
    /// is then granted what it asks for.
    pub fn load(root: &Path) -> Self {
        let file = root.join(FILE);
        let pods = match read(&file) {
            Ok(pods) => pods,
            Err(e) => {
                tracing::warn!(path = %file.display(), error = %e, "cannot read what pods were granted");
                BTreeMap::new()
            }
        };
        Self(Arc::new(Shared { file, pods: Mutex::new(pods), neighbours: OnceLock::new() }))
    }

    /// Says who knows the pods on this node.
    pub fn follow(&self, neighbours: impl Fn() -> Vec<Arc<Pod>> + Send + Sync + 'static) {
        // The first one stays: there is one set of workers.
        let _ = self.0.neighbours.set(Box::new(neighbours));
    }

    /// The other pods on this node, with what they were granted.
    pub fn others(&self, uid: &str) -> Vec<Arc<Pod>> {
        let all = self.0.neighbours.get().map(|neighbours| neighbours()).unwrap_or_default();
        all.iter().filter(|pod| pod.uid() != uid).map(|pod| self.granted(pod)).collect()
    }

    /// What a pod was granted, if it asks for something else.
    pub fn get(&self, uid: &str) -> Option<Resources> {
        self.0.pods.lock().get(uid).cloned()
    }

    /// The pod with what it was granted.
    pub fn granted(&self, pod: &Arc<Pod>) -> Arc<Pod> {
        self.get(pod.uid()).map_or_else(|| pod.clone(), |granted| with(pod, &granted))
    }

    /// Remembers what a pod was granted while it asks for something else.
    pub fn keep(&self, uid: &str, granted: &Resources) {
        let mut pods = self.0.pods.lock();
        if pods.get(uid) != Some(granted) {
            pods.insert(uid.to_owned(), granted.clone());
            self.save(&pods);
        }
    }

    /// A pod has what it asks for, or is gone.
    pub fn forget(&self, uid: &str) {
        let mut pods = self.0.pods.lock();
        if pods.remove(uid).is_some() {
            self.save(&pods);
        }
    }

    fn save(&self, pods: &BTreeMap<String, Resources>) {
        if let Err(e) = write(&self.0.file, pods) {
            tracing::warn!(path = %self.0.file.display(), error = %e, "cannot keep what pods were granted");
        }
    }
}

fn read(file: &Path) -> io::Result<BTreeMap<String, Resources>> {
    match std::fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).map_err(io::Error::other),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(e) => Err(e),
    }
}

/// The file is there as a whole, or as it was.
fn write(file: &Path, pods: &BTreeMap<String, Resources>) -> io::Result<()> {
    let temporary = file.with_extension("new");
    std::fs::write(&temporary, serde_json::to_vec(pods).map_err(io::Error::other)?)?;
    std::fs::rename(temporary, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resize::wanted;
    use crate::resources::requests::tests as fixture;

    #[test]
    fn a_restart_forgets_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let pod = |cpu| Arc::new(fixture::pod(vec![], vec![fixture::container("c", &[("cpu", cpu)], &[])]));
        let (before, after) = (pod("1"), pod("2"));
        Allocations::load(folder.path()).keep(after.uid(), &wanted(&before));
        let again = Allocations::load(folder.path());
        assert_eq!(wanted(&again.granted(&after)), wanted(&before));
        again.forget(after.uid());
        assert!(Allocations::load(folder.path()).get(after.uid()).is_none());
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(Allocations::load(folder.path()).get(after.uid()).is_none());
    }
}

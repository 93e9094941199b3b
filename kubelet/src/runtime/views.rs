//! Images as folders of the node, for a containerd that does not mount images for containers (before 2.1): views of
//! the image's file system, which its own snapshot service gives out and keeps until they are removed.
//!
//! Upstream leaves this to the runtime: pods with image volumes do not start there.

use super::{Runtime, RuntimeError, RuntimeVersion, error::call, images};
use proto::{cri, snapshots};
use serde_json::Value;
use std::collections::HashMap;
use tonic::{Code, Request};

/// Where containerd keeps what it has for the kubelet.
const NAMESPACE: &str = "k8s.io";
/// Names the pod of a view.
const POD: &str = "io.kubernetes.pod.uid";
/// Names the image of a view.
const IMAGE: &str = "io.kubernetes.image-volume";
/// containerd removes what nothing refers to unless it has this.
const KEPT: &str = "containerd.io/gc.root";
/// What containerd takes if nothing else is configured.
const SNAPSHOTTER: &str = "overlayfs";

/// How an image's file system is mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// `overlay`, or `bind` for an image of one layer.
    pub kind: String,
    pub source: String,
    pub options: Vec<String>,
}

impl Runtime {
    /// Whether the runtime takes images as mounts of containers.
    pub async fn mounts_images(&self) -> Result<bool, RuntimeError> {
        Ok(mounts_images(&self.version().await?))
    }

    /// How to mount the image's files for a pod's volume; the runtime keeps them until [`Runtime::release_views`].
    pub async fn view_image(&self, uid: &str, volume: &str, image: &str) -> Result<Layers, RuntimeError> {
        let (snapshotter, parent) = tokio::try_join!(self.snapshotter(), self.top_layer(image))?;
        let key = format!("{uid}/{volume}/{image}");
        let labels = [(POD, uid), (IMAGE, image), (KEPT, "kubelet")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let view = snapshots::ViewSnapshotRequest {
            snapshotter: snapshotter.clone(),
            key: key.clone(),
            parent,
            labels: HashMap::from(labels),
        };
        let mut client = self.snapshots.clone();
        let mounts = match call(self.timeout, "View", client.view(of_kubelet(view))).await {
            Ok(answer) => answer.mounts,
            Err(RuntimeError::Answer { code: Code::AlreadyExists, .. }) => {
                let request = snapshots::MountsRequest { snapshotter, key };
                call(self.timeout, "Mounts", client.mounts(of_kubelet(request))).await?.mounts
            }
            Err(e) => return Err(e),
        };
        layers(image, mounts)
    }

    /// Lets go of what the pod's volumes showed.
    pub async fn release_views(&self, uid: &str) -> Result<(), RuntimeError> {
        let snapshotter = self.snapshotter().await?;
        for view in self.views(&snapshotter, format!("labels.\"{POD}\"==\"{uid}\"")).await? {
            let request = snapshots::RemoveSnapshotRequest { snapshotter: snapshotter.clone(), key: view.name };
            let mut client = self.snapshots.clone();
            let removed = call(self.timeout, "Remove", client.remove(of_kubelet(request))).await;
            removed.map(drop).or_else(super::gone_is_fine)?;
        }
        Ok(())
    }

    /// Ids of the images that are shown.
    pub(super) async fn viewed_images(&self) -> Result<Vec<String>, RuntimeError> {
        if self.mounts_images().await? {
            return Ok(Vec::new());
        }
        let views = self.views(&self.snapshotter().await?, format!("labels.\"{IMAGE}\"")).await?;
        Ok(views.into_iter().filter_map(|mut view| view.labels.remove(IMAGE)).collect())
    }

    async fn views(&self, snapshotter: &str, filter: String) -> Result<Vec<snapshots::Info>, RuntimeError> {
        let request = snapshots::ListSnapshotsRequest { snapshotter: snapshotter.to_owned(), filters: vec![filter] };
        let mut client = self.snapshots.clone();
        let mut pages = call(self.timeout, "List", client.list(of_kubelet(request))).await?;
        let mut out = Vec::new();
        let next = |answer: Result<_, _>| answer.map(tonic::Response::new);
        while let Some(page) = call(self.timeout, "List", async { next(pages.message().await) }).await? {
            out.extend(page.info);
        }
        Ok(out)
    }

    /// The snapshot that has all of the image's files.
    async fn top_layer(&self, image: &str) -> Result<String, RuntimeError> {
        let mut client = self.images.clone();
        let request = cri::ImageStatusRequest { image: Some(images::spec(image)), verbose: true };
        let answer = call(self.timeout, "ImageStatus", client.image_status(request)).await?;
        let info = answer.info.get("info").and_then(|text| serde_json::from_str::<Value>(text).ok());
        let chain = info.as_ref().and_then(|info| info.get("chainID")?.as_str());
        chain.map(str::to_owned).ok_or_else(|| cannot("ImageStatus", format!("no layers of image {image:?} are known")))
    }

    async fn snapshotter(&self) -> Result<String, RuntimeError> {
        let config = self.configuration().await?;
        let name = config.as_ref().and_then(|config| config.pointer("/containerd/snapshotter")?.as_str());
        Ok(name.filter(|name| !name.is_empty()).unwrap_or(SNAPSHOTTER).to_owned())
    }
}

/// containerd does from 2.1 on. Of others those that know image volumes at all mount them.
fn mounts_images(version: &RuntimeVersion) -> bool {
    let mut numbers = version.version.trim_start_matches('v').split(['.', '-', '~', '+']).map(str::parse::<u32>);
    match (version.name.as_str(), numbers.next(), numbers.next()) {
        ("containerd", Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (2, 1),
        _ => true,
    }
}

/// An image's file system is one mount.
fn layers(image: &str, mounts: Vec<snapshots::Mount>) -> Result<Layers, RuntimeError> {
    match <[_; 1]>::try_from(mounts) {
        Ok([mount]) => Ok(Layers { kind: mount.r#type, source: mount.source, options: mount.options }),
        Err(mounts) => Err(cannot("View", format!("image {image:?} is {} mounts instead of one", mounts.len()))),
    }
}

fn cannot(call: &'static str, message: String) -> RuntimeError {
    RuntimeError::Answer { call, code: Code::FailedPrecondition, message }
}

fn of_kubelet<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("containerd-namespace", tonic::metadata::MetadataValue::from_static(NAMESPACE));
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_mounts_images() {
        for (name, version, want) in [
            ("containerd", "1.6.20~ds1", false),
            ("containerd", "v1.7.24", false),
            ("containerd", "2.0.5", false),
            ("containerd", "v2.1.9", true),
            ("containerd", "2.10.0-rc.1", true),
            ("containerd", "unknown", true),
            ("cri-o", "1.31.0", true),
        ] {
            let version = RuntimeVersion { name: name.into(), version: version.into() };
            assert_eq!(mounts_images(&version), want, "{version:?}");
        }
    }
}

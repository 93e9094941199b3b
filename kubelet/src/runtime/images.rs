//! Images at the runtime.

use super::{Runtime, RuntimeError};
use crate::images::access::Source;
use proto::cri;
use std::time::Duration;

/// A pull may move gigabytes over a slow line; it is ended by the pod's deletion, not by time.
const PULL_PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// An image that the runtime has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub id: String,
    pub tags: Vec<String>,
    pub digests: Vec<String>,
    pub size: u64,
    /// Never removed by garbage collection.
    pub pinned: bool,
    /// The numeric user that the image runs as, if it names one.
    pub uid: Option<i64>,
    /// The user that the image runs as, if it is a name.
    pub user: String,
}

/// Credentials for a registry. Not `Debug`: they must not end up in a log.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RegistryAuth {
    pub username: String,
    pub password: String,
    pub identity_token: String,
    pub registry_token: String,
    /// The registry, or a part of it, that they are for. The runtime is not told: it has been asked for one image.
    pub server: String,
    /// Whose they are.
    pub source: Source,
}

impl Runtime {
    /// The image of this name, if the runtime has it.
    pub async fn image(&self, name: &str) -> Result<Option<Image>, RuntimeError> {
        let mut client = self.images.clone();
        let request = cri::ImageStatusRequest { image: Some(spec(name)), verbose: false };
        Ok(self.call(self.timeout, "ImageStatus", client.image_status(request)).await?.image.map(image))
    }

    /// All images.
    pub async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        let mut client = self.images.clone();
        let answer =
            self.call(self.timeout, "ListImages", client.list_images(cri::ListImagesRequest { filter: None })).await?;
        Ok(answer.images.into_iter().map(image).collect())
    }

    /// Fetches an image; the runtime's reference to it.
    pub async fn pull(
        &self,
        name: &str,
        auth: Option<&RegistryAuth>,
        sandbox: &cri::PodSandboxConfig,
    ) -> Result<String, RuntimeError> {
        let mut client = self.images.clone();
        let auth = auth.map(|a| cri::AuthConfig {
            username: a.username.clone(),
            password: a.password.clone(),
            identity_token: a.identity_token.clone(),
            registry_token: a.registry_token.clone(),
            ..cri::AuthConfig::default()
        });
        let request = cri::PullImageRequest { image: Some(spec(name)), auth, sandbox_config: Some(sandbox.clone()) };
        Ok(self.call(PULL_PATIENCE, "PullImage", client.pull_image(request)).await?.image_ref)
    }

    /// Removes an image that no container uses.
    pub async fn remove_image(&self, name: &str) -> Result<(), RuntimeError> {
        let mut client = self.images.clone();
        let request = cri::RemoveImageRequest { image: Some(spec(name)) };
        self.call(self.timeout, "RemoveImage", client.remove_image(request)).await.map(drop)
    }

    /// The folder that holds the images, and the bytes in it.
    pub async fn image_filesystem(&self) -> Result<Option<(String, u64)>, RuntimeError> {
        let mut client = self.images.clone();
        let answer = self.call(self.timeout, "ImageFsInfo", client.image_fs_info(cri::ImageFsInfoRequest {})).await?;
        Ok(answer
            .image_filesystems
            .into_iter()
            .next()
            .map(|f| (f.fs_id.unwrap_or_default().mountpoint, f.used_bytes.unwrap_or_default().value)))
    }
}

/// The runtime's handle of an image name.
pub fn spec(name: &str) -> cri::ImageSpec {
    cri::ImageSpec { image: name.to_owned(), user_specified_image: name.to_owned(), ..Default::default() }
}

fn image(i: cri::Image) -> Image {
    Image {
        id: i.id,
        tags: i.repo_tags,
        digests: i.repo_digests,
        size: i.size,
        pinned: i.pinned,
        uid: i.uid.map(|u| u.value),
        user: i.username,
    }
}

impl Runtime {
    /// Ids and names of the images that containers and sandboxes were made from, and of those that containers mount.
    pub async fn images_in_use(&self) -> Result<std::collections::HashSet<String>, RuntimeError> {
        let mut client = self.runtime.clone();
        let all = self.call(
            self.timeout,
            "ListContainers",
            client.list_containers(cri::ListContainersRequest { filter: None }),
        );
        let containers = all.await?.containers;
        let mut mounted = Vec::new();
        for container in &containers {
            mounted.extend(self.mounted_images(&container.id).await?);
        }
        let names = containers
            .into_iter()
            .flat_map(|c| [c.image_ref, c.image_id, c.image.map(|i| i.image).unwrap_or_default()])
            .chain(mounted);
        let others = self.viewed_images().await?.into_iter().chain(self.sandbox_image().await?);
        Ok(names.chain(others).filter(|n| !n.is_empty()).collect())
    }

    /// Ids of the images that a container shows as volumes; none if it is gone.
    async fn mounted_images(&self, id: &str) -> Result<Vec<String>, RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
        match self.call(self.timeout, "ContainerStatus", client.container_status(request)).await {
            Ok(answer) => {
                let mounts = answer.status.unwrap_or_default().mounts;
                Ok(mounts.into_iter().filter_map(|m| Some(m.image?.image)).collect())
            }
            Err(e) if e.is_not_found() => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    /// The image that sandboxes are made from, if the runtime tells it. An older containerd does not
    /// mark it as pinned.
    async fn sandbox_image(&self) -> Result<Option<String>, RuntimeError> {
        Ok(self.configuration().await?.and_then(|c| c.get("sandboxImage")?.as_str().map(str::to_owned)))
    }

    /// What the runtime says of its configuration.
    pub(super) async fn configuration(&self) -> Result<Option<serde_json::Value>, RuntimeError> {
        let mut client = self.runtime.clone();
        let answer = self.call(self.timeout, "Status", client.status(cri::StatusRequest { verbose: true })).await?;
        Ok(answer.info.get("config").and_then(|text| serde_json::from_str(text).ok()))
    }
}

//! Images whose files a folder of the node shows, where the runtime does not mount them itself.

use super::{VolumeError, Volumes, mounts};
use crate::runtime::views::Layers;
use std::path::PathBuf;

impl Volumes {
    /// The folder with the image's files. Each image has its own: a container that is started again may see another
    /// one than its neighbour, as it does where the runtime mounts it.
    pub async fn show_image(
        &self,
        uid: &str,
        volume: &str,
        image: &str,
        layers: Layers,
    ) -> Result<PathBuf, VolumeError> {
        let dir = self.image_dir(uid).join(volume).join(image.replace(['/', ':'], "-"));
        mounts::blocking(move || mounts::image(&layers, &dir).map(|()| dir)).await
    }

    /// Whether the runtime keeps images for the pod's volumes.
    pub fn shows_images(&self, uid: &str) -> bool {
        self.image_dir(uid).exists()
    }

    fn image_dir(&self, uid: &str) -> PathBuf {
        self.pod_dir(uid).join("image-volumes")
    }
}

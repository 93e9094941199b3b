//! What is mounted into a container.

use crate::env::expand::expand;
use crate::pod::PodExt;
use crate::runtime::config::{Mount, MountedImage, Propagation};
use crate::volumes::{Mounted, VolumeError, mounts, subpath};
use k8s_openapi::api::core::v1::{Container, Pod, Volume, VolumeMount};
use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

/// The images that a container's volumes show, by volume name.
pub type ImageVolumes = BTreeMap<String, ImageVolume>;

/// An image as a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageVolume {
    /// The runtime mounts it.
    Runtime(MountedImage),
    /// Its files are in this folder of the node.
    Folder(PathBuf),
}

/// The container's volume mounts. `env` is for `subPathExpr`.
pub async fn of_volumes(
    pod: &Pod,
    container: &Container,
    mounted: &Mounted,
    images: &ImageVolumes,
    pod_dir: &Path,
    env: &[(String, String)],
) -> Result<Vec<Mount>, VolumeError> {
    let mut out = Vec::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let sub = sub_path(mount, env)?;
        let (volume, writable) = match (images.get(&mount.name), mounted.get(&mount.name)) {
            (Some(ImageVolume::Runtime(image)), _) => {
                out.push(of_image(mount, image, sub)?);
                continue;
            }
            (Some(ImageVolume::Folder(folder)), _) => (folder, false),
            (None, Some(volume)) => (volume, !is_read_only(pod, &mount.name)),
            (None, None) => return Err(VolumeError::Unsupported(mount.name.clone())),
        };
        let host_path = match sub {
            None => volume.clone(),
            Some(sub) => {
                let target =
                    pod_dir.join("volume-subpaths").join(&mount.name).join(&container.name).join(index.to_string());
                bind(volume.clone(), sub, target).await?
            }
        };
        out.push(Mount {
            container_path: absolute(&mount.mount_path),
            host_path: host_path.to_string_lossy().into_owned(),
            read_only: !writable || mount.read_only == Some(true),
            propagation: propagation(mount),
            image: None,
        });
    }
    Ok(out)
}

/// The container's devices that are volumes: on the node, in the container, and what may be done with them.
///
/// Upstream: `makeBlockVolumes` of `pkg/kubelet/kubelet_pods.go`.
pub fn devices(
    pod: &Pod,
    container: &Container,
    mounted: &Mounted,
) -> Result<Vec<(String, String, String)>, VolumeError> {
    let all = container.volume_devices.iter().flatten().map(|device| {
        let link = mounted.get(&device.name).ok_or_else(|| VolumeError::Unsupported(device.name.clone()))?;
        let volume = PodExt::spec(pod).volumes.iter().flatten().find(|v| v.name == device.name);
        let claim = volume.and_then(|v| v.persistent_volume_claim.as_ref());
        let may = if claim.is_some_and(|c| c.read_only == Some(true)) { "r" } else { "mrw" };
        Ok((link.to_string_lossy().into_owned(), device.device_path.clone(), may.to_owned()))
    });
    all.collect()
}

/// Whether all that is mounted there is only read: the pod says so of the volume.
fn is_read_only(pod: &Pod, volume: &str) -> bool {
    let volume = PodExt::spec(pod).volumes.iter().flatten().find(|v| v.name == volume);
    let says = |v: &Volume| match (&v.persistent_volume_claim, &v.csi) {
        (Some(claim), _) => claim.read_only == Some(true),
        (None, Some(csi)) => csi.read_only == Some(true),
        (None, None) => false,
    };
    volume.is_some_and(says)
}

/// The runtime looks the path up in the image; one that leads out of it is not given to it.
fn of_image(mount: &VolumeMount, image: &MountedImage, sub: Option<String>) -> Result<Mount, VolumeError> {
    let sub_path = sub.unwrap_or_default();
    if !Path::new(&sub_path).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
        return Err(VolumeError::BadPath(sub_path));
    }
    Ok(Mount {
        container_path: absolute(&mount.mount_path),
        host_path: String::new(),
        read_only: true,
        propagation: propagation(mount),
        image: Some(MountedImage { sub_path, ..image.clone() }),
    })
}

/// Whether the container mounts something of its own there.
pub fn is_mounted(container: &Container, path: &str) -> bool {
    container.volume_mounts.iter().flatten().any(|m| m.mount_path.trim_end_matches('/') == path)
}

async fn bind(volume: PathBuf, sub: String, target: PathBuf) -> Result<PathBuf, VolumeError> {
    mounts::blocking(move || subpath::bind(&volume, &sub, &target)).await
}

fn sub_path(mount: &VolumeMount, env: &[(String, String)]) -> Result<Option<String>, VolumeError> {
    if let Some(expression) = mount.sub_path_expr.as_deref().filter(|s| !s.is_empty()) {
        let map: HashMap<&str, &str> = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let path = expand(expression, |name| map.get(name).map(|v| (*v).to_owned()));
        let bad = path.contains("$(") || path.starts_with('/') || path.contains('`');
        return if bad { Err(VolumeError::BadPath(path)) } else { Ok(Some(path)) };
    }
    Ok(mount.sub_path.clone().filter(|s| !s.is_empty()))
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn propagation(mount: &VolumeMount) -> Propagation {
    match mount.mount_propagation.as_deref() {
        Some("HostToContainer") => Propagation::FromHost,
        Some("Bidirectional") => Propagation::Both,
        _ => Propagation::Private,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn images_are_left_to_the_runtime_and_never_writable() {
        let image = MountedImage { id: "sha256:1".into(), reference: "data:1".into(), sub_path: String::new() };
        let images = ImageVolumes::from([("v".to_owned(), ImageVolume::Runtime(image.clone()))]);
        let env = [("DIR".to_owned(), "models".to_owned())];
        for (sub, expression, want) in [
            (None, None, Some("")),
            (Some("a/b"), None, Some("a/b")),
            (None, Some("$(DIR)/x"), Some("models/x")),
            (Some("../x"), None, None),
            (Some("/x"), None, None),
        ] {
            let mount = VolumeMount {
                name: "v".into(),
                mount_path: "data".into(),
                sub_path: sub.map(str::to_owned),
                sub_path_expr: expression.map(str::to_owned),
                ..VolumeMount::default()
            };
            let container = Container { volume_mounts: Some(vec![mount]), ..Container::default() };
            let got =
                of_volumes(&Pod::default(), &container, &Mounted::new(), &images, Path::new("/none"), &env).await.ok();
            let want = want.map(|sub_path| Mount {
                container_path: "/data".into(),
                read_only: true,
                image: Some(MountedImage { sub_path: sub_path.into(), ..image.clone() }),
                ..Mount::default()
            });
            assert_eq!(got, want.map(|m| vec![m]), "{sub:?} {expression:?}");
        }
    }

    #[tokio::test]
    async fn images_in_folders_are_never_writable() {
        let images = ImageVolumes::from([("v".to_owned(), ImageVolume::Folder("/views/v".into()))]);
        let mount = VolumeMount { name: "v".into(), mount_path: "/data".into(), ..VolumeMount::default() };
        let container = Container { volume_mounts: Some(vec![mount]), ..Container::default() };
        let (pod, nothing) = (Pod::default(), Mounted::new());
        let got = of_volumes(&pod, &container, &nothing, &images, Path::new("/none"), &[]).await.ok();
        let want =
            Mount { container_path: "/data".into(), host_path: "/views/v".into(), read_only: true, ..Mount::default() };
        assert_eq!(got, Some(vec![want]));
    }

    #[test]
    fn sub_path_expressions() {
        let env = [("POD".to_owned(), "p1".to_owned()), ("ABS".to_owned(), "/etc".to_owned())];
        for (expression, want) in [("logs/$(POD)", Some("logs/p1")), ("$(NONE)", None), ("$(ABS)", None)] {
            let mount = VolumeMount { sub_path_expr: Some(expression.into()), ..VolumeMount::default() };
            assert_eq!(sub_path(&mount, &env).ok().flatten().as_deref(), want, "{expression}");
        }
    }
}

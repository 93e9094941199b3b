//! What is mounted into a container.

use crate::env::expand::expand;
use crate::runtime::config::{Mount, Propagation};
use crate::volumes::{Mounted, VolumeError, mounts, subpath};
use k8s_openapi::api::core::v1::{Container, VolumeMount};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The container's volume mounts. `env` is for `subPathExpr`.
pub async fn of_volumes(
    container: &Container,
    mounted: &Mounted,
    pod_dir: &Path,
    env: &[(String, String)],
) -> Result<Vec<Mount>, VolumeError> {
    let mut out = Vec::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let Some(volume) = mounted.get(&mount.name) else {
            return Err(VolumeError::Unsupported(mount.name.clone()));
        };
        let sub = sub_path(mount, env)?;
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
            read_only: mount.read_only == Some(true),
            propagation: propagation(mount),
        });
    }
    Ok(out)
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

    #[test]
    fn sub_path_expressions() {
        let env = [("POD".to_owned(), "p1".to_owned()), ("ABS".to_owned(), "/etc".to_owned())];
        for (expression, want) in [("logs/$(POD)", Some("logs/p1")), ("$(NONE)", None), ("$(ABS)", None)] {
            let mount = VolumeMount { sub_path_expr: Some(expression.into()), ..VolumeMount::default() };
            assert_eq!(sub_path(&mount, &env).ok().flatten().as_deref(), want, "{expression}");
        }
    }
}

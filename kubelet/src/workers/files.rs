//! Files of a pod outside of its volumes: /etc/hosts, termination messages, logs and their links.

use super::deps::Settings;
use crate::network::{self, hosts};
use crate::pod::PodExt;
use k8s_openapi::api::core::v1::{Container, Pod};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The pod's log folder.
pub fn log_dir(settings: &Settings, pod: &Pod) -> PathBuf {
    PathBuf::from(crate::runtime::config::log_directory(&settings.logs.to_string_lossy(), pod))
}

/// Makes the folders that a pod needs before its sandbox.
pub fn prepare(settings: &Settings, pod_dir: &Path, pod: &Pod) -> io::Result<()> {
    std::fs::create_dir_all(pod_dir)?;
    std::fs::set_permissions(pod_dir, std::fs::Permissions::from_mode(0o750))?;
    std::fs::create_dir_all(log_dir(settings, pod))
}

/// How often a container was started before, as its logs tell; for containers that the runtime
/// no longer remembers.
pub fn restarts_by_logs(settings: &Settings, pod: &Pod, container: &str) -> u32 {
    let dir = log_dir(settings, pod).join(container);
    let names = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let numbers = names.filter_map(|e| e.file_name().to_str()?.split('.').next()?.parse::<u32>().ok());
    numbers.max().map_or(0, |n| n.saturating_add(1))
}

/// Writes the pod's /etc/hosts and says where it is.
pub fn write_hosts(pod_dir: &Path, pod: &Pod, ips: &[String], cluster_domain: &str) -> io::Result<PathBuf> {
    let aliases = PodExt::spec(pod).host_aliases.clone().unwrap_or_default();
    let (hostname, domain) = network::hostname_and_domain(pod, cluster_domain);
    let text = if pod.is_host_network() {
        hosts::host_network(&std::fs::read_to_string("/etc/hosts").unwrap_or_default(), &aliases)
    } else {
        hosts::managed(ips, &hostname, &domain, &aliases)
    };
    let path = pod_dir.join("etc-hosts");
    std::fs::write(&path, text)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))?;
    Ok(path)
}

/// An empty file, writable by any user, for the container's termination message.
pub fn message_file(pod_dir: &Path, container: &str) -> io::Result<PathBuf> {
    let dir = pod_dir.join("containers").join(container);
    std::fs::create_dir_all(&dir)?;
    let path = dir.join(format!("{:08x}", rand::random::<u32>()));
    std::fs::File::create_new(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
    Ok(path)
}

/// Links the container's log by name, for log collectors.
pub fn link_log(settings: &Settings, pod: &Pod, container: &Container, id: &str, restart: u32) {
    let target = log_dir(settings, pod).join(&container.name).join(format!("{restart}.log"));
    let name = format!("{}_{}_{}-{id}.log", pod.name(), pod.namespace(), container.name);
    let linked = std::fs::create_dir_all(&settings.log_links)
        .and_then(|()| std::os::unix::fs::symlink(&target, settings.log_links.join(name)));
    if let Err(e) = linked {
        tracing::debug!(container = container.name, error = %e, "cannot link the log");
    }
}

/// Removes a pod's logs and the links to them.
pub fn remove_logs(settings: &Settings, pod: &Pod) {
    let dir = log_dir(settings, pod);
    if let Err(e) = std::fs::remove_dir_all(&dir)
        && e.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(dir = %dir.display(), error = %e, "cannot remove the pod's logs");
    }
    remove_dead_links(settings);
}

/// Removes links whose log is gone.
pub fn remove_dead_links(settings: &Settings) {
    for entry in std::fs::read_dir(&settings.log_links).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_symlink() && !path.exists() {
            let _ = std::fs::remove_file(path);
        }
    }
}

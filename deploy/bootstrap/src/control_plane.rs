//! The control plane as static pods: the kubelet runs it, from manifests in a folder of the node.
//!
//! The arguments are those of the processes, so that the two ways differ in nothing else.

use crate::images::Image;
use crate::layout::{Cluster, Node, Place};
use crate::plan::{self, Process};
use anyhow::Context;
use std::path::{Path, PathBuf};

/// The manifests, by the name of their process.
const MANIFESTS: &[(&str, &str)] = &[
    ("etcd", include_str!("../../manifests/static/etcd.yaml")),
    ("kube-apiserver", include_str!("../../manifests/static/kube-apiserver.yaml")),
    ("kube-controller-manager", include_str!("../../manifests/static/kube-controller-manager.yaml")),
    ("kube-scheduler", include_str!("../../manifests/static/kube-scheduler.yaml")),
];

/// How the control plane runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlPlane {
    /// As processes beside the node's.
    Processes,
    /// As static pods of this machine, which is the node.
    StaticPods,
}

/// Writes the manifests of the node that is this machine, or takes them away: pods that are not wanted end.
pub fn write(cluster: &Cluster, binaries: &Path, control_plane: ControlPlane) -> anyhow::Result<()> {
    let Some(node) = cluster.nodes.iter().find(|node| node.place == Place::Machine) else { return Ok(()) };
    let masters = cluster.masters.iter();
    let processes: Vec<Process> = masters.flat_map(|master| plan::of_master(cluster, master, binaries)).collect();
    for (name, template) in MANIFESTS {
        let path = path(node, name);
        match control_plane {
            ControlPlane::StaticPods => {
                let process = processes.iter().find(|p| p.name == *name).with_context(|| format!("process {name}"))?;
                put(&path, &render(template, process, node)?)?;
            }
            ControlPlane::Processes if path.exists() => {
                std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
            }
            ControlPlane::Processes => {}
        }
    }
    Ok(())
}

fn path(node: &Node, name: &str) -> PathBuf {
    node.layout.config("manifests").join(format!("{name}.yaml"))
}

/// The kubelet may read at any time: a manifest is there as a whole or not at all.
fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}"));
    std::fs::write(&temporary, text).with_context(|| format!("writing {}", temporary.display()))?;
    std::fs::rename(&temporary, path).with_context(|| format!("writing {}", path.display()))
}

fn render(template: &str, process: &Process, node: &Node) -> anyhow::Result<String> {
    let program = format!("/usr/bin/{}", process.name);
    let words: Vec<&str> =
        std::iter::once(program.as_str()).chain(process.arguments.iter().map(String::as_str)).collect();
    // A JSON list without its brackets is the inside of a YAML one.
    let command = serde_json::to_string(&words)?;
    let command = command.trim_matches(['[', ']']);
    Ok(template
        .replace("${COMMAND}", command)
        .replace("${IMAGE}", Image::of_program(&process.name, process.program.clone()).name())
        .replace("${STATE}", &node.layout.root().display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    #[test]
    fn manifests_are_written_and_taken_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let cluster = Cluster::new(Layout::new(folder.path().to_owned()), None, None);
        let (layout, node) = (&cluster.layout, &cluster.nodes[0]);
        std::fs::create_dir_all(layout.config("manifests")).expect("a folder");
        write(&cluster, Path::new("/bin"), ControlPlane::StaticPods).expect("written");
        for (name, _) in MANIFESTS {
            let text = std::fs::read_to_string(path(node, name)).expect("a manifest");
            assert!(!text.contains("${"), "{text}");
            assert!(text.contains(&format!("command: [\"/usr/bin/{name}\",\"--")), "{text}");
        }
        write(&cluster, Path::new("/bin"), ControlPlane::Processes).expect("removed");
        assert_eq!(std::fs::read_dir(layout.config("manifests")).expect("a folder").count(), 0);
    }
}

//! Images that the cluster itself needs, made on this machine and put into a node's containerd.

use crate::command;
use crate::layout::{Node, PAUSE_IMAGE};
use crate::plan;
use std::path::{Path, PathBuf};

/// An image and the script of `deploy/images` that makes it: `SCRIPT [INPUT] NAME OUT`.
#[derive(Clone, Debug)]
pub struct Image {
    name: String,
    script: &'static str,
    input: Option<PathBuf>,
}

impl Image {
    /// What holds a pod's namespaces.
    pub fn pause() -> Self {
        Self { name: PAUSE_IMAGE.into(), script: "pause", input: None }
    }

    /// One program: another one has another image.
    pub fn of_program(name: &str, program: PathBuf) -> Self {
        let name = format!("localhost/{name}:{:016x}", plan::program_digest(&program));
        Self { name, script: "component", input: Some(program) }
    }

    /// The pod network's daemon and plugin: another one of either has another image.
    pub fn of_flannel(binaries: &Path) -> Self {
        let daemon = binaries.join("flanneld");
        let digests = (plan::program_digest(&daemon), plan::program_digest(&binaries.join("flannel")));
        let name = format!("localhost/flannel:{:016x}{:016x}", digests.0, digests.1);
        Self { name, script: "flannel", input: Some(daemon) }
    }

    /// What manifests call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts the image into the containerd of each node that has it not. It is made once, as a file in
    /// `folder`.
    pub fn ensure(&self, nodes: &[Node], deploy: &Path, folder: &Path) -> anyhow::Result<()> {
        let mut missing = Vec::new();
        for node in nodes {
            let names = ctr(&node.layout.containerd_socket(), &["images", "list", "--quiet"])?;
            if !names.lines().any(|line| line == self.name) {
                missing.push(node);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let archive = folder.join("image.tar");
        let archive_text = archive.display().to_string();
        let input = self.input.as_ref().map(|path| path.display().to_string());
        let arguments: Vec<&str> = input.as_deref().into_iter().chain([self.name.as_str(), &archive_text]).collect();
        command::run(deploy.join("images").join(self.script), &arguments)?;
        for node in missing {
            ctr(&node.layout.containerd_socket(), &["images", "import", &archive_text])?;
        }
        std::fs::remove_file(archive).ok();
        Ok(())
    }
}

/// Whether a node's containerd answers.
pub fn runtime_answers(node: &Node) -> bool {
    ctr(&node.layout.containerd_socket(), &["version"]).is_ok()
}

fn ctr(socket: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let socket = socket.display().to_string();
    let mut all = vec!["--address", socket.as_str(), "--namespace", "k8s.io"];
    all.extend(arguments);
    command::run("ctr", &all)
}

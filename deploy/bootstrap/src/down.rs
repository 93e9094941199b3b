//! Ends the cluster: the processes, the containers they left, and with `--purge` every trace.

use crate::layout::Layout;
use crate::progress::step;
use crate::{command, host, network, processes, supervise};
use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long processes may take to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Stops everything; `purge` also removes state, mounts, rules, bridges and cgroups.
pub fn run(layout: &Layout, purge: bool) -> anyhow::Result<()> {
    step("processes", || stop_supervisor(layout))?;
    step("containers", || stop_containers(layout))?;
    if purge {
        step("mounts", || unmount(layout))?;
        step("rules and bridges", || {
            rules(layout);
            network::remove(&hosts(layout));
            Ok(())
        })?;
        step("cgroups", || {
            cgroups();
            Ok(())
        })?;
        step("state", || match fs::remove_dir_all(layout.root()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context("removing the state folder")
            }
            _ => Ok(()),
        })?;
    }
    Ok(())
}

/// The supervisor ends its processes; without one they are ended here.
pub(crate) fn stop_supervisor(layout: &Layout) -> anyhow::Result<()> {
    if let Some(pid) = supervise::running(layout) {
        kill_process(pid, Signal::TERM)?;
    }
    wait("the supervisor", || supervise::running(layout).is_none())?;
    for pid in supervise::processes(layout).into_values() {
        kill_process_group(pid, Signal::TERM).ok();
    }
    wait("the processes", || supervise::processes(layout).is_empty())
}

/// The hosts that this cluster ever had.
fn hosts(layout: &Layout) -> Vec<String> {
    let folders = ["masters", "nodes"].into_iter().filter_map(|kind| fs::read_dir(layout.data(kind)).ok());
    let entries = folders.flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Containers outlive containerd in their shims, which name its socket on their command line.
fn stop_containers(layout: &Layout) -> anyhow::Result<()> {
    let socket = layout.containerd_socket();
    let shims = || shims_of(&socket);
    for shim in shims() {
        for child in processes::descendants(shim) {
            kill_process(child, Signal::KILL).ok();
        }
        kill_process(shim, Signal::KILL).ok();
    }
    wait("the containers", || shims().is_empty())
}

fn shims_of(socket: &Path) -> Vec<Pid> {
    let wanted = socket.as_os_str().as_encoded_bytes();
    let is_shim = |pid: &Pid| {
        let words = processes::command_line(*pid);
        words.first().is_some_and(|w| w.ends_with(b"containerd-shim-runc-v2")) && words.iter().any(|w| w == wanted)
    };
    processes::all().into_iter().filter(is_shim).collect()
}

fn wait(what: &str, done: impl Fn() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !done() {
        anyhow::ensure!(started.elapsed() < PATIENCE, "{what} did not end within {PATIENCE:?}");
        // One thread and nothing to notify it: /proc tells no one when a process ends.
        #[expect(clippy::disallowed_methods, reason = "no runtime here that could be blocked")]
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Unmounts everything below the state folder, the youngest first: a mount may lie on another or cover the ones below it.
fn unmount(layout: &Layout) -> anyhow::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("reading the mounts")?;
    for mount in below(&mounts, layout.root()) {
        rustix::mount::unmount(&mount, rustix::mount::UnmountFlags::DETACH)
            .with_context(|| format!("unmounting {}", mount.display()))?;
    }
    Ok(())
}

fn below(mounts: &str, root: &Path) -> Vec<PathBuf> {
    let points = mounts.lines().filter_map(|l| l.split(' ').nth(1));
    let mut found: Vec<PathBuf> =
        points.map(|p| PathBuf::from(p.replace("\\040", " "))).filter(|p| p.starts_with(root)).collect();
    found.reverse();
    found
}

/// Removes the chains of this machine's proxy.
fn rules(layout: &Layout) {
    let plan = fs::read_to_string(layout.run("plan.json")).unwrap_or_default();
    let processes: Vec<crate::plan::Process> = serde_json::from_str(&plan).unwrap_or_default();
    if let Some(proxy) = processes.iter().find(|p| p.name == "kube-proxy") {
        command::quietly(&proxy.program, &["--cleanup"]);
    }
}

/// Removes the pods' cgroups and the node hosts' from every hierarchy.
fn cgroups() {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|e| e.path());
    for root in hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]) {
        host::remove_cgroup(&root.join("kubepods"));
    }
    host::remove_cgroups();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_youngest_mounts_go_first() {
        let mounts = "a /state/x tmpfs\nb / ext4\nc /state/x/y overlay\nd /statement tmpfs\ne /state/with\\040space tmpfs\nf /state/x ext4\n";
        let found = below(mounts, Path::new("/state"));
        assert_eq!(found, ["/state/x", "/state/with space", "/state/x/y", "/state/x"].map(PathBuf::from));
    }
}

//! Ends the cluster: the processes, the containers they left, and with `--purge` every trace.

use crate::layout::{BRIDGE, Layout};
use crate::progress::step;
use crate::supervise;
use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long processes may take to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Stops everything; `purge` also removes state, mounts, rules, bridges and cgroups.
pub fn run(layout: &Layout, purge: bool) -> anyhow::Result<()> {
    step("processes", || stop_supervisor(layout))?;
    step("containers", || stop_containers(layout))?;
    if purge {
        step("mounts", || unmount(layout))?;
        step("rules and bridges", || network(layout))?;
        step("cgroups", cgroups)?;
        step("state", || match fs::remove_dir_all(layout.root()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context("removing the state folder")
            }
            _ => Ok(()),
        })?;
    }
    Ok(())
}

fn stop_supervisor(layout: &Layout) -> anyhow::Result<()> {
    if let Some(pid) = supervise::running(layout) {
        kill_process(pid, Signal::TERM)?;
    }
    wait("the supervisor", || supervise::running(layout).is_none())
}

/// Containers outlive containerd in their shims, which name its socket on their command line.
fn stop_containers(layout: &Layout) -> anyhow::Result<()> {
    let socket = layout.containerd_socket();
    let shims = || processes_naming(&socket);
    for shim in shims() {
        for child in descendants(shim) {
            kill_process(child, Signal::KILL).ok();
        }
        kill_process(shim, Signal::KILL).ok();
    }
    wait("the containers", || shims().is_empty())
}

fn processes_naming(path: &Path) -> Vec<Pid> {
    let wanted = path.as_os_str().as_encoded_bytes();
    let is_shim = |pid: &Pid| {
        let command = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        let words: Vec<&[u8]> = command.split(|b| *b == 0).collect();
        words.first().is_some_and(|w| w.ends_with(b"containerd-shim-runc-v2")) && words.contains(&wanted)
    };
    all_processes().into_iter().filter(is_shim).collect()
}

fn all_processes() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).filter_map(Pid::from_raw).collect()
}

fn descendants(parent: Pid) -> Vec<Pid> {
    let parent_of = |pid: &Pid| -> Option<i32> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let all: Vec<(Pid, i32)> = all_processes().into_iter().filter_map(|p| Some((p, parent_of(&p)?))).collect();
    let mut found = vec![parent];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(all.iter().filter(|(_, p)| *p == pid.as_raw_nonzero().get()).map(|(child, _)| *child));
        next += 1;
    }
    found.split_off(1)
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

/// Unmounts everything below the state folder, deepest first.
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
    found.sort();
    found.reverse();
    found
}

/// Removes the chains of the proxy, the pods' bridge and ours, and the pods' network namespaces.
fn network(layout: &Layout) -> anyhow::Result<()> {
    let plan = fs::read_to_string(layout.run("plan.json")).unwrap_or_default();
    let processes: Vec<crate::plan::Process> = serde_json::from_str(&plan).unwrap_or_default();
    if let Some(proxy) = processes.iter().find(|p| p.name == "kube-proxy") {
        quietly(Command::new(&proxy.program).arg("--cleanup"));
    }
    for bridge in ["cni0", BRIDGE] {
        quietly(Command::new("ip").args(["link", "delete", bridge]));
    }
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("cni-") {
            quietly(Command::new("ip").args(["netns", "delete"]).arg(name));
        }
    }
    Ok(())
}

fn quietly(command: &mut Command) {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
}

/// Removes the pods' cgroups from every hierarchy.
fn cgroups() -> anyhow::Result<()> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|e| e.path());
    for root in hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]) {
        remove_cgroup(&root.join("kubepods"));
    }
    Ok(())
}

fn remove_cgroup(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    fs::remove_dir(group).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_go_deepest_first() {
        let mounts =
            "a /state/x tmpfs\nb / ext4\nc /state/x/y overlay\nd /statement tmpfs\ne /state/with\\040space tmpfs\n";
        let found = below(mounts, Path::new("/state"));
        assert_eq!(found, [PathBuf::from("/state/x/y"), "/state/x".into(), "/state/with space".into()]);
    }

    #[test]
    fn finds_its_own_parent() {
        let parent = rustix::process::getppid().expect("a parent");
        assert!(descendants(parent).contains(&rustix::process::getpid()));
    }
}

//! A node host: namespaces that behave like a machine of their own.
//!
//! `enter` puts itself into the host's cgroups and becomes the program that makes the namespaces;
//! inside, `init` is process 1: it makes the mounts, runs the supervisor of the node's daemons, and
//! reaps what is left behind. When it dies, everything in the host dies, which is a crash of the
//! machine; started again on the same folders, that is a reboot.

use crate::layout::Layout;
use crate::network::namespace;
use crate::processes;
use anyhow::{Context, bail};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use std::ffi::CString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// Where the kernel's cgroup hierarchies are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";
/// The hierarchies of cgroup v1 that a node uses.
const HIERARCHIES: &[&str] = &["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd"];
/// The cgroup that holds those of all node hosts.
const SUBTREE: &str = "kube-nodes";
/// Folders of the system that a host has of its own: below its state, and where they appear.
const OWN_FOLDERS: &[(&str, &str)] = &[
    ("system/log", "/var/log"),
    ("system/cni", "/var/lib/cni"),
    (CNI_CONFIGURATION, "/etc/cni/net.d"),
    (CNI_PLUGINS, "/opt/cni/bin"),
];
/// What a pod of the host installs as its network: configuration and plugins, below its state.
const CNI_CONFIGURATION: &str = "system/cni-conf";
/// See [`CNI_CONFIGURATION`].
pub const CNI_PLUGINS: &str = "system/cni-bin";

/// Becomes the program that makes the host's namespaces; returns only with an error.
pub fn enter(layout: &Layout, node: &str) -> anyhow::Result<()> {
    join_cgroups(node)?;
    let error = Command::new("nsenter")
        .arg(format!("--net=/run/netns/{}", namespace(node)))
        .args(["unshare", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"])
        .args(["--propagation", "private"])
        .arg(std::env::current_exe()?)
        .arg("init")
        .arg(format!("--dir={}", layout.root().display()))
        .arg(format!("--node={node}"))
        .exec();
    Err(error).context("starting nsenter")
}

fn join_cgroups(node: &str) -> anyhow::Result<()> {
    if !Path::new(CGROUPS).join("memory").is_dir() {
        bail!("node hosts need the hierarchies of cgroup v1 below {CGROUPS}");
    }
    for hierarchy in HIERARCHIES {
        let root = Path::new(CGROUPS).join(hierarchy);
        let group = root.join(SUBTREE).join(node);
        fs::create_dir_all(&group).with_context(|| format!("making {}", group.display()))?;
        if *hierarchy == "cpuset" {
            // A new group has no processors and no memory, and takes no process before it has.
            inherit(&root, &root.join(SUBTREE))?;
            inherit(&root, &group)?;
        }
        let members = group.join("cgroup.procs");
        fs::write(&members, std::process::id().to_string())
            .with_context(|| format!("writing {}", members.display()))?;
    }
    Ok(())
}

fn inherit(root: &Path, group: &Path) -> anyhow::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let value = fs::read(root.join(file)).with_context(|| format!("reading {file}"))?;
        fs::write(group.join(file), value).with_context(|| format!("writing {}", group.join(file).display()))?;
    }
    Ok(())
}

/// Removes the cgroups of node hosts that are gone.
pub fn remove_cgroups() {
    for hierarchy in HIERARCHIES {
        remove_cgroup(&Path::new(CGROUPS).join(hierarchy).join(SUBTREE));
    }
}

/// Removes an empty cgroup and those below it.
pub fn remove_cgroup(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    fs::remove_dir(group).ok();
}

/// Process 1 of a host.
pub fn init(layout: &Layout, node: &str) -> anyhow::Result<()> {
    if std::process::id() != 1 {
        bail!("init is process 1 of a node host; deploy/up starts it");
    }
    rustix::system::sethostname(node.as_bytes()).context("setting the host name")?;
    mounts(layout)?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("enabling forwarding")?;
    fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "1").ok();
    forget_former_life(layout);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(layout))
}

/// Process IDs and running containers do not outlast a boot.
fn forget_former_life(layout: &Layout) {
    for file in ["supervisor.pid", "pids.json"] {
        fs::remove_file(layout.run(file)).ok();
    }
    fs::remove_dir_all(layout.run("containerd")).ok();
}

fn mounts(layout: &Layout) -> anyhow::Result<()> {
    kernel_file_system("proc", "/proc", "")?;
    kernel_file_system("sysfs", "/sys", "")?;
    kernel_file_system("tmpfs", CGROUPS, "mode=755")?;
    for hierarchy in HIERARCHIES {
        let point = Path::new(CGROUPS).join(hierarchy);
        fs::create_dir(&point).with_context(|| format!("making {}", point.display()))?;
        let options = if *hierarchy == "systemd" { "none,name=systemd" } else { hierarchy };
        kernel_file_system("cgroup", &point, options)?;
    }
    kernel_file_system("tmpfs", "/run", "mode=755")?;
    for (own, place) in OWN_FOLDERS {
        let own = layout.data(own);
        fs::create_dir_all(&own).with_context(|| format!("making {}", own.display()))?;
        fs::create_dir_all(place).with_context(|| format!("making {place}"))?;
        mount_bind(&own, *place).with_context(|| format!("mounting {place}"))?;
    }
    // Pods may mount volumes for others to see, and network namespaces are seen by all.
    shared(&layout.data("kubelet"))?;
    shared(&PathBuf::from("/run/netns"))
}

fn kernel_file_system(kind: &str, place: impl AsRef<Path>, options: &str) -> anyhow::Result<()> {
    let (place, options) = (place.as_ref(), CString::new(options)?);
    mount(kind, place, kind, MountFlags::empty(), options.as_c_str())
        .with_context(|| format!("mounting {}", place.display()))
}

fn shared(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    mount_bind(folder, folder).with_context(|| format!("mounting {}", folder.display()))?;
    mount_change(folder, MountPropagationFlags::SHARED | MountPropagationFlags::REC)
        .with_context(|| format!("sharing {}", folder.display()))
}

/// Runs the supervisor and passes signals on to it, until it ends.
async fn serve(layout: &Layout) -> anyhow::Result<()> {
    let mut child = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut reload = signal(SignalKind::hangup())?;
    // Not through tokio: every child is waited for here, also those that others left behind.
    let supervisor = Command::new(std::env::current_exe()?)
        .args(["supervise", "--dir"])
        .arg(layout.root())
        .process_group(0)
        .spawn()
        .context("starting the supervisor")?;
    let supervisor = i32::try_from(supervisor.id()).ok().and_then(Pid::from_raw).context("a process ID")?;
    loop {
        tokio::select! {
            _ = child.recv() => if reap(supervisor) { return Ok(()) },
            _ = terminate.recv() => kill_process(supervisor, Signal::TERM)?,
            _ = reload.recv() => kill_process(supervisor, Signal::HUP)?,
        }
    }
}

/// Waits for all that have ended; whether the supervisor is among them.
fn reap(supervisor: Pid) -> bool {
    let mut ended = false;
    while let Ok(Some((pid, _))) = wait(WaitOptions::NOHANG) {
        ended |= pid == supervisor;
    }
    ended
}

/// Lets the supervisor in a host read its plan again. `outside` is the host's process of this machine.
pub fn reload(outside: Pid) {
    if let Some(init) = processes::children(outside).first() {
        kill_process(*init, Signal::HUP).ok();
    }
}

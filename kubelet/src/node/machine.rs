//! What the kernel and the distribution say about the machine.

use crate::resources::Amount;
use k8s_openapi::api::core::v1::NodeSystemInfo;
use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;

/// Name and version of the operating system and the machine's identities.
pub fn system_info(runtime: &str) -> NodeSystemInfo {
    let uname = rustix::system::uname();
    let machine_id = first_line(&["/etc/machine-id", "/var/lib/dbus/machine-id"]);
    NodeSystemInfo {
        architecture: component::version::architecture().to_owned(),
        boot_id: first_line(&["/proc/sys/kernel/random/boot_id"]),
        container_runtime_version: runtime.to_owned(),
        kernel_version: uname.release().to_string_lossy().into_owned(),
        kube_proxy_version: String::new(),
        kubelet_version: component::version::git_version().to_owned(),
        operating_system: "linux".to_owned(),
        os_image: os_image(&std::fs::read_to_string("/etc/os-release").unwrap_or_default()),
        system_uuid: system_uuid(&machine_id),
        machine_id,
        swap: None,
    }
}

/// The node's name: the override, else the host's name in lower case.
pub fn node_name(given: Option<&str>) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    given.filter(|n| !n.is_empty()).unwrap_or(&host).trim().to_lowercase()
}

/// The address from which this machine reaches others, for a node without `--node-ip`.
pub fn default_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: connecting only looks the route up.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|a| a.ip()).filter(|ip| !ip.is_unspecified())
}

/// How many pods the node takes.
#[derive(Clone, Copy, Debug)]
pub struct PodLimits {
    /// However many processors it has.
    pub most: u32,
    /// For each processor; 0: that does not matter.
    pub per_core: u32,
}

impl PodLimits {
    fn of(self, cores: u32) -> u32 {
        match self.per_core {
            0 => self.most,
            each => self.most.min(each.saturating_mul(cores)),
        }
    }
}

/// What the machine has, by resource name. `limit` is what its control group allows of memory.
pub fn capacity(root_dir: &Path, pods: PodLimits, limit: Option<u64>) -> BTreeMap<String, Amount> {
    let memory = memory_info("MemTotal").min(limit.and_then(|l| i64::try_from(l).ok()).unwrap_or(i64::MAX));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let pods = pods.of(u32::try_from(cores).unwrap_or(u32::MAX));
    let mut out = BTreeMap::from([
        ("cpu".to_owned(), Amount::whole(i64::try_from(cores).unwrap_or(1))),
        ("memory".to_owned(), Amount::whole(memory)),
        ("pods".to_owned(), Amount::whole(i64::from(pods))),
        ("ephemeral-storage".to_owned(), Amount::whole(disk(root_dir).map_or(0, |d| d.total))),
    ]);
    out.extend(hugepages().into_iter().map(|(name, bytes)| (name, Amount::whole(bytes))));
    out
}

/// A line of /proc/meminfo in bytes.
pub fn memory_info(name: &str) -> i64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    meminfo(&text, name)
}

fn meminfo(text: &str, name: &str) -> i64 {
    let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<i64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// Space and inodes of the file system at a path.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk {
    pub total: i64,
    pub free: i64,
    pub inodes: i64,
    pub inodes_free: i64,
}

/// The file system at a path.
pub fn disk(path: &Path) -> Option<Disk> {
    let s = rustix::fs::statvfs(path).ok()?;
    let n = |v: u64| i64::try_from(v).unwrap_or(i64::MAX);
    Some(Disk {
        total: n(s.f_blocks.saturating_mul(s.f_frsize)),
        free: n(s.f_bavail.saturating_mul(s.f_frsize)),
        inodes: n(s.f_files),
        inodes_free: n(s.f_ffree),
    })
}

fn hugepages() -> BTreeMap<String, i64> {
    let mut out = BTreeMap::new();
    for entry in std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(kib) =
            name.strip_prefix("hugepages-").and_then(|n| n.strip_suffix("kB")).and_then(|n| n.parse::<i64>().ok())
        else {
            continue;
        };
        let count = first_line(&[&entry.path().join("nr_hugepages").to_string_lossy()]).parse::<i64>().unwrap_or(0);
        out.insert(format!("hugepages-{}", binary(kib)), count.saturating_mul(kib * 1024));
    }
    out
}

fn binary(kib: i64) -> String {
    match kib {
        n if n % (1 << 20) == 0 => format!("{}Gi", n >> 20),
        n if n % (1 << 10) == 0 => format!("{}Mi", n >> 10),
        n => format!("{n}Ki"),
    }
}

fn system_uuid(machine_id: &str) -> String {
    let uuid = first_line(&["/sys/class/dmi/id/product_uuid"]).to_lowercase();
    if uuid.is_empty() { machine_id.to_owned() } else { uuid }
}

fn first_line(paths: &[&str]) -> String {
    let read = |path: &&str| std::fs::read_to_string(path).ok();
    let text = paths.iter().find_map(read).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn os_image(text: &str) -> String {
    let line = text.lines().find_map(|l| l.strip_prefix("PRETTY_NAME="));
    line.map(|l| l.trim_matches('"').to_owned()).unwrap_or_else(|| "Linux".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses() {
        assert_eq!(meminfo("MemTotal:  10 kB\nMemFree: 3 kB\n", "MemFree"), 3072);
        assert_eq!(meminfo("", "MemFree"), 0);
        assert_eq!(os_image("NAME=x\nPRETTY_NAME=\"Debian 12\"\n"), "Debian 12");
        assert_eq!([2048, 1_048_576, 64].map(binary), ["2Mi", "1Gi", "64Ki"]);
        assert_eq!(node_name(Some("Node-A ")), "node-a");
    }

    #[test]
    fn this_machine_has_something() {
        let pods = |per_core| PodLimits { most: 7, per_core };
        let got = capacity(Path::new("/"), pods(0), Some(1 << 20));
        assert_eq!(got["pods"].value(), 7);
        assert_eq!([pods(2).of(3), pods(5).of(3)], [6, 7]);
        assert_eq!(got["memory"].value(), 1 << 20);
        assert!(got["cpu"].value() > 0);
    }
}

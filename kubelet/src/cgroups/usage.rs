//! What a control group uses.
//!
//! Upstream: `google/cadvisor` `container/libcontainer/handler.go`: the working set is what is used without
//! the pages of files that nobody has touched for long.

use std::path::Path;

/// What the processes below a group use; what the kernel does not count is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupUsage {
    /// Nanoseconds of a core.
    pub cpu_nanos: Option<u64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Bytes.
    pub working_set: Option<u64>,
    /// Bytes that belong to no file.
    pub rss: Option<u64>,
    /// Page faults.
    pub faults: Option<u64>,
    /// Page faults that had to read.
    pub major_faults: Option<u64>,
    /// Bytes.
    pub swap: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// Names of lines in `memory.stat`, which differ between the versions of the interface.
struct Names {
    inactive_file: &'static str,
    rss: &'static str,
    faults: &'static str,
    major_faults: &'static str,
}

const V1: Names = Names {
    inactive_file: "total_inactive_file",
    rss: "total_rss",
    faults: "total_pgfault",
    major_faults: "total_pgmajfault",
};
const V2: Names = Names { inactive_file: "inactive_file", rss: "anon", faults: "pgfault", major_faults: "pgmajfault" };

/// Of a group of version 1. `folder` gives the group in the hierarchy of a controller.
pub fn v1(folder: impl Fn(&str) -> Option<std::path::PathBuf>) -> GroupUsage {
    let file = |controller: &str, file: &str| number(&folder(controller)?.join(file));
    let memory = file("memory", "memory.usage_in_bytes");
    let both = file("memory", "memory.memsw.usage_in_bytes");
    let usage = GroupUsage {
        cpu_nanos: file("cpuacct", "cpuacct.usage"),
        memory,
        swap: both.zip(memory).map(|(both, memory)| both.saturating_sub(memory)),
        pids: file("pids", "pids.current"),
        ..GroupUsage::default()
    };
    with_stat(usage, folder("memory").map(|folder| text(&folder.join("memory.stat"))).as_deref(), &V1)
}

/// Of a group of version 2.
pub fn v2(folder: &Path) -> GroupUsage {
    let usage = GroupUsage {
        cpu_nanos: line(&text(&folder.join("cpu.stat")), "usage_usec").map(|micros| micros.saturating_mul(1000)),
        memory: number(&folder.join("memory.current")),
        swap: number(&folder.join("memory.swap.current")),
        pids: number(&folder.join("pids.current")),
        ..GroupUsage::default()
    };
    with_stat(usage, Some(&text(&folder.join("memory.stat"))), &V2)
}

fn with_stat(usage: GroupUsage, stat: Option<&str>, names: &Names) -> GroupUsage {
    let of = |name| stat.and_then(|stat| line(stat, name));
    GroupUsage {
        working_set: usage.memory.map(|memory| memory.saturating_sub(of(names.inactive_file).unwrap_or(0))),
        rss: of(names.rss),
        faults: of(names.faults),
        major_faults: of(names.major_faults),
        ..usage
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn number(path: &Path) -> Option<u64> {
    text(path).trim().parse().ok()
}

fn line(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("written");
        }
    }

    #[test]
    fn both_versions_tell_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (folder.path().join("1"), folder.path().join("2"));
        write(
            &one,
            &[
                ("cpuacct/cpuacct.usage", "5000\n"),
                ("memory/memory.usage_in_bytes", "100\n"),
                ("memory/memory.memsw.usage_in_bytes", "107\n"),
                (
                    "memory/memory.stat",
                    "rss 1\ntotal_rss 60\ntotal_inactive_file 30\ntotal_pgfault 4\ntotal_pgmajfault 2\n",
                ),
                ("pids/pids.current", "3\n"),
            ],
        );
        write(
            &two,
            &[
                ("cpu.stat", "usage_usec 5\nuser_usec 4\n"),
                ("memory.current", "100\n"),
                ("memory.swap.current", "7\n"),
                ("memory.stat", "anon 60\ninactive_file 30\npgfault 4\npgmajfault 2\n"),
                ("pids.current", "3\n"),
            ],
        );
        let wanted = GroupUsage {
            cpu_nanos: Some(5000),
            memory: Some(100),
            working_set: Some(70),
            rss: Some(60),
            faults: Some(4),
            major_faults: Some(2),
            swap: Some(7),
            pids: Some(3),
        };
        assert_eq!(v1(|controller| Some(one.join(controller))), wanted);
        assert_eq!(v2(&two), wanted);
        assert_eq!(v2(&folder.path().join("absent")), GroupUsage::default());
    }
}

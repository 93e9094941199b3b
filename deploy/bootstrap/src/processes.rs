//! What `/proc` tells about the processes of this machine.

use rustix::process::Pid;
use std::fs;

/// The environment variable that tells whose process this is: see [`has_mark`].
pub const MARK: &str = "KUBE_BOOTSTRAP_PROCESS";

/// All processes.
pub fn all() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).filter_map(Pid::from_raw).collect()
}

/// The words of a process' command line; none if it has ended.
pub fn command_line(pid: Pid) -> Vec<Vec<u8>> {
    words(pid, "cmdline")
}

/// Whether a process was started with this mark. Its number may belong to somebody else by now, its
/// environment tells.
pub fn has_mark(pid: Pid, mark: &str) -> bool {
    let wanted = format!("{MARK}={mark}");
    words(pid, "environ").iter().any(|word| word == wanted.as_bytes())
}

fn words(pid: Pid, file: &str) -> Vec<Vec<u8>> {
    let text = fs::read(format!("/proc/{}/{file}", pid.as_raw_nonzero())).unwrap_or_default();
    text.split(|b| *b == 0).map(<[u8]>::to_vec).collect()
}

/// The processes that `parent` started.
pub fn children(parent: Pid) -> Vec<Pid> {
    all().into_iter().filter(|pid| parent_of(*pid) == Some(parent.as_raw_nonzero().get())).collect()
}

/// The processes that `ancestor` started, and those that they started.
pub fn descendants(ancestor: Pid) -> Vec<Pid> {
    let all: Vec<(Pid, i32)> = all().into_iter().filter_map(|p| Some((p, parent_of(p)?))).collect();
    let mut found = vec![ancestor];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(all.iter().filter(|(_, p)| *p == pid.as_raw_nonzero().get()).map(|(child, _)| *child));
        next += 1;
    }
    found.split_off(1)
}

fn parent_of(pid: Pid) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_its_own_parent() {
        let (parent, own) = (rustix::process::getppid().expect("a parent"), rustix::process::getpid());
        assert!(descendants(parent).contains(&own));
        assert!(children(parent).contains(&own));
    }

    #[test]
    fn a_process_is_known_by_its_mark() {
        let mut child = std::process::Command::new("sleep").arg("60").env(MARK, "/state/x").spawn().expect("a process");
        let pid = Pid::from_raw(child.id() as i32).expect("a process ID");
        // The child has its environment once it has become the other program.
        while command_line(pid).first().is_none_or(|word| word != b"sleep") {
            std::hint::spin_loop();
        }
        assert!(has_mark(pid, "/state/x") && !has_mark(pid, "/state/y"));
        child.kill().and_then(|()| child.wait()).expect("ended");
        assert!(!has_mark(pid, "/state/x"));
    }
}

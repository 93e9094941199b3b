//! Kernel parameters that the kubelet relies on: set, or only looked at with `protectKernelDefaults`.
//!
//! Upstream: `setupKernelTunables` of `pkg/kubelet/cm/container_manager_linux.go`.

use std::io;
use std::path::Path;

/// Name, and the value that it has to have.
const WANTED: [(&str, i64); 6] = [
    // Always let processes have the memory that they ask for; limits come with use.
    ("vm/overcommit_memory", 1),
    // Kill a process when memory runs out, not the machine.
    ("vm/panic_on_oom", 0),
    // Seconds until a kernel that has failed starts again.
    ("kernel/panic", 10),
    ("kernel/panic_on_oops", 1),
    // Keys of root: runtimes make some for every container.
    ("kernel/keys/root_maxkeys", 1_000_000),
    ("kernel/keys/root_maxbytes", 25_000_000),
];

/// What is done about a parameter that has another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It is set.
    Modify,
    /// The kubelet does not start.
    Refuse,
}

/// A parameter that cannot be read, or has another value and must not be set.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error("invalid kernel flag: {name}, expected value: {wanted}, actual value: {found}")]
    Differs { name: &'static str, wanted: i64, found: i64 },
    #[error("cannot read the kernel flag {name}")]
    Read { name: &'static str, source: io::Error },
}

/// Looks at all of them below `/proc/sys`. A kernel that lets nobody set them, as in a container, is only told of.
pub fn prepare(root: &Path, policy: Policy) -> Result<(), Vec<KernelError>> {
    let mut wrong = Vec::new();
    for (name, wanted) in WANTED {
        match (read(&root.join(name)), policy) {
            (Ok(found), _) if found == wanted => {}
            (Ok(found), Policy::Refuse) => wrong.push(KernelError::Differs { name, wanted, found }),
            (Ok(found), Policy::Modify) => set(root, name, wanted, found),
            (Err(source), _) => wrong.push(KernelError::Read { name, source }),
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn read(file: &Path) -> io::Result<i64> {
    let text = std::fs::read_to_string(file)?;
    text.trim().parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn set(root: &Path, name: &str, wanted: i64, found: i64) {
    match std::fs::write(root.join(name), wanted.to_string()) {
        Ok(()) => tracing::info!(flag = name, wanted, found, "Updating kernel flag"),
        Err(error) => tracing::warn!(flag = name, wanted, found, %error, "cannot set a kernel flag"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_set_or_protected() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (name, wanted) in WANTED {
            std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            std::fs::write(root.join(name), format!("{wanted}\n")).unwrap();
        }
        assert!(prepare(root, Policy::Refuse).is_ok());
        std::fs::write(root.join("kernel/panic"), "0\n").unwrap();
        let wrong = prepare(root, Policy::Refuse).unwrap_err();
        let words = "invalid kernel flag: kernel/panic, expected value: 10, actual value: 0";
        assert_eq!(wrong.iter().map(ToString::to_string).collect::<Vec<_>>(), [words]);
        assert!(prepare(root, Policy::Modify).is_ok());
        assert_eq!(read(&root.join("kernel/panic")).unwrap(), 10);
        std::fs::remove_file(root.join("kernel/panic")).unwrap();
        assert!(matches!(
            prepare(root, Policy::Modify).unwrap_err()[..],
            [KernelError::Read { name: "kernel/panic", .. }]
        ));
    }
}

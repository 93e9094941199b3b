//! An archive from a container, which is never trusted: nothing is written outside the target,
//! and no link is followed or made.
//!
//! Upstream: `kubectl/pkg/cmd/cp/cp.go` (`untarAll`).

use anyhow::{Context, bail};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use tar::EntryType;

/// Where an archive's members go.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// What members' names begin with, in front of what is below the source.
    prefix: PathBuf,
    target: PathBuf,
    /// For hints: namespace and pod.
    place: String,
    source: String,
}

impl Plan {
    pub(super) fn new(source: &str, target: &Path, place: &str) -> Self {
        let prefix: PathBuf = normal(Path::new(source)).unwrap_or_default();
        // A folder that is there takes the source under its own name.
        let target = match (target.is_dir(), prefix.file_name()) {
            (true, Some(name)) => target.join(name),
            _ => target.to_owned(),
        };
        Self { prefix, target, place: place.to_owned(), source: source.to_owned() }
    }

    /// Unpacks to the end of the archive.
    pub(super) fn run(&self, reader: impl Read) -> anyhow::Result<()> {
        let mut archive = tar::Archive::new(std::io::BufReader::new(reader));
        let mut count = 0;
        for entry in archive.entries()? {
            let mut entry = entry?;
            count += 1;
            let path = entry.path()?.into_owned();
            let Some(target) = self.place(&path)? else {
                eprintln!("warning: file {:?} is outside target destination, skipping", path.display().to_string());
                continue;
            };
            match entry.header().entry_type() {
                EntryType::Directory => {
                    self.check_parents(&target)?;
                    std::fs::create_dir_all(&target)?;
                }
                EntryType::Symlink | EntryType::Link => {
                    let to = entry.link_name()?.map(|l| l.display().to_string()).unwrap_or_default();
                    eprintln!(
                        "warning: skipping symlink: {:?} -> {to:?} (consider using \"kubectl exec {} -- tar cf - {:?} | tar xf -\")",
                        target.display().to_string(),
                        self.place,
                        self.source
                    );
                }
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => self.write(&mut entry, &target)?,
                _ => eprintln!("warning: skipping special file: {:?}", target.display().to_string()),
            }
        }
        // The padding behind the archive's end is read, too: who writes it must not be cut off.
        std::io::copy(&mut archive.into_inner(), &mut std::io::sink())?;
        if count == 0 {
            bail!("{}: no such file or directory", self.source);
        }
        Ok(())
    }

    /// The place of a member; nothing if it lies outside.
    fn place(&self, path: &Path) -> anyhow::Result<Option<PathBuf>> {
        let Some(plain) = normal(path) else { return Ok(None) };
        let rest =
            plain.strip_prefix(&self.prefix).with_context(|| format!("tar contents corrupted: {}", path.display()))?;
        Ok(Some(if rest.as_os_str().is_empty() { self.target.clone() } else { self.target.join(rest) }))
    }

    /// No folder on the way to a member may be a link: it could lead anywhere.
    fn check_parents(&self, target: &Path) -> anyhow::Result<()> {
        let mut folder = self.target.clone();
        let below = target.strip_prefix(&self.target).unwrap_or(Path::new(""));
        for part in below.components() {
            if std::fs::symlink_metadata(&folder).is_ok_and(|m| m.is_symlink()) && folder != self.target {
                bail!("{} is a link: nothing is written through it", folder.display());
            }
            folder.push(part);
        }
        Ok(())
    }

    fn write(&self, entry: &mut tar::Entry<'_, impl Read>, target: &Path) -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        self.check_parents(target)?;
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        // A link in the place of the file is replaced, not followed.
        if std::fs::symlink_metadata(target).is_ok_and(|m| m.is_symlink()) {
            std::fs::remove_file(target)?;
        }
        let mut file = std::fs::File::create(target).with_context(|| format!("creating {}", target.display()))?;
        std::io::copy(entry, &mut file)?;
        let mode = entry.header().mode().unwrap_or(0o644) & 0o777;
        std::fs::set_permissions(target, std::fs::Permissions::from_mode(mode))?;
        Ok(())
    }
}

/// A relative path without dots; nothing if it leaves its root.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                if !plain.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            // Past the checks of the builder: hostile archives have such names.
            let bytes = &mut header.as_old_mut().name;
            bytes[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o600);
            let data: &[u8] = if *kind == EntryType::Regular { content.as_bytes() } else { b"" };
            header.set_size(data.len() as u64);
            if matches!(*kind, EntryType::Symlink | EntryType::Link) {
                header.set_link_name_literal(content).expect("a link");
            }
            header.set_cksum();
            builder.append(&header, data).expect("appends");
        }
        builder.into_inner().expect("an archive")
    }

    fn unpacked(source: &str, entries: &[(&str, EntryType, &str)]) -> (tempfile::TempDir, anyhow::Result<()>) {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("target");
        let outcome = Plan::new(source, &target, "").run(&archive(entries)[..]);
        (folder, outcome)
    }

    #[test]
    fn files_and_folders_come_under_the_target() {
        let entries = [
            ("var/log/", EntryType::Directory, ""),
            ("var/log/a", EntryType::Regular, "A"),
            ("var/log/b/c", EntryType::Regular, "C"),
        ];
        let (folder, outcome) = unpacked("/var/log", &entries);
        outcome.expect("unpacks");
        assert_eq!(std::fs::read_to_string(folder.path().join("target/b/c")).expect("there"), "C");
        let (folder, outcome) = unpacked("/etc/hosts", &[("etc/hosts", EntryType::Regular, "H")]);
        outcome.expect("unpacks");
        assert_eq!(std::fs::read_to_string(folder.path().join("target")).expect("there"), "H");
    }

    #[test]
    fn hostile_archives_stay_inside() {
        let (folder, outcome) = unpacked("d", &[("d/../../evil", EntryType::Regular, "x")]);
        outcome.expect("skips");
        assert!(!folder.path().join("evil").exists());
        let (_, outcome) = unpacked("d", &[("other/evil", EntryType::Regular, "x")]);
        assert!(outcome.expect_err("corrupt").to_string().starts_with("tar contents corrupted"));
        let (folder, outcome) =
            unpacked("d", &[("d/link", EntryType::Symlink, "/etc"), ("d/link/x", EntryType::Regular, "x")]);
        outcome.expect("the link is not made");
        assert!(!folder.path().join("target/link").is_symlink());
        assert!(unpacked("d", &[]).1.is_err());
    }

    #[test]
    fn links_and_devices_are_not_made() {
        let outside = tempfile::NamedTempFile::new().expect("a file");
        let place = outside.path().to_str().expect("text");
        let entries = [
            ("d/hard", EntryType::Link, place),
            ("d/soft", EntryType::Symlink, place),
            ("d/pipe", EntryType::Fifo, ""),
            ("d/char", EntryType::Char, ""),
            ("d/block", EntryType::Block, ""),
            ("d/hard", EntryType::Regular, "mine"),
            ("d/soft", EntryType::Regular, "mine"),
        ];
        let (folder, outcome) = unpacked("d", &entries);
        outcome.expect("unpacks what it may");
        let mut there: Vec<_> = std::fs::read_dir(folder.path().join("target")).expect("a folder").flatten().collect();
        there.sort_by_key(std::fs::DirEntry::file_name);
        assert!(there.iter().all(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())));
        assert_eq!(there.iter().map(|entry| entry.file_name()).collect::<Vec<_>>(), ["hard", "soft"]);
        assert_eq!(std::fs::read_to_string(outside.path()).expect("there"), "");
    }

    #[test]
    fn absolute_names_are_below_the_target() {
        let (folder, outcome) = unpacked("/etc", &[("/etc/hosts", EntryType::Regular, "H")]);
        outcome.expect("unpacks");
        assert_eq!(std::fs::read_to_string(folder.path().join("target/hosts")).expect("there"), "H");
        assert!(unpacked("/etc", &[("/root/x", EntryType::Regular, "x")]).1.is_err());
    }

    #[test]
    fn links_that_are_there_are_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, outside) = (folder.path().join("target"), folder.path().join("outside"));
        std::fs::create_dir_all(&outside).expect("creates");
        std::fs::create_dir_all(target.join("d")).expect("creates");
        std::os::unix::fs::symlink(&outside, target.join("d/sub")).expect("links");
        let bytes = archive(&[("d/sub/x", EntryType::Regular, "x")]);
        assert!(Plan::new("d", &target, "").run(&bytes[..]).is_err());
        assert!(!outside.join("x").exists());
    }
}

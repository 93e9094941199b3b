//! The files of one container's log: `N.log`, which is written, `N.log.TIME`, which collectors may
//! still read, and older ones as `N.log.TIME.gz`.

use super::LogError;
use flate2::Compression;
use flate2::write::GzEncoder;
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

const COMPRESSED: &str = ".gz";
const UNFINISHED: &str = ".tmp";

/// How much is kept of a container's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Bytes from which on a log is rotated.
    pub longest: u64,
    /// Files that are kept of one, more than one.
    pub files: usize,
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
    move |source| LogError::Io { action, path: path.to_owned(), source }
}

/// Removes what is too old or was left by a broken rotation, and compresses the rest.
pub fn make_room(log: &Path, policy: Policy) -> Result<(), LogError> {
    let (used, unused) = sort(rotated(log)?);
    // The one that is written and the one that is about to be moved aside come on top.
    let excess = used.len().saturating_sub(policy.files.saturating_sub(2));
    for path in unused.iter().chain(&used[..excess]) {
        fs::remove_file(path).map_err(io_error("remove", path))?;
    }
    used[excess..].iter().filter(|path| !ends_with(path, COMPRESSED)).try_for_each(|path| compress(path))
}

/// Renames the log so that the runtime can begin a new one; where it is now.
pub fn move_aside(log: &Path, now: Timestamp) -> Result<PathBuf, LogError> {
    let aside = with_suffix(log, &format!(".{}", now.strftime("%Y%m%d-%H%M%S")));
    rename(log, &aside)?;
    Ok(aside)
}

/// Renames a file.
pub fn rename(from: &Path, to: &Path) -> Result<(), LogError> {
    fs::rename(from, to).map_err(io_error("rename", from))
}

/// The log's rotated files, oldest first: their names sort by time.
fn rotated(log: &Path) -> Result<BTreeSet<PathBuf>, LogError> {
    let folder = log.parent().unwrap_or(Path::new("/"));
    let prefix = format!("{}.", log.file_name().unwrap_or_default().to_string_lossy());
    let entries = fs::read_dir(folder).map_err(io_error("list", folder))?;
    let is_ours = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(&prefix);
    Ok(entries.flatten().filter(is_ours).map(|entry| entry.path()).collect())
}

/// Splits into what is kept and what a broken rotation left: unfinished files, and those that are
/// compressed already.
fn sort(all: BTreeSet<PathBuf>) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let is_used = |path: &PathBuf| {
        !ends_with(path, UNFINISHED) && (ends_with(path, COMPRESSED) || !all.contains(&with_suffix(path, COMPRESSED)))
    };
    all.iter().cloned().partition(is_used)
}

fn compress(path: &Path) -> Result<(), LogError> {
    let unfinished = with_suffix(path, UNFINISHED);
    write_compressed(path, &unfinished)
        .and_then(|()| fs::rename(&unfinished, with_suffix(path, COMPRESSED)))
        .and_then(|()| fs::remove_file(path))
        .map_err(io_error("compress", path))
}

fn write_compressed(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mode = source.metadata()?.permissions().mode() & 0o777;
    let target = File::options().write(true).create(true).truncate(true).mode(mode).open(to)?;
    let mut encoder = GzEncoder::new(target, Compression::default());
    io::copy(&mut source, &mut encoder)?;
    encoder.finish().map(drop)
}

fn ends_with(path: &Path, suffix: &str) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(suffix.as_bytes())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read as _;

    const POLICY: Policy = Policy { longest: 4, files: 4 };

    fn names(folder: &Path) -> Vec<String> {
        let mut all: Vec<String> =
            fs::read_dir(folder).unwrap().flatten().map(|e| e.file_name().into_string().unwrap()).collect();
        all.sort();
        all
    }

    #[test]
    fn old_files_go_and_the_rest_is_compressed() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "0.log",
            "0.log.20260101-000000.gz",
            "0.log.20260102-000000.gz",
            "0.log.20260102-000000",
            "0.log.20260103-000000",
            "0.log.20260103-000000.tmp",
            "1.log",
        ] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let log = folder.path().join("0.log");
        make_room(&log, POLICY).unwrap();
        assert_eq!(names(folder.path()), ["0.log", "0.log.20260102-000000.gz", "0.log.20260103-000000.gz", "1.log"]);
        let mut text = String::new();
        let file = File::open(folder.path().join("0.log.20260103-000000.gz")).unwrap();
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
        assert_eq!(text, "0.log.20260103-000000");
        let aside = move_aside(&log, "2026-02-03T04:05:06Z".parse().unwrap()).unwrap();
        assert_eq!(aside, folder.path().join("0.log.20260203-040506"));
        assert_eq!(names(folder.path()).len(), POLICY.files, "with the new log, which the runtime makes");
    }
}

//! A file that is put aside when it is full. Old files are named by the time that happened, and
//! go when there are too many of them or they are too old.

use super::LogOptions;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const MEGABYTE: u64 = 1024 * 1024;
const DAY: i64 = 24 * 60 * 60;
/// Time in the name of an old file.
const STAMP: &str = "%Y-%m-%dT%H-%M-%S.%3f";

#[derive(Debug)]
pub(super) struct RotatingFile {
    options: LogOptions,
    limit: u64,
    file: File,
    size: u64,
}

impl RotatingFile {
    pub(super) fn open(options: LogOptions) -> std::io::Result<Self> {
        if let Some(folder) = options.path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let file = append(&options.path)?;
        let size = file.metadata()?.len();
        let limit = if options.max_size == 0 { u64::MAX } else { options.max_size.saturating_mul(MEGABYTE) };
        Ok(Self { options, limit, file, size })
    }

    pub(super) fn write(&mut self, line: &[u8]) -> std::io::Result<()> {
        let length = line.len() as u64;
        if self.size > 0 && self.size.saturating_add(length) > self.limit {
            self.rotate()?;
        }
        self.file.write_all(line)?;
        self.size += length;
        Ok(())
    }

    fn rotate(&mut self) -> std::io::Result<()> {
        let old = old_name(&self.options.path, Timestamp::now());
        std::fs::rename(&self.options.path, &old)?;
        self.file = append(&self.options.path)?;
        self.size = 0;
        if self.options.compress {
            compress(&old)?;
        }
        self.clean(Timestamp::now())
    }

    fn clean(&self, now: Timestamp) -> std::io::Result<()> {
        let mut old = old_files(&self.options.path)?;
        old.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
        let (count, age) = (self.options.max_backups as usize, i64::from(self.options.max_age) * DAY);
        for (position, (time, path)) in old.into_iter().enumerate() {
            let too_many = count > 0 && position >= count;
            let too_old = age > 0 && now.as_second() - time.as_second() > age;
            if too_many || too_old {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn append(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Stem and extension of a path, with their separator.
fn halves(path: &Path) -> (String, String) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match name.rfind('.') {
        Some(at) => (name[..at].to_owned(), name[at..].to_owned()),
        None => (name.into_owned(), String::new()),
    }
}

fn old_name(path: &Path, now: Timestamp) -> PathBuf {
    let (stem, extension) = halves(path);
    path.with_file_name(format!("{stem}-{}{extension}", now.strftime(STAMP)))
}

/// The old files of a log with the time of their rotation.
fn old_files(path: &Path) -> std::io::Result<Vec<(Timestamp, PathBuf)>> {
    let (stem, extension) = halves(path);
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let bare = name.strip_suffix(".gz").unwrap_or(&name);
        let stamp = bare.strip_prefix(&format!("{stem}-")).and_then(|rest| rest.strip_suffix(&extension));
        let time = stamp.and_then(|s| jiff::civil::DateTime::strptime("%Y-%m-%dT%H-%M-%S%.f", s).ok());
        let time = time.and_then(|t| t.to_zoned(jiff::tz::TimeZone::UTC).ok());
        files.extend(time.map(|time| (time.timestamp(), entry.path())));
    }
    Ok(files)
}

fn compress(path: &Path) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    let target = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&name)?;
    let mut encoder = GzEncoder::new(target, Compression::default());
    std::io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?;
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn options(folder: &Path, compress: bool) -> LogOptions {
        LogOptions {
            path: folder.join("audit.log"),
            format: Format::Json,
            max_age: 1,
            max_backups: 2,
            max_size: 1,
            compress,
        }
    }

    #[test]
    fn full_files_are_put_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = RotatingFile::open(options(folder.path(), true)).expect("a file");
        file.limit = 10;
        for line in ["12345\n", "12345\n", "12345\n"] {
            file.write(line.as_bytes()).expect("written");
        }
        let path = folder.path().join("audit.log");
        assert_eq!(std::fs::read_to_string(&path).expect("the log"), "12345\n");
        let mode = std::fs::metadata(&path).expect("the log").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let old = old_files(&path).expect("a folder");
        assert!(!old.is_empty() && old.iter().all(|(_, p)| p.extension().is_some_and(|e| e == "gz")), "{old:?}");
    }

    #[test]
    fn old_files_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = RotatingFile::open(options(folder.path(), false)).expect("a file");
        let now: Timestamp = "2026-01-10T00:00:00Z".parse().expect("a time");
        let at = |text: &str| old_name(&file.options.path, text.parse().expect("a time"));
        let times = ["2026-01-09T12:00:00Z", "2026-01-09T13:00:00Z", "2026-01-09T14:00:00Z", "2026-01-01T00:00:00Z"];
        times.iter().for_each(|time| std::fs::write(at(time), "x").expect("a file"));
        file.clean(now).expect("cleaned");
        let left: Vec<bool> = times.iter().map(|time| at(time).exists()).collect();
        assert_eq!(left, [false, true, true, false]);
    }
}

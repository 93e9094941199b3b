//! Credentials that the node itself has: `config.json` or `.dockercfg`, as Docker keeps them.
//!
//! Upstream: `pkg/credentialprovider/config.go`, `provider.go`.

use super::credentials;
use super::registry::Keyring;
use parking_lot::Mutex;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long what was read counts.
const LIFETIME: Duration = Duration::from_secs(300);
/// Bytes that a file may have.
const LONGEST: u64 = 10 << 20;

/// Where the files are looked for, and what was found last.
pub struct NodeConfig {
    /// Of the newer form, then of the older; the first that there is counts.
    files: Vec<PathBuf>,
    read: Mutex<Option<(Instant, Keyring)>>,
}

impl NodeConfig {
    /// Below `--root-dir`, in the working directory, at home and at the root.
    pub fn new(root: &Path) -> Self {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let (here, top) = (PathBuf::new(), PathBuf::from("/"));
        let new = [root.to_owned(), here.clone(), home.join(".docker"), top.join(".docker")];
        let old = [root.to_owned(), here, home, top];
        let new = new.map(|folder| folder.join("config.json"));
        let old = old.map(|folder| folder.join(".dockercfg"));
        Self { files: new.into_iter().chain(old).collect(), read: Mutex::default() }
    }

    /// The credentials as they are now, or were a little while ago.
    pub fn keyring(&self) -> Keyring {
        let mut read = self.read.lock();
        if let Some((_, keyring)) = read.as_ref().filter(|(at, _)| at.elapsed() < LIFETIME) {
            return keyring.clone();
        }
        let found = self.files.iter().find_map(|file| credentials::of_file(&text(file)?, is_new(file)));
        let keyring = Keyring::of(found.unwrap_or_default());
        *read = Some((Instant::now(), keyring.clone()));
        keyring
    }
}

fn is_new(file: &Path) -> bool {
    file.ends_with("config.json")
}

fn text(file: &Path) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    std::fs::File::open(file).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_that_can_be_read_counts() {
        let folder = tempfile::tempdir().unwrap();
        let config = NodeConfig {
            files: vec![folder.path().join("config.json"), folder.path().join(".dockercfg")],
            read: Mutex::default(),
        };
        std::fs::write(folder.path().join("config.json"), "no JSON").unwrap();
        std::fs::write(folder.path().join(".dockercfg"), r#"{"r.test":{"username":"u","password":"p"}}"#).unwrap();
        let found = config.keyring().lookup("r.test/a");
        assert_eq!((found.len(), found[0].username.as_str()), (1, "u"));
        std::fs::remove_file(folder.path().join(".dockercfg")).unwrap();
        assert_eq!(config.keyring().lookup("r.test/a").len(), 1, "it is not read for every image");
    }
}

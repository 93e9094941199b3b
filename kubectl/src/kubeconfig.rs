//! Kubeconfig files as things to change: what is in them, where it came from, and how it is
//! written back to that place.
//!
//! [`fields`] is the table of what a file may hold, [`file`] reads and writes one under a lock,
//! [`property`] finds a value by its dotted name, [`view`] makes it fit for eyes.
//!
//! Upstream: `client-go/tools/clientcmd`.

mod fields;
mod file;
pub mod property;
pub mod view;

use crate::cli::Global;
use crate::config::{self, ConfigError};
use apimachinery::{Map, Value};
use file::Lock;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use fields::ORDER;

/// What cannot be done to a kubeconfig.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// A file cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file cannot be opened, locked or written.
    #[error("open {path}: {}", crate::http::io_words(.why))]
    File {
        /// The file.
        path: String,
        /// Why.
        why: std::io::Error,
    },
    /// No file sets the current context.
    #[error("no config found to write context")]
    NoContext,
}

/// The three lists of named entries.
pub const LISTS: [&str; 3] = ["clusters", "users", "contexts"];

/// A kubeconfig: lists are objects by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kubeconfig {
    /// `clusters`, `users`, `contexts`, `current-context`, `preferences`, `extensions`.
    pub tree: Map,
    /// The file of each entry.
    origins: BTreeMap<(String, String), PathBuf>,
}

impl Kubeconfig {
    /// The entries of a list.
    pub fn list(&self, list: &str) -> Option<&Map> {
        self.tree.get(list)?.as_object()
    }

    /// One entry.
    pub fn entry(&self, list: &str, name: &str) -> Option<&Map> {
        self.list(list)?.get(name)?.as_object()
    }

    /// The entries of a list, to change.
    pub fn list_mut(&mut self, list: &str) -> &mut Map {
        let value = self.tree.entry(list).or_insert_with(|| Value::Object(Map::new()));
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        match value {
            Value::Object(map) => map,
            _ => unreachable!("made an object just now"),
        }
    }

    /// One entry to change, made if it is not there.
    pub fn entry_mut(&mut self, list: &str, name: &str) -> &mut Map {
        let value = self.list_mut(list).entry(name).or_insert_with(|| Value::Object(Map::new()));
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        match value {
            Value::Object(map) => map,
            _ => unreachable!("made an object just now"),
        }
    }

    /// Gives an entry another name; it stays in its file.
    pub fn rename(&mut self, list: &str, old: &str, new: &str) {
        if let Some(entry) = self.list_mut(list).remove(old) {
            self.list_mut(list).insert(new.to_owned(), entry);
        }
        if let Some(origin) = self.origins.remove(&(list.to_owned(), old.to_owned())) {
            self.origins.insert((list.to_owned(), new.to_owned()), origin);
        }
    }

    /// The context in use, empty if none is.
    pub fn current_context(&self) -> &str {
        self.tree.get("current-context").and_then(Value::as_str).unwrap_or_default()
    }

    /// The folder that an entry's relative paths start from.
    pub fn folder(&self, list: &str, name: &str) -> &Path {
        let origin = self.origins.get(&(list.to_owned(), name.to_owned()));
        origin.and_then(|path| path.parent()).unwrap_or(Path::new(""))
    }

    /// Takes over what another file has and this one has not.
    fn merge(&mut self, other: Kubeconfig) {
        for list in LISTS {
            for (name, entry) in other.list(list).into_iter().flatten() {
                let key = (list.to_owned(), name.clone());
                if let (None, Some(origin)) = (self.entry(list, name), other.origins.get(&key)) {
                    self.list_mut(list).insert(name.clone(), entry.clone());
                    self.origins.insert(key, origin.clone());
                }
            }
        }
        for (key, value) in other.tree {
            let empty = |v: &Value| v.as_str().is_some_and(str::is_empty) || v.as_object().is_some_and(Map::is_empty);
            if self.tree.get(&key).is_none_or(empty) {
                self.tree.insert(key, value);
            }
        }
    }

    /// Makes the paths in entries absolute.
    fn resolve_paths(&mut self) {
        for (list, key) in fields::PATHS {
            let names: Vec<String> = self.list(list).into_iter().flatten().map(|(name, _)| name.clone()).collect();
            for name in names {
                let folder = self.folder(list, &name).to_owned();
                let folder = std::path::absolute(&folder).unwrap_or(folder);
                if let Some(Value::String(path)) = self.entry_mut(list, &name).get_mut(key)
                    && !path.is_empty()
                {
                    *path = clean(&folder.join(&*path)).display().to_string();
                }
            }
        }
    }
}

/// A path without `.` and `..`, as far as the text alone tells.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => drop(clean.pop()),
            part => clean.push(part),
        }
    }
    clean
}

/// Which files, and which of them is written when nothing says another one.
#[derive(Clone, Debug)]
pub struct Access {
    explicit: bool,
    files: Vec<PathBuf>,
}

impl Access {
    /// The files of the flags and the environment.
    pub fn of(global: &Global) -> Self {
        let files = config::paths(global).into_iter().map(|(path, _)| path).collect();
        Self { explicit: global.kubeconfig.is_some(), files }
    }

    /// Whether `--kubeconfig` names the one file.
    pub fn is_explicit(&self) -> bool {
        self.explicit
    }

    /// The file for new entries: the first that is there, or else the last.
    pub fn default_file(&self) -> &Path {
        let there = self.files.iter().find(|path| path.exists());
        there.or(self.files.last()).map_or(Path::new(""), PathBuf::as_path)
    }

    /// All files as one, with absolute paths.
    pub fn load(&self) -> Result<Kubeconfig, EditError> {
        let mut merged = Kubeconfig::default();
        for path in &self.files {
            if let Some(one) = file::read(path)? {
                merged.merge(one);
            }
        }
        merged.resolve_paths();
        Ok(merged)
    }

    /// The one explicit file as it is, empty if it is not there.
    pub fn load_explicit(&self) -> Result<Kubeconfig, EditError> {
        Ok(file::read(self.default_file())?.unwrap_or_default())
    }

    /// Writes every difference to the file it belongs to; all files are locked meanwhile.
    pub fn store(&self, wanted: &Kubeconfig, relative: bool) -> Result<(), EditError> {
        let mut sorted = self.files.clone();
        sorted.sort();
        sorted.dedup();
        let _locks: Vec<Lock> = sorted.iter().map(|path| Lock::take(path)).collect::<Result<_, _>>()?;
        let before = self.load()?;
        if before.current_context() != wanted.current_context() {
            self.store_context(wanted.current_context())?;
        }
        if before.tree.get("preferences") != wanted.tree.get("preferences") {
            let preferences = wanted.tree.get("preferences").cloned().unwrap_or_default();
            file::change(self.default_file(), |one| {
                one.tree.insert("preferences".into(), preferences);
            })?;
        }
        for list in LISTS {
            for (name, entry) in wanted.list(list).into_iter().flatten() {
                if before.list(list).and_then(|l| l.get(name)) != Some(entry) {
                    self.store_entry(wanted, list, name, entry, relative)?;
                }
            }
            for (name, _) in before.list(list).into_iter().flatten() {
                if wanted.entry(list, name).is_none() {
                    file::change(self.origin(&before, list, name), |one| drop(one.list_mut(list).remove(name)))?;
                }
            }
        }
        Ok(())
    }

    /// Changes an entry, if it is there, and nothing else.
    pub fn amend(&self, list: &str, name: &str, change: impl FnOnce(&mut Map)) -> Result<(), EditError> {
        let files = self.load()?;
        if files.entry(list, name).is_none() {
            return Ok(());
        }
        let path = self.origin(&files, list, name);
        let _lock = Lock::take(path)?;
        file::change(path, |one| change(one.entry_mut(list, name)))
    }

    fn origin<'a>(&'a self, config: &'a Kubeconfig, list: &str, name: &str) -> &'a Path {
        let origin = config.origins.get(&(list.to_owned(), name.to_owned()));
        origin.map_or(self.default_file(), PathBuf::as_path)
    }

    fn store_entry(
        &self,
        wanted: &Kubeconfig,
        list: &str,
        name: &str,
        entry: &Value,
        relative: bool,
    ) -> Result<(), EditError> {
        let path = self.origin(wanted, list, name);
        let mut entry = entry.clone();
        if relative {
            relativize(list, &mut entry, path);
        }
        file::change(path, |one| drop(one.list_mut(list).insert(name.to_owned(), entry)))
    }

    fn store_context(&self, name: &str) -> Result<(), EditError> {
        let set = |one: &mut Kubeconfig| drop(one.tree.insert("current-context".into(), name.into()));
        if self.explicit || !name.is_empty() {
            return file::change(self.default_file(), set);
        }
        // To clear it, the first file that sets it is changed.
        for path in &self.files {
            if file::read(path)?.is_some_and(|one| !one.current_context().is_empty()) {
                return file::change(path, set);
            }
        }
        Err(EditError::NoContext)
    }
}

/// Paths below the file's folder are written relative to it.
fn relativize(list: &str, entry: &mut Value, file: &Path) {
    let folder = std::path::absolute(file).ok().and_then(|f| f.parent().map(Path::to_owned)).unwrap_or_default();
    for (_, key) in fields::PATHS.iter().filter(|(of, _)| *of == list) {
        if let Some(Value::String(path)) = entry.get_mut(*key)
            && let Ok(below) = Path::new(&*path).strip_prefix(&folder)
        {
            *path = below.display().to_string();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(folder: &Path, names: &[&str]) -> Access {
        Access { explicit: false, files: names.iter().map(|name| folder.join(name)).collect() }
    }

    fn written(path: &Path) -> String {
        std::fs::read_to_string(path).expect("written")
    }

    #[test]
    fn changes_go_where_the_entry_came_from() {
        let folder = tempfile::tempdir().expect("a folder");
        let both = access(folder.path(), &["one", "two"]);
        std::fs::write(folder.path().join("one"), "clusters: [{name: a, cluster: {server: https://a}}]")
            .expect("writes");
        std::fs::write(
            folder.path().join("two"),
            "clusters: [{name: a, cluster: {server: x}}, {name: b, cluster: {}}]\ncurrent-context: c",
        )
        .expect("writes");
        let mut config = both.load().expect("loads");
        assert_eq!(config.entry("clusters", "a").expect("a")["server"], "https://a");
        config.entry_mut("clusters", "b").insert("server".into(), "https://b".into());
        config.entry_mut("contexts", "c").insert("cluster".into(), "b".into());
        both.store(&config, true).expect("stores");
        assert!(written(&folder.path().join("two")).contains("server: https://b"));
        assert!(written(&folder.path().join("one")).contains("name: c"), "new entries go to the first file");
        config = both.load().expect("loads");
        config.tree.insert("current-context".into(), "".into());
        config.list_mut("clusters").remove("b");
        both.store(&config, true).expect("stores");
        let two = written(&folder.path().join("two"));
        assert!(two.contains("current-context: \"\"") && !two.contains("name: b"), "{two}");
        assert!(!folder.path().join("one.lock").exists());
    }

    #[test]
    fn entries_without_a_name_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("one"), "users: [{user: {username: a}}, {name: b}]").expect("writes");
        let config = access(folder.path(), &["one"]).load().expect("loads");
        assert_eq!(config.entry("users", "").expect("there")["username"], "a");
        assert!(config.entry("users", "b").is_some());
    }

    #[test]
    fn files_are_private_locked_and_have_relative_paths() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let one = access(folder.path(), &["new/config"]);
        let mut config = one.load().expect("nothing there");
        let path = folder.path().join("new/ca.crt").display().to_string();
        config.entry_mut("clusters", "a").insert("certificate-authority".into(), path.as_str().into());
        one.store(&config, true).expect("stores");
        let file = folder.path().join("new/config");
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(written(&file).contains("certificate-authority: ca.crt"));
        assert_eq!(one.load().expect("loads").entry("clusters", "a").expect("a")["certificate-authority"], path);
        std::fs::write(folder.path().join("new/config.lock"), "").expect("locked");
        config.list_mut("clusters").clear();
        let error = one.store(&config, true).expect_err("locked");
        assert!(error.to_string().ends_with("new/config.lock: file exists"), "{error}");
    }
}

//! What the flags name: files, patterns of files, folders, addresses, standard input.
//!
//! Upstream: `cli-runtime/pkg/resource/builder.go` (`FilenameParam`, `Path`).

use super::glob::glob;
use super::{STDIN_TWICE, collect};
use crate::cli::Files;
use crate::http::io_words;
use crate::print::quote;
use crate::writing::Failures;
use anyhow::{anyhow, bail};
use std::io::ErrorKind;
use std::path::PathBuf;

/// Where manifests are read from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Standard input.
    Input,
    /// A server.
    Url(String),
    /// A file.
    File(PathBuf),
}

impl Place {
    /// How it is told of.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Input => "STDIN".into(),
            Self::Url(url) => url.clone(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

/// The places that the flags name. All names that lead nowhere are told.
pub(super) fn places(files: &Files) -> anyhow::Result<Vec<Place>> {
    if files.names().filter(|name| *name == "-").count() > 1 {
        bail!(STDIN_TWICE);
    }
    let (mut places, mut failures) = (Vec::new(), Vec::new());
    for name in files.names() {
        match name {
            "-" => places.push(Place::Input),
            url if is_url(url) => places.push(Place::Url(url.to_owned())),
            name => {
                let paths = expanded(name).unwrap_or_else(|error| {
                    failures.push(error);
                    Vec::new()
                });
                for path in &paths {
                    match inside(path, files.recursive) {
                        Ok(found) => places.extend(found.into_iter().map(Place::File)),
                        Err(error) => failures.push(error),
                    }
                }
                if places.is_empty() && failures.is_empty() {
                    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
                    failures.push(anyhow!(
                        "error reading [{}]: recognized file extensions are [.json .yaml .yml]",
                        paths.join(" ")
                    ));
                }
            }
        }
    }
    Failures::outcome(failures).map(|()| places)
}

fn is_url(name: &str) -> bool {
    name.starts_with("http://") || name.starts_with("https://")
}

/// The paths of a name: itself if it is there, else what it matches as a pattern.
fn expanded(name: &str) -> anyhow::Result<Vec<PathBuf>> {
    let is_missing = std::fs::metadata(name).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    if !is_missing {
        return Ok(vec![name.into()]);
    }
    match glob(name) {
        Ok(paths) if paths.is_empty() => bail!("the path {} does not exist", quote(name)),
        Ok(paths) => Ok(paths),
        Err(error) => bail!("pattern {} is not valid: {error}", quote(name)),
    }
}

/// The file, or the manifests of the folder.
fn inside(path: &PathBuf, recursive: bool) -> anyhow::Result<Vec<PathBuf>> {
    let shown = path.display().to_string();
    match std::fs::metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("the path {} does not exist", quote(&shown)),
        Err(error) => bail!("the path {} cannot be accessed: stat {shown}: {}", quote(&shown), io_words(&error)),
    }
    let mut found = Vec::new();
    collect(path, recursive, true, &mut found)
        .map_err(|error| anyhow!("error reading {}: open {shown}: {}", quote(&shown), io_words(&error)))?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(names: &[&str]) -> String {
        let filenames = names.iter().map(|name| (*name).to_owned()).collect();
        match places(&Files { filenames, ..Files::default() }) {
            Ok(places) => format!("{} places", places.len()),
            Err(error) => crate::commands::error_text(&error),
        }
    }

    #[test]
    fn names_that_lead_nowhere_are_all_told() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a.yaml", "b.yaml", "c.txt"] {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (file, all, below) = (path("c.txt"), path("*.yaml"), path("c.txt/x"));
        let below_file = format!("error: the path {below:?} cannot be accessed: stat {below}: not a directory");
        for (names, want) in [
            (&["-", "https://example.com/a.yaml", &file][..], "3 places"),
            (&[""], "0 places"),
            (&["-", ""], "error: the path \"\" does not exist"),
            (&[&all], "2 places"),
            (&["/none"], "error: the path \"/none\" does not exist"),
            (&["/none", &file, "/*.none"], "the path \"/none\" does not exist\nthe path \"/*.none\" does not exist"),
            (&["[a.yaml"], "error: pattern \"[a.yaml\" is not valid: syntax error in pattern"),
            (&[&below], &below_file),
            (&["-", "-"], "error: standard input cannot be used for multiple arguments"),
        ] {
            assert_eq!(said(names), want);
        }
    }
}

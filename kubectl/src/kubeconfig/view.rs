//! A kubeconfig for eyes: only what the current context needs, without secrets, or with the
//! content of the files that it names.
//!
//! Upstream: `client-go/tools/clientcmd/api/helpers.go`.

use super::{Kubeconfig, LISTS, fields, file};
use apimachinery::{Map, Value};
use base64::Engine;

/// A kubeconfig that cannot be shown so.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// No current context.
    #[error("current-context must exist in order to minify")]
    NoContext,
    /// An entry that another one names.
    #[error("cannot locate {0} {1}")]
    Missing(&'static str, String),
    /// A path and data for the same thing.
    #[error("cannot have values for both path and contents")]
    Both,
    /// A file that is named cannot be read.
    #[error("open {path}: {}", crate::http::io_words(.why))]
    File {
        /// The file.
        path: String,
        /// Why.
        why: std::io::Error,
    },
}

/// A kubeconfig as files have it.
pub fn external(config: &Kubeconfig) -> Value {
    file::to_value(config)
}

/// Leaves only what the current context uses.
pub fn minify(config: &mut Kubeconfig) -> Result<(), ViewError> {
    let current = config.current_context().to_owned();
    if current.is_empty() {
        return Err(ViewError::NoContext);
    }
    let context = config.entry("contexts", &current);
    let context = context.ok_or_else(|| ViewError::Missing("context", current.clone()))?;
    let text = |key: &str| context.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (cluster, user) = (text("cluster"), text("user"));
    for (list, what, name) in [("clusters", "cluster", &cluster), ("users", "user", &user)] {
        if !name.is_empty() && config.entry(list, name).is_none() {
            return Err(ViewError::Missing(what, name.clone()));
        }
    }
    for (list, name) in LISTS.into_iter().zip([&cluster, &user, &current]) {
        config.list_mut(list).retain(|key, _| key == name);
    }
    Ok(())
}

/// Puts the content of files where their names were.
pub fn flatten(config: &mut Kubeconfig) -> Result<(), ViewError> {
    for (list, key) in fields::PATHS.into_iter().filter(|(_, key)| *key != "tokenFile") {
        let names: Vec<String> = config.list(list).into_iter().flatten().map(|(name, _)| name.clone()).collect();
        for name in names {
            let folder = config.folder(list, &name).to_owned();
            let entry = config.entry_mut(list, &name);
            let Some(path) = entry.get(key).and_then(Value::as_str).filter(|p| !p.is_empty()) else { continue };
            let data = format!("{key}-data");
            if entry.get(&data).is_some_and(|d| !fields::is_empty(d)) {
                return Err(ViewError::Both);
            }
            let path = folder.join(path);
            let content =
                std::fs::read(&path).map_err(|why| ViewError::File { path: path.display().to_string(), why })?;
            entry.insert(data, base64::engine::general_purpose::STANDARD.encode(content).into());
            entry.remove(key);
        }
    }
    Ok(())
}

/// Hides secrets and shortens data.
pub fn redact(config: &mut Kubeconfig) {
    for list in LISTS {
        for (_, entry) in config.list_mut(list).iter_mut() {
            if let Some(entry) = entry.as_object_mut() {
                redact_entry(fields::of_list(list), entry);
            }
        }
    }
}

fn redact_entry(of: &[fields::Field], entry: &mut Map) {
    for field in of {
        let Some(value) = entry.get_mut(field.name).filter(|v| !fields::is_empty(v)) else { continue };
        match field.kind {
            fields::Kind::Bytes => *value = "DATA+OMITTED".into(),
            _ if field.secret => *value = "REDACTED".into(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Kubeconfig {
        let mut config = Kubeconfig::default();
        config.tree.insert("current-context".into(), "x".into());
        config.entry_mut("contexts", "x").extend([("cluster".to_owned(), "c".into()), ("user".to_owned(), "u".into())]);
        config.entry_mut("contexts", "y").insert("cluster".into(), "c".into());
        config.entry_mut("clusters", "c").insert("certificate-authority-data".into(), "YQ==".into());
        config
            .entry_mut("users", "u")
            .extend([("token".to_owned(), "t".into()), ("client-key-data".to_owned(), "YQ==".into())]);
        config
    }

    #[test]
    fn hides_secrets() {
        let mut config = sample();
        redact(&mut config);
        assert_eq!(config.entry("users", "u").expect("u")["token"], "REDACTED");
        assert_eq!(config.entry("users", "u").expect("u")["client-key-data"], "DATA+OMITTED");
        assert_eq!(config.entry("clusters", "c").expect("c")["certificate-authority-data"], "DATA+OMITTED");
    }

    #[test]
    fn keeps_what_the_context_needs() {
        let mut config = sample();
        minify(&mut config).expect("minifies");
        assert_eq!(config.list("contexts").map(Map::len), Some(1));
        config.list_mut("clusters").clear();
        assert_eq!(minify(&mut config).expect_err("gone").to_string(), "cannot locate cluster c");
    }

    #[test]
    fn flattens_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca");
        std::fs::write(&path, "a").expect("writes");
        let mut config = sample();
        config.entry_mut("clusters", "c").remove("certificate-authority-data");
        config.entry_mut("clusters", "c").insert("certificate-authority".into(), path.display().to_string().into());
        flatten(&mut config).expect("flattens");
        assert_eq!(config.entry("clusters", "c").expect("c")["certificate-authority-data"], "YQ==");
    }
}

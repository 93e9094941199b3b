//! `config set-cluster` and `set-context`.

use super::unexpected;
use crate::cli::Global;
use crate::cli::config::{SetCluster, SetContext};
use crate::kubeconfig::Access;
use anyhow::bail;
use apimachinery::Map;
use base64::Engine;
use std::path::Path;

pub(super) fn cluster(access: &Access, flags: &SetCluster, global: &Global) -> anyhow::Result<()> {
    let [name] = flags.words.as_slice() else { return unexpected("set-cluster", &flags.words, "Unexpected args") };
    if name.is_empty() {
        bail!("you must specify a non-empty cluster name");
    }
    let authority = global.certificate_authority.as_deref().filter(|p| !p.as_os_str().is_empty());
    if global.insecure_skip_tls_verify == Some(true) && authority.is_some() {
        bail!("you cannot specify a certificate authority and insecure mode at the same time");
    }
    if flags.embed_certs {
        match authority {
            None => bail!("you must specify a --certificate-authority to embed"),
            Some(path) => there("certificate-authority", path)?,
        }
    }
    let mut config = access.load()?;
    change_cluster(config.entry_mut("clusters", name), flags, global)?;
    access.store(&config, true)?;
    crate::outln!("Cluster {name:?} set.");
    Ok(())
}

fn change_cluster(entry: &mut Map, flags: &SetCluster, global: &Global) -> anyhow::Result<()> {
    entry.entry("server").or_insert_with(|| "".into());
    if let Some(server) = &global.server {
        entry.insert("server".into(), server.as_str().into());
        entry.remove("tls-server-name");
    }
    if let Some(name) = &global.tls_server_name {
        put(entry, "tls-server-name", name);
    }
    match global.insecure_skip_tls_verify {
        Some(true) => {
            entry.insert("insecure-skip-tls-verify".into(), true.into());
            entry.remove("certificate-authority");
            entry.remove("certificate-authority-data");
        }
        Some(false) => drop(entry.remove("insecure-skip-tls-verify")),
        None => {}
    }
    if let Some(path) = &global.certificate_authority
        && path_or_data(entry, "certificate-authority", path, flags.embed_certs)?
    {
        entry.remove("insecure-skip-tls-verify");
    }
    if let Some(proxy) = &flags.proxy_url {
        put(entry, "proxy-url", proxy);
    }
    Ok(())
}

/// Sets a member, or removes it if there is nothing to say.
pub(super) fn put(entry: &mut Map, key: &str, value: &str) {
    match value.is_empty() {
        true => drop(entry.remove(key)),
        false => drop(entry.insert(key.to_owned(), value.into())),
    }
}

/// Keeps a file by its absolute path, or by what is in it; whether there is one now.
pub(super) fn path_or_data(entry: &mut Map, key: &str, path: &Path, embed: bool) -> anyhow::Result<bool> {
    let data = format!("{key}-data");
    if embed {
        let content = std::fs::read(path)?;
        entry.insert(data, base64::engine::general_purpose::STANDARD.encode(content).into());
        entry.remove(key);
        return Ok(true);
    }
    if path.as_os_str().is_empty() {
        entry.remove(key);
        return Ok(false);
    }
    put(entry, key, &std::path::absolute(path)?.display().to_string());
    entry.remove(&data);
    Ok(true)
}

/// A file to embed must be there.
pub(super) fn there(flag: &str, path: &Path) -> anyhow::Result<()> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) => {
            let why = crate::http::io_words(&error);
            bail!("could not stat {flag} file {0}: stat {0}: {why}", path.display())
        }
    }
}

pub(super) fn context(access: &Access, flags: &SetContext, global: &Global) -> anyhow::Result<()> {
    let name = match flags.words.as_slice() {
        [] => "",
        [name] => name.as_str(),
        words => return unexpected("set-context", words, "Unexpected args"),
    };
    if name.is_empty() && !flags.current {
        bail!("you must specify a non-empty context name or --current");
    }
    if !name.is_empty() && flags.current {
        bail!("you cannot specify both a context name and --current");
    }
    let mut config = access.load()?;
    let name = if flags.current { config.current_context().to_owned() } else { name.to_owned() };
    if name.is_empty() {
        bail!("no current context is set");
    }
    let exists = config.entry("contexts", &name).is_some();
    let entry = config.entry_mut("contexts", &name);
    for (key, value) in [("cluster", &global.cluster), ("user", &global.user), ("namespace", &global.namespace)] {
        if let Some(value) = value {
            put(entry, key, value);
        }
        if key != "namespace" {
            entry.entry(key).or_insert_with(|| "".into());
        }
    }
    access.store(&config, true)?;
    crate::outln!("Context {name:?} {}.", if exists { "modified" } else { "created" });
    Ok(())
}

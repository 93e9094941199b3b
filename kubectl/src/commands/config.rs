//! `config`: shows and changes kubeconfig files; no server is asked.
//!
//! Upstream: `kubectl/pkg/cmd/config`.

mod credentials;
mod entries;
mod show;

use crate::cli::Global;
use crate::cli::config::{Config, Set};
use crate::kubeconfig::Access;
use crate::kubeconfig::property::{self, Change};
use crate::writing::usage;
use anyhow::bail;

pub(super) fn run(command: &Config, global: &Global) -> anyhow::Result<()> {
    let access = Access::of(global);
    match command {
        Config::CurrentContext(_) => show::current_context(&access),
        Config::GetClusters(_) => show::names(&access, "clusters"),
        Config::GetUsers(_) => show::names(&access, "users"),
        Config::GetContexts(flags) => show::contexts(&access, flags),
        Config::View(flags) => show::view(&access, flags, global),
        Config::DeleteCluster(flags) => delete(&access, &flags.words, "cluster"),
        Config::DeleteContext(flags) => delete(&access, &flags.words, "context"),
        Config::DeleteUser(flags) => delete(&access, &flags.words, "user"),
        Config::RenameContext(flags) => rename_context(&access, &flags.words),
        Config::UseContext(flags) => use_context(&access, &flags.words),
        Config::Set(flags) => set(&access, flags),
        Config::Unset(flags) => unset(&access, &flags.words),
        Config::SetCluster(flags) => entries::cluster(&access, flags, global),
        Config::SetContext(flags) => entries::context(&access, flags, global),
        Config::SetCredentials(flags) => credentials::set(&access, flags, global),
    }
}

/// Help and the complaint about words that do not fit.
fn unexpected<T>(command: &str, words: &[String], what: &str) -> anyhow::Result<T> {
    crate::out!("{}", crate::cli::help_of(&["config", command]));
    bail!("{what}: [{}]", words.join(" "))
}

fn delete(access: &Access, words: &[String], what: &str) -> anyhow::Result<()> {
    let mut config = access.load()?;
    let [name] = words else {
        if what == "user" {
            return Err(usage("config delete-user", "user to delete is required"));
        }
        crate::out!("{}", crate::cli::help_of(&["config", &format!("delete-{what}")]));
        return Ok(());
    };
    let list = format!("{what}s");
    let file = access.default_file().display();
    if config.entry(&list, name).is_none() {
        bail!("cannot delete {what} {name}, not in {file}");
    }
    if what == "context" && config.current_context() == name {
        eprintln!(
            "warning: this removed your active context, use \"kubectl config use-context\" to select a different one"
        );
    }
    config.list_mut(&list).remove(name);
    access.store(&config, true)?;
    crate::outln!("deleted {what} {name} from {file}");
    Ok(())
}

fn rename_context(access: &Access, words: &[String]) -> anyhow::Result<()> {
    let [old, new] = words else { return unexpected("rename-context", words, "Unexpected args") };
    if new.is_empty() {
        bail!("You must specify a new non-empty context name");
    }
    let mut config = access.load()?;
    let file = access.default_file().display();
    if config.entry("contexts", old).is_none() {
        bail!("cannot rename the context {old:?}, it's not in {file}");
    }
    if config.entry("contexts", new).is_some() {
        bail!("cannot rename the context {old:?}, the context {new:?} already exists in {file}");
    }
    config.rename("contexts", old, new);
    if config.current_context() == old {
        config.tree.insert("current-context".into(), new.as_str().into());
    }
    access.store(&config, true)?;
    crate::outln!("Context {old:?} renamed to {new:?}.");
    Ok(())
}

fn use_context(access: &Access, words: &[String]) -> anyhow::Result<()> {
    let [name] = words else { return unexpected("use-context", words, "Unexpected args") };
    let mut config = access.load()?;
    if name.is_empty() {
        bail!("empty context names are not allowed");
    }
    if config.entry("contexts", name).is_none() {
        bail!("no context exists with the name: {name:?}");
    }
    config.tree.insert("current-context".into(), name.as_str().into());
    access.store(&config, true)?;
    crate::outln!("Switched to context {name:?}.");
    Ok(())
}

fn set(access: &Access, flags: &Set) -> anyhow::Result<()> {
    let [name, value] = flags.words.as_slice() else { return unexpected("set", &flags.words, "Unexpected args") };
    if value.is_empty() {
        bail!("you cannot use set to unset a property");
    }
    if name.is_empty() {
        bail!("you must specify a property");
    }
    let mut config = access.load()?;
    property::change(&mut config, name, Change::Set { value, raw_bytes: flags.set_raw_bytes })?;
    access.store(&config, false)?;
    crate::outln!("Property {name:?} set.");
    Ok(())
}

fn unset(access: &Access, words: &[String]) -> anyhow::Result<()> {
    let [name] = words else { return unexpected("unset", words, "Unexpected args") };
    if name.is_empty() {
        bail!("you must specify a property");
    }
    let mut config = access.load()?;
    property::change(&mut config, name, Change::Unset)?;
    access.store(&config, false)?;
    crate::outln!("Property {name:?} unset.");
    Ok(())
}

//! From `--enable-admission-plugins` and `--disable-admission-plugins` to a chain.
//!
//! Upstream: `apiserver/pkg/server/options/admission.go`.

use crate::catalog::{self, Switch};
use crate::configuration::Configuration;
use crate::metrics::Metrics;
use crate::plugins::{CONFIGURABLE, build};
use apimachinery::gvk::GroupResource;
use apiserver_registry::UserInfo;
use apiserver_registry::admission::{Chain, Link, Plugin};
use apiserver_storage::Store;
use async_trait::async_trait;
use component::Supervisor;
use std::sync::Arc;

/// Asks whether a user may; the server's authorizer stands behind it.
#[async_trait]
pub trait Authorize: Send + Sync {
    /// Whether `user` may `verb` the cluster-scoped object `name` of `resource`.
    async fn is_allowed(&self, user: &UserInfo, verb: &str, resource: &GroupResource, name: &str) -> bool;

    /// Decides on what an expression of a policy or a match condition asks on behalf of `user`.
    fn authorize(&self, user: &UserInfo, check: &cel::Check) -> cel::Verdict;
}

/// What plugins work with.
#[derive(Clone)]
pub struct Means {
    /// Objects to look up.
    pub store: Store,
    /// Who may. Without it, plugins that ask refuse.
    pub authorizer: Option<Arc<dyn Authorize>>,
    /// Owns the connections to webhooks.
    pub supervisor: Supervisor,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The chain, and which of its plugins are missing from it.
#[derive(Debug)]
pub struct Built {
    /// The plugins in order.
    pub chain: Chain,
    /// Plugins that should run and that this server does not have, to be warned about by name.
    pub missing: Vec<&'static str>,
}

/// A flag value that makes no sense; upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// No plugin has this name.
    #[error("{flag}: unknown admission plugin {name:?}")]
    Unknown {
        /// The flag, without dashes.
        flag: &'static str,
        /// The name.
        name: String,
    },
    /// Its configuration makes no sense.
    #[error("couldn't init admission plugin {name:?}: {why}")]
    Configuration {
        /// The plugin.
        name: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Named in both flags.
    #[error("{0:?} in enable-admission-plugins and disable-admission-plugins overlapped")]
    Both(String),
}

/// Builds the chain: plugins on by default and enabled ones, without the disabled ones.
pub fn plugins(
    enabled: &[String],
    disabled: &[String],
    configuration: &Configuration,
    means: &Means,
) -> Result<Built, PluginError> {
    check(enabled, disabled)?;
    let chain = Chain { links: Vec::new(), observer: Some(means.metrics.of_chain()) };
    let mut built = Built { chain, missing: Vec::new() };
    for (name, default, part) in catalog::ORDER {
        let is_enabled = enabled.iter().any(|e| e == name);
        let runs = (is_enabled || *default == Switch::On) && !disabled.iter().any(|d| d == name);
        if !runs {
            continue;
        }
        let failed = |why| PluginError::Configuration { name, why };
        let of_plugin = configuration.of(name);
        // What was asked for and is not done would be found out too late.
        if of_plugin.is_some() && !CONFIGURABLE.contains(name) {
            return Err(failed("this server reads no configuration of it".to_owned()));
        }
        match build(name, of_plugin, means).map_err(failed)? {
            Some(plugin) => {
                let observer = means.metrics.of_plugin(name);
                built.chain.links.push(Link { plugin, part: *part, observer });
            }
            None => built.missing.push(name),
        }
    }
    Ok(built)
}

fn check(enabled: &[String], disabled: &[String]) -> Result<(), PluginError> {
    for (flag, names) in [("enable-admission-plugins", enabled), ("disable-admission-plugins", disabled)] {
        if let Some(name) = names.iter().find(|name| !catalog::is_known(name)) {
            return Err(PluginError::Unknown { flag, name: name.clone() });
        }
    }
    match enabled.iter().find(|name| disabled.contains(name)) {
        Some(name) => Err(PluginError::Both(name.clone())),
        None => Ok(()),
    }
}

/// A plugin in the form that the chain holds.
pub(crate) type Boxed = Box<dyn Plugin>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Cluster;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    #[tokio::test]
    async fn flags_choose_plugins() {
        let cluster = Cluster::start().await;
        let run = |on: &[&str], off: &[&str]| -> Result<Vec<&'static str>, String> {
            let built = plugins(&names(on), &names(off), &Configuration::default(), &cluster.means())
                .map_err(|e| e.to_string())?;
            Ok(built.chain.links.iter().map(|link| link.plugin.name()).collect())
        };
        let default = run(&[], &[]).expect("the default chain");
        assert!(default.contains(&"NamespaceLifecycle") && !default.contains(&"AlwaysPullImages"), "{default:?}");
        let changed = run(&["AlwaysPullImages"], &["Priority"]).expect("a chain");
        assert!(changed.contains(&"AlwaysPullImages") && !changed.contains(&"Priority"), "{changed:?}");
        let order: Vec<_> = changed.iter().map(|n| catalog::ORDER.iter().position(|(name, ..)| name == n)).collect();
        assert!(order.is_sorted());
        assert_eq!(
            run(&["Nonsense"], &[]),
            Err("enable-admission-plugins: unknown admission plugin \"Nonsense\"".into())
        );
        assert!(run(&["Priority"], &["Priority"]).is_err());
    }
}

//! `--runtime-config`: which of the built-in APIs are served.
//!
//! Upstream: `apiserver/pkg/server/options/api_enablement.go`,
//! `apiserver/pkg/server/resourceconfig/helpers.go`, `pkg/controlplane/instance.go`.

use apimachinery::gvk::api_version;
use apimachinery::resources::{self, ResourceInfo};
use apimachinery::schema::Schema;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Flags about which APIs are served.
#[derive(Clone, Debug, clap::Args)]
pub struct ApiEnablement {
    /// A set of key=value pairs that enable or disable built-in APIs: v1 for the core API group,
    /// GROUP/VERSION for a version, GROUP/VERSION/RESOURCE for a resource, api/all for all versions,
    /// api/ga, api/beta and api/alpha for those of the form v1, v1beta1 and v1alpha1.
    #[arg(long, value_delimiter = ',')]
    pub runtime_config: Vec<String>,
}

/// What is served.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Built-in resources that are not.
    pub without: Vec<Arc<ResourceInfo>>,
    /// Versions, and resources of them, that were asked for and that are not built.
    pub unbuilt: Vec<String>,
}

impl Served {
    /// Built-in resources that are served, in discovery order.
    pub fn built(&self) -> Vec<Arc<ResourceInfo>> {
        let is_served = |r: &&Arc<ResourceInfo>| !self.without.iter().any(|other| Arc::ptr_eq(other, r));
        resources::builtin().iter().filter(is_served).cloned().collect()
    }
}

/// A configuration that cannot be; upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeConfigError {
    /// Nothing would be served.
    #[error("invalid runtime-config with only api/all=false")]
    Nothing,
    /// A key of one part, or of four.
    #[error("runtime-config invalid key {0}")]
    Key(String),
    /// Groups that v1.36 does not know.
    #[error("unknown api groups {}", .0.join(","))]
    Groups(Vec<String>),
    /// A version that v1.36 does not know.
    #[error("group version {0} that has not been registered")]
    Version(String),
    /// A class of versions takes `true` and `false` only.
    #[error("invalid value {key}={value}")]
    Class {
        /// The class, such as `api/beta`.
        key: String,
        /// Its value.
        value: String,
    },
    /// Not a bool.
    #[error("invalid value of {key}: {value}, err: strconv.ParseBool: parsing {value:?}: invalid syntax")]
    Bool {
        /// The version or resource.
        key: String,
        /// Its value.
        value: String,
    },
    /// Resources are written in lower case.
    #[error("invalid key {key}: group/version/resource and resource is always lowercase plural, not {resource:?}")]
    Resource {
        /// The key.
        key: String,
        /// Its last part.
        resource: String,
    },
    /// Priority and fairness reads its configuration from the API.
    #[error("--runtime-config={0}=false conflicts with --enable-priority-and-fairness=true")]
    Fairness(&'static str),
}

/// Versions that upstream has and serves only when it is told to; none is built.
const OFF: &[(&str, &str)] = &[
    ("admissionregistration.k8s.io", "v1alpha1"),
    ("admissionregistration.k8s.io", "v1beta1"),
    ("authentication.k8s.io", "v1alpha1"),
    ("authentication.k8s.io", "v1beta1"),
    ("certificates.k8s.io", "v1alpha1"),
    ("certificates.k8s.io", "v1beta1"),
    ("coordination.k8s.io", "v1alpha2"),
    ("coordination.k8s.io", "v1beta1"),
    ("flowcontrol.apiserver.k8s.io", "v1beta1"),
    ("flowcontrol.apiserver.k8s.io", "v1beta2"),
    ("flowcontrol.apiserver.k8s.io", "v1beta3"),
    ("internal.apiserver.k8s.io", "v1alpha1"),
    ("networking.k8s.io", "v1beta1"),
    ("resource.k8s.io", "v1alpha3"),
    ("resource.k8s.io", "v1beta1"),
    ("resource.k8s.io", "v1beta2"),
    ("scheduling.k8s.io", "v1alpha2"),
    ("storage.k8s.io", "v1alpha1"),
    ("storage.k8s.io", "v1beta1"),
    ("storagemigration.k8s.io", "v1beta1"),
];

/// Classes of versions, in the order in which they are applied.
const CLASSES: &[(&str, Option<Stage>)] = &[
    ("api/all", None),
    ("api/ga", Some(Stage::Stable)),
    ("api/beta", Some(Stage::Beta)),
    ("api/alpha", Some(Stage::Alpha)),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Stable,
    Beta,
    Alpha,
}

/// What a key that is no class is about.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    group: &'a str,
    version: &'a str,
    resource: Option<&'a str>,
}

impl ApiEnablement {
    /// What is served, with or without priority and fairness.
    pub fn served(&self, fairness: bool) -> Result<Served, RuntimeConfigError> {
        let config = completed(&self.runtime_config);
        if fairness {
            check_fairness(&config)?;
        }
        if config.len() == 1 && config.get("api/all").is_some_and(|value| value == "false") {
            return Err(RuntimeConfigError::Nothing);
        }
        let targets = targets(&config)?;
        check_groups(&targets)?;
        let mut versions = BTreeMap::new();
        versions.extend(OFF.iter().map(|version| (*version, false)));
        versions.extend(resources::builtin().iter().map(|r| ((&*r.group, &*r.version), true)));
        apply_classes(&config, &mut versions)?;
        let mut single = BTreeMap::new();
        for (key, target) in &targets {
            let is_on = checked(key, target, &config[*key])?;
            match target.resource {
                None => drop(versions.insert((target.group, target.version), is_on)),
                Some(resource) => drop(single.insert((target.group, target.version, resource), is_on)),
            }
        }
        Ok(outcome(&versions, &single))
    }
}

/// The pairs by key, the core group under the name that all others have.
fn completed(pairs: &[String]) -> BTreeMap<String, String> {
    let mut config = BTreeMap::new();
    for pair in pairs.iter().filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = match key.trim() {
            // Upstream makes the group of its resources too.
            key if ["v1", "api/v1"].contains(&key) || key.starts_with("v1/") || key.starts_with("api/v1/") => "/v1",
            "api/legacy" => continue,
            key => key,
        };
        config.insert(key.to_owned(), value.trim().to_owned());
    }
    config
}

fn check_fairness(config: &BTreeMap<String, String>) -> Result<(), RuntimeConfigError> {
    for key in ["flowcontrol.apiserver.k8s.io/v1", "api/ga", "api/all"] {
        match config.get(key).map(String::as_str) {
            Some("false") => return Err(RuntimeConfigError::Fairness(key)),
            Some("true") => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

fn targets(config: &BTreeMap<String, String>) -> Result<Vec<(&str, Target<'_>)>, RuntimeConfigError> {
    let keys = config.keys().filter(|key| CLASSES.iter().all(|(class, _)| class != key));
    keys.map(|key| {
        let mut parts = key.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(group), Some(version), resource, None) => Ok((key.as_str(), Target { group, version, resource })),
            _ => Err(RuntimeConfigError::Key(key.clone())),
        }
    })
    .collect()
}

fn check_groups(targets: &[(&str, Target<'_>)]) -> Result<(), RuntimeConfigError> {
    let known: BTreeSet<&str> = Schema::builtin().kinds().map(|kind| &*kind.group).collect();
    let unknown = targets.iter().map(|(_, target)| target).filter(|target| !known.contains(target.group));
    let unknown: BTreeSet<String> = unknown.map(|target| api_version(target.group, target.version)).collect();
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(RuntimeConfigError::Groups(unknown.into_iter().collect())),
    }
}

fn apply_classes(
    config: &BTreeMap<String, String>,
    versions: &mut BTreeMap<(&str, &str), bool>,
) -> Result<(), RuntimeConfigError> {
    for (class, stage) in CLASSES {
        let Some(value) = config.get(*class) else { continue };
        let is_on = match value.as_str() {
            "true" => true,
            "false" => false,
            _ => return Err(RuntimeConfigError::Class { key: (*class).to_owned(), value: value.clone() }),
        };
        let matching =
            versions.iter_mut().filter(|((_, version), _)| stage.is_none_or(|stage| stage == stage_of(version)));
        matching.for_each(|(_, served)| *served = is_on);
    }
    Ok(())
}

fn stage_of(version: &str) -> Stage {
    match (version.contains("alpha"), version.contains("beta")) {
        (true, _) => Stage::Alpha,
        (false, true) => Stage::Beta,
        (false, false) => Stage::Stable,
    }
}

/// Whether a version or resource is switched on; nothing means on.
fn checked(key: &str, target: &Target<'_>, value: &str) -> Result<bool, RuntimeConfigError> {
    let is_known =
        |kind: &apimachinery::gvk::GroupVersionKind| kind.group == target.group && kind.version == target.version;
    if !Schema::builtin().kinds().any(is_known) {
        return Err(RuntimeConfigError::Version(api_version(target.group, target.version)));
    }
    let is_on = match value {
        "" => true,
        _ => component::gates::go_bool(value)
            .ok_or_else(|| RuntimeConfigError::Bool { key: key.to_owned(), value: value.to_owned() })?,
    };
    match target.resource {
        Some(resource) if resource.to_lowercase() != resource => {
            Err(RuntimeConfigError::Resource { key: key.to_owned(), resource: resource.to_owned() })
        }
        _ => Ok(is_on),
    }
}

/// Single resources count more than their versions.
fn outcome(versions: &BTreeMap<(&str, &str), bool>, single: &BTreeMap<(&str, &str, &str), bool>) -> Served {
    let is_served = |r: &ResourceInfo| {
        let version = || versions.get(&(&*r.group, &*r.version)).copied().unwrap_or(false);
        single.get(&(&*r.group, &*r.version, &*r.plural)).copied().unwrap_or_else(version)
    };
    let without = resources::builtin().iter().filter(|r| !is_served(r)).cloned().collect();
    let is_off = |group: &str, version: &str| OFF.contains(&(group, version));
    let asked = versions.iter().filter(|((group, version), is_on)| **is_on && is_off(group, version));
    let mut unbuilt: Vec<String> = asked.map(|((group, version), _)| api_version(group, version)).collect();
    let asked = single.iter().filter(|((group, version, _), is_on)| **is_on && is_off(group, version));
    unbuilt.extend(asked.map(|((group, version, resource), _)| format!("{group}/{version}/{resource}")));
    Served { without, unbuilt }
}

#[cfg(test)]
#[path = "api_enablement/tests.rs"]
mod tests;

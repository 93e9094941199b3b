//! A container's environment, command and arguments.
//!
//! Order as upstream's: service links, then `envFrom`, then `env`; later ones win, and `env` may
//! refer to whatever stands before it. Upstream: `pkg/kubelet/kubelet_pods.go`.

pub mod expand;
pub mod fields;
pub mod services;

use crate::pod::PodExt;
use expand::expand;
use fields::{FieldError, PodFacts};
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvFromSource, EnvVar, EnvVarSource, Secret, Service};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The environment cannot be built; shown as CreateContainerConfigError.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvError {
    #[error("configmap \"{0}\" not found")]
    NoConfigMap(String),
    #[error("secret \"{0}\" not found")]
    NoSecret(String),
    #[error("couldn't find key {key} in ConfigMap {namespace}/{name}")]
    NoConfigMapKey { namespace: String, name: String, key: String },
    #[error("couldn't find key {key} in Secret {namespace}/{name}")]
    NoSecretKey { namespace: String, name: String, key: String },
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// Objects that a container's environment refers to, fetched beforehand: this module does no I/O.
#[derive(Clone, Debug, Default)]
pub struct Referenced {
    pub config_maps: BTreeMap<String, Arc<ConfigMap>>,
    pub secrets: BTreeMap<String, Arc<Secret>>,
    pub services: Vec<Arc<Service>>,
}

/// Names of the ConfigMaps and Secrets that the environment of a container needs.
pub fn references(container: &Container) -> (Vec<String>, Vec<String>) {
    let (mut maps, mut secrets) = (Vec::new(), Vec::new());
    for from in container.env_from.iter().flatten() {
        maps.extend(from.config_map_ref.as_ref().map(|r| r.name.clone()));
        secrets.extend(from.secret_ref.as_ref().map(|r| r.name.clone()));
    }
    for source in container.env.iter().flatten().filter_map(|e| e.value_from.as_ref()) {
        maps.extend(source.config_map_key_ref.as_ref().map(|r| r.name.clone()));
        secrets.extend(source.secret_key_ref.as_ref().map(|r| r.name.clone()));
    }
    (maps, secrets)
}

/// The complete environment, in order of first definition.
pub fn environment(
    facts: &PodFacts<'_>,
    container: &Container,
    refs: &Referenced,
) -> Result<Vec<(String, String)>, EnvError> {
    let mut env = Environment::default();
    let links = PodExt::spec(facts.pod).enable_service_links != Some(false);
    let services = services::variables(facts.pod.namespace(), &refs.services, links);
    for source in container.env_from.iter().flatten() {
        env_from(&mut env, facts, source, refs)?;
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = value_of(&env, &services, facts, container, variable, refs)? {
            env.set(variable.name.clone(), value);
        }
    }
    for (name, value) in services {
        env.set_default(name, value);
    }
    Ok(env.in_order())
}

/// Command and arguments with the environment expanded into them.
pub fn command_and_args(container: &Container, env: &[(String, String)]) -> (Vec<String>, Vec<String>) {
    let map: HashMap<&str, &str> = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let all = |texts: &Option<Vec<String>>| {
        texts.iter().flatten().map(|t| expand(t, |name| map.get(name).map(|v| (*v).to_owned()))).collect()
    };
    (all(&container.command), all(&container.args))
}

#[derive(Default)]
struct Environment {
    order: Vec<String>,
    values: HashMap<String, String>,
}

impl Environment {
    fn set(&mut self, name: String, value: String) {
        if self.values.insert(name.clone(), value).is_none() {
            self.order.push(name);
        }
    }

    fn set_default(&mut self, name: String, value: String) {
        if !self.values.contains_key(&name) {
            self.set(name, value);
        }
    }

    fn in_order(mut self) -> Vec<(String, String)> {
        self.order.into_iter().filter_map(|name| self.values.remove(&name).map(|value| (name, value))).collect()
    }
}

fn env_from(
    env: &mut Environment,
    facts: &PodFacts<'_>,
    source: &EnvFromSource,
    refs: &Referenced,
) -> Result<(), EnvError> {
    let _ = facts;
    let prefix = source.prefix.as_deref().unwrap_or_default();
    if let Some(map_ref) = &source.config_map_ref {
        match refs.config_maps.get(&map_ref.name) {
            Some(map) => {
                for (key, value) in map.data.iter().flatten() {
                    env.set(format!("{prefix}{key}"), value.clone());
                }
            }
            None if map_ref.optional == Some(true) => {}
            None => return Err(EnvError::NoConfigMap(map_ref.name.clone())),
        }
    }
    if let Some(secret_ref) = &source.secret_ref {
        match refs.secrets.get(&secret_ref.name) {
            Some(secret) => {
                for (key, value) in secret.data.iter().flatten() {
                    env.set(format!("{prefix}{key}"), String::from_utf8_lossy(&value.0).into_owned());
                }
            }
            None if secret_ref.optional == Some(true) => {}
            None => return Err(EnvError::NoSecret(secret_ref.name.clone())),
        }
    }
    Ok(())
}

fn value_of(
    env: &Environment,
    services: &BTreeMap<String, String>,
    facts: &PodFacts<'_>,
    container: &Container,
    variable: &EnvVar,
    refs: &Referenced,
) -> Result<Option<String>, EnvError> {
    match (&variable.value, &variable.value_from) {
        (_, Some(source)) => from_source(facts, container, source, refs),
        (value, None) => Ok(Some(expand(value.as_deref().unwrap_or_default(), |name| {
            env.values.get(name).or_else(|| services.get(name)).cloned()
        }))),
    }
}

fn from_source(
    facts: &PodFacts<'_>,
    container: &Container,
    source: &EnvVarSource,
    refs: &Referenced,
) -> Result<Option<String>, EnvError> {
    if let Some(field) = &source.field_ref {
        return Ok(Some(fields::pod_field(facts, &field.field_path)?));
    }
    if let Some(resource) = &source.resource_field_ref {
        return Ok(Some(fields::resource_field(facts, container, resource)?));
    }
    let namespace = || facts.pod.namespace().to_owned();
    if let Some(r) = &source.config_map_key_ref {
        let optional = r.optional == Some(true);
        return match refs.config_maps.get(&r.name) {
            None if optional => Ok(None),
            None => Err(EnvError::NoConfigMap(r.name.clone())),
            Some(map) => match map.data.as_ref().and_then(|d| d.get(&r.key)) {
                Some(value) => Ok(Some(value.clone())),
                None if optional => Ok(None),
                None => {
                    Err(EnvError::NoConfigMapKey { namespace: namespace(), name: r.name.clone(), key: r.key.clone() })
                }
            },
        };
    }
    if let Some(r) = &source.secret_key_ref {
        let optional = r.optional == Some(true);
        return match refs.secrets.get(&r.name) {
            None if optional => Ok(None),
            None => Err(EnvError::NoSecret(r.name.clone())),
            Some(secret) => match secret.data.as_ref().and_then(|d| d.get(&r.key)) {
                Some(value) => Ok(Some(String::from_utf8_lossy(&value.0).into_owned())),
                None if optional => Ok(None),
                None => Err(EnvError::NoSecretKey { namespace: namespace(), name: r.name.clone(), key: r.key.clone() }),
            },
        };
    }
    Ok(Some(String::new()))
}

#[cfg(test)]
mod tests;

//! A webhook's configuration, compiled.

use super::configuration::Clients;
use crate::dynamic::FailurePolicy;
use crate::dynamic::conditions::Conditions;
use crate::dynamic::rules::{self, MatchPolicy, Rule};
use crate::dynamic::selectors::Selectors;
use ::rules::expressions::Compiler;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apiserver_webhook::{Client, Config, ConfigError};
use std::time::Duration;

/// One configuration object.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) hooks: Vec<Hook>,
}

/// One webhook of it.
#[derive(Debug)]
pub(super) struct Hook {
    /// Configuration and name: no other webhook has it.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) rules: Vec<Rule>,
    pub(super) policy: MatchPolicy,
    pub(super) selectors: Selectors,
    pub(super) conditions: Conditions,
    pub(super) failure: FailurePolicy,
    pub(super) effects: SideEffects,
    pub(super) timeout: Duration,
    pub(super) version: Version,
    /// Whether it wants to see what others change after it.
    pub(super) reinvocation: Reinvoke,
    pub(super) client: Result<Client, ConfigError>,
}

/// Whether a webhook may be asked on a dry run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SideEffects {
    /// It has none then.
    NoneOnDryRun,
    /// It has some, or nobody knows.
    Unknown,
}

/// The version of `AdmissionReview` that a webhook is sent: the first that it names and we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V1Beta1,
    /// None of those it names.
    Unknown,
}

/// `reinvocationPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reinvoke {
    Never,
    IfNeeded,
}

impl Configuration {
    pub(super) fn compile(value: &Value, clients: &Clients) -> Self {
        let hooks = value.get("webhooks").and_then(Value::as_array).into_iter().flatten();
        Self { hooks: hooks.map(|hook| Hook::compile(value.name(), hook, clients)).collect() }
    }
}

impl Hook {
    fn compile(configuration: &str, value: &Value, clients: &Clients) -> Self {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        let config = Config::parse(value.get("clientConfig").unwrap_or(&Value::Null));
        Self {
            id: format!("{configuration}/{}", text("name")),
            name: text("name").to_owned(),
            rules: rules::parse(value.get("rules")),
            policy: MatchPolicy::parse(value.get("matchPolicy")),
            selectors: Selectors::parse(value),
            conditions: Conditions::compile(value.get("matchConditions"), &Compiler::plain(false)),
            failure: FailurePolicy::parse(value.get("failurePolicy")),
            effects: match text("sideEffects") {
                "None" | "NoneOnDryRun" => SideEffects::NoneOnDryRun,
                _ => SideEffects::Unknown,
            },
            timeout: Duration::from_secs(value.get("timeoutSeconds").and_then(Value::as_u64).unwrap_or(10)),
            version: version(value),
            reinvocation: if text("reinvocationPolicy") == "IfNeeded" { Reinvoke::IfNeeded } else { Reinvoke::Never },
            client: config.and_then(|config| clients.client(config)),
        }
    }
}

fn version(value: &Value) -> Version {
    let named = value.get("admissionReviewVersions").and_then(Value::as_array).into_iter().flatten();
    let known = named.filter_map(|version| match version.as_str()? {
        "v1" => Some(Version::V1),
        "v1beta1" => Some(Version::V1Beta1),
        _ => None,
    });
    known.into_iter().next().unwrap_or(Version::Unknown)
}

//! `PodSecurityConfiguration`: what holds where labels say nothing, and who is exempt.
//!
//! Upstream: `pod-security-admission/admission/api`.

use super::level::{Level, Policy, Standard, Version};
use crate::configuration::unregistered;
use apimachinery::Value;
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::go::quoted;
use rules::validation::names;
use serde::Deserialize;

const GROUP: &str = "pod-security.admission.config.k8s.io";
const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha1"];

/// The configuration of the plugin.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    pub(super) defaults: Policy,
    pub(super) exemptions: Exemptions,
}

impl Default for Configuration {
    fn default() -> Self {
        Self { defaults: Policy::PRIVILEGED, exemptions: Exemptions::default() }
    }
}

/// Whose requests are not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Exemptions {
    pub(super) usernames: Vec<String>,
    pub(super) namespaces: Vec<String>,
    pub(super) runtime_classes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    api_version: String,
    kind: String,
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    exemptions: Exemptions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Defaults {
    enforce: String,
    enforce_version: String,
    audit: String,
    audit_version: String,
    warn: String,
    warn_version: String,
}

impl Configuration {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// What is wrong with it, in upstream's words for values.
    pub(crate) fn parse(value: &Value) -> Result<Self, String> {
        let wire = Wire::deserialize(value).map_err(|error| error.to_string())?;
        let version = wire.api_version.strip_prefix(GROUP).and_then(|rest| rest.strip_prefix('/'));
        if wire.kind != "PodSecurityConfiguration" || !version.is_some_and(|version| VERSIONS.contains(&version)) {
            return Err(unregistered(&wire.kind, &wire.api_version));
        }
        let mut errors = Vec::new();
        let given = &wire.defaults;
        let mut standard = |mode: &str, level: &str, version: &str| {
            let at = |name: String| Path::new("defaults").child(&name);
            let level = if level.is_empty() { Ok(Level::Privileged) } else { Level::parse(level) }
                .map_err(|why| errors.push(invalid(at(mode.to_owned()), level, why)));
            let version = if version.is_empty() { Ok(Version::Latest) } else { Version::parse(version) }
                .map_err(|why| errors.push(invalid(at(format!("{mode}-version")), version, why)));
            Standard { level: level.unwrap_or(Level::Restricted), version: version.unwrap_or(Version::Latest) }
        };
        let defaults = Policy {
            enforce: standard("enforce", &given.enforce, &given.enforce_version),
            warn: standard("warn", &given.warn, &given.warn_version),
            audit: standard("audit", &given.audit, &given.audit_version),
        };
        errors.extend(wire.exemptions.errors());
        match errors.as_slice() {
            [] => Ok(Self { defaults, exemptions: wire.exemptions }),
            errors => Err(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        }
    }
}

impl Exemptions {
    fn errors(&self) -> Vec<FieldError> {
        let not_empty = |name: &str| match name {
            "" => vec!["username must not be empty".to_owned()],
            _ => Vec::new(),
        };
        let mut errors = names_errors("namespaces", &self.namespaces, names::label);
        errors.extend(names_errors("runtimeClasses", &self.runtime_classes, names::subdomain));
        errors.extend(names_errors("usernames", &self.usernames, not_empty));
        errors
    }
}

fn names_errors(list: &str, names: &[String], check: impl Fn(&str) -> Vec<String>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let path = Path::new("exemptions").child(list).index(index);
        let findings = check(name);
        if !findings.is_empty() {
            errors.push(invalid(path, name, &findings.join(", ")));
        } else if names[..index].contains(name) {
            errors.push(FieldError { path, kind: FieldErrorKind::Duplicate(quoted(name)) });
        }
    }
    errors
}

fn invalid(path: Path, value: &str, why: &str) -> FieldError {
    FieldError { path, kind: FieldErrorKind::Invalid(quoted(value), why.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(defaults: Value, exemptions: Value) -> Result<Configuration, String> {
        Configuration::parse(&json!({
            "apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration",
            "defaults": defaults, "exemptions": exemptions,
        }))
    }

    #[test]
    fn defaults_are_privileged_and_latest() {
        let read = parse(json!({"enforce": "baseline", "audit": "restricted", "audit-version": "v1.30"}), json!({}))
            .expect("a configuration");
        let policy = read.defaults;
        assert_eq!(
            [policy.enforce, policy.audit, policy.warn].map(|standard| standard.to_string()),
            ["baseline:latest", "restricted:v1.30", "privileged:latest"]
        );
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (defaults, exemptions, want) in [
            (
                json!({"enforce": "x"}),
                json!({}),
                "defaults.enforce: Invalid value: \"x\": must be one of privileged, baseline, restricted",
            ),
            (
                json!({"warn-version": "1.2"}),
                json!({}),
                "defaults.warn-version: Invalid value: \"1.2\": must be \"latest\" or \"v1.x\"",
            ),
            (json!({}), json!({"usernames": ["a", "a"]}), "exemptions.usernames[1]: Duplicate value: \"a\""),
            (
                json!({}),
                json!({"usernames": [""]}),
                "exemptions.usernames[0]: Invalid value: \"\": username must not be empty",
            ),
        ] {
            assert_eq!(parse(defaults, exemptions).expect_err(want), want);
        }
        assert!(parse(json!({}), json!({"namespaces": ["A"]})).expect_err("a name").contains("namespaces[0]"));
        assert!(parse(json!({"enforced": "x"}), json!({})).expect_err("unknown").contains("unknown field `enforced`"));
        let other = json!({"apiVersion": "v1", "kind": "PodSecurityConfiguration"});
        assert!(Configuration::parse(&other).is_err());
    }
}

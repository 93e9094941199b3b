//! `ResourceQuotaConfiguration`: what may be used only where a quota is about it.
//!
//! Upstream: `apiserver/pkg/admission/plugin/resourcequota/apis/resourcequota`, `CheckRequest` beside it.

use crate::configuration::unregistered;
use apimachinery::Value;
use rules::quota::{self, Amounts, Resource};
use serde::Deserialize;
use std::collections::BTreeSet;

/// What the configuration may say it is.
const VERSIONS: [(&str, &str); 3] = [
    ("apiserver.config.k8s.io/v1", "ResourceQuotaConfiguration"),
    ("resourcequota.admission.k8s.io/v1beta1", "Configuration"),
    ("resourcequota.admission.k8s.io/v1alpha1", "Configuration"),
];

/// All limits; none where there is no configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits(Vec<Limit>);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    api_version: String,
    kind: String,
    #[serde(default)]
    limited_resources: Option<Vec<Limit>>,
}

/// A resource whose use is limited.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Limit {
    #[serde(default)]
    api_group: String,
    #[serde(default)]
    resource: String,
    /// Parts of the names of amounts that need a quota.
    #[serde(default)]
    match_contains: Vec<String>,
    /// Scopes that need a quota.
    #[serde(default)]
    match_scopes: Vec<Requirement>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Requirement {
    #[serde(default)]
    scope_name: String,
    #[serde(default)]
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

/// Why a request may not use what it would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Uncovered {
    /// Amounts that no quota counts.
    Amounts(String),
    /// Scopes that no quota has.
    Scopes(String),
}

impl Limits {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Another kind, unknown fields, and limits of no resource.
    pub(super) fn parse(configuration: &Value) -> Result<Self, String> {
        let wire = Wire::deserialize(configuration).map_err(|error| error.to_string())?;
        if !VERSIONS.contains(&(wire.api_version.as_str(), wire.kind.as_str())) {
            return Err(unregistered(&wire.kind, &wire.api_version));
        }
        let limits = wire.limited_resources.unwrap_or_default();
        match limits.iter().position(|limit| limit.resource.is_empty()) {
            Some(index) => Err(format!("limitedResources[{index}].resource: Required value")),
            None => Ok(Self(limits)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether quotas are about all that `object` uses and that is limited; `used` is that, in whole.
    pub(super) fn check(
        &self,
        resource: Resource<'_>,
        object: &Value,
        used: &Amounts,
        quotas: &[Value],
    ) -> Result<(), Uncovered> {
        let missing = self.amounts(resource, object, used, quotas);
        if !missing.is_empty() {
            return Err(Uncovered::Amounts(missing.into_iter().collect::<Vec<_>>().join(",")));
        }
        let missing = self.scopes(resource, object, quotas);
        match missing.is_empty() {
            true => Ok(()),
            false => Err(Uncovered::Scopes(missing.join(" "))),
        }
    }

    fn amounts<'a>(
        &self,
        resource: Resource<'_>,
        object: &Value,
        used: &'a Amounts,
        quotas: &[Value],
    ) -> BTreeSet<&'a str> {
        let of_resource: Vec<&Limit> = self
            .0
            .iter()
            .filter(|l| (l.api_group.as_str(), l.resource.as_str()) == (resource.group, resource.plural))
            .collect();
        let is_limited =
            |name: &str| of_resource.iter().flat_map(|l| &l.match_contains).any(|part| name.contains(part.as_str()));
        let limited =
            used.iter().filter(|(name, amount)| !amount.is_zero() && !amount.is_negative() && is_limited(name));
        let counted: BTreeSet<String> = quotas
            .iter()
            .filter(|quota| quota::covers(quota, resource, object))
            .flat_map(|quota| super::hard(quota).into_keys())
            .collect();
        limited.map(|(name, _)| name.as_str()).filter(|name| !counted.contains(*name)).collect()
    }

    /// The scopes that fit, of whichever resource they are configured for, and that no quota has, as Go prints them.
    fn scopes(&self, resource: Resource<'_>, object: &Value, quotas: &[Value]) -> Vec<String> {
        let fits = |requirement: &&Requirement| quota::fits_requirement(&requirement.tree(), resource, object);
        let is_covered =
            |scope: &str| quotas.iter().any(|quota| quota::fitting(quota, resource, object).any(|fits| fits == scope));
        let fitting = self.0.iter().flat_map(|limit| &limit.match_scopes).filter(fits);
        fitting.filter(|requirement| !is_covered(&requirement.scope_name)).map(Requirement::shown).collect()
    }
}

impl Requirement {
    fn tree(&self) -> Value {
        serde_json::json!({"scopeName": self.scope_name, "operator": self.operator, "values": self.values})
    }

    fn shown(&self) -> String {
        format!("{{{} {} [{}]}}", self.scope_name, self.operator, self.values.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PODS: Resource<'_> = Resource { group: "", plural: "pods" };

    fn limits(limited: Value) -> Result<Limits, String> {
        Limits::parse(&json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "ResourceQuotaConfiguration",
            "limitedResources": limited}))
    }

    #[test]
    fn scopes_need_a_quota_that_has_them() {
        let limits = limits(json!([{"resource": "pods",
            "matchScopes": [{"scopeName": "PriorityClass", "operator": "In", "values": ["a", "b"]}]}]));
        let limits = limits.expect("limits");
        let pod = |class: &str| json!({"spec": {"priorityClassName": class}});
        let quota = json!({"spec": {"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "Exists"}]}}});
        let check = |class: &str, quotas: &[Value]| limits.check(PODS, &pod(class), &Amounts::new(), quotas);
        assert_eq!(check("a", &[]), Err(Uncovered::Scopes("{PriorityClass In [a b]}".into())));
        assert_eq!((check("c", &[]), check("a", &[quota])), (Ok(()), Ok(())));
    }

    #[test]
    fn amounts_need_a_quota_that_counts_them() {
        let limits = limits(json!([{"resource": "pods", "matchContains": ["cpu"]}])).expect("limits");
        let amount = |n: &str| n.parse().expect("a quantity");
        let used: Amounts = [
            ("cpu".to_owned(), amount("1")),
            ("requests.cpu".to_owned(), amount("1")),
            ("pods".to_owned(), amount("1")),
        ]
        .into();
        let quota = json!({"status": {"hard": {"cpu": "2"}}});
        let check = |quotas: &[Value]| limits.check(PODS, &json!({}), &used, quotas);
        assert_eq!(check(&[]), Err(Uncovered::Amounts("cpu,requests.cpu".into())));
        assert_eq!(check(&[quota]), Err(Uncovered::Amounts("requests.cpu".into())));
    }

    #[test]
    fn other_configurations_are_refused() {
        assert!(
            limits(json!([{"matchContains": ["cpu"]}]))
                .is_err_and(|why| why == "limitedResources[0].resource: Required value")
        );
        assert!(limits(json!([{"resource": "pods", "nonesuch": 1}])).is_err());
        assert!(Limits::parse(&json!({"apiVersion": "v1", "kind": "Pod"})).is_err());
    }
}

//! The rules of an aggregated role.

use crate::objects::selector::Selector;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use std::sync::Arc;

/// The rules that the role should have; `None` if it has them, or is not aggregated.
pub(super) fn plan(role: &ClusterRole, mut all: Vec<Arc<ClusterRole>>) -> Option<Vec<PolicyRule>> {
    let aggregation = role.aggregation_rule.as_ref()?;
    let selectors = aggregation.cluster_role_selectors.iter().flatten().map(Selector::new);
    let selectors: Vec<Selector> = selectors.filter_map(Result::ok).collect();
    all.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in &selectors {
        let selected = all.iter().filter(|other| other.metadata.name != role.metadata.name);
        let selected = selected.filter(|other| selector.matches(other.metadata.labels.as_ref()));
        for rule in selected.flat_map(|other| other.rules.iter().flatten()) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    (role.rules.as_deref().unwrap_or_default() != rules).then_some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn role(value: Value) -> Arc<ClusterRole> {
        Arc::new(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn selected_rules_are_joined_once() {
        let rule = |resource: &str| json!({"apiGroups": [""], "resources": [resource], "verbs": ["get"]});
        let part = |name: &str, label: &str, resources: &[&str]| {
            let rules: Vec<_> = resources.iter().map(|resource| rule(resource)).collect();
            role(json!({"metadata": {"name": name, "labels": {"to": label}}, "rules": rules}))
        };
        let aggregated = |rules: Value| {
            role(json!({"metadata": {"name": "all", "labels": {"to": "view"}}, "rules": rules,
                "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "view"}}]}}))
        };
        let all = |aggregated: &Arc<ClusterRole>| {
            vec![
                part("b", "view", &["pods", "secrets"]),
                part("a", "view", &["pods"]),
                part("c", "edit", &["nodes"]),
                Arc::clone(aggregated),
            ]
        };
        let empty = aggregated(json!(null));
        let rules = plan(&empty, all(&empty)).unwrap();
        assert_eq!(serde_json::to_value(&rules).unwrap(), json!([rule("pods"), rule("secrets")]));
        let full = aggregated(json!([rule("pods"), rule("secrets")]));
        assert_eq!(plan(&full, all(&full)), None);
    }

    #[test]
    fn others_are_left_alone() {
        assert_eq!(plan(&role(json!({"metadata": {"name": "a"}})), Vec::new()), None);
    }
}

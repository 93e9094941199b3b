//! Nobody grants by RBAC what they do not hold: a role's rules must be covered by the writer's
//! own, or the writer has `escalate` on it; a binding's role must be, or the writer has `bind` on
//! it.
//!
//! Upstream: `pkg/registry/rbac/*/policybased`, `pkg/registry/rbac/escalation_check.go`,
//! `component-helpers/auth/rbac/validation/policy_comparator.go`.

mod cover;

use super::rbac::{GROUP, RoleRef, rules_of};
use super::rules::{Rule, everything};
use super::{Attributes, Authorizer, PRIVILEGED, Rbac};
use apimachinery::Value;
use apimachinery::gvk::GroupResource;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apiserver_registry::{Context, EscalationCheck};
use async_trait::async_trait;
use cover::{compact, describe, uncovered};
use std::sync::Arc;

/// The words for a cluster role that would gather rules it does not name.
const AGGREGATION: &str = "must have cluster-admin privileges to use the aggregationRule";

/// Judges writes of roles and bindings.
#[derive(Debug)]
pub struct Escalation {
    /// Asked about `escalate` and `bind`.
    pub authorizer: Arc<Authorizer>,
    /// What everybody holds.
    pub rbac: Rbac,
}

#[async_trait]
impl EscalationCheck for Escalation {
    async fn check(&self, cx: &Context, object: &Value, old: &Value) -> Result<(), Status> {
        if cx.user.groups.iter().any(|g| g == PRIVILEGED) || changes_only_collection_fields(object, old) {
            return Ok(());
        }
        match &*cx.resource.plural {
            "roles" | "clusterroles" => self.role(cx, object, old).await,
            "rolebindings" | "clusterrolebindings" => self.binding(cx, object).await,
            _ => Ok(()),
        }
    }
}

impl Escalation {
    async fn role(&self, cx: &Context, object: &Value, old: &Value) -> Result<(), Status> {
        if self.may(cx, "escalate", &cx.resource.plural, &cx.name).await {
            return Ok(());
        }
        let refuse = |why: String| Status::forbidden(&cx.resource.group_resource(), object.name(), &why);
        self.holds(cx, &rules_of(object)).map_err(refuse)?;
        if aggregates(object) || aggregates(old) {
            self.holds(cx, &everything()).map_err(|_| refuse(AGGREGATION.to_owned()))?;
        }
        Ok(())
    }

    async fn binding(&self, cx: &Context, object: &Value) -> Result<(), Status> {
        // A reference of no known kind fails validation.
        let Some(role) = RoleRef::of(object, &cx.namespace) else { return Ok(()) };
        let plural = if role.namespace.is_empty() { "clusterroles" } else { "roles" };
        if self.may(cx, "bind", plural, &role.name).await {
            return Ok(());
        }
        let rules = self.rbac.rules_of_role(&role);
        let rules = rules.ok_or_else(|| Status::not_found(&GroupResource::new(GROUP, plural), &role.name))?;
        self.holds(cx, &rules).map_err(|why| Status::forbidden(&cx.resource.group_resource(), object.name(), &why))
    }

    async fn may(&self, cx: &Context, verb: &str, plural: &str, name: &str) -> bool {
        let attributes = Attributes {
            verb,
            is_resource: true,
            group: GROUP,
            version: "*",
            resource: plural,
            namespace: &cx.namespace,
            name,
            ..Attributes::default()
        };
        self.authorizer.authorize(&cx.user, &attributes).await.is_allowed()
    }

    /// Whether the user's own rules cover these; upstream's words if not.
    fn holds(&self, cx: &Context, rules: &[Rule]) -> Result<(), String> {
        let (own, unresolved) = self.rbac.rules_for(&cx.user, &cx.namespace);
        let missing = uncovered(&own, rules);
        if missing.is_empty() {
            return Ok(());
        }
        let mut lines: Vec<String> = compact(missing).iter().map(describe).collect();
        lines.sort();
        lines.dedup();
        let mut text = format!(
            "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            cx.user.name,
            cover::quoted(&cx.user.groups),
            lines.join("\n")
        );
        if let Some(error) = unresolved {
            text.push_str(&format!("; resolution errors: [{error}]"));
        }
        Err(text)
    }
}

fn aggregates(role: &Value) -> bool {
    let selectors = role.pointer("/aggregationRule/clusterRoleSelectors").and_then(Value::as_array);
    selectors.is_some_and(|s| !s.is_empty())
}

/// Whether an update changes nothing but what the garbage collector changes.
fn changes_only_collection_fields(object: &Value, old: &Value) -> bool {
    let rest = |value: &Value| {
        let mut value = value.clone();
        let metadata = value.metadata_mut();
        ["ownerReferences", "finalizers", "managedFields", "selfLink"]
            .iter()
            .for_each(|key| drop(metadata.remove(*key)));
        value
    };
    old.is_object() && rest(object) == rest(old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn collection_fields() {
        let old = json!({"metadata": {"name": "a", "finalizers": ["f"]}, "rules": []});
        for (new, want) in [
            (json!({"metadata": {"name": "a"}, "rules": []}), true),
            (json!({"metadata": {"name": "a", "ownerReferences": [{}]}, "rules": []}), true),
            (json!({"metadata": {"name": "a"}, "rules": [1]}), false),
            (json!({"metadata": {"name": "a", "labels": {"a": "b"}}, "rules": []}), false),
        ] {
            assert_eq!(changes_only_collection_fields(&new, &old), want, "{new}");
        }
        assert!(!changes_only_collection_fields(&old, &Value::Null), "a new object");
    }

    #[test]
    fn aggregation_needs_a_selector() {
        assert!(aggregates(&json!({"aggregationRule": {"clusterRoleSelectors": [{}]}})));
        assert!(!aggregates(&json!({"aggregationRule": {"clusterRoleSelectors": []}})));
        assert!(!aggregates(&json!({})));
    }
}

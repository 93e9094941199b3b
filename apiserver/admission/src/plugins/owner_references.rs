//! `OwnerReferencesPermissionEnforcement`: who names owners of an object may delete it, and who has an owner wait for it
//! may set the owner's finalizers.
//!
//! Upstream: `plugin/pkg/admission/gc`.

use crate::Means;
use crate::builder::Authorize;
use crate::denial::forbidden;
use crate::lookup::text;
use apimachinery::Value;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use async_trait::async_trait;
use cel::{Check, Subject};
use std::sync::Arc;

pub(crate) struct OwnerReferences(Option<Arc<dyn Authorize>>);

impl OwnerReferences {
    pub(crate) fn new(means: &Means) -> Self {
        Self(means.authorizer.clone())
    }

    /// Why the user may not; `None` if they may.
    fn refusal(&self, attributes: &Attributes<'_>, check: &Check) -> Option<String> {
        let Some(authorizer) = &self.0 else { return Some("nobody can be asked".to_owned()) };
        let verdict = authorizer.authorize(&attributes.context.user, check);
        (!verdict.allowed).then(|| {
            let error = verdict.error.as_deref().unwrap_or("<nil>");
            format!("{}, {error}", verdict.reason)
        })
    }

    fn check_owner(&self, attributes: &Attributes<'_>, owner: &Value) -> Result<(), Status> {
        let (version, kind) = (text(owner, "/apiVersion"), text(owner, "/kind"));
        let found = GroupVersionKind::parse(version, kind).and_then(|kind| attributes.registry.resource_of_kind(&kind));
        let Some(resource) = found else {
            let why = format!(
                "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion {version} Kind \
                 {kind}: no matches for kind {kind:?} in version {version:?}"
            );
            return Err(forbidden(attributes, &why));
        };
        let check = Check {
            verb: "update".into(),
            group: resource.group.to_string(),
            resource: resource.plural.to_string(),
            subresource: "finalizers".into(),
            namespace: if resource.namespaced { attributes.context.namespace.clone() } else { String::new() },
            name: text(owner, "/name").to_owned(),
            ..nothing()
        };
        match self.refusal(attributes, &check) {
            None => Ok(()),
            Some(why) => Err(forbidden(
                attributes,
                &format!(
                    "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: {why}"
                ),
            )),
        }
    }
}

fn nothing() -> Check {
    Check {
        subject: Subject::Requester,
        path: None,
        group: String::new(),
        resource: String::new(),
        subresource: String::new(),
        namespace: String::new(),
        name: String::new(),
        field_selector: String::new(),
        label_selector: String::new(),
        verb: String::new(),
    }
}

#[async_trait]
impl Plugin for OwnerReferences {
    fn name(&self) -> &'static str {
        "OwnerReferencesPermissionEnforcement"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        // What kubelets write there is not theirs to say, and kept out elsewhere.
        let is_pod_status = context.resource.group.is_empty()
            && context.resource.plural == "pods"
            && context.subresource_name() == "status";
        matches!(operation, Operation::Create | Operation::Update) && !is_pod_status
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let (new, old) = (owners(attributes.object), owners(attributes.old_object));
        if new == old {
            return Ok(());
        }
        let context = attributes.context;
        if attributes.operation != Operation::Create {
            let check = Check {
                verb: "delete".into(),
                group: context.resource.group.to_string(),
                resource: context.resource.plural.to_string(),
                subresource: context.subresource_name().to_owned(),
                namespace: context.namespace.clone(),
                name: attributes.name.to_owned(),
                ..nothing()
            };
            if let Some(why) = self.refusal(attributes, &check) {
                return Err(forbidden(
                    attributes,
                    &format!("cannot set an ownerRef on a resource you can't delete: {why}"),
                ));
            }
        }
        let blocking = newly_blocking(new, old);
        if blocking.is_empty() {
            return Ok(());
        }
        let anything = Check {
            verb: "update".into(),
            group: "*".into(),
            resource: "*".into(),
            subresource: "finalizers".into(),
            name: "*".into(),
            ..nothing()
        };
        if self.refusal(attributes, &anything).is_none() {
            return Ok(());
        }
        blocking.into_iter().try_for_each(|owner| self.check_owner(attributes, owner))
    }
}

fn owners(object: &Value) -> &[Value] {
    let owners = object.metadata().and_then(|metadata| metadata.get("ownerReferences")).and_then(Value::as_array);
    owners.map(Vec::as_slice).unwrap_or_default()
}

/// Owners that wait for the object and did not before.
fn newly_blocking<'o>(new: &'o [Value], old: &[Value]) -> Vec<&'o Value> {
    let is_blocking = |owner: &Value| owner.get("blockOwnerDeletion").and_then(Value::as_bool) == Some(true);
    let was_blocking =
        |owner: &Value| old.iter().rfind(|old| text(old, "/uid") == text(owner, "/uid")).is_some_and(is_blocking);
    new.iter().filter(|owner| is_blocking(owner) && !was_blocking(owner)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn owners_that_wait_are_found() {
        let owner = |uid: &str, blocks: bool| json!({"uid": uid, "blockOwnerDeletion": blocks});
        let old = [owner("1", true), owner("2", false)];
        let new = [owner("1", true), owner("2", true), owner("3", true), owner("4", false)];
        let found: Vec<&str> = newly_blocking(&new, &old).into_iter().map(|owner| text(owner, "/uid")).collect();
        assert_eq!(found, ["2", "3"]);
    }
}

//! Whether a policy and its bindings are about a request, and with which parameters.
//!
//! Upstream: `apiserver/pkg/admission/plugin/policy/generic/{policy_matcher,policy_dispatcher}.go`.

use super::binding::Binding;
use super::params;
use super::policy::Head;
use crate::dynamic::request::Target;
use apimachinery::Value;
use apimachinery::resources::ResourceInfo;
use apiserver_registry::admission::Attributes;
use apiserver_storage::Store;
use std::sync::Arc;

/// What a policy that is about a request is evaluated over.
pub(super) struct Meant {
    /// As what the request is meant.
    pub(super) target: Target,
    /// The resource of the parameters, if there are some.
    kind: Option<Arc<ResourceInfo>>,
}

/// Whether a policy is about a request; an error says why the policy cannot be used.
pub(super) async fn policy(store: &Store, head: &Head, attributes: &Attributes<'_>) -> Result<Option<Meant>, String> {
    let Some(constraints) = &head.constraints else {
        return Err("policy contained no match constraints, a required field".into());
    };
    match constraints.target(store, attributes).await.map_err(|status| status.message)? {
        Some(target) => Ok(Some(Meant { target, kind: head.param_resource(attributes.registry)? })),
        None => Ok(None),
    }
}

/// The parameters that a binding gives to a policy for a request: none if it is not about it.
pub(super) async fn params(
    store: &Store,
    binding: &Binding,
    meant: &Meant,
    attributes: &Attributes<'_>,
) -> Result<Vec<Option<Value>>, String> {
    if let Some(constraints) = &binding.constraints
        && constraints.target(store, attributes).await.map_err(|status| status.message)?.is_none()
    {
        return Ok(Vec::new());
    }
    let namespace = &attributes.context.namespace;
    let found = params::collect(attributes.registry, meant.kind.as_ref(), binding.params.as_ref(), namespace).await;
    found.map_err(|error| error.to_string())
}

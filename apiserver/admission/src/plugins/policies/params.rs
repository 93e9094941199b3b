//! The parameters that a binding gives to a policy.
//!
//! Upstream: `apiserver/pkg/admission/plugin/policy/generic/policy_dispatcher.go` (`CollectParams`).

use super::binding::{Choice, Missing, ParamRef};
use apimachinery::Value;
use apimachinery::resources::ResourceInfo;
use apimachinery::status::Status;
use apiserver_registry::Registry;
use apiserver_storage::Selection;
use std::sync::Arc;

/// Why there are no parameters to evaluate a policy with.
#[derive(Debug, thiserror::Error)]
pub(super) enum ParamError {
    #[error("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")]
    Namespace,
    #[error("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")]
    NoNamespace,
    #[error("no params found for policy binding with `Deny` parameterNotFoundAction")]
    NotFound,
    #[error("{0}")]
    Choice(String),
    #[error("{0}")]
    Lookup(Status),
}

/// Each of the objects that a binding names; one absent object if it names none or the policy takes
/// none.
pub(super) async fn collect(
    registry: &Registry,
    kind: Option<&Arc<ResourceInfo>>,
    reference: Option<&ParamRef>,
    namespace: &str,
) -> Result<Vec<Option<Value>>, ParamError> {
    let (Some(kind), Some(reference)) = (kind, reference) else { return Ok(vec![None]) };
    let namespace = match (kind.namespaced, reference.namespace.as_str()) {
        (false, "") => "",
        (false, _) => return Err(ParamError::Namespace),
        (true, "") if namespace.is_empty() => return Err(ParamError::NoNamespace),
        (true, "") => namespace,
        (true, given) => given,
    };
    let found: Vec<Value> = match &reference.choice {
        Choice::Name(name) => {
            registry.peek(kind, namespace, name).await.map_err(ParamError::Lookup)?.into_iter().collect()
        }
        Choice::Labels(labels) => {
            let namespace = kind.namespaced.then(|| namespace.to_owned());
            let selection = Selection { namespace, labels: labels.clone(), ..Selection::default() };
            registry.peek_all(kind, &selection).await.map_err(ParamError::Lookup)?
        }
        Choice::Nothing(why) => return Err(ParamError::Choice(why.clone())),
    };
    match found.is_empty() && reference.missing == Missing::Deny {
        true => Err(ParamError::NotFound),
        false => Ok(found.into_iter().map(Some).collect()),
    }
}

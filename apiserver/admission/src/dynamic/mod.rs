//! What webhooks and policies share: configuration objects compiled when they change, the rules
//! that say which requests they mean, and the conditions on those.

pub(crate) mod compiled;
pub(crate) mod conditions;
pub(crate) mod constraints;
pub(crate) mod expression;
pub(crate) mod request;
pub(crate) mod rules;
pub(crate) mod selectors;
pub(crate) mod view;

use apimachinery::Value;
use apiserver_registry::Context;

/// What a webhook or policy that fails means for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailurePolicy {
    /// It fails, too.
    Fail,
    /// It goes on.
    Ignore,
}

impl FailurePolicy {
    pub(crate) fn parse(value: Option<&Value>) -> Self {
        match value.and_then(Value::as_str) {
            Some("Ignore") => FailurePolicy::Ignore,
            _ => FailurePolicy::Fail,
        }
    }
}

/// Whether a request is about the configuration of admission itself, which is exempt from it:
/// nobody can lock themselves out.
///
/// Upstream: `apiserver/pkg/admission/plugin/webhook/predicates/rules/rules.go`
/// (`IsExemptAdmissionConfigurationResource`).
pub(crate) fn is_exempt(context: &Context) -> bool {
    &*context.resource.group == "admissionregistration.k8s.io"
}

//! What webhooks and policies share: configuration objects compiled when they change, the rules
//! that say which requests they mean, and the conditions on those.

pub(crate) mod compiled;
pub(crate) mod conditions;
pub(crate) mod request;
pub(crate) mod rules;
pub(crate) mod selectors;

use apiserver_registry::Context;

/// Whether a request is about the configuration of admission itself, which is exempt from it:
/// nobody can lock themselves out.
///
/// Upstream: `apiserver/pkg/admission/plugin/webhook/predicates/rules/rules.go`
/// (`IsExemptAdmissionConfigurationResource`).
pub(crate) fn is_exempt(context: &Context) -> bool {
    &*context.resource.group == "admissionregistration.k8s.io"
}

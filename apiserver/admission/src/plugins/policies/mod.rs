//! `ValidatingAdmissionPolicy` and `MutatingAdmissionPolicy`: expressions judge a request, or change
//! its object.
//!
//! Upstream: `apiserver/pkg/admission/plugin/policy`.

mod binding;
mod matching;
mod mutating;
mod mutation;
mod namespace;
mod params;
mod policy;
mod source;
mod validating;
mod verdict;

#[cfg(test)]
mod tests;

pub(crate) use mutating::Mutating;
pub(crate) use validating::Validating;

use apiserver_registry::Context;

/// Whether no policy can be about a request: policies themselves are exempt, so that nobody can lock
/// themselves out, and so are reviews, which nothing stores.
fn is_exempt(context: &Context) -> bool {
    match &*context.resource.group {
        "admissionregistration.k8s.io" => context.resource.plural.contains("admissionpolic"),
        "authentication.k8s.io" | "authorization.k8s.io" => !context.resource.is_stored(),
        _ => false,
    }
}

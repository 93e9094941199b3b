//! What the plugin counts, with upstream's names.
//!
//! Upstream: `pod-security-admission/metrics`.

use super::level::{Level, Standard, Version};
use apiserver_registry::admission::{Attributes, Operation};
use component::metrics::Registry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// Kubernetes 1.x, the newest version that is no future one.
const SERVED_MINOR: u32 = 36;

/// Evaluations, exemptions and errors.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    evaluations: Family<EvaluationLabels, Counter>,
    exemptions: Family<RequestLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
}

/// What came of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Allow,
    Deny,
}

/// What follows of a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Enforce,
    Audit,
    Warn,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EvaluationLabels {
    decision: &'static str,
    mode: &'static str,
    policy_level: &'static str,
    policy_version: String,
    request_operation: &'static str,
    resource: &'static str,
    subresource: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    request_operation: &'static str,
    resource: &'static str,
    subresource: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    fatal: &'static str,
    request_operation: &'static str,
    resource: &'static str,
    subresource: String,
}

impl RequestLabels {
    fn of(attributes: &Attributes<'_>) -> Self {
        let resource = &attributes.context.resource;
        Self {
            request_operation: if attributes.operation == Operation::Create { "create" } else { "update" },
            resource: match (&*resource.group, &*resource.plural) {
                ("", "pods") => "pod",
                ("", "namespaces") => "namespace",
                _ => "controller",
            },
            subresource: attributes.context.subresource_name().to_owned(),
        }
    }
}

impl Metrics {
    /// Makes the metrics known.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Number of policy evaluations that occurred, requests that are ignored or exempt aside.";
        registry.register("pod_security_evaluations", help, self.evaluations.clone());
        let help = "Number of requests that are exempt, ignored ones aside.";
        registry.register("pod_security_exemptions", help, self.exemptions.clone());
        let help = "Number of errors that stand in the way of an evaluation; those that are not fatal make the latest \
                    restricted level the one that is evaluated.";
        registry.register("pod_security_errors", help, self.errors.clone());
    }

    pub(super) fn evaluated(&self, attributes: &Attributes<'_>, decision: Decision, standard: Standard, mode: Mode) {
        let policy_version = match standard.version {
            _ if standard.level == Level::Privileged => "latest".to_owned(),
            Version::Minor(minor) if minor > SERVED_MINOR => "future".to_owned(),
            version => version.to_string(),
        };
        let RequestLabels { request_operation, resource, subresource } = RequestLabels::of(attributes);
        let labels = EvaluationLabels {
            decision: if decision == Decision::Allow { "allow" } else { "deny" },
            mode: match mode {
                Mode::Enforce => "enforce",
                Mode::Audit => "audit",
                Mode::Warn => "warn",
            },
            policy_level: standard.level.as_str(),
            policy_version,
            request_operation,
            resource,
            subresource,
        };
        self.evaluations.get_or_create(&labels).inc();
    }

    pub(super) fn exempted(&self, attributes: &Attributes<'_>) {
        self.exemptions.get_or_create(&RequestLabels::of(attributes)).inc();
    }

    pub(super) fn failed(&self, attributes: &Attributes<'_>, is_fatal: bool) {
        let RequestLabels { request_operation, resource, subresource } = RequestLabels::of(attributes);
        let fatal = if is_fatal { "true" } else { "false" };
        self.errors.get_or_create(&ErrorLabels { fatal, request_operation, resource, subresource }).inc();
    }
}

//! What admission is measured by, with upstream's names.
//!
//! Upstream: `apiserver/pkg/admission/metrics`,
//! `apiserver/pkg/admission/plugin/policy/{validating,mutating}/metrics`.

use crate::dynamic::conditions::Outcome;
use crate::plugins::pod_security;
use apiserver_registry::admission::{Observer, Operation, Ran, Step};
use component::metrics::Registry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Upstream's buckets for expressions.
const EXPRESSION_SECONDS: &[f64] = &[0.000_000_5, 0.001, 0.01, 0.1, 1.0];

/// Upstream's buckets for steps and plugins.
const STEP_SECONDS: &[f64] = &[0.005, 0.025, 0.1, 0.5, 1.0, 2.5];

/// Upstream's buckets for webhooks.
const WEBHOOK_SECONDS: &[f64] = &[0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0];

/// Upstream's buckets for match conditions.
const CONDITION_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25];

/// Highest code that is told apart from others.
const MAX_CODE: u16 = 600;

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// What was done about a check of a validating policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Enforcement {
    Allow,
    Deny,
    Audit,
    Warn,
}

/// One check of a policy.
pub(crate) struct Check<'a> {
    pub(crate) policy: &'a str,
    pub(crate) binding: &'a str,
    /// What it says; `None` if there is nothing wrong.
    pub(crate) message: Option<&'a str>,
    pub(crate) elapsed: Duration,
}

/// One call of a webhook.
pub(crate) struct Call<'a> {
    pub(crate) name: &'a str,
    pub(crate) step: &'static str,
    pub(crate) operation: Operation,
    pub(crate) code: u16,
    pub(crate) rejection: Option<Rejection>,
}

/// Who refuses a request because of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The webhook does.
    Webhook,
    /// It could not be asked.
    Call,
}

/// What has match conditions.
pub(crate) struct Conditional<'a> {
    pub(crate) name: &'a str,
    /// `webhook` or `policy`.
    pub(crate) kind: &'static str,
    pub(crate) step: &'static str,
    pub(crate) operation: Operation,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    operation: &'static str,
    rejected: &'static str,
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabels {
    name: &'static str,
    operation: &'static str,
    rejected: &'static str,
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabels {
    name: String,
    operation: &'static str,
    rejected: &'static str,
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    code: u16,
    name: String,
    operation: &'static str,
    rejected: &'static str,
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectionLabels {
    error_type: &'static str,
    name: String,
    operation: &'static str,
    rejection_code: u16,
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailOpenLabels {
    name: String,
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    kind: &'static str,
    name: String,
    operation: &'static str,
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Validating {
    enforcement_action: &'static str,
    error_type: &'static str,
    policy: String,
    policy_binding: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Mutating {
    error_type: &'static str,
    policy: String,
    policy_binding: String,
}

/// The metrics of one chain.
#[derive(Debug)]
pub struct Metrics {
    steps: Histograms<StepLabels>,
    plugins: Histograms<PluginLabels>,
    webhooks: Histograms<WebhookLabels>,
    webhook_requests: Family<CallLabels, Counter>,
    /// Upstream's counters without `_total`, which the encoder would add to a counter.
    webhook_rejections: Family<RejectionLabels, Gauge>,
    webhook_fail_open: Family<FailOpenLabels, Gauge>,
    condition_errors: Family<ConditionLabels, Counter>,
    condition_exclusions: Family<ConditionLabels, Counter>,
    condition_seconds: Histograms<ConditionLabels>,
    validating: Family<Validating, Counter>,
    validating_seconds: Histograms<Validating>,
    mutating: Family<Mutating, Counter>,
    mutating_seconds: Histograms<Mutating>,
    pub(crate) pod_security: Arc<pod_security::Metrics>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            steps: Family::new_with_constructor(step_seconds),
            plugins: Family::new_with_constructor(step_seconds),
            webhooks: Family::new_with_constructor(|| Histogram::new(WEBHOOK_SECONDS.iter().copied())),
            webhook_requests: Family::default(),
            webhook_rejections: Family::default(),
            webhook_fail_open: Family::default(),
            condition_errors: Family::default(),
            condition_exclusions: Family::default(),
            condition_seconds: Family::new_with_constructor(|| Histogram::new(CONDITION_SECONDS.iter().copied())),
            validating: Family::default(),
            validating_seconds: Family::new_with_constructor(expression_seconds),
            mutating: Family::default(),
            mutating_seconds: Family::new_with_constructor(expression_seconds),
            pod_security: Arc::default(),
        }
    }
}

fn step_seconds() -> Histogram {
    Histogram::new(STEP_SECONDS.iter().copied())
}

fn expression_seconds() -> Histogram {
    Histogram::new(EXPRESSION_SECONDS.iter().copied())
}

impl Metrics {
    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        self.register_steps(registry);
        self.register_webhooks(registry);
        self.register_conditions(registry);
        self.register_policies(registry);
        self.pod_security.register(registry);
    }

    fn register_steps(&self, registry: &mut Registry) {
        let help = "Admission sub-step latency histogram in seconds, broken out for each operation and API resource \
                    and step type (validate or admit).";
        registry.register("apiserver_admission_step_admission_duration_seconds", help, self.steps.clone());
        let help = "Admission controller latency histogram in seconds, identified by name and broken out for each \
                    operation and API resource and type (validate or admit).";
        registry.register("apiserver_admission_controller_admission_duration_seconds", help, self.plugins.clone());
    }

    fn register_webhooks(&self, registry: &mut Registry) {
        let help = "Admission webhook latency histogram in seconds, identified by name and broken out for each \
                    operation and API resource and type (validate or admit).";
        registry.register("apiserver_admission_webhook_admission_duration_seconds", help, self.webhooks.clone());
        let help = "Admission webhook request total, identified by name and broken out for each admission type \
                    (validating or admit), operation, HTTP status code and whether the request was rejected.";
        registry.register("apiserver_admission_webhook_request", help, self.webhook_requests.clone());
        let help = "Admission webhook rejection count, identified by name and broken out for each admission type \
                    (validating or admit), operation, error type and rejection code.";
        registry.register("apiserver_admission_webhook_rejection_count", help, self.webhook_rejections.clone());
        let help = "Admission webhook fail open count, identified by name and broken out for each admission type \
                    (validating or admit).";
        registry.register("apiserver_admission_webhook_fail_open_count", help, self.webhook_fail_open.clone());
    }

    fn register_conditions(&self, registry: &mut Registry) {
        let help = "Admission match condition evaluation errors count, identified by name of resource containing the \
                    match condition and broken out for each kind containing matchConditions (webhook or policy), \
                    operation and admission type (validate or admit).";
        let name = "apiserver_admission_match_condition_evaluation_errors";
        registry.register(name, help, self.condition_errors.clone());
        let help = "Admission match condition evaluation exclusions count, identified by name of resource containing \
                    the match condition and broken out for each kind containing matchConditions (webhook or policy), \
                    operation and admission type (validate or admit).";
        let name = "apiserver_admission_match_condition_exclusions";
        registry.register(name, help, self.condition_exclusions.clone());
        let help = "Admission match condition evaluation time in seconds, identified by name and broken out for each \
                    kind containing matchConditions (webhook or policy), operation and type (validate or admit).";
        let name = "apiserver_admission_match_condition_evaluation_seconds";
        registry.register(name, help, self.condition_seconds.clone());
    }

    fn register_policies(&self, registry: &mut Registry) {
        let family = "apiserver_validating_admission_policy_check";
        let help = "Validation admission policy check total, labeled by policy and further identified by binding and \
                    enforcement action taken.";
        registry.register(family, help, self.validating.clone());
        let help = "Validation admission latency for individual validation expressions in seconds, labeled by policy \
                    and further including binding and enforcement action taken.";
        registry.register(format!("{family}_duration_seconds"), help, self.validating_seconds.clone());
        let family = "apiserver_mutating_admission_policy_check";
        let help = "Mutation admission policy check total, labeled by policy and further identified by binding.";
        registry.register(family, help, self.mutating.clone());
        let help = "Mutation admission latency for individual mutation expressions in seconds, labeled by policy and \
                    binding.";
        registry.register(format!("{family}_duration_seconds"), help, self.mutating_seconds.clone());
    }

    /// Measures all plugins together.
    pub(crate) fn of_chain(&self) -> Arc<dyn Observer> {
        let steps = self.steps.clone();
        Arc::new(Durations::new(move |ran: &Ran| {
            let Ran { step, operation, rejected, elapsed: _ } = *ran;
            steps.get_or_create_owned(&StepLabels {
                operation: operation.as_str(),
                rejected: yes_or_no(rejected),
                r#type: step_name(step),
            })
        }))
    }

    /// Measures a plugin.
    pub(crate) fn of_plugin(&self, name: &'static str) -> Arc<dyn Observer> {
        let plugins = self.plugins.clone();
        Arc::new(Durations::new(move |ran: &Ran| {
            let Ran { step, operation, rejected, elapsed: _ } = *ran;
            plugins.get_or_create_owned(&PluginLabels {
                name,
                operation: operation.as_str(),
                rejected: yes_or_no(rejected),
                r#type: step_name(step),
            })
        }))
    }

    /// Counts a call of a webhook.
    pub(crate) fn webhook(&self, call: &Call<'_>, elapsed: Duration) {
        let Call { name, step, operation, code, rejection } = *call;
        let (name, operation, rejected) = (name.to_owned(), operation.as_str(), yes_or_no(rejection.is_some()));
        let code = code.min(MAX_CODE);
        let labels = WebhookLabels { name: name.clone(), operation, rejected, r#type: step };
        self.webhooks.get_or_create(&labels).observe(elapsed.as_secs_f64());
        let labels = CallLabels { code, name: name.clone(), operation, rejected, r#type: step };
        self.webhook_requests.get_or_create(&labels).inc();
        if let Some(rejection) = rejection {
            let error_type = match rejection {
                Rejection::Webhook => "no_error",
                Rejection::Call => "calling_webhook_error",
            };
            let labels = RejectionLabels { error_type, name, operation, rejection_code: code, r#type: step };
            self.webhook_rejections.get_or_create(&labels).inc();
        }
    }

    /// Counts a webhook that could not be asked, which does not matter.
    pub(crate) fn webhook_failed_open(&self, name: &str, step: &'static str) {
        self.webhook_fail_open.get_or_create(&FailOpenLabels { name: name.to_owned(), r#type: step }).inc();
    }

    /// Counts what match conditions say.
    pub(crate) fn conditions(&self, of: &Conditional<'_>, outcome: &Outcome, elapsed: Duration) {
        let Conditional { name, kind, step, operation } = *of;
        let labels = ConditionLabels { kind, name: name.to_owned(), operation: operation.as_str(), r#type: step };
        self.condition_seconds.get_or_create(&labels).observe(elapsed.as_secs_f64());
        match outcome {
            Outcome::Matches => {}
            Outcome::Differs => drop(self.condition_exclusions.get_or_create(&labels).inc()),
            Outcome::Failed(_) => drop(self.condition_errors.get_or_create(&labels).inc()),
        }
    }

    /// Counts a validation that did not simply hold.
    pub(crate) fn validating_check(&self, check: &Check<'_>, enforcement: Enforcement) {
        let labels = Validating {
            enforcement_action: match enforcement {
                Enforcement::Allow => "allow",
                Enforcement::Deny => "deny",
                Enforcement::Audit => "audit",
                Enforcement::Warn => "warn",
            },
            error_type: error_type(check.message),
            policy: check.policy.to_owned(),
            policy_binding: check.binding.to_owned(),
        };
        self.validating.get_or_create(&labels).inc();
        self.validating_seconds.get_or_create(&labels).observe(check.elapsed.as_secs_f64());
    }

    /// Counts a mutation.
    pub(crate) fn mutating_check(&self, check: &Check<'_>) {
        let labels = Mutating {
            error_type: error_type(check.message),
            policy: check.policy.to_owned(),
            policy_binding: check.binding.to_owned(),
        };
        self.mutating.get_or_create(&labels).inc();
        self.mutating_seconds.get_or_create(&labels).observe(check.elapsed.as_secs_f64());
    }
}

/// How long one thing takes, by what it did. The histograms are looked up by number, as each request needs dozens.
struct Durations<F> {
    /// Makes the histogram of what is done for the first time.
    histogram: F,
    found: [OnceLock<Histogram>; KINDS],
}

impl<F> Durations<F> {
    fn new(histogram: F) -> Self {
        Self { histogram, found: [const { OnceLock::new() }; KINDS] }
    }
}

impl<F: Fn(&Ran) -> Histogram + Send + Sync> Observer for Durations<F> {
    fn ran(&self, ran: &Ran) {
        let histogram = self.found[kind(ran)].get_or_init(|| (self.histogram)(ran));
        histogram.observe(ran.elapsed.as_secs_f64());
    }
}

/// How many there are of what [`kind`] tells apart.
const KINDS: usize = 16;

/// Numbers what labels tell apart.
fn kind(Ran { step, operation, rejected, elapsed: _ }: &Ran) -> usize {
    (*operation as usize) << 2 | (*step as usize) << 1 | usize::from(*rejected)
}

fn step_name(step: Step) -> &'static str {
    match step {
        Step::Admit => "admit",
        Step::Validate => "validate",
    }
}

fn yes_or_no(set: bool) -> &'static str {
    if set { "true" } else { "false" }
}

/// Upstream goes by how a message begins; what does not hold is an error like any other to it.
fn error_type(message: Option<&str>) -> &'static str {
    match message {
        None => "no_error",
        Some(text) if text.starts_with("compilation") => "compile_error",
        Some(text) if text.starts_with("validation failed due to running out of cost budget") => "out_of_budget",
        Some(_) => "invalid_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_told_apart() {
        let metrics = Metrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let (chain, plugin) = (metrics.of_chain(), metrics.of_plugin("P"));
        for operation in [Operation::Create, Operation::Update, Operation::Delete, Operation::Connect] {
            for step in [Step::Admit, Step::Validate] {
                for rejected in [false, true] {
                    let ran = Ran { step, operation, rejected, elapsed: Duration::from_millis(1) };
                    chain.ran(&ran);
                    plugin.ran(&ran);
                    plugin.ran(&ran);
                }
            }
        }
        let text = component::metrics::encode(&registry);
        let counts = |metric: &str| -> Vec<&str> {
            let name = format!("apiserver_admission_{metric}_admission_duration_seconds_count");
            text.lines().filter(|line| line.starts_with(&name)).filter_map(|line| line.split(' ').next_back()).collect()
        };
        assert_eq!(counts("step"), ["1"; KINDS]);
        assert_eq!(counts("controller"), ["2"; KINDS]);
        assert!(text.contains("{name=\"P\",operation=\"CONNECT\",rejected=\"true\",type=\"validate\"} 2"), "{text}");
    }

    #[test]
    fn checks_are_counted_by_what_was_done() {
        let metrics = Metrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let check = Check { policy: "p", binding: "b", message: Some("no"), elapsed: Duration::from_millis(5) };
        metrics.validating_check(&check, Enforcement::Deny);
        metrics.mutating_check(&Check { message: None, ..check });
        let text = component::metrics::encode(&registry);
        for line in [
            "apiserver_validating_admission_policy_check_total{enforcement_action=\"deny\",\
             error_type=\"invalid_error\",policy=\"p\",policy_binding=\"b\"} 1",
            "apiserver_mutating_admission_policy_check_total{error_type=\"no_error\",policy=\"p\",policy_binding=\"b\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(text.contains("apiserver_validating_admission_policy_check_duration_seconds_bucket"));
        assert_eq!(error_type(Some("compilation error: x")), "compile_error");
    }
}

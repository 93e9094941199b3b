//! What validating and mutating policies have in common, compiled.

use crate::dynamic::FailurePolicy;
use crate::dynamic::conditions::{Conditions, Outcome};
use crate::dynamic::constraints::Constraints;
use crate::metrics::{Conditional, Metrics};
use apimachinery::Value;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::ResourceInfo;
use apiserver_registry::Registry;
use apiserver_registry::admission::Operation;
use cel::{Bindings, Variable};
use rules::expressions::Compiler;
use std::sync::Arc;
use std::time::Instant;

/// The head of a policy.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) name: String,
    pub(super) failure: FailurePolicy,
    /// Absent only in what was let in by somebody who does not ask for it.
    pub(super) constraints: Option<Constraints>,
    pub(super) variables: Vec<Variable>,
    params: Option<GroupVersionKind>,
    conditions: Conditions,
}

/// A policy of either kind.
pub(super) trait Policy {
    /// Its head.
    fn head(&self) -> &Head;
}

impl Head {
    /// Compiles the head, and gives the compiler that the rest is to be compiled by.
    pub(super) fn compile(value: &Value) -> (Self, Compiler) {
        let spec = value.get("spec").unwrap_or(&Value::Null);
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let params = spec.get("paramKind");
        let mut compiler = Compiler::composed(params.is_some());
        let variables = spec.get("variables").and_then(Value::as_array).into_iter().flatten();
        let variables = variables.map(|variable| {
            let name = text(variable, "name");
            let program = compiler.variable(&name, &text(variable, "expression"));
            Variable { name, program }
        });
        let variables = variables.collect();
        let head = Self {
            name: value.name().to_owned(),
            failure: FailurePolicy::parse(spec.get("failurePolicy")),
            constraints: spec.get("matchConstraints").map(Constraints::parse),
            variables,
            params: params.and_then(|kind| GroupVersionKind::parse(&text(kind, "apiVersion"), &text(kind, "kind"))),
            conditions: Conditions::compile(spec.get("matchConditions"), &compiler),
        };
        (head, compiler)
    }

    /// The resource of the parameters, if the policy has some; it may be served only later.
    pub(super) fn param_resource(&self, registry: &Registry) -> Result<Option<Arc<ResourceInfo>>, String> {
        let Some(kind) = &self.params else { return Ok(None) };
        match registry.resource_of_kind(kind) {
            Some(resource) => Ok(Some(resource)),
            None => Err(format!("failed to find resource referenced by paramKind: '{kind}'")),
        }
    }

    /// Asks the match conditions. A policy that ignores failures does not match where they fail.
    pub(super) fn ask<'a>(&'a self, bindings: &Bindings<'a>, operation: Operation, metrics: &Metrics) -> Outcome {
        if self.conditions.is_empty() {
            return Outcome::Matches;
        }
        let started = Instant::now();
        let outcome = self.conditions.ask(bindings);
        // Upstream calls the step of mutating policies that, too.
        let of = Conditional { name: &self.name, kind: "policy", step: "validate", operation };
        metrics.conditions(&of, &outcome, started.elapsed());
        match outcome {
            Outcome::Failed(why) if self.failure == FailurePolicy::Ignore => {
                tracing::debug!(policy = self.name, why, "match conditions failed, the policy is left out");
                Outcome::Differs
            }
            outcome => outcome,
        }
    }
}

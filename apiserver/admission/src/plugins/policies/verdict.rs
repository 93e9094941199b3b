//! What a validating policy says of a request, given one set of parameters.
//!
//! Upstream: `apiserver/pkg/admission/plugin/policy/validating/validator.go`.

use super::policy::{Head, Policy};
use crate::dynamic::FailurePolicy;
use crate::dynamic::conditions::Outcome;
use crate::dynamic::expression::{Expression, ExpressionError};
use crate::dynamic::view::View;
use crate::metrics::Metrics;
use apimachinery::Value as Json;
use apimachinery::status::Reason;
use apiserver_registry::admission::Operation;
use cel::{Bindings, Budget, Value};
use std::time::{Duration, Instant};

/// What all validations of one policy may cost together, and what all its annotations may.
const BUDGET: u64 = 10_000_000;

/// Longest message that an expression may make, in bytes.
const MAX_MESSAGE: usize = 5 * 1024;

/// A `ValidatingAdmissionPolicy`.
#[derive(Debug)]
pub(super) struct ValidatingPolicy {
    head: Head,
    validations: Vec<Validation>,
    annotations: Vec<Annotation>,
}

#[derive(Debug)]
struct Validation {
    expression: Expression,
    message: String,
    message_expression: Option<Expression>,
    reason: Reason,
}

#[derive(Debug)]
struct Annotation {
    key: String,
    value: Expression,
}

/// What becomes of one validation.
#[derive(Debug, PartialEq)]
pub(super) struct Decision {
    pub(super) kind: Kind,
    pub(super) elapsed: Duration,
}

/// The outcome of one validation.
#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    /// It holds.
    Admit,
    /// It fails, which the policy ignores.
    Ignore { error: String },
    /// It does not hold, or it fails, which has no reason of its own.
    Deny { message: String, reason: Option<Reason> },
}

/// What becomes of one annotation.
#[derive(Debug, PartialEq)]
pub(super) enum Note {
    /// It goes to the audit event.
    Publish { key: String, value: String },
    /// It fails, and so does the request.
    Deny { error: String, elapsed: Duration },
}

/// What a policy says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Verdict {
    pub(super) decisions: Vec<Decision>,
    pub(super) notes: Vec<Note>,
}

impl Policy for ValidatingPolicy {
    fn head(&self) -> &Head {
        &self.head
    }
}

impl ValidatingPolicy {
    pub(super) fn compile(value: &Json) -> Self {
        let (head, compiler) = Head::compile(value);
        let spec = value.get("spec").unwrap_or(&Json::Null);
        let list = |key: &str| spec.get(key).and_then(Json::as_array).into_iter().flatten();
        let validations = list("validations").map(|validation| {
            let text = |key: &str| validation.get(key).and_then(Json::as_str).unwrap_or_default();
            let message = text("messageExpression");
            Validation {
                expression: Expression::new(text("expression"), compiler.condition(text("expression"))),
                message: text("message").to_owned(),
                message_expression: (!message.is_empty()).then(|| Expression::new(message, compiler.message(message))),
                reason: reason(text("reason")),
            }
        });
        let annotations = list("auditAnnotations").map(|annotation| {
            let text = |key: &str| annotation.get(key).and_then(Json::as_str).unwrap_or_default();
            let source = text("valueExpression");
            Annotation { key: text("key").to_owned(), value: Expression::new(source, compiler.annotation(source)) }
        });
        Self { validations: validations.collect(), annotations: annotations.collect(), head }
    }

    /// Judges a request.
    pub(super) fn judge(
        &self,
        view: &View<'_>,
        params: Option<&Json>,
        operation: Operation,
        metrics: &Metrics,
    ) -> Verdict {
        let bindings = view.bindings(params, &self.head.variables);
        match self.head.ask(&bindings, operation, metrics) {
            Outcome::Matches => {}
            Outcome::Differs => return Verdict::default(),
            Outcome::Failed(why) => return self.failed(why),
        }
        let validated = self.validate(&bindings).and_then(|decisions| Ok((decisions, self.annotate(&bindings)?)));
        match validated {
            Ok((decisions, notes)) => Verdict { decisions, notes },
            Err(error) => self.failed(error.to_string()),
        }
    }

    /// The whole policy fails.
    fn failed(&self, why: String) -> Verdict {
        let decision = Decision { kind: self.failure(why), elapsed: Duration::ZERO };
        Verdict { decisions: vec![decision], notes: Vec::new() }
    }

    fn failure(&self, why: String) -> Kind {
        match self.head.failure {
            FailurePolicy::Fail => Kind::Deny { message: why, reason: None },
            FailurePolicy::Ignore => Kind::Ignore { error: why },
        }
    }

    fn validate<'a>(&'a self, bindings: &Bindings<'a>) -> Result<Vec<Decision>, ExpressionError> {
        let mut budget = Budget::new(BUDGET);
        let mut decisions = Vec::with_capacity(self.validations.len());
        for validation in &self.validations {
            let started = Instant::now();
            let kind = match validation.expression.run(bindings, &mut budget) {
                Ok(value) if value.as_bool() == Some(true) => Kind::Admit,
                Ok(_) => self.violated(validation, bindings, &mut budget),
                Err(error @ ExpressionError::Exhausted) => return Err(error),
                Err(error) => self.failure(error.to_string()),
            };
            decisions.push(Decision { kind, elapsed: started.elapsed() });
        }
        Ok(decisions)
    }

    /// Messages are made only where they are needed, of what the validations so far have left.
    fn violated<'a>(&self, validation: &'a Validation, bindings: &Bindings<'a>, budget: &mut Budget) -> Kind {
        let made = match &validation.message_expression {
            None => None,
            Some(expression) => match expression.run(bindings, budget) {
                Ok(value) => value.as_str().and_then(usable),
                Err(error @ ExpressionError::Exhausted) => {
                    return self.failure(format!("failed messageExpression: {error}"));
                }
                Err(error) => {
                    tracing::debug!(policy = self.head.name, %error, "messageExpression failed");
                    None
                }
            },
        };
        let message = made.unwrap_or_else(|| match validation.message.trim() {
            "" => format!("failed expression: {}", validation.expression.source().trim()),
            message => message.to_owned(),
        });
        Kind::Deny { message, reason: Some(validation.reason) }
    }

    fn annotate<'a>(&'a self, bindings: &Bindings<'a>) -> Result<Vec<Note>, ExpressionError> {
        let mut budget = Budget::new(BUDGET);
        let mut notes = Vec::new();
        for annotation in &self.annotations {
            let started = Instant::now();
            let error = match annotation.value.run(bindings, &mut budget) {
                Ok(Value::String(text)) => {
                    let value = text.trim().to_owned();
                    if !value.is_empty() {
                        notes.push(Note::Publish { key: annotation.key.clone(), value });
                    }
                    continue;
                }
                Ok(Value::Null) => continue,
                Ok(other) => unsupported(annotation, &other),
                Err(error @ ExpressionError::Exhausted) => return Err(error),
                Err(_) if self.head.failure == FailurePolicy::Ignore => continue,
                Err(error) => error.to_string(),
            };
            notes.push(Note::Deny { error, elapsed: started.elapsed() });
        }
        Ok(notes)
    }
}

fn unsupported(annotation: &Annotation, value: &Value<'_>) -> String {
    let (source, of) = (annotation.value.source(), value.type_name());
    format!(
        "valueExpression '{source}' resulted in unsupported return type: {of}. Return type must be either string or null."
    )
}

/// A message of one line that is not too long.
fn usable(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n')).then(|| text.to_owned())
}

fn reason(text: &str) -> Reason {
    match text {
        "Unauthorized" => Reason::Unauthorized,
        "Forbidden" => Reason::Forbidden,
        "RequestEntityTooLarge" => Reason::RequestEntityTooLarge,
        _ => Reason::Invalid,
    }
}

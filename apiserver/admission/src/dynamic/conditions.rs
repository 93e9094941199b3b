//! `matchConditions`, and what expressions are evaluated over.
//!
//! Upstream: `apiserver/pkg/admission/plugin/webhook/matchconditions/matcher.go`,
//! `apiserver/pkg/admission/plugin/cel/activation.go`.

use super::request::{Target, describe};
use crate::builder::Authorize;
use apimachinery::Value as Json;
use apiserver_registry::UserInfo;
use apiserver_registry::admission::Attributes;
use cel::{Bindings, Budget, Check, Program, Value, Variable, Verdict};
use rules::expressions::{Extras, admission, compile_bool};
use std::sync::Arc;

/// What all match conditions of one webhook or policy may cost together.
const BUDGET: u64 = 2_500_000;

/// Conditions that all have to hold.
#[derive(Debug, Default)]
pub(crate) struct Conditions(Vec<(String, Result<Program, String>)>);

/// What conditions say of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All hold, or there are none.
    Matches,
    /// One does not hold.
    Differs,
    /// It cannot be told.
    Failed(String),
}

impl Conditions {
    /// Compiles conditions; one that does not compile fails when it is asked.
    pub(crate) fn compile(conditions: Option<&Json>, extras: Extras) -> Self {
        let environment = admission(extras);
        let text = |value: &Json, key: &str| value.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        let list = conditions.and_then(Json::as_array).into_iter().flatten();
        let compiled = list.map(|c| (text(c, "name"), compile_bool(&text(c, "expression"), &environment)));
        Self(compiled.collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks all conditions: one that does not hold outweighs those that fail.
    pub(crate) fn ask<'a>(&'a self, bindings: &Bindings<'a>) -> Outcome {
        let mut failure = None;
        let mut budget = Budget::new(BUDGET);
        for (name, program) in &self.0 {
            let verdict = match program {
                Ok(program) => run(program, bindings, &mut budget).map_err(|error| error.to_string()),
                Err(error) => Err(error.clone()),
            };
            match verdict.map(|value| value.as_bool()) {
                Ok(Some(true)) => {}
                Ok(_) => return Outcome::Differs,
                Err(error) => failure = failure.or(Some(format!("expression {name:?} resulted in error: {error}"))),
            }
        }
        failure.map_or(Outcome::Matches, Outcome::Failed)
    }
}

/// Evaluates one expression within its own limit and that of all together.
pub(crate) fn run<'a>(
    program: &'a Program,
    bindings: &Bindings<'a>,
    budget: &mut Budget,
) -> Result<Value<'a>, cel::EvalError> {
    let mut call = budget.call();
    let given = call.left();
    let value = cel::evaluate(program, bindings, &mut call);
    budget.settle(given, &call);
    value
}

/// What the expressions of one webhook or policy see of a request.
pub(crate) struct View {
    object: Json,
    old_object: Json,
    request: Json,
    namespace: Json,
    authorizer: Asking,
}

/// The server's authorizer on behalf of the request's user.
struct Asking {
    authorizer: Option<Arc<dyn Authorize>>,
    user: Arc<UserInfo>,
    request: Check,
}

impl cel::Authorize for Asking {
    fn authorize(&self, check: &Check) -> Verdict {
        match &self.authorizer {
            Some(authorizer) => authorizer.authorize(&self.user, check),
            None => Verdict { allowed: false, reason: String::new(), error: Some("no authorizer".into()) },
        }
    }
}

impl View {
    /// The request as `target`.
    pub(crate) fn new(
        attributes: &Attributes<'_>,
        target: &Target,
        namespace: Option<Json>,
        authorizer: Option<Arc<dyn Authorize>>,
    ) -> Self {
        let context = attributes.context;
        let request = Check {
            group: context.resource.group.to_string(),
            resource: context.resource.plural.to_string(),
            subresource: context.subresource_name().to_owned(),
            namespace: context.namespace.clone(),
            name: attributes.name.to_owned(),
            ..Check::default()
        };
        Self {
            object: target.view(attributes, attributes.object),
            old_object: target.view(attributes, attributes.old_object),
            request: describe(attributes, target),
            namespace: namespace.unwrap_or_default(),
            authorizer: Asking { authorizer, user: context.user.clone(), request },
        }
    }

    /// The variables; `params` and `variables` if there are some.
    pub(crate) fn bindings<'a>(&'a self, params: Option<&'a Json>, variables: &'a [Variable]) -> Bindings<'a> {
        Bindings::new()
            .with("object", Value::json(&self.object))
            .with("oldObject", Value::json(&self.old_object))
            .with("request", Value::json(&self.request))
            .with("namespaceObject", Value::json(&self.namespace))
            .with("params", params.map_or(Value::Null, Value::json))
            .with("authorizer", Value::authorizer(&self.authorizer, self.authorizer.request.clone()))
            .with_variables(variables)
    }
}

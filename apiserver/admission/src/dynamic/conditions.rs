//! `matchConditions`.
//!
//! Upstream: `apiserver/pkg/admission/plugin/webhook/matchconditions/matcher.go`.

use super::expression::{Expression, ExpressionError};
use apimachinery::Value as Json;
use cel::{Bindings, Budget};
use rules::expressions::Compiler;

/// What all match conditions of one webhook or policy may cost together.
const BUDGET: u64 = 2_500_000;

/// Conditions that all have to hold.
#[derive(Debug, Default)]
pub(crate) struct Conditions(Vec<Expression>);

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
    pub(crate) fn compile(conditions: Option<&Json>, compiler: &Compiler) -> Self {
        let list = conditions.and_then(Json::as_array).into_iter().flatten();
        let sources = list.map(|c| c.get("expression").and_then(Json::as_str).unwrap_or_default());
        Self(sources.map(|source| Expression::new(source, compiler.condition(source))).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks all conditions: one that does not hold outweighs those that fail.
    pub(crate) fn ask<'a>(&'a self, bindings: &Bindings<'a>) -> Outcome {
        let mut failures: Vec<String> = Vec::new();
        let mut budget = Budget::new(BUDGET);
        for condition in &self.0 {
            match condition.run(bindings, &mut budget).map(|value| value.as_bool()) {
                Ok(Some(true)) => {}
                Ok(_) => return Outcome::Differs,
                Err(error @ ExpressionError::Exhausted) => return Outcome::Failed(error.to_string()),
                Err(error) => failures.push(error.to_string()),
            }
        }
        failures.dedup();
        match failures.as_slice() {
            [] => Outcome::Matches,
            [one] => Outcome::Failed(one.clone()),
            all => Outcome::Failed(format!("[{}]", all.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cel::Value;
    use serde_json::json;

    #[test]
    fn a_condition_that_does_not_hold_outweighs_failures() {
        let object = json!({"a": 1});
        for (sources, want) in [
            (&["object.a == 1"][..], Outcome::Matches),
            (&["object.b == 1", "object.a == 2"], Outcome::Differs),
            (
                &["object.b == 1"],
                Outcome::Failed("expression 'object.b == 1' resulted in error: no such key: b".into()),
            ),
            (
                &["object.b == 1", "object.c == 1"],
                Outcome::Failed(
                    "[expression 'object.b == 1' resulted in error: no such key: b, \
                     expression 'object.c == 1' resulted in error: no such key: c]"
                        .into(),
                ),
            ),
        ] {
            let list: Json = sources.iter().map(|source| json!({"name": "n", "expression": source})).collect();
            let conditions = Conditions::compile(Some(&list), &Compiler::plain(false));
            assert_eq!(conditions.ask(&Bindings::new().with("object", Value::json(&object))), want, "{sources:?}");
        }
    }
}

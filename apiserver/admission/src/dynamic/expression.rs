//! One expression of a webhook or policy, and what comes of it.
//!
//! Upstream: `apiserver/pkg/admission/plugin/cel/activation.go` (`Evaluate`).

use cel::{Bindings, Budget, EvalError, Program, Value};

/// An expression with its text, which complaints quote.
#[derive(Debug)]
pub(crate) struct Expression {
    source: String,
    program: Result<Program, String>,
}

/// Why an expression says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExpressionError {
    /// It does not compile: it was let in by somebody who knows more of the language.
    #[error("compilation error: {0}")]
    Compilation(String),
    /// It fails for this request.
    #[error("expression '{text}' resulted in error: {error}")]
    Evaluation { text: String, error: EvalError },
    /// What it shares with others is used up.
    #[error("validation failed due to running out of cost budget, no further validation rules will be run")]
    Exhausted,
}

impl Expression {
    pub(crate) fn new(source: &str, program: Result<Program, String>) -> Self {
        Self { source: source.to_owned(), program }
    }

    /// The text.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Evaluates it within its own limit and that of all together.
    pub(crate) fn run<'a>(
        &'a self,
        bindings: &Bindings<'a>,
        budget: &mut Budget,
    ) -> Result<Value<'a>, ExpressionError> {
        let program = self.program.as_ref().map_err(|error| ExpressionError::Compilation(error.clone()))?;
        let mut call = budget.call();
        let value = cel::evaluate(program, bindings, &mut call);
        budget.settle(&call);
        value.map_err(|error| match budget.is_exhausted() {
            true => ExpressionError::Exhausted,
            false => ExpressionError::Evaluation { text: self.source.clone(), error },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::expressions::Compiler;

    #[test]
    fn complaints_quote_the_expression() {
        let compiler = Compiler::plain(false);
        for (source, budget, want) in [
            ("1 / 0 == 1", 1000, "expression '1 / 0 == 1' resulted in error: division by zero"),
            (
                "[1, 2].all(x, x > 0)",
                5,
                "validation failed due to running out of cost budget, no further validation rules will be run",
            ),
            ("'a'", 1000, "compilation error: must evaluate to bool but got string"),
        ] {
            let expression = Expression::new(source, compiler.condition(source));
            let error = expression.run(&Bindings::new(), &mut Budget::new(budget)).expect_err(source);
            assert_eq!(error.to_string(), want);
        }
    }
}

//! What evaluation may cost. Costs follow upstream's runtime model: one for each step, a tenth for
//! each character or element that a function walks over.
//!
//! Upstream: `cel-go/interpreter/runtimecost.go`, `apiserver/pkg/cel/library/cost.go`,
//! `apiserver/pkg/apis/cel/config.go`.

use crate::EvalError;

/// How much may still be spent; shared by evaluations that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    left: u64,
}

/// Upstream's limit of one expression.
const PER_CALL: u64 = 1_000_000;

impl Budget {
    /// A budget of so many units.
    pub fn new(limit: u64) -> Self {
        Self { left: limit }
    }

    /// Upstream's limit for a single expression.
    pub fn per_call() -> Self {
        Self::new(PER_CALL)
    }

    /// What is left.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Splits off the budget of one call, at most [`Budget::per_call`]; give it back by
    /// [`Budget::settle`].
    pub fn call(&self) -> Self {
        Self::new(self.left.min(PER_CALL))
    }

    /// Takes what a call has spent of the budget it was given.
    pub fn settle(&mut self, given: u64, call: &Self) {
        self.left = self.left.saturating_sub(given.saturating_sub(call.left));
    }

    pub(crate) fn charge(&mut self, cost: u64) -> Result<(), EvalError> {
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(EvalError::OverBudget)
            }
        }
    }

    /// Charges for walking over so many characters.
    pub(crate) fn charge_walk(&mut self, length: usize) -> Result<(), EvalError> {
        self.charge((length as u64).div_ceil(10))
    }
}

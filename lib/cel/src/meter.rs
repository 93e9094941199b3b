//! What evaluation may cost, by upstream's units, and how much work it may be: there are cheap ways to
//! make large values.
//!
//! Upstream: `cel-go/interpreter/runtimecost.go`, `apiserver/pkg/apis/cel/config.go`.

use crate::EvalError;

/// How much may still be spent: in one call, and by all evaluations that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    call: u64,
    total: u64,
    /// Steps, elements, tens of characters that may still be looked at or made by one call.
    work: u64,
}

/// Upstream's limit of one expression.
const PER_CALL: u64 = 1_000_000;

/// How much work may stand behind one unit of cost, and how much behind none.
const WORK: u64 = 5;
const FREE: u64 = 100_000;

/// How much work an element of a list is, which takes as much memory as some tens of characters.
const ELEMENT: u64 = 4;

impl Budget {
    /// A budget of so many units, all of which one call may spend.
    pub fn new(limit: u64) -> Self {
        Self { call: limit, total: limit, work: limit.saturating_mul(WORK).saturating_add(FREE) }
    }

    /// Upstream's limit for a single expression.
    pub fn per_call() -> Self {
        Self::new(PER_CALL)
    }

    /// What is left.
    pub fn left(&self) -> u64 {
        self.total
    }

    /// Whether nothing is left for anybody, as opposed to a call that has reached its own limit.
    pub fn is_exhausted(&self) -> bool {
        self.total == 0
    }

    /// The budget of one call: its own limit, within what is left. Give it back by
    /// [`Budget::settle`].
    pub fn call(&self) -> Self {
        Self { total: self.total, ..Self::per_call() }
    }

    /// Takes over what a call has left.
    pub fn settle(&mut self, call: &Self) {
        let spent = self.total.saturating_sub(call.total);
        self.call = self.call.saturating_sub(spent);
        self.total = call.total;
    }

    /// Takes over what a call of another expression has left, which does not count as spent by this
    /// call.
    pub(crate) fn settle_apart(&mut self, call: &Self) {
        self.total = call.total;
    }

    /// Spends what a step costs.
    pub(crate) fn spend(&mut self, cost: u64) -> Result<(), EvalError> {
        let affordable = cost.min(self.call).min(self.total);
        self.call -= affordable;
        self.total -= affordable;
        if affordable == cost {
            return Ok(());
        }
        self.call = 0;
        Err(EvalError::OverBudget)
    }

    /// Accounts for steps of work, which have no cost of their own.
    pub(crate) fn charge(&mut self, steps: u64) -> Result<(), EvalError> {
        match self.work.checked_sub(steps) {
            Some(left) => self.work = left,
            None => {
                // What is too much work has spent all that a call may.
                self.total = self.total.saturating_sub(self.call);
                (self.call, self.work) = (0, 0);
                return Err(EvalError::OverBudget);
            }
        }
        Ok(())
    }

    /// Accounts for making a list of so many elements.
    pub(crate) fn charge_list(&mut self, elements: usize) -> Result<(), EvalError> {
        self.charge((elements as u64).saturating_mul(ELEMENT))
    }

    /// Accounts for walking over so many characters.
    pub(crate) fn charge_walk(&mut self, length: usize) -> Result<(), EvalError> {
        self.charge((length as u64).div_ceil(10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_limits_of_their_own() {
        let mut all = Budget::new(PER_CALL + 10);
        let mut call = all.call();
        assert_eq!(call.spend(PER_CALL + 1), Err(EvalError::OverBudget));
        assert!(!call.is_exhausted(), "only the call has reached its limit");
        all.settle(&call);
        let mut call = all.call();
        assert_eq!((all.left(), call.spend(11)), (10, Err(EvalError::OverBudget)));
        assert!(call.is_exhausted());
    }
}

//! Least and most.
//!
//! Upstream: `CostEstimate` and `SizeEstimate` in `cel-go/checker/cost.go`.

use std::ops::{Add, Mul};

/// Between what and what a cost, in units of the [`Budget`](crate::Budget), or a size may be. Sums and
/// products that overflow are as large as there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// At least.
    pub min: u64,
    /// At most.
    pub max: u64,
}

impl Estimate {
    /// Of a size that nothing bounds.
    pub(crate) const UNKNOWN: Self = Self::up_to(u64::MAX);

    pub(crate) const fn exactly(number: u64) -> Self {
        Self { min: number, max: number }
    }

    pub(crate) const fn up_to(max: u64) -> Self {
        Self { min: 0, max }
    }

    /// Either of two.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// Times a factor, rounded up.
    pub(crate) fn scaled(self, factor: f64) -> Self {
        // Conversions from floats saturate.
        let scale = |number: u64| (number as f64 * factor).ceil() as u64;
        Self { min: scale(self.min), max: scale(self.max) }
    }
}

impl Add for Estimate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }
}

impl Mul for Estimate {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }
}

impl std::iter::Sum for Estimate {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overflows() {
        let unknown = Estimate::UNKNOWN;
        assert_eq!(unknown + unknown, unknown);
        assert_eq!(unknown * Estimate::exactly(3), unknown);
        assert_eq!(unknown.scaled(2.0), unknown);
        assert_eq!(Estimate { min: 1, max: 11 }.scaled(0.1), Estimate { min: 1, max: 2 });
        assert_eq!(Estimate::exactly(3).or(Estimate::up_to(2)), Estimate::up_to(3));
    }
}

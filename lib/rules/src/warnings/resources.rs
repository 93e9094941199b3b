//! Amounts of bytes.

use super::Sink;
use crate::tree::Tree;
use crate::validation::check::At;
use crate::validation::quantity;
use apimachinery::Value;

/// The amount of this name in a list, if it is not in whole bytes.
///
/// Upstream: `MilliValue` in `pkg/api/pod/warnings.go`, which is 0 for amounts beyond its range.
pub(super) fn fraction(at: &At<'_>, list: Option<&Value>, name: &str, warn: &mut Sink<'_>) {
    let Some(amount) = list.and_then(|list| list.at(name)).and_then(quantity) else { return };
    if amount.value() < i64::MAX / 1000 && amount.milli_value() % 1000 != 0 {
        let (path, amount) = (at.key(name).path(), amount.to_string());
        warn(format!("{path}: fractional byte value {amount:?} is invalid, must be an integer"));
    }
}

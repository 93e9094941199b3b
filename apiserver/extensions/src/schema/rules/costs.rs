//! What the rules of a definition may cost together, and how costs that are too high are put.
//!
//! Upstream: `apiextensions-apiserver/pkg/apis/apiextensions/validation/cel_validation.go`, and
//! `getExpressionCost` and `getCostErrorMessage` in `validation.go` beside it.

use crate::schema::sizes::REQUEST;
use crate::schema::{Additional, Node, Type};
use apimachinery::field::{FieldError, FieldErrorKind as Kind, Path};
use rules::validation::check::{At, Report};

/// What one rule, or one message of a rule, may cost.
pub(super) const LIMIT: u64 = 10_000_000;

/// What all rules of a schema may cost.
const TOTAL_LIMIT: u64 = 100_000_000;

/// How many of the dearest rules are named.
const NAMED: usize = 4;

/// How many values one place of a schema can have in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// As many as the lists and maps around let there be.
    AtMost(u64),
    /// One of the lists and maps around has no limit; the size of a request is one.
    Unbounded,
}

impl Count {
    /// Of the members, values or elements of a place.
    pub(super) fn below(self, node: &Node) -> Self {
        let each = match node.ty {
            Some(Type::Object) if !matches!(node.additional, Additional::Absent) => node.limits.max_properties,
            Some(Type::Array) => node.limits.max_items,
            _ => Some(1),
        };
        match (self, each) {
            (Count::AtMost(count), Some(each)) => Count::AtMost(count.saturating_mul(each)),
            _ => Count::Unbounded,
        }
    }

    /// What a rule costs if it runs on all of them, given the fewest bytes that one of them takes.
    pub(super) fn times(self, cost: u64, fewest_bytes: u64) -> u64 {
        cost.saturating_mul(match self {
            Count::AtMost(count) => count,
            // There is a comma between them.
            Count::Unbounded => REQUEST / (fewest_bytes.saturating_add(1)),
        })
    }
}

/// The cost of all rules of a schema.
#[derive(Debug, Default)]
pub struct Total {
    sum: u64,
    /// The dearest rules that make up a hundredth of what is allowed, dearest first.
    dearest: Vec<(Path, u64)>,
}

impl Total {
    pub(super) fn add(&mut self, at: &At<'_>, cost: u64) {
        self.sum = self.sum.saturating_add(cost);
        if cost < TOTAL_LIMIT / 100 {
            return;
        }
        let place = self.dearest.partition_point(|(_, other)| *other >= cost);
        self.dearest.insert(place, (at.path(), cost));
        self.dearest.truncate(NAMED);
    }

    /// Says so if it is too high for the schema at `at`.
    pub fn report(self, at: &At<'_>, out: &mut Report) {
        if self.sum <= TOTAL_LIMIT {
            return;
        }
        let why = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
        let named = self.dearest.into_iter().map(|(path, _)| FieldError { path, kind: Kind::Forbidden(why.into()) });
        *out = Report::from(std::mem::take(out).with(named.collect()));
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        out.forbidden(at, message(what, self.sum, TOTAL_LIMIT));
    }
}

/// Upstream's words for a cost that is too high.
pub(super) fn message(what: &str, cost: u64, limit: u64) -> String {
    let factor = match cost as f64 / limit as f64 {
        // A number would say nothing any more.
        factor if factor > 100.0 => "more than 100x".to_owned(),
        // "1.0x" would not look like too much.
        factor if factor < 1.5 => format!("{factor:.6}x"),
        factor => format!("{factor:.1}x"),
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::node;
    use serde_json::json;

    #[test]
    fn limits_around_a_place_multiply() {
        let list = |most: Option<u64>| node(json!({"type": "array", "items": {"type": "string"}, "maxItems": most}));
        let map = |most: Option<u64>| {
            node(json!({"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": most}))
        };
        let object = node(json!({"type": "object", "properties": {"a": {"type": "string"}}}));
        for (around, want) in [
            (vec![object.clone()], Count::AtMost(1)),
            (vec![list(Some(5))], Count::AtMost(5)),
            (vec![list(None)], Count::Unbounded),
            (vec![map(Some(5)), list(Some(5))], Count::AtMost(25)),
            (vec![map(Some(5)), list(None)], Count::Unbounded),
            (vec![list(Some(2)), object, map(Some(4))], Count::AtMost(8)),
            (vec![list(Some(i64::MAX as u64)), list(Some(100))], Count::AtMost(u64::MAX)),
        ] {
            assert_eq!(around.iter().fold(Count::AtMost(1), |count, node| count.below(node)), want);
        }
        assert_eq!(Count::AtMost(3).times(7, 2), 21);
        assert_eq!(Count::Unbounded.times(2, 2), 2 * (3 << 20) / 3);
    }

    #[test]
    fn the_dearest_are_named() {
        for (costs, want, sum) in [
            (vec![1_000_000], vec![1_000_000], 1_000_000),
            (vec![900_000], vec![], 900_000),
            (vec![5_000_000, 25_000_000, 900_000], vec![25_000_000, 5_000_000], 30_900_000),
            (
                vec![16_000_000, 50_000_000, 900_000, 34_000_000, 50_000_000, 50_000_001],
                vec![50_000_001, 50_000_000, 50_000_000, 34_000_000],
                200_900_001,
            ),
            (vec![u64::MAX / 2, u64::MAX / 2, 1, 10], vec![u64::MAX / 2, u64::MAX / 2], u64::MAX),
        ] {
            let mut total = Total::default();
            costs.iter().for_each(|cost| total.add(&At::root("rule"), *cost));
            let named: Vec<u64> = total.dearest.iter().map(|(_, cost)| *cost).collect();
            assert_eq!((named, total.sum), (want, sum), "{costs:?}");
        }
    }

    #[test]
    fn factors_are_as_exact_as_they_are_useful() {
        for (cost, want) in [(LIMIT + 12, "1.000001x"), (2 * LIMIT, "2.0x"), (101 * LIMIT, "more than 100x")] {
            let text = message("estimated rule cost", cost, LIMIT);
            assert!(
                text.starts_with(&format!("estimated rule cost exceeds budget by factor of {want} (try ")),
                "{text}"
            );
        }
    }
}

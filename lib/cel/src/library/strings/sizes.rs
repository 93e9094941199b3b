//! What making texts of texts may cost, and how long they may be.
//!
//! Upstream: `EstimateCallCost` in `apiserver/pkg/cel/library/cost.go`, `functionCost` in
//! `cel-go/checker/cost.go`.

use crate::estimate::Estimate;
use crate::estimate::calls::{Asked, Outcome, WALK, walk_twice};

/// `replace`: a walk over the text, and one over the result, which is taken to be as long.
pub(super) fn replacement(asked: &Asked<'_, '_>) -> Outcome {
    let (text, old, new) = (asked.size(0), asked.size(1), asked.size(2));
    let size = Estimate { min: shortest(text.min, old.max, new.min), max: longest(text.max, old.min, new.max) };
    Outcome { size: Some(size), ..walk_twice(asked) }
}

/// As many of the shortest parts as there may be become the longest there are.
fn longest(text: u64, old: u64, new: u64) -> u64 {
    match old {
        // Something is put around all characters.
        0 => text.saturating_add(1).saturating_mul(new).saturating_add(text),
        old if new <= old => text,
        old => replaced(text, old).saturating_mul(new),
    }
}

/// As many of the longest parts as there may be become the shortest there are.
fn shortest(text: u64, old: u64, new: u64) -> u64 {
    match old {
        0 => text.saturating_add(1).saturating_mul(new).saturating_add(text),
        old if old <= new => text,
        old => replaced(text, old).saturating_mul(new),
    }
}

/// How many parts of a length a text has, in upstream's arithmetic.
fn replaced(text: u64, old: u64) -> u64 {
    (text as f64 / old as f64).ceil() as u64
}

/// `split`: as `replace`; what is split at nothing has as many parts as characters. A limit counts as
/// it is, so that a negative one is none.
pub(super) fn parts(asked: &Asked<'_, '_>) -> Outcome {
    let max = asked.constant(2).map_or(asked.size(0).max, |limit| limit as u64);
    Outcome { size: Some(Estimate::up_to(max)), ..walk_twice(asked) }
}

/// `join`: a walk over the result.
pub(super) fn joined(asked: &Asked<'_, '_>) -> Outcome {
    let list = asked.size(0);
    let mut size = asked.elements(0).map(|(_, of)| list * of).unwrap_or_default();
    if asked.len() > 1 {
        let separators = Estimate { min: list.min.saturating_sub(1), max: list.max.saturating_sub(1) };
        size = size + asked.size(1) * separators;
    }
    Outcome::sized(size.scaled(WALK), size)
}

/// `strings.quote`: two quotes, and at worst every character is escaped. What is too long to be counted
/// wraps around, as it does upstream.
pub(super) fn quoted(asked: &Asked<'_, '_>) -> Outcome {
    let text = asked.size(0);
    let size = Estimate { min: text.min.wrapping_add(2), max: text.max.wrapping_mul(2).wrapping_add(2) };
    Outcome::sized(text.scaled(WALK), size)
}

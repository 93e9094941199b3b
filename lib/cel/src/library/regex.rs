//! Regular expressions: RE2's syntax, matched in linear time.
//!
//! Upstream: `apiserver/pkg/cel/library/regex.go`, `cel-go/common/stdlib` (`matches`).

use super::{Call, Function, int, text, wrong};
use crate::ast::Style;
use crate::cost;
use crate::estimate::Estimate;
use crate::estimate::calls::{self, Asked, Outcome};
use crate::pattern::{pattern, why_no_pattern};
use crate::value::Value;
use crate::{Budget, EvalError};
use ::regex::Regex;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "matches",
        style: Style::Member,
        overloads: MATCHES,
        call: Call::Pattern(matches),
        estimate: test,
        meter: cost::pattern,
    },
    // Upstream forgets what the other way of calling it costs.
    Function {
        name: "matches",
        style: Style::Global,
        overloads: MATCHES,
        call: Call::Pattern(matches),
        estimate: calls::one,
        meter: cost::one,
    },
    Function {
        name: "find",
        style: Style::Member,
        overloads: &["string, string -> string"],
        call: Call::Pattern(find),
        estimate: search,
        meter: cost::pattern,
    },
    Function {
        name: "findAll",
        style: Style::Member,
        overloads: &["string, string -> list(string)", "string, string, int -> list(string)"],
        call: Call::Pattern(find_all),
        estimate: search,
        meter: cost::pattern,
    },
];

const MATCHES: &[&str] = &["string, string -> bool"];

fn test(asked: &Asked<'_, '_>) -> Outcome {
    calls::pattern(asked.size(0), asked.size(1)).into()
}

/// All of the text may be found.
fn search(asked: &Asked<'_, '_>) -> Outcome {
    let cost = calls::pattern(asked.size(0), asked.size(1));
    Outcome::sized(cost, Estimate::up_to(asked.size(0).max))
}

/// A pattern that only the evaluation knows; compiling it is paid for by its length.
pub(crate) fn dynamic(text: &str, budget: &mut Budget) -> Result<Regex, EvalError> {
    budget.charge(text.len() as u64 * 4)?;
    pattern(text).or_else(|error| wrong(why_no_pattern(text, &error)))
}

/// A tenth of the text, which is returned, times a quarter of the pattern.
fn charge<'b>(a: &'b [Value<'_>], budget: &mut Budget) -> Result<&'b str, EvalError> {
    let (subject, pattern) = (text(a, 0)?, text(a, 1)?);
    let walk = (subject.len() as u64 + 1).div_ceil(10);
    budget.charge(walk.saturating_mul((pattern.len() as u64).div_ceil(4).max(1)))?;
    Ok(subject)
}

fn matches<'a>(a: &[Value<'a>], pattern: &Regex, budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let subject = charge(a, budget)?;
    Ok(Value::Bool(pattern.is_match(subject)))
}

fn find<'a>(a: &[Value<'a>], pattern: &Regex, budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let subject = charge(a, budget)?;
    Ok(Value::text(pattern.find(subject).map_or("", |found| found.as_str())))
}

fn find_all<'a>(a: &[Value<'a>], pattern: &Regex, budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let subject = charge(a, budget)?;
    let limit = if a.len() > 2 { usize::try_from(int(a, 2)?).unwrap_or(usize::MAX) } else { usize::MAX };
    let found: Vec<Value<'a>> = pattern.find_iter(subject).take(limit).map(|m| Value::text(m.as_str())).collect();
    budget.charge_list(found.len())?;
    Ok(Value::list(found))
}

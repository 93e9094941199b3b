//! Semantic versions, and the order that they share with quantities.
//!
//! Upstream: `apiserver/pkg/cel/library/semverlib.go`.

use super::{Function, global, member, text, wrong};
use crate::EvalError;
use crate::compare;
use crate::cost;
use crate::estimate::calls;
use crate::value::Value;
use semver::Version;
use std::cmp::Ordering;
use std::sync::Arc;

const PART: &[&str] = &["semver -> int"];

pub(super) const FUNCTIONS: &[Function] = &[
    global("semver", &["string -> semver", "string, bool -> semver"], |a, _| match parse(a)? {
        Ok(version) => Ok(Value::Semver(Arc::new(version))),
        Err(error) => wrong(format!("semver parse error during conversion from string: {error}")),
    })
    .estimated(calls::walk)
    .metered(cost::walk),
    global("isSemver", &["string -> bool", "string, bool -> bool"], |a, _| Ok(Value::Bool(parse(a)?.is_ok())))
        .estimated(calls::walk)
        .metered(cost::walk),
    member("major", PART, |a, _| part(a, |v| v.major)),
    member("minor", PART, |a, _| part(a, |v| v.minor)),
    member("patch", PART, |a, _| part(a, |v| v.patch)),
];

fn part<'a>(a: &[Value<'a>], part: fn(&Version) -> u64) -> Result<Value<'a>, EvalError> {
    match &a[0] {
        Value::Semver(version) => i64::try_from(part(version)).map(Value::Int).map_err(|_| EvalError::Overflow),
        _ => Err(EvalError::NoOverload),
    }
}

fn parse(a: &[Value<'_>]) -> Result<Result<Version, semver::Error>, EvalError> {
    let given = text(a, 0)?;
    Ok(match a.get(1).and_then(Value::as_bool) {
        Some(true) => Version::parse(&normalize(given)),
        _ => Version::parse(given),
    })
}

/// Without `v`, with three numbers, without leading zeros.
fn normalize(given: &str) -> String {
    let given = given.strip_prefix('v').unwrap_or(given);
    let end = given.find(['-', '+']).unwrap_or(given.len());
    let (core, rest) = given.split_at(end);
    let mut numbers: Vec<&str> = core.split('.').collect();
    for number in &mut numbers {
        let trimmed = number.trim_start_matches('0');
        *number = if trimmed.is_empty() && !number.is_empty() { "0" } else { trimmed };
    }
    while numbers.len() < 3 {
        numbers.push("0");
    }
    numbers.join(".") + rest
}

/// The order of two quantities or two versions.
pub(super) fn order(a: &[Value<'_>]) -> Result<Ordering, EvalError> {
    match (&a[0], &a[1]) {
        (Value::Quantity(_), Value::Quantity(_)) | (Value::Semver(_), Value::Semver(_)) => {
            compare::order(&a[0], &a[1]).ok_or(EvalError::NoOverload)
        }
        _ => Err(EvalError::NoOverload),
    }
}

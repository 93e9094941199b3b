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
use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

const PART: &[&str] = &["semver -> int"];

pub(super) const FUNCTIONS: &[Function] = &[
    global("semver", &["string -> semver", "string, bool -> semver"], |a, _| match parse(a)? {
        Ok(version) => Ok(Value::Semver(Arc::new(version))),
        Err(why) => wrong(why),
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

/// A version, or why there is none in the words of `github.com/blang/semver`.
fn parse(a: &[Value<'_>]) -> Result<Result<Version, String>, EvalError> {
    let given = text(a, 0)?;
    let given = match a.get(1).and_then(Value::as_bool).map(|tolerant| tolerant.then(|| normalize(given))) {
        Some(Some(Err(why))) => return Ok(Err(why)),
        Some(Some(Ok(normal))) => Cow::Owned(normal),
        _ => Cow::Borrowed(given),
    };
    Ok(Version::parse(&given).map_err(|error| why(&given).unwrap_or_else(|| error.to_string())))
}

fn why(given: &str) -> Option<String> {
    if given.is_empty() {
        return Some("Version string empty".into());
    }
    let parts: Vec<&str> = given.splitn(3, '.').collect();
    let [major, minor, rest] = parts[..] else { return Some("No Major.Minor.Patch elements found".into()) };
    let (rest, build) = rest.split_once('+').map_or((rest, None), |(rest, build)| (rest, Some(build)));
    let (patch, before) = rest.split_once('-').map_or((rest, None), |(patch, before)| (patch, Some(before)));
    let number = number("Major", major).or_else(|| number("Minor", minor)).or_else(|| number("Patch", patch));
    let before = || before.into_iter().flat_map(|before| before.split('.')).find_map(prerelease);
    let build = || build.into_iter().flat_map(|build| build.split('.')).find_map(metadata);
    number.or_else(before).or_else(build)
}

fn number(name: &str, text: &str) -> Option<String> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(format!("Invalid character(s) found in {} number {text:?}", name.to_lowercase()));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Some(format!("{name} number must not contain leading zeroes {text:?}"));
    }
    text.parse::<u64>().err().map(|_| match text {
        "" => r#"strconv.ParseUint: parsing "": invalid syntax"#.to_owned(),
        _ => format!("strconv.ParseUint: parsing {text:?}: value out of range"),
    })
}

fn prerelease(part: &str) -> Option<String> {
    let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
    if part.is_empty() {
        return Some("Prerelease is empty".into());
    }
    if is_number && part.len() > 1 && part.starts_with('0') {
        return Some(format!("Numeric PreRelease version must not contain leading zeroes {part:?}"));
    }
    (!is_alphanumeric(part)).then(|| format!("Invalid character(s) found in prerelease {part:?}"))
}

fn metadata(part: &str) -> Option<String> {
    if part.is_empty() {
        return Some("Build meta data is empty".into());
    }
    (!is_alphanumeric(part)).then(|| format!("Invalid character(s) found in build meta data {part:?}"))
}

fn is_alphanumeric(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Without `v`, with three numbers, without leading zeros.
fn normalize(given: &str) -> Result<String, String> {
    let given = given.strip_prefix('v').unwrap_or(given);
    let mut parts: Vec<Cow<'_, str>> = given.splitn(3, '.').map(trimmed).collect();
    if parts.len() < 3 && parts.last().is_some_and(|last| last.contains(['+', '-'])) {
        return Err("short version cannot contain PreRelease/Build meta data".into());
    }
    while parts.len() < 3 {
        parts.push("0".into());
    }
    Ok(parts.join("."))
}

/// A number without leading zeros; what is none gets one, as upstream has it.
fn trimmed(part: &str) -> Cow<'_, str> {
    if part.len() < 2 {
        return part.into();
    }
    match part.trim_start_matches('0') {
        number if number.starts_with(|c: char| c.is_ascii_digit()) => number.into(),
        other => format!("0{other}").into(),
    }
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

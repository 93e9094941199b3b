//! Strings. Positions count characters.
//!
//! Upstream: `cel-go/ext/strings.go` (version 2).

mod sizes;

use super::{Function, global, int, member, text, wrong};
use crate::cost::{self, scaled};
use crate::estimate::calls::{self, WALK};
use crate::value::Value;
use crate::{Budget, EvalError};

pub(super) const FUNCTIONS: &[Function] = &[
    member("contains", TEST, |a, b| test(a, b, |text, part| text.contains(part)))
        .estimated(|asked| (asked.size(0).scaled(WALK) * asked.size(1).scaled(WALK)).into())
        .metered(|used| scaled(used.size(0), WALK).saturating_mul(scaled(used.size(1), WALK))),
    member("startsWith", TEST, |a, b| test(a, b, |text, part| text.starts_with(part)))
        .estimated(calls::walk_second)
        .metered(cost::walk),
    member("endsWith", TEST, |a, b| test(a, b, |text, part| text.ends_with(part)))
        .estimated(calls::walk_second)
        .metered(cost::walk),
    member("charAt", &["string, int -> string"], char_at),
    member("indexOf", POSITION, index_of).estimated(super::lists::traversal).metered(cost::traverse),
    member("lastIndexOf", POSITION, last_index_of).estimated(super::lists::traversal).metered(cost::traverse),
    member("lowerAscii", &["string -> string"], |a, b| map(a, b, str::to_ascii_lowercase))
        .estimated(calls::change)
        .metered(cost::walk),
    member("upperAscii", &["string -> string"], |a, b| map(a, b, str::to_ascii_uppercase))
        .estimated(calls::change)
        .metered(cost::walk),
    member("trim", &["string -> string"], |a, b| map(a, b, |text| text.trim().to_owned()))
        .estimated(calls::change)
        .metered(cost::walk),
    member("replace", &["string, string, string -> string", "string, string, string, int -> string"], replace)
        .estimated(sizes::replacement)
        .metered(cost::walk_twice),
    member("split", &["string, string -> list(string)", "string, string, int -> list(string)"], split)
        .estimated(sizes::parts)
        .metered(cost::walk_twice),
    member("substring", &["string, int -> string", "string, int, int -> string"], substring)
        .estimated(calls::change)
        .metered(cost::walk),
    member("join", &["list(string) -> string", "list(string), string -> string"], join)
        .estimated(sizes::joined)
        .metered(cost::make),
    global("strings.quote", &["string -> string"], quote).estimated(sizes::quoted).metered(cost::walk),
    // `apiserver/pkg/cel/library/jsonpatch.go`
    global("jsonpatch.escapeKey", &["string -> string"], |a, b| {
        map(a, b, |text| text.replace('~', "~0").replace('/', "~1"))
    })
    .estimated(calls::change)
    .metered(cost::walk),
];

const POSITION: &[&str] = &["string, string -> int", "string, string, int -> int", "list(A), A -> int"];

const TEST: &[&str] = &["string, string -> bool"];

fn test<'a>(a: &[Value<'a>], budget: &mut Budget, holds: fn(&str, &str) -> bool) -> Result<Value<'a>, EvalError> {
    let (subject, part) = (text(a, 0)?, text(a, 1)?);
    budget.charge_walk(subject.len())?;
    budget.charge_walk(part.len())?;
    Ok(Value::Bool(holds(subject, part)))
}

fn map<'a>(a: &[Value<'a>], budget: &mut Budget, change: fn(&str) -> String) -> Result<Value<'a>, EvalError> {
    let subject = text(a, 0)?;
    budget.charge_walk(subject.len())?;
    Ok(Value::text(change(subject)))
}

fn out_of_range<T>(index: i64) -> Result<T, EvalError> {
    wrong(format!("index out of range: {index}"))
}

/// The byte offset of a character; the end of the text is one, too.
fn offset(subject: &str, index: i64) -> Result<usize, EvalError> {
    let Ok(count) = usize::try_from(index) else { return out_of_range(index) };
    let mut offsets = subject.char_indices().map(|(at, _)| at).chain([subject.len()]);
    offsets.nth(count).map_or_else(|| out_of_range(index), Ok)
}

fn char_at<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let subject = text(a, 0)?;
    budget.charge_walk(subject.len())?;
    let at = offset(subject, int(a, 1)?)?;
    Ok(Value::text(subject[at..].chars().next().map(String::from).unwrap_or_default()))
}

/// Where a part is looked for, by the position that may be told: nowhere beyond the end.
fn from<'a>(a: &[Value<'a>], subject: &str) -> Result<Option<usize>, EvalError> {
    let offset = int(a, 2)?;
    let Ok(start) = usize::try_from(offset) else { return out_of_range(offset) };
    Ok(subject.char_indices().nth(start).map(|(at, _)| at))
}

/// The number of characters before a byte offset, or -1.
fn position<'a>(subject: &str, found: Option<usize>) -> Value<'a> {
    Value::Int(found.map_or(-1, |at| subject[..at].chars().count() as i64))
}

fn index_of<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    if let Value::List(list) = &a[0] {
        return super::lists::position(list, &a[1], budget, false);
    }
    let (subject, part) = (text(a, 0)?, text(a, 1)?);
    budget.charge_walk(subject.len() + part.len())?;
    if part.is_empty() {
        // Nothing is found wherever it is looked for.
        return Ok(Value::Int(if a.len() > 2 { int(a, 2)? } else { 0 }));
    }
    let start = if a.len() > 2 { from(a, subject)? } else { Some(0) };
    let found = start.and_then(|start| subject[start..].find(part).map(|at| at + start));
    Ok(position(subject, found))
}

fn last_index_of<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    if let Value::List(list) = &a[0] {
        return super::lists::position(list, &a[1], budget, true);
    }
    let (subject, part) = (text(a, 0)?, text(a, 1)?);
    budget.charge_walk(subject.len() + part.len())?;
    if part.is_empty() {
        let end = subject.chars().count() as i64;
        return Ok(Value::Int(if a.len() > 2 { int(a, 2)? } else { end }));
    }
    let found = match a.len() > 2 {
        false => subject.rfind(part),
        // It starts there at the latest.
        true => from(a, subject)?.and_then(|start| {
            let end = subject.floor_char_boundary(start.saturating_add(part.len()).min(subject.len()));
            subject[..end].rfind(part)
        }),
    };
    Ok(position(subject, found))
}

fn replace<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let (subject, old, new) = (text(a, 0)?, text(a, 1)?, text(a, 2)?);
    let limit = if a.len() > 3 { usize::try_from(int(a, 3)?).unwrap_or(usize::MAX) } else { usize::MAX };
    budget.charge_walk(subject.len())?;
    // What would be made is paid for before it is made.
    let count = if old.is_empty() { subject.len() + 1 } else { subject.matches(old).count() }.min(limit);
    budget.charge_walk(subject.len().saturating_add(count.saturating_mul(new.len())))?;
    Ok(Value::text(if limit == usize::MAX { subject.replace(old, new) } else { subject.replacen(old, new, limit) }))
}

fn split<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let (subject, separator) = (text(a, 0)?, text(a, 1)?);
    budget.charge_walk(subject.len())?;
    let limit = if a.len() > 2 { usize::try_from(int(a, 2)?).unwrap_or(usize::MAX) } else { usize::MAX };
    let parts: Vec<Value<'a>> = match (limit, separator.is_empty()) {
        (0, _) => Vec::new(),
        (_, false) => subject.splitn(limit, separator).map(Value::text).collect(),
        (_, true) => characters(subject, limit),
    };
    budget.charge_list(parts.len())?;
    Ok(Value::list(parts))
}

/// Splitting at nothing gives the characters; the last part is the rest.
fn characters<'a>(subject: &str, limit: usize) -> Vec<Value<'a>> {
    let mut parts: Vec<Value<'a>> = Vec::new();
    for (at, c) in subject.char_indices() {
        if parts.len() + 1 == limit {
            parts.push(Value::text(&subject[at..]));
            break;
        }
        parts.push(Value::text(c.to_string()));
    }
    parts
}

fn substring<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let subject = text(a, 0)?;
    budget.charge_walk(subject.len())?;
    if a.len() > 2 && int(a, 1)? > int(a, 2)? {
        return wrong(format!("invalid substring range. start: {}, end: {}", int(a, 1)?, int(a, 2)?));
    }
    let start = offset(subject, int(a, 1)?)?;
    let end = if a.len() > 2 { offset(subject, int(a, 2)?)? } else { subject.len() };
    subject.get(start..end).map_or_else(|| out_of_range(int(a, 1)?), |part| Ok(Value::text(part)))
}

fn join<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let list = a[0].as_list().ok_or(EvalError::NoOverload)?;
    let separator = if a.len() > 1 { text(a, 1)? } else { "" };
    let mut out = String::new();
    for (index, item) in list.iter().enumerate() {
        let Some(part) = item.as_str() else { return Err(EvalError::NoOverload) };
        budget.charge_walk(part.len() + separator.len())?;
        if index > 0 {
            out.push_str(separator);
        }
        out.push_str(part);
    }
    Ok(Value::text(out))
}

fn quote<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let subject = text(a, 0)?;
    budget.charge_walk(subject.len())?;
    let mut out = String::from("\"");
    for c in subject.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' | '"' => out.extend(['\\', c]),
            other => out.push(other),
        }
    }
    out.push('"');
    Ok(Value::text(out))
}

//! Walking an object along a template. Upstream: `client-go/util/jsonpath/jsonpath.go`.

use super::{End, EvalError, Filter, Part, Step};
use apimachinery::Value;
use std::borrow::Cow;
use std::cmp::Ordering;

type Values<'a> = Vec<Cow<'a, Value>>;

/// The values of each part, loops unrolled.
pub(super) fn parts<'a>(
    parts: &'a [Part],
    object: &'a Value,
    allow_missing: bool,
    found: &mut Vec<Values<'a>>,
) -> Result<(), EvalError> {
    for part in parts {
        match part {
            Part::Text(text) => found.push(vec![Cow::Owned(Value::String(text.clone()))]),
            Part::Path(path) => found.push(steps(path, vec![Cow::Borrowed(object)], allow_missing)?),
            Part::Range(path, body) => {
                for value in steps(path, vec![Cow::Borrowed(object)], allow_missing)? {
                    match value {
                        Cow::Borrowed(value) => self::parts(body, value, allow_missing, found)?,
                        // A constant lives nowhere else, so what it yields is kept by value.
                        Cow::Owned(value) => {
                            let mut inner = Vec::new();
                            self::parts(body, &value, allow_missing, &mut inner)?;
                            let owned = |v: Cow<'_, Value>| Cow::Owned(v.into_owned());
                            found.extend(inner.into_iter().map(|vs| vs.into_iter().map(owned).collect::<Vec<_>>()));
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

fn steps<'a>(steps: &'a [Step], input: Values<'a>, allow_missing: bool) -> Result<Values<'a>, EvalError> {
    steps.iter().try_fold(input, |values, step| self::step(step, values, allow_missing))
}

fn step<'a>(step: &'a Step, input: Values<'a>, allow_missing: bool) -> Result<Values<'a>, EvalError> {
    Ok(match step {
        Step::Constant(value @ Value::String(_)) => vec![Cow::Borrowed(value)],
        Step::Constant(value) => input.iter().map(|_| Cow::Borrowed(value)).collect(),
        Step::Field(name) => field(name, input, allow_missing)?,
        Step::Wildcard => input.into_iter().flat_map(children).collect(),
        Step::Recursive => {
            let mut found = Vec::new();
            input.into_iter().for_each(|value| recurse(value, &mut found));
            found
        }
        Step::Slice { start, end, step } => slice(input, *start, *end, *step)?,
        Step::Filter(filter) => self::filter(filter, input, allow_missing)?,
        Step::Union(members) => {
            let mut found = Vec::new();
            for member in members {
                found.extend(steps(member, input.clone(), allow_missing)?);
            }
            found
        }
    })
}

fn field<'a>(name: &str, input: Values<'a>, allow_missing: bool) -> Result<Values<'a>, EvalError> {
    let found: Values<'a> = input
        .into_iter()
        .filter_map(|value| match value {
            Cow::Borrowed(value) => value.get(name).map(Cow::Borrowed),
            Cow::Owned(value) => value.get(name).cloned().map(Cow::Owned),
        })
        .collect();
    match found.is_empty() && !allow_missing {
        true => Err(EvalError::NotFound(name.to_owned())),
        false => Ok(found),
    }
}

/// The elements of a list or the values of an object.
fn children(value: Cow<'_, Value>) -> Values<'_> {
    match value {
        Cow::Borrowed(Value::Array(list)) => list.iter().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Value::Object(map)) => map.values().map(Cow::Borrowed).collect(),
        Cow::Owned(Value::Array(list)) => list.into_iter().map(Cow::Owned).collect(),
        Cow::Owned(Value::Object(map)) => map.into_iter().map(|(_, v)| Cow::Owned(v)).collect(),
        _ => Vec::new(),
    }
}

/// A value and all below it, leaves left out.
fn recurse<'a>(value: Cow<'a, Value>, found: &mut Values<'a>) {
    let below = children(value.clone());
    if !below.is_empty() {
        found.push(value);
        below.into_iter().for_each(|child| recurse(child, found));
    }
}

fn slice<'a>(input: Values<'a>, start: Option<i64>, end: End, step: Option<i64>) -> Result<Values<'a>, EvalError> {
    let mut found = Vec::new();
    for value in input {
        let list = match &*value {
            Value::Null => continue,
            Value::Array(list) => list,
            other => return Err(EvalError::NotList(go_type(other))),
        };
        let Some((from, to)) = bounds(list.len(), start, end)? else { return Ok(found) };
        let by = match step {
            Some(by) if by <= 0 => return Err(EvalError::Step),
            by => usize::try_from(by.unwrap_or(1)).unwrap_or(usize::MAX),
        };
        found.extend(children(value).into_iter().take(to).skip(from).step_by(by));
    }
    Ok(found)
}

/// From where to where; nothing if that is an empty slice.
fn bounds(length: usize, start: Option<i64>, end: End) -> Result<Option<(usize, usize)>, EvalError> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let given = start.unwrap_or(0);
    let from = if given < 0 { given.saturating_add(length) } else { given };
    let to = match end {
        End::Open => length,
        End::At(to) if to < 0 => to.saturating_add(length),
        End::At(to) => to,
        // `[-1]`: one behind the last is the length, not zero.
        End::Single if given < 0 => given.saturating_add(1).saturating_add(length),
        End::Single => given.saturating_add(1),
    };
    if from == to {
        return Ok(None);
    }
    let out_of = |index: i64| Err(EvalError::OutOfBounds { index, length });
    match () {
        () if from >= length || from < 0 => out_of(from),
        () if to > length || to < 0 => out_of(to.saturating_sub(1)),
        () if from > to => Err(EvalError::Backwards { start: from, end: to }),
        () => Ok(usize::try_from(from).ok().zip(usize::try_from(to).ok())),
    }
}

fn filter<'a>(filter: &'a Filter, input: Values<'a>, allow_missing: bool) -> Result<Values<'a>, EvalError> {
    let mut found = Vec::new();
    for value in input {
        if !value.is_array() {
            return Err(EvalError::NotFilterable(crate::print::template::print(&value)));
        }
        for element in children(value) {
            if passes(filter, &element, allow_missing)? {
                found.push(element);
            }
        }
    }
    Ok(found)
}

fn passes(filter: &Filter, element: &Value, allow_missing: bool) -> Result<bool, EvalError> {
    let find = |path| steps(path, vec![Cow::Borrowed(element)], allow_missing);
    match filter {
        Filter::Exists(path) => Ok(find(path).is_ok_and(|found| !found.is_empty())),
        Filter::Compare { left, operator, right } => {
            let (left, right) = (find(left)?, find(right)?);
            match (left.as_slice(), right.as_slice()) {
                ([], _) | (_, []) => Ok(false),
                ([left], [right]) => compare(left, operator, right),
                _ => Err(EvalError::Several),
            }
        }
    }
}

fn compare(left: &Value, operator: &str, right: &Value) -> Result<bool, EvalError> {
    let order = order(left, right)?;
    let ordered = || order.ok_or(EvalError::Incomparable);
    match operator {
        "==" => Ok(order == Some(Ordering::Equal)),
        "!=" => Ok(order != Some(Ordering::Equal)),
        "<" => Ok(ordered()? == Ordering::Less),
        "<=" => Ok(ordered()? != Ordering::Greater),
        ">" => Ok(ordered()? == Ordering::Greater),
        ">=" => Ok(ordered()? != Ordering::Less),
        other => Err(EvalError::Operator(other.to_owned())),
    }
}

/// How two values of one kind relate.
fn order(left: &Value, right: &Value) -> Result<Option<Ordering>, EvalError> {
    match (left, right) {
        (Value::String(a), Value::String(b)) => Ok(Some(a.cmp(b))),
        (Value::Bool(a), Value::Bool(b)) => Ok((a == b).then_some(Ordering::Equal)),
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Ok(Some(a.cmp(&b))),
            (None, None) => Ok(a.as_f64().partial_cmp(&b.as_f64())),
            _ => Err(EvalError::Incompatible),
        },
        (Value::Array(_) | Value::Object(_) | Value::Null, _)
        | (_, Value::Array(_) | Value::Object(_) | Value::Null) => Err(EvalError::Incomparable),
        _ => Err(EvalError::Incompatible),
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

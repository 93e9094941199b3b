//! The simple JSON paths of printer columns and selectable fields: members, indices and filters on
//! equality, such as `.status.conditions[?(@.type=="Ready")].status`.
//!
//! Upstream: `client-go/util/jsonpath`, of which definitions may use this much.

use apimachinery::Value;

/// A parsed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    /// Negative indices count from the end.
    Index(i64),
    /// All elements or members.
    All,
    /// The elements of which a member compares so to a value.
    Filter {
        member: Vec<String>,
        op: Op,
        value: Value,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Exists,
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a dot.
    #[error("must be a simple json path starting with .")]
    NoDot,
    /// A bracket or quote is not closed.
    #[error("unterminated array")]
    Unterminated,
    /// Something else that this server does not read.
    #[error("unrecognized character in action: {0:?}")]
    Unexpected(String),
}

impl JsonPath {
    /// Reads a path that begins with a dot.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if !text.starts_with('.') {
            return Err(PathError::NoDot);
        }
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            rest = match rest.strip_prefix('.') {
                Some(after) => member(after, &mut steps)?,
                None if rest.starts_with('[') => bracket(rest, &mut steps)?,
                None => return Err(PathError::Unexpected(rest.to_owned())),
            };
        }
        Ok(Self { steps })
    }

    /// The first value that the path leads to.
    pub fn first<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.steps
            .iter()
            .fold(vec![value], |found, step| found.into_iter().flat_map(|v| step.apply(v)).collect())
            .into_iter()
            .next()
    }
}

/// A member after a dot; its name ends at the next dot or bracket that is not escaped.
fn member<'t>(text: &'t str, steps: &mut Vec<Step>) -> Result<&'t str, PathError> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => {
                end = at;
                break;
            }
            '{' | '}' | '|' | '"' | '\'' | ' ' => return Err(PathError::Unexpected(c.to_string())),
            c => name.push(c),
        }
    }
    match name.as_str() {
        "" if end == text.len() || text[end..].starts_with('[') => {}
        "" => return Err(PathError::Unexpected(".".into())),
        "*" => steps.push(Step::All),
        _ => steps.push(Step::Member(name)),
    }
    Ok(&text[end..])
}

fn bracket<'t>(text: &'t str, steps: &mut Vec<Step>) -> Result<&'t str, PathError> {
    let end = closing(text).ok_or(PathError::Unterminated)?;
    let inner = text[1..end].trim();
    let unexpected = || PathError::Unexpected(inner.to_owned());
    steps.push(match inner {
        "*" => Step::All,
        _ if inner.starts_with("?(") => filter(inner).ok_or_else(unexpected)?,
        _ => match (quoted(inner), inner.parse()) {
            (Some(name), _) => Step::Member(name),
            (None, Ok(index)) => Step::Index(index),
            (None, Err(_)) => return Err(unexpected()),
        },
    });
    Ok(&text[end + 1..])
}

/// Where the bracket that `text` begins with is closed.
fn closing(text: &str) -> Option<usize> {
    let (mut quote, mut depth) = (None, 0);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 1 => return Some(at),
            (None, ']') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

fn quoted(text: &str) -> Option<String> {
    ['\'', '"'].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote)).map(str::to_owned)
}

/// `?(@.a.b=="x")`.
fn filter(text: &str) -> Option<Step> {
    const OPS: [(&str, Op); 6] = [
        ("==", Op::Equal),
        ("!=", Op::NotEqual),
        ("<=", Op::LessOrEqual),
        (">=", Op::GreaterOrEqual),
        ("<", Op::Less),
        (">", Op::Greater),
    ];
    let inner = text.strip_prefix("?(")?.strip_suffix(')')?.trim().strip_prefix('@')?;
    let found = OPS.iter().find_map(|(sign, op)| Some((inner.split_once(sign)?, *op)));
    let ((left, right), op) = found.unwrap_or(((inner, ""), Op::Exists));
    let member: Vec<String> =
        left.trim().trim_start_matches('.').split('.').filter(|n| !n.is_empty()).map(str::to_owned).collect();
    let right = right.trim();
    let value = match (op, quoted(right)) {
        (Op::Exists, _) => Value::Null,
        (_, Some(text)) => text.into(),
        (_, None) => serde_json::from_str(right).ok()?,
    };
    Some(Step::Filter { member, op, value })
}

impl Step {
    fn apply<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        match (self, value) {
            (Step::Member(name), Value::Object(map)) => map.get(name).into_iter().collect(),
            (Step::Index(index), Value::Array(list)) => {
                let length = list.len() as i64;
                let at = if *index < 0 { length + index } else { *index };
                usize::try_from(at).ok().and_then(|at| list.get(at)).into_iter().collect()
            }
            (Step::All, Value::Array(list)) => list.iter().collect(),
            (Step::All, Value::Object(map)) => map.values().collect(),
            (Step::Filter { member, op, value }, Value::Array(list)) => {
                list.iter().filter(|v| holds(v, member, *op, value)).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn holds(element: &Value, member: &[String], op: Op, wanted: &Value) -> bool {
    let Some(found) = member.iter().try_fold(element, |value, name| value.get(name)) else { return false };
    let order = match (found, wanted) {
        (Value::Number(found), Value::Number(wanted)) => found.as_f64().partial_cmp(&wanted.as_f64()),
        (Value::String(found), Value::String(wanted)) => Some(found.cmp(wanted)),
        _ => None,
    };
    match op {
        Op::Exists => true,
        Op::Equal => found == wanted,
        Op::NotEqual => found != wanted,
        Op::Less => order.is_some_and(|o| o.is_lt()),
        Op::LessOrEqual => order.is_some_and(|o| o.is_le()),
        Op::Greater => order.is_some_and(|o| o.is_gt()),
        Op::GreaterOrEqual => order.is_some_and(|o| o.is_ge()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn leads_to_values() {
        let object = json!({"spec": {"a": [1, 2], "b.c": "x", "m": {"k": true}}, "status": {"conditions": [
            {"type": "Ready", "status": "True", "n": 1}, {"type": "Other", "status": "False", "n": 2}]}});
        for (path, want) in [
            (".spec.a[0]", json!(1)),
            (".spec.a[-1]", json!(2)),
            (".spec.a", json!([1, 2])),
            (".spec.a[*]", json!(1)),
            (".spec['b.c']", json!("x")),
            (r".spec.b\.c", json!("x")),
            (".spec.m.*", json!(true)),
            (r#".status.conditions[?(@.type=="Other")].status"#, json!("False")),
            (".status.conditions[?(@.type=='Ready')].n", json!(1)),
            (".status.conditions[?(@.n>1)].type", json!("Other")),
            (".nothing.at.all", Value::Null),
            (".spec.a[7]", Value::Null),
            (".spec.a.b", Value::Null),
        ] {
            let parsed = JsonPath::parse(path).expect(path);
            assert_eq!(parsed.first(&object).cloned().unwrap_or_default(), want, "{path}");
        }
    }

    #[test]
    fn refuses_what_is_no_path() {
        for text in ["spec", "", ".a[", ".a[b]", ".a..b", ".a[?(x)]", ".a b", ".a[?(@.b==)]", ".{x}"] {
            assert!(JsonPath::parse(text).is_err(), "{text}");
        }
    }
}

//! `--sort-by`. Upstream: `kubectl/pkg/cmd/get/sorter.go`.

use super::jsonpath::{JsonPath, RelaxedError, relaxed};
use apimachinery::Value;
use apimachinery::quantity::Quantity;
use std::borrow::Cow;
use std::cmp::Ordering;

/// Objects that cannot be sorted.
#[derive(Debug, thiserror::Error)]
pub enum SortError {
    /// Not an expression.
    #[error(transparent)]
    Expression(#[from] RelaxedError),
    /// No object has the field.
    #[error("couldn't find any field with path \"{0}\" in the list of objects")]
    NoField(String),
    /// Values that have no order.
    #[error("{field}, unsortable type: {kind}")]
    Unsortable {
        /// The expression.
        field: String,
        /// Go's name for what it leads to.
        kind: &'static str,
    },
    /// The expression does not fit an object.
    #[error("Failed to parse jsonpath: {0}")]
    Eval(#[from] super::jsonpath::EvalError),
}

/// Sorts by an expression; what lacks the field comes first.
pub fn by<T>(items: &mut Vec<T>, expression: &str, object: impl Fn(&T) -> &Value) -> Result<(), SortError> {
    let text = relaxed(expression)?;
    let path = JsonPath::parse(&text, true).map_err(RelaxedError::from)?;
    let mut keys = Vec::with_capacity(items.len());
    for item in items.iter() {
        keys.push(path.values(object(item))?.into_iter().next().map(Cow::into_owned));
    }
    if !items.is_empty() && keys.iter().all(Option::is_none) {
        return Err(SortError::NoField(text));
    }
    if let Some(kind) = unsortable(&keys, &text) {
        return Err(SortError::Unsortable { field: text, kind });
    }
    let mut keyed: Vec<(Option<Value>, T)> = keys.into_iter().zip(items.drain(..)).collect();
    keyed.sort_by(|(a, _), (b, _)| compare(a.as_ref(), b.as_ref()));
    items.extend(keyed.into_iter().map(|(_, item)| item));
    Ok(())
}

/// What cannot be compared, if there is something to compare it with.
fn unsortable(keys: &[Option<Value>], expression: &str) -> Option<&'static str> {
    let mut there = keys.iter().flatten();
    let (first, _) = (there.next()?, there.next()?);
    match first {
        // All below an object, and first of all itself, which Go holds in a type of its own.
        Value::Object(_) if expression.ends_with("..}") => Some("map"),
        Value::Object(_) => Some("map[string]interface {}"),
        Value::Array(_) => Some("[]interface {}"),
        _ => None,
    }
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, _) => Ordering::Less,
        (_, None) => Ordering::Greater,
        (Some(Value::String(a)), Some(Value::String(b))) => match (a.parse::<Quantity>(), b.parse::<Quantity>()) {
            (Ok(x), Ok(y)) => x.cmp(&y),
            _ => natural(a, b),
        },
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
        (Some(a), Some(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        },
    }
}

/// `a2` before `a10`.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (Some(x), Some(y)) = (a.chars().next(), b.chars().next()) else { return a.len().cmp(&b.len()) };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (m, rest_a) = digits(a);
            let (n, rest_b) = digits(b);
            let (p, q) = (m.trim_start_matches('0'), n.trim_start_matches('0'));
            match p.len().cmp(&q.len()).then(p.cmp(q)).then(m.len().cmp(&n.len())) {
                Ordering::Equal => (a, b) = (rest_a, rest_b),
                other => return other,
            }
        } else if x != y {
            return x.cmp(&y);
        } else {
            (a, b) = (&a[x.len_utf8()..], &b[y.len_utf8()..]);
        }
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sorted(values: &[Value]) -> Vec<Value> {
        let mut items: Vec<Value> = values.iter().map(|v| json!({"x": v})).collect();
        by(&mut items, ".x", |v| v).expect("sorts");
        items.into_iter().map(|v| v["x"].clone()).collect()
    }

    #[test]
    fn sorts_by_kind_of_value() {
        assert_eq!(sorted(&[json!("a10"), json!("a2"), json!("a")]), [json!("a"), json!("a2"), json!("a10")]);
        assert_eq!(sorted(&[json!("1Gi"), json!("500Mi"), json!("2Ki")]), [json!("2Ki"), json!("500Mi"), json!("1Gi")]);
        assert_eq!(sorted(&[json!(3), json!(1.5), json!(2)]), [json!(1.5), json!(2), json!(3)]);
    }

    #[test]
    fn objects_and_lists_have_no_order() {
        let told = |expression: &str| {
            let mut items = vec![json!({"a": {}, "b": []}), json!({"a": {"x": 1}, "b": []})];
            by(&mut items, expression, |v| v).map_err(|error| error.to_string())
        };
        assert_eq!(told(".a"), Err("{.a}, unsortable type: map[string]interface {}".into()));
        assert_eq!(told(".b"), Err("{.b}, unsortable type: []interface {}".into()));
        assert_eq!(told(".."), Err("{..}, unsortable type: map".into()));
        let mut alone = vec![json!({"a": {}})];
        assert!(by(&mut alone, ".a", |v| v).is_ok());
    }

    #[test]
    fn insists_on_a_field() {
        let mut items = vec![json!({})];
        let error = by(&mut items, "x", |v| v).expect_err("no field");
        assert_eq!(error.to_string(), "couldn't find any field with path \"{.x}\" in the list of objects");
    }
}

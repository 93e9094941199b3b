//! kubectl's JSONPath: templates of text and `{expressions}` with `range` and `end`.
//!
//! Upstream: `client-go/util/jsonpath`.

mod eval;
mod parse;

use super::json;
use apimachinery::Value;
use std::borrow::Cow;

/// A template, read.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    parts: Vec<Part>,
    allow_missing: bool,
}

/// A template that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// `{` without `}`.
    #[error("unclosed action")]
    Unclosed,
    /// A sign that means nothing.
    #[error("unrecognized character in action: U+{code:04X} '{0}'", code = u32::from(*.0))]
    Character(char),
    /// `[` without `]`.
    #[error("unterminated array")]
    UnterminatedArray,
    /// Neither index, slice nor key.
    #[error("invalid array index {0}")]
    Index(String),
    /// `[?(` without `)`.
    #[error("unterminated filter")]
    UnterminatedFilter,
    /// `[?()` without `]`.
    #[error("unclosed array expect ]")]
    UnclosedFilter,
    /// A quote that stays open.
    #[error("unterminated quoted string")]
    UnterminatedQuote,
    /// A bad escape.
    #[error("unquote string {0} error invalid syntax")]
    Quote(String),
    /// `....`.
    #[error("invalid multiple recursive descent")]
    MultipleRecursion,
    /// Digits that are no number.
    #[error("cannot parse number {0}")]
    Number(String),
    /// A word that is neither `range` nor `end`.
    #[error("unrecognized identifier {0}")]
    Identifier(String),
    /// `end` without `range`.
    #[error("not in range, nothing to end")]
    NothingToEnd,
    /// Expressions in expressions without end.
    #[error("the expression is nested too deeply")]
    TooDeep,
}

/// An object that does not fit a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// A key that is not there, when it must be.
    #[error("{0} is not found")]
    NotFound(String),
    /// An index into something else than a list.
    #[error("{0} is not array or slice")]
    NotList(&'static str),
    /// A filter on something else than a list.
    #[error("{0} is not array or slice and cannot be filtered")]
    NotFilterable(String),
    /// An index beyond the list.
    #[error("array index out of bounds: index {index}, length {length}")]
    OutOfBounds {
        /// The index.
        index: i64,
        /// The list's length.
        length: i64,
    },
    /// `[2:1]`.
    #[error("starting index {start} is greater than ending index {end}")]
    Backwards {
        /// From.
        start: i64,
        /// To.
        end: i64,
    },
    /// `[::0]`.
    #[error("step must be > 0")]
    Step,
    /// A comparison of several values.
    #[error("can only compare one element at a time")]
    Several,
    /// A comparison of text with a number.
    #[error("incompatible types for comparison")]
    Incompatible,
    /// A comparison of lists or objects.
    #[error("invalid type for comparison")]
    Incomparable,
    /// An operator such as `=`.
    #[error("unrecognized filter operator {0}")]
    Operator(String),
}

/// Text, an expression, or a loop.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// Text between expressions.
    Text(String),
    /// Values to print.
    Path(Vec<Step>),
    /// What stands between `{range PATH}` and `{end}`, for each value.
    Range(Vec<Step>, Vec<Part>),
}

/// A step from values to values.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Wildcard,
    Recursive,
    Slice {
        start: Option<i64>,
        end: End,
        step: Option<i64>,
    },
    Filter(Filter),
    Union(Vec<Vec<Step>>),
    /// A constant instead of what came in.
    Constant(Value),
}

/// Where a slice ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// `[a:]`.
    Open,
    /// `[a:b]`.
    At(i64),
    /// `[a]`: behind the one.
    Single,
}

#[derive(Clone, Debug, PartialEq)]
enum Filter {
    Exists(Vec<Step>),
    Compare { left: Vec<Step>, operator: String, right: Vec<Step> },
}

impl JsonPath {
    /// The names of an expression that has nothing but these, step by step; none for another step.
    pub fn fields(&self) -> Vec<Option<&str>> {
        let steps = self.parts.iter().flat_map(|part| match part {
            Part::Path(steps) => steps.as_slice(),
            _ => &[],
        });
        steps.map(|step| if let Step::Field(name) = step { Some(name.as_str()) } else { None }).collect()
    }

    /// Reads a template; missing keys print nothing, or are an error.
    pub fn parse(template: &str, allow_missing: bool) -> Result<Self, SyntaxError> {
        Ok(Self { parts: parse::template(template)?, allow_missing })
    }

    /// Reads one expression as flags have it: `x`, `.x`, `{x}` or `{.x}`.
    pub fn relaxed(expression: &str, allow_missing: bool) -> Result<Self, RelaxedError> {
        let text = relaxed(expression)?;
        Ok(Self::parse(&text, allow_missing)?)
    }

    /// The template's text for an object.
    pub fn render(&self, object: &Value) -> Result<String, EvalError> {
        let mut out = String::new();
        for values in self.find(object)? {
            let texts: Vec<String> = values.iter().map(|v| text(v)).collect();
            out.push_str(&texts.join(" "));
        }
        Ok(out)
    }

    /// The values of each part as JSON lists: `-o jsonpath-as-json`.
    pub fn render_json(&self, object: &Value) -> Result<String, EvalError> {
        let parts = self.find(object)?;
        let list = |values: Vec<Cow<'_, Value>>| Value::Array(values.into_iter().map(Cow::into_owned).collect());
        Ok(parts.into_iter().map(|values| json::pretty(&list(values))).collect())
    }

    /// The values of each part.
    pub fn find<'a>(&'a self, object: &'a Value) -> Result<Vec<Vec<Cow<'a, Value>>>, EvalError> {
        let mut found = Vec::new();
        eval::parts(&self.parts, object, self.allow_missing, &mut found)?;
        Ok(found)
    }

    /// The values of the first expression.
    pub fn values<'a>(&'a self, object: &'a Value) -> Result<Vec<Cow<'a, Value>>, EvalError> {
        Ok(self.find(object)?.into_iter().next().unwrap_or_default())
    }
}

/// An expression of a flag that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelaxedError {
    /// More than one expression.
    #[error(
        "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{{name1.name2}}' or '{{.name1.name2}}'"
    )]
    Form,
    /// Not an expression.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
}

/// `x.y` as `{.x.y}`.
pub fn relaxed(expression: &str) -> Result<String, RelaxedError> {
    if expression.is_empty() {
        return Ok(String::new());
    }
    let inner = match (expression.strip_prefix('{'), expression.strip_suffix('}')) {
        (Some(rest), Some(_)) => rest.strip_suffix('}').ok_or(RelaxedError::Form)?,
        (None, None) => expression,
        _ => return Err(RelaxedError::Form),
    };
    if inner.is_empty() || inner == "." || inner.contains(['{', '}']) {
        return Err(RelaxedError::Form);
    }
    Ok(format!("{{.{}}}", inner.strip_prefix('.').unwrap_or(inner)))
}

/// A value as text: strings bare, lists and objects as JSON.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".into(),
        Value::Number(number) if number.is_f64() => super::go_float(number.as_f64().unwrap_or_default()),
        other => json::compact(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object() -> Value {
        json!({"kind": "List", "items": [
            {"metadata": {"name": "a", "labels": {"x.y/z": "1"}}, "spec": {"n": 1, "ports": [80, 443]}, "ready": true},
            {"metadata": {"name": "b", "labels": {}}, "spec": {"n": 2, "ports": []}, "ready": false},
            {"metadata": {"name": "c"}, "spec": {"n": 3}, "gone": null}]})
    }

    fn run(template: &str) -> String {
        match JsonPath::parse(template, true).map_err(|e| e.to_string()) {
            Ok(path) => path.render(&object()).unwrap_or_else(|e| format!("!{e}")),
            Err(error) => format!("?{error}"),
        }
    }

    #[test]
    fn evaluates_as_upstream() {
        for (template, want) in [
            ("plain", "plain"),
            ("{.kind}", "List"),
            ("{$.kind}", "List"),
            ("{ .kind }", "List"),
            ("{.items[*].metadata.name}", "a b c"),
            ("{.items[0].metadata.name}", "a"),
            ("{.items[-1].metadata.name}", "c"),
            ("{.items[0:2].metadata.name}", "a b"),
            ("{.items[1:].metadata.name}", "b c"),
            ("{.items[:-1].metadata.name}", "a b"),
            ("{.items[::2].metadata.name}", "a c"),
            ("{.items[0,2].metadata.name}", "a c"),
            ("{.items[*]['metadata.name','spec.n']}", "a b c 1 2 3"),
            ("{..name}", "a b c"),
            ("{.items[?(@.spec.n==2)].metadata.name}", "b"),
            ("{.items[?(@.metadata.name!='b')].metadata.name}", "a c"),
            ("{.items[?(@.ready==true)].metadata.name}", "a"),
            ("{.items[?(@.ready)].metadata.name}", "a b"),
            ("{.items[?(@.metadata.labels.x\\.y/z=='1')].metadata.name}", "a"),
            ("{.items[0].metadata.labels['x\\.y/z']}", "1"),
            ("{.items[0].metadata.labels}", r#"{"x.y/z":"1"}"#),
            ("{range .items[*]}{.metadata.name}={.spec.n}{\"\\n\"}{end}done", "a=1\nb=2\nc=3\ndone"),
            ("{range .items[*]}{range .spec.ports[*]}{@},{end};{end}", "80,443,;;;"),
            ("{.missing}", ""),
            ("{.items[9]}", "!array index out of bounds: index 9, length 3"),
            ("{.kind[0]}", "!string is not array or slice"),
            ("{.items[?(@.spec.n=='x')]}", "!incompatible types for comparison"),
            ("{.items[2].gone}", "<nil>"),
            ("{.kind", "?unclosed action"),
            ("{end}", "?not in range, nothing to end"),
            ("{foo}", "?unrecognized identifier foo"),
            ("{.items[a]}", "?invalid array index a"),
            ("{.items[?(@.a]}", "?unterminated filter"),
            ("{'x}", "?unterminated quoted string"),
            ("{....x}", "?invalid multiple recursive descent"),
            ("{%}", "?unrecognized character in action: U+0025 '%'"),
        ] {
            assert_eq!(run(template), want, "{template}");
        }
    }

    #[test]
    fn can_miss_keys_or_not() {
        let strict = JsonPath::parse("{.missing}", false).expect("reads");
        assert_eq!(strict.render(&object()), Err(EvalError::NotFound("missing".into())));
    }

    #[test]
    fn relaxes_expressions() {
        for (text, want) in [
            ("x.y", Some("{.x.y}")),
            (".x", Some("{.x}")),
            ("{x}", Some("{.x}")),
            ("{.x}", Some("{.x}")),
            ("{x", None),
            ("{.x}{.y}", None),
            (".", None),
        ] {
            assert_eq!(relaxed(text).ok().as_deref(), want, "{text}");
        }
    }

    #[test]
    fn prints_json_lists() {
        let path = JsonPath::parse("{.items[*].metadata.name}", true).expect("reads");
        assert_eq!(path.render_json(&object()), Ok("[\n    \"a\",\n    \"b\",\n    \"c\"\n]\n".into()));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(template in "[{}\\[\\]?()@$.*'\":,a-c0-3 \\\\<>=!-]{0,40}") {
            if let Ok(path) = JsonPath::parse(&template, true) {
                let _ = path.render(&object());
            }
        }
    }
}

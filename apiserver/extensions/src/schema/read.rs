//! JSON to nodes. What is malformed is refused by the definition's own checks; here it reads as
//! absent, as upstream's types would hold it.

use super::{Additional, Bound, Extensions, Format, Junctors, Limits, ListType, Node, Pattern, Rules, Type};
use apimachinery::Value;
use regex::Regex;

/// Deepest nesting of schemas: twice that is what a body may nest.
const MAX_DEPTH: usize = 64;

/// Why JSON is no schema that this server can use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Nested too deep.
    #[error("the schema is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A regular expression that is none.
    #[error("pattern {pattern:?} must be a valid regular expression, but isn't: {why}")]
    Pattern {
        /// The expression.
        pattern: String,
        /// The parser's message.
        why: String,
    },
    /// `items` is a list.
    #[error("OpenAPIV3Schema 'items' must be a schema, but is an array")]
    ItemsList,
}

impl Node {
    /// Reads a schema.
    pub fn read(schema: &Value) -> Result<Self, SchemaError> {
        let mut root = read(schema, 0)?;
        root.rules = Rules::read(schema, &root, true);
        Ok(root)
    }
}

fn read(schema: &Value, depth: usize) -> Result<Node, SchemaError> {
    if depth > MAX_DEPTH {
        return Err(SchemaError::TooDeep);
    }
    let inner = |key: &str| schema.get(key).filter(|v| v.is_object()).map(|v| read(v, depth + 1)).transpose();
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    if schema.get("items").is_some_and(Value::is_array) {
        return Err(SchemaError::ItemsList);
    }
    let mut node = Node {
        ty: schema.get("type").and_then(Value::as_str).filter(|t| !t.is_empty()).map(ty),
        nullable: flag(schema, "nullable"),
        extensions: extensions(schema),
        properties: properties
            .map(|(name, value)| Ok((name.as_str().into(), read(value, depth + 1)?)))
            .collect::<Result<_, _>>()?,
        additional: match schema.get("additionalProperties") {
            Some(Value::Bool(true)) => Additional::Any,
            Some(Value::Bool(false)) => Additional::Forbidden,
            Some(value @ Value::Object(_)) => Additional::Schema(Box::new(read(value, depth + 1)?)),
            _ => Additional::Absent,
        },
        items: inner("items")?.map(Box::new),
        default: schema.get("default").filter(|v| !v.is_null()).cloned(),
        limits: limits(schema)?,
        junctors: junctors(schema, depth)?,
        rules: None,
    };
    // Those of the root see its metadata.
    if depth > 0 {
        node.rules = Rules::read(schema, &node, false);
    }
    Ok(node)
}

fn ty(name: &str) -> Type {
    match name {
        "object" => Type::Object,
        "array" => Type::Array,
        "string" => Type::String,
        "integer" => Type::Integer,
        "number" => Type::Number,
        "boolean" => Type::Boolean,
        _ => Type::Unknown,
    }
}

fn extensions(schema: &Value) -> Extensions {
    let text = |key: &str| schema.get(key).and_then(Value::as_str);
    Extensions {
        preserves_unknown: flag(schema, "x-kubernetes-preserve-unknown-fields"),
        is_embedded: flag(schema, "x-kubernetes-embedded-resource"),
        int_or_string: flag(schema, "x-kubernetes-int-or-string"),
        list_type: match text("x-kubernetes-list-type") {
            Some("set") => ListType::Set,
            Some("map") => ListType::Map,
            _ => ListType::Atomic,
        },
        list_keys: texts(schema, "x-kubernetes-list-map-keys"),
        is_atomic_map: text("x-kubernetes-map-type") == Some("atomic"),
    }
}

fn limits(schema: &Value) -> Result<Limits, SchemaError> {
    let count = |key: &str| schema.get(key).and_then(Value::as_i64).map(|n| u64::try_from(n).unwrap_or(0));
    let bound = |key: &str, exclusive: &str| {
        let value = schema.get(key)?.as_f64()?;
        Some(Bound { value, exclusive: flag(schema, exclusive) })
    };
    let pattern = schema.get("pattern").and_then(Value::as_str).filter(|p| !p.is_empty());
    let types = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    Ok(Limits {
        format: schema.get("format").and_then(Value::as_str).and_then(|name| Format::parse(name, types)),
        maximum: bound("maximum", "exclusiveMaximum"),
        minimum: bound("minimum", "exclusiveMinimum"),
        multiple_of: schema.get("multipleOf").and_then(Value::as_f64),
        max_length: count("maxLength"),
        min_length: count("minLength"),
        pattern: pattern.map(compiled).transpose()?,
        max_items: count("maxItems"),
        min_items: count("minItems"),
        unique_items: flag(schema, "uniqueItems"),
        max_properties: count("maxProperties"),
        min_properties: count("minProperties"),
        required: texts(schema, "required"),
        values: schema.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
    })
}

/// Compiles a pattern of a schema; the error is in the words of Go's parser.
pub fn compile_pattern(pattern: &str) -> Result<Regex, String> {
    cel::pattern(pattern).map_err(|error| cel::why_no_pattern(pattern, &error))
}

fn compiled(pattern: &str) -> Result<Pattern, SchemaError> {
    match compile_pattern(pattern) {
        Ok(regex) => Ok(Pattern { source: pattern.into(), regex }),
        Err(why) => Err(SchemaError::Pattern { pattern: pattern.to_owned(), why }),
    }
}

fn junctors(schema: &Value, depth: usize) -> Result<Option<Box<Junctors>>, SchemaError> {
    let list = |key: &str| {
        let branches = schema.get(key).and_then(Value::as_array).into_iter().flatten();
        branches.map(|branch| read(branch, depth + 1)).collect::<Result<Vec<_>, _>>()
    };
    let not = schema.get("not").filter(|v| v.is_object()).map(|v| read(v, depth + 1)).transpose()?;
    let all = Junctors { all_of: list("allOf")?, any_of: list("anyOf")?, one_of: list("oneOf")?, not };
    let is_empty = all.all_of.is_empty() && all.any_of.is_empty() && all.one_of.is_empty() && all.not.is_none();
    Ok((!is_empty).then(|| Box::new(all)))
}

fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool).unwrap_or_default()
}

fn texts(schema: &Value, key: &str) -> Vec<Box<str>> {
    schema.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(Box::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn depth_is_bounded() {
        let mut schema = json!({});
        for _ in 0..100 {
            schema = json!({"items": schema});
        }
        assert_eq!(Node::read(&schema).expect_err("too deep"), SchemaError::TooDeep);
    }

    #[test]
    fn odd_schemas_read_as_far_as_they_go() {
        for schema in [json!(null), json!([1]), json!({"type": 1, "properties": [], "enum": {}, "maxLength": -1})] {
            let node = Node::read(&schema).expect("readable");
            assert!(node.ty.is_none() && node.properties.is_empty(), "{schema}");
        }
        assert_eq!(Node::read(&json!({"items": []})).expect_err("a list"), SchemaError::ItemsList);
        assert!(Node::read(&json!({"pattern": "("})).is_err());
    }
}

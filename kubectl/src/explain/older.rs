//! `explain` out of OpenAPI 2, and `--output plaintext-openapiv2`.
//!
//! Upstream: `kubectl/pkg/explain`, `kube-openapi/pkg/util/proto`.

use super::wrap::fill;
use super::{ExplainError, Subject};
use apimachinery::Value;
use std::fmt::Write as _;

/// Longest line.
const WIDTH: usize = 80;

/// Writes the documentation of a resource or a field of it.
pub fn explain(out: &mut String, document: &Value, subject: &Subject<'_>) -> Result<(), ExplainError> {
    let wanted = |schema: &&Value| {
        let mut kinds = schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten();
        kinds.any(|k| {
            k["group"].as_str().unwrap_or_default() == subject.group
                && k["version"] == subject.version
                && k["kind"] == subject.kind
        })
    };
    let mut definitions = document["definitions"].as_object().into_iter().flatten().map(|(_, schema)| schema);
    let kind = format!("{}/{}, Kind={}", subject.group, subject.version, subject.kind);
    let schema = definitions.find(wanted).ok_or(ExplainError::NoSchema(kind))?;
    let model = Model { document };
    let schema = model.field(schema, subject.fields)?;
    model.print(out, schema, subject);
    Ok(())
}

/// What a schema is.
enum Shape<'a> {
    Reference(&'a Value),
    Kind(&'a apimachinery::Map),
    Map(Option<&'a Value>),
    Array(&'a Value),
    Primitive(&'a str),
    Arbitrary,
}

struct Model<'a> {
    document: &'a Value,
}

impl<'a> Model<'a> {
    fn shape(&self, schema: &'a Value) -> Shape<'a> {
        if let Some(reference) = schema["$ref"].as_str().and_then(|r| r.strip_prefix('#')) {
            return self.document.pointer(reference).map_or(Shape::Arbitrary, Shape::Reference);
        }
        let properties = schema["properties"].as_object();
        match (schema["type"].as_str(), properties) {
            (None | Some("object"), Some(properties)) => Shape::Kind(properties),
            (None, None) => Shape::Arbitrary,
            (Some("object"), None) => Shape::Map(schema.get("additionalProperties").filter(|v| v.is_object())),
            (Some("array"), _) => Shape::Array(&schema["items"]),
            (Some(simple), _) => Shape::Primitive(simple),
        }
    }

    fn field(&self, schema: &'a Value, fields: &[String]) -> Result<&'a Value, ExplainError> {
        let Some((first, rest)) = fields.split_first() else { return Ok(schema) };
        match self.shape(schema) {
            Shape::Reference(target) => self.field(target, fields),
            Shape::Array(inner) | Shape::Map(Some(inner)) => self.field(inner, fields),
            Shape::Kind(properties) => {
                let field = properties.get(first).ok_or_else(|| ExplainError::NoField(first.clone()))?;
                self.field(field, rest)
            }
            Shape::Primitive(_) | Shape::Arbitrary | Shape::Map(None) => Ok(schema),
        }
    }

    fn type_of(&self, schema: &'a Value) -> String {
        match self.shape(schema) {
            Shape::Reference(target) => self.type_of(target),
            Shape::Kind(_) => "Object".into(),
            Shape::Map(values) => format!("map[string]{}", values.map_or_else(String::new, |v| self.type_of(v))),
            Shape::Array(items) => format!("[]{}", self.type_of(items)),
            Shape::Primitive(simple) => simple.to_owned(),
            Shape::Arbitrary => String::new(),
        }
    }

    fn print(&self, out: &mut String, schema: &'a Value, subject: &Subject<'_>) {
        let name = subject.fields.last().map(String::as_str).unwrap_or_default();
        let (mut at, mut kind, mut descriptions) = (schema, String::new(), Vec::new());
        // Lists, maps and references say something themselves, and lead on.
        let shape = loop {
            descriptions.push(at["description"].as_str().unwrap_or_default());
            match self.shape(at) {
                Shape::Reference(target) => at = target,
                Shape::Array(inner) | Shape::Map(Some(inner)) => {
                    if kind.is_empty() {
                        kind = self.type_of(at);
                    }
                    at = inner;
                }
                shape => break shape,
            }
        };
        if kind.is_empty() {
            kind = self.type_of(at);
        }
        let version = apimachinery::gvk::api_version(subject.group, subject.version);
        let _ = write!(out, "KIND:     {}\nVERSION:  {version}\n\n", subject.kind);
        match &shape {
            Shape::Kind(_) if !name.is_empty() => {
                let _ = write!(out, "RESOURCE: {name} <{kind}>\n\n");
            }
            Shape::Primitive(_) => {
                let _ = write!(out, "FIELD:    {name} <{kind}>\n\n");
            }
            _ => {}
        }
        describe(out, &descriptions);
        if let Shape::Kind(properties) = shape {
            out.push_str("\nFIELDS:\n");
            match subject.recursive {
                true => self.fields_of_fields(out, properties, 3, &mut Vec::new()),
                false => self.fields(out, at, properties),
            }
        }
    }

    fn fields(&self, out: &mut String, schema: &Value, properties: &'a apimachinery::Map) {
        for (name, field) in properties {
            let required = schema["required"].as_array().is_some_and(|r| r.iter().any(|n| n == name));
            let required = if required { " -required-" } else { "" };
            let _ = writeln!(out, "   {name}\t<{}>{required}", self.type_of(field));
            lines(out, field["description"].as_str().unwrap_or_default(), 5);
            out.push('\n');
        }
    }

    fn fields_of_fields(
        &self,
        out: &mut String,
        properties: &'a apimachinery::Map,
        blanks: usize,
        seen: &mut Vec<&'a str>,
    ) {
        for (name, field) in properties {
            let _ = writeln!(out, "{}{name}\t<{}>", " ".repeat(blanks), self.type_of(field));
            let depth = seen.len();
            let mut at = field;
            loop {
                match self.shape(at) {
                    Shape::Reference(target) => {
                        let reference = at["$ref"].as_str().unwrap_or_default();
                        if seen.contains(&reference) {
                            break;
                        }
                        seen.push(reference);
                        at = target;
                    }
                    Shape::Array(inner) | Shape::Map(Some(inner)) => at = inner,
                    Shape::Kind(inner) => {
                        self.fields_of_fields(out, inner, blanks + 3, seen);
                        break;
                    }
                    Shape::Primitive(_) | Shape::Arbitrary | Shape::Map(None) => break,
                }
            }
            seen.truncate(depth);
        }
    }
}

fn describe(out: &mut String, descriptions: &[&str]) {
    out.push_str("DESCRIPTION:\n");
    if descriptions.iter().all(|d| d.is_empty()) {
        return lines(out, "<empty>", 5);
    }
    for (i, text) in descriptions.iter().enumerate().filter(|(_, d)| !d.is_empty()) {
        if i > 0 {
            out.push('\n');
        }
        lines(out, text, 5);
    }
}

fn lines(out: &mut String, text: &str, blanks: usize) {
    for line in fill(text, WIDTH - blanks) {
        match line.is_empty() {
            true => out.push('\n'),
            false => drop(writeln!(out, "{}{line}", " ".repeat(blanks))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn explains_as_it_was_before() {
        let kind = json!([{"group": "", "version": "v1", "kind": "Pod"}]);
        let document = json!({"definitions": {
            "Pod": {"type": "object", "description": "A pod.", "x-kubernetes-group-version-kind": kind, "required": ["spec"],
                "properties": {"spec": {"description": "Wanted.", "$ref": "#/definitions/Spec"}}},
            "Spec": {"type": "object", "description": "A spec.", "properties": {
                "self": {"$ref": "#/definitions/Spec"}, "names": {"type": "array", "items": {"type": "string"}, "description": "Names."}}}}});
        let told = |fields: &[&str], recursive| {
            let fields: Vec<String> = fields.iter().map(|f| (*f).to_owned()).collect();
            let subject = Subject { group: "", version: "v1", plural: "pods", kind: "Pod", fields: &fields, recursive };
            let mut out = String::new();
            explain(&mut out, &document, &subject).map(|()| out)
        };
        let want = "KIND:     Pod\nVERSION:  v1\n\nDESCRIPTION:\n     A pod.\n\nFIELDS:\n   spec\t<Object> -required-\n     Wanted.\n\n";
        assert_eq!(told(&[], false).expect("told"), want);
        let want = "KIND:     Pod\nVERSION:  v1\n\nFIELD:    names <[]string>\n\nDESCRIPTION:\n     Names.\n";
        assert_eq!(told(&["spec", "names"], false).expect("told"), want);
        assert!(
            told(&[], true)
                .expect("told")
                .ends_with("   spec\t<Object>\n      names\t<[]string>\n      self\t<Object>\n")
        );
        assert!(
            told(&["spec"], false)
                .expect("told")
                .contains("RESOURCE: spec <Object>\n\nDESCRIPTION:\n     Wanted.\n\n     A spec.\n")
        );
        assert!(told(&["x"], false).is_err());
    }
}

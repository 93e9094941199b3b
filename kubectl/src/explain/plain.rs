//! `explain` out of OpenAPI 3.
//!
//! Upstream: `kubectl/pkg/explain/v2`.

use super::wrap::{indent, wrap};
use super::{ExplainError, Subject};
use apimachinery::Value;
use std::fmt::Write as _;

/// How many values of an enumeration a list of fields shows.
const SHOWN: usize = 4;

/// Writes the documentation of a resource or a field of it. What could be told before an error
/// stands in `out`.
pub fn explain(out: &mut String, document: &Value, subject: &Subject<'_>) -> Result<(), ExplainError> {
    let (group, version, kind) = kind_of(document, subject)?;
    if !group.is_empty() {
        let _ = writeln!(out, "GROUP:      {group}");
    }
    let _ = write!(out, "KIND:       {kind}\nVERSION:    {version}\n\n");
    let has_kind = |schema: &&Value| {
        let mut kinds = schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten();
        kinds.any(|k| k["group"] == group && k["version"] == version && k["kind"] == kind)
    };
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    let schema = schemas.map(|(_, schema)| schema).find(has_kind);
    let no_schema = || ExplainError::NoSchema(format!("map[group:{group} kind:{kind} version:{version}]"));
    let text =
        Explainer { document, recursive: subject.recursive }.output(schema.ok_or_else(no_schema)?, subject.fields, &[]);
    if text.is_empty() {
        return Err(ExplainError::NoField(subject.fields.last().cloned().unwrap_or_default()));
    }
    out.push_str(&text);
    out.push('\n');
    Ok(())
}

/// Group, version and kind of a resource, out of what the document says of its paths.
fn kind_of(document: &Value, subject: &Subject<'_>) -> Result<(String, String, String), ExplainError> {
    let Subject { group, version, plural, .. } = subject;
    let prefix = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
    let namespaced = format!("{prefix}/{version}/namespaces/{{namespace}}/{plural}");
    let all = format!("{prefix}/{version}/{plural}");
    let paths = [&namespaced, &format!("{namespaced}/{{name}}"), &all, &format!("{all}/{{name}}")].map(String::clone);
    let methods = ["get", "post", "put", "patch", "delete"];
    for (path, method) in paths.iter().flat_map(|path| methods.map(|method| (path, method))) {
        let kind = &document["paths"][path][method]["x-kubernetes-group-version-kind"];
        if kind.is_object() {
            let text = |key: &str| kind[key].as_str().unwrap_or_default().to_owned();
            return Ok((text("group"), text("version"), text("kind")));
        }
    }
    Err(ExplainError::NoResource(format!("{group}/{version}, Resource={plural}")))
}

struct Explainer<'a> {
    document: &'a Value,
    recursive: bool,
}

impl<'a> Explainer<'a> {
    /// The schema that a reference names.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let pointer = schema["$ref"].as_str().and_then(|r| r.strip_prefix('#'));
        pointer.and_then(|p| self.document.pointer(p)).unwrap_or(schema)
    }

    /// The values of a map, if the schema is one.
    fn values(schema: &'a Value) -> Option<&'a Value> {
        schema.get("additionalProperties").filter(|v| v.as_object().is_some_and(|o| !o.is_empty()))
    }

    fn items(schema: &'a Value) -> Option<&'a Value> {
        schema.get("items").filter(|v| v.as_object().is_some_and(|o| !o.is_empty()))
    }

    fn all_of(schema: &'a Value) -> impl Iterator<Item = &'a Value> {
        schema["allOf"].as_array().into_iter().flatten()
    }

    /// Follows the fields and describes what is there; nothing if they lead nowhere.
    fn output(&self, schema: &'a Value, fields: &[String], seen: &[&'a str]) -> String {
        let reference = schema["$ref"].as_str();
        let resolved = self.resolved(schema);
        let Some((first, rest)) = fields.split_first() else { return self.described(resolved) };
        if reference.is_some_and(|r| seen.contains(&r)) {
            return String::new();
        }
        let seen: Vec<&str> = seen.iter().copied().chain(reference).collect();
        if let Some(field) = resolved["properties"].get(first) {
            let mut text = String::new();
            if rest.is_empty() {
                let _ = write!(text, "FIELD: {first} <{}>\n{}\n\n", self.type_of(field), long_values(field));
            }
            return text + &self.output(field, rest, &[]);
        }
        if let Some(inner) = Self::items(resolved).or(Self::values(resolved)) {
            return self.output(inner, fields, &seen);
        }
        Self::all_of(resolved).map(|s| self.output(s, fields, &seen)).find(|text| !text.is_empty()).unwrap_or_default()
    }

    fn described(&self, schema: &'a Value) -> String {
        let description = match self.description(schema) {
            text if text.is_empty() => "<empty>".to_owned(),
            text => text,
        };
        let mut text = format!("DESCRIPTION:\n{}\n", indent(&wrap(&description, 76), 4));
        let documents = &schema["externalDocs"];
        if documents.is_object() {
            text.push_str("\nEXTERNAL DOCS:\n");
            if let Some(description) = documents["description"].as_str().filter(|d| !d.is_empty()) {
                let _ = writeln!(text, "{}", indent(&wrap(description, 76), 4));
            }
            if let Some(url) = documents["url"].as_str().filter(|u| !u.is_empty()) {
                let _ = writeln!(text, "    URL: {url}");
            }
        }
        let mut fields = String::new();
        self.fields(&mut fields, schema, 1, &[]);
        if !fields.is_empty() {
            let _ = write!(text, "FIELDS:\n{fields}");
        }
        text
    }

    /// What a schema and those it is made of say of themselves, each on a line.
    fn description(&self, schema: &'a Value) -> String {
        let schema = self.resolved(schema);
        let mut text = String::new();
        if let Some(own) = schema["description"].as_str().filter(|d| !d.is_empty()) {
            let _ = writeln!(text, "{own}");
        }
        for inner in Self::all_of(schema).chain(Self::items(schema)).chain(Self::values(schema)) {
            text.push_str(&self.description(inner));
        }
        text
    }

    fn fields(&self, out: &mut String, schema: &'a Value, level: usize, seen: &[&'a str]) {
        let reference = schema["$ref"].as_str();
        if reference.is_some_and(|r| seen.contains(&r)) {
            return;
        }
        let seen: Vec<&str> = seen.iter().copied().chain(reference).collect();
        let resolved = self.resolved(schema);
        for (name, field) in resolved["properties"].as_object().into_iter().flatten() {
            self.field(out, resolved, name, field, level * 2);
            if self.recursive {
                self.fields(out, field, level + 1, &seen);
            }
        }
        for inner in Self::all_of(resolved).chain(Self::items(resolved)).chain(Self::values(resolved)) {
            self.fields(out, inner, level, &seen);
        }
    }

    fn field(&self, out: &mut String, schema: &Value, name: &str, field: &'a Value, blanks: usize) {
        let required = schema["required"].as_array().is_some_and(|r| r.iter().any(|n| n == name));
        let required = if required { " -required-" } else { "" };
        let _ = writeln!(
            out,
            "{}\t<{}>{required}{}",
            indent(name, blanks),
            self.type_of(field),
            short_values(field, blanks)
        );
        if self.recursive {
            return;
        }
        let description = field["description"].as_str().filter(|d| !d.is_empty()).unwrap_or("<no description>");
        let _ = writeln!(out, "{}", indent(&wrap(description, 78 - blanks), blanks + 2));
        let documents = &field["externalDocs"];
        if documents.is_object() {
            let _ = writeln!(out, "\n{}", indent("EXTERNAL DOCS:", blanks + 2));
            if let Some(description) = documents["description"].as_str().filter(|d| !d.is_empty()) {
                let _ = writeln!(out, "{}", indent(&wrap(description, 76 - blanks), blanks + 4));
            }
            if let Some(url) = documents["url"].as_str().filter(|u| !u.is_empty()) {
                let _ = writeln!(out, "{}", indent(&format!("URL: {url}"), blanks + 4));
            }
        }
        out.push('\n');
    }

    /// `[]Container`, `map[string]string`, `Object`.
    fn type_of(&self, schema: &'a Value) -> String {
        if let Some(items) = Self::items(schema) {
            return format!("[]{}", self.type_of(items));
        }
        if let Some(values) = Self::values(schema) {
            return format!("map[string]{}", self.type_of(values));
        }
        let own = schema["type"].as_str().filter(|t| !t.is_empty());
        if schema["properties"].is_null()
            && let Some([one]) = schema["allOf"].as_array().map(Vec::as_slice)
        {
            return self.type_of(one);
        }
        if let Some(reference) = schema["$ref"].as_str().filter(|r| !r.is_empty()) {
            let target = self.resolved(schema);
            return match target["type"].as_str().filter(|t| !t.is_empty() && *t != "object") {
                // Only objects go by their names.
                Some(simple) if !std::ptr::eq(target, schema) => simple.to_owned(),
                _ => reference.rsplit(['/', '.']).next().filter(|n| !n.is_empty()).unwrap_or("Object").to_owned(),
            };
        }
        match own {
            None | Some("object") => "Object".into(),
            Some(other) => other.to_owned(),
        }
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn short_values(schema: &Value, blanks: usize) -> String {
    let Some(values) = schema["enum"].as_array().filter(|v| !v.is_empty()) else { return String::new() };
    let shown: Vec<String> = values.iter().take(SHOWN).map(value).collect();
    let more = if values.len() > SHOWN { ", ...." } else { "" };
    format!("\n{}enum: {}{more}", " ".repeat(blanks), shown.join(", "))
}

fn long_values(schema: &Value) -> String {
    let Some(values) = schema["enum"].as_array().filter(|v| !v.is_empty()) else { return String::new() };
    let lines: Vec<String> = values.iter().map(|v| format!("\n    {}", value(v))).collect();
    format!("ENUM:{}", lines.concat())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> Value {
        let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
        json!({
            "paths": {"/api/v1/namespaces/{namespace}/pods": {"get": {"x-kubernetes-group-version-kind": kind}}},
            "components": {"schemas": {
                "x.Pod": {"type": "object", "description": "A pod.", "x-kubernetes-group-version-kind": [kind],
                    "required": ["spec"], "properties": {
                        "spec": {"description": "What is wanted.", "allOf": [{"$ref": "#/components/schemas/x.PodSpec"}]},
                        "labels": {"type": "object", "additionalProperties": {"type": "string"}}}},
                "x.PodSpec": {"type": "object", "description": "A spec.", "properties": {
                    "policy": {"type": "string", "enum": ["", "A", "B", "C", "D"]},
                    "inner": {"$ref": "#/components/schemas/x.PodSpec"},
                    "list": {"type": "array", "items": {"$ref": "#/components/schemas/x.Time"}}}},
                "x.Time": {"type": "string"},
            }},
        })
    }

    fn told(fields: &[&str], recursive: bool) -> Result<String, ExplainError> {
        let fields: Vec<String> = fields.iter().map(|f| (*f).to_owned()).collect();
        let subject = Subject { group: "", version: "v1", plural: "pods", kind: "Pod", fields: &fields, recursive };
        let mut out = String::new();
        explain(&mut out, &document(), &subject).map(|()| out)
    }

    #[test]
    fn explains_types_and_fields() {
        let want = "KIND:       Pod\nVERSION:    v1\n\nDESCRIPTION:\n    A pod.\n    \nFIELDS:\n  labels\t<map[string]string>\n    <no description>\n\n  spec\t<PodSpec> -required-\n    What is wanted.\n\n\n";
        assert_eq!(told(&[], false).expect("told"), want);
        let want = "KIND:       Pod\nVERSION:    v1\n\nFIELD: policy <string>\nENUM:\n    \"\"\n    A\n    B\n    C\n    D\n\nDESCRIPTION:\n    <empty>\n\n";
        assert_eq!(told(&["spec", "policy"], false).expect("told"), want);
        assert_eq!(told(&["spec", "nothing"], false), Err(ExplainError::NoField("nothing".into())));
    }

    #[test]
    fn lists_fields_of_fields() {
        let text = told(&[], true).expect("told");
        let want = "FIELDS:\n  labels\t<map[string]string>\n  spec\t<PodSpec> -required-\n    inner\t<PodSpec>\n    list\t<[]string>\n    policy\t<string>\n    enum: \"\", A, B, C, ....\n\n";
        assert!(text.ends_with(want), "{text}");
    }
}

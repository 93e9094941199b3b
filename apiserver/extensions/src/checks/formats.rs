//! Formats that nobody knows.
//!
//! Upstream: `WarningsOnCreate` and `WarningsOnUpdate` in
//! `apiextensions-apiserver/pkg/registry/customresourcedefinition/strategy.go`.

use crate::schema::Format;
use apimachinery::Value;
use rules::tree::Tree;
use rules::warnings::Sink;

/// Names the formats of a definition that mean nothing, if they did not stand there before.
pub fn warnings(new: &Value, old: Option<&Value>, warn: &mut Sink<'_>) {
    let before = old.map(unknown).unwrap_or_default();
    for format in unknown(new).into_iter().filter(|format| !before.contains(format)) {
        warn(format!("unrecognized format {format:?}"));
    }
}

fn unknown(definition: &Value) -> Vec<&str> {
    let mut out = Vec::new();
    for version in definition.at("spec").map(|spec| spec.items("versions")).unwrap_or_default() {
        if let Some(schema) = version.at("schema").and_then(|schema| schema.at("openAPIV3Schema")) {
            collect(schema, &mut out);
        }
    }
    out
}

fn collect<'a>(schema: &'a Value, out: &mut Vec<&'a str>) {
    let format = schema.text("format");
    if !format.is_empty() && Format::parse(format, schema.text("type")).is_none() {
        out.push(format);
    }
    for key in ["items", "not", "additionalProperties", "additionalItems"] {
        if let Some(inner) = schema.at(key) {
            collect(inner, out);
        }
    }
    for key in ["items", "allOf", "anyOf", "oneOf"] {
        schema.items(key).iter().for_each(|inner| collect(inner, out));
    }
    for key in ["properties", "patternProperties", "definitions", "dependencies"] {
        schema.entries(key).for_each(|(_, inner)| collect(inner, out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_formats_are_named_once() {
        let of = |ty: &str, format: &str| {
            let schema = json!({"properties": {"a": {"items": {"type": ty, "format": format}}}});
            json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]}})
        };
        for (ty, format, want) in [
            ("string", "date-time", None),
            ("integer", "int32", None),
            ("string", "int32", Some("unrecognized format \"int32\"")),
            ("boolean", "uuid", Some("unrecognized format \"uuid\"")),
        ] {
            let (definition, mut said) = (of(ty, format), Vec::new());
            warnings(&definition, None, &mut |text| said.push(text));
            assert_eq!(said.first().map(String::as_str), want, "{ty} {format}");
            warnings(&definition, Some(&definition), &mut |_| panic!("{format} has been there before"));
        }
    }
}

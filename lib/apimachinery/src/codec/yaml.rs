//! YAML 1.1 as upstream reads it (`sigs.k8s.io/yaml`): turned into JSON, which is then decoded
//! along the schema.

mod emit;
mod go;
mod tree;

pub use emit::to_string;

use super::{DecodeError, Decoded, json};
use crate::Value;
use crate::schema::TypeRef;
use serde_saphyr::Options;
use serde_saphyr::options::DuplicateKeyPolicy;

/// Decodes one YAML document of type `ty`, with the findings of [`super::json::decode`]; keys
/// that are given twice are the first of them.
pub fn decode(ty: &TypeRef, bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let (value, duplicates) = tree::read(bytes, options())?;
    let mut decoded = json::conform(ty, &value)?;
    if !duplicates.is_empty() {
        decoded.findings.insert(0, described(&duplicates));
    }
    Ok(decoded)
}

/// Decodes one YAML document without a type. Of keys that are given twice the last one counts.
pub fn to_value(bytes: &[u8]) -> Result<Value, DecodeError> {
    tree::read(bytes, options()).map(|(value, _)| value)
}

/// The same, with what is said about keys that are given twice.
pub fn to_value_with_findings(bytes: &[u8]) -> Result<(Value, Option<String>), DecodeError> {
    let (value, duplicates) = tree::read(bytes, options())?;
    Ok((value, (!duplicates.is_empty()).then(|| described(&duplicates))))
}

fn described(duplicates: &[String]) -> String {
    format!("yaml: unmarshal errors:\n  {}", duplicates.join("\n  "))
}

fn options() -> Options {
    let budget = serde_saphyr::budget! {
        max_depth: 200,
        max_documents: 1,
        max_nodes: 500_000,
        max_events: 1_500_000,
        // What they stand for is bounded below.
        max_aliases: 100_000,
        max_anchors: 1_000,
    };
    serde_saphyr::options! {
        budget: budget,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        legacy_octal_numbers: true,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gvk::GroupVersionKind;
    use crate::schema::Schema;
    use serde_json::json;

    #[test]
    fn reads_scalars_as_yaml_1_1() {
        for (text, want) in [
            ("a: yes\nb: Off\nc: \"yes\"\nd: y", json!({"a": true, "b": false, "c": "yes", "d": true})),
            ("a: 0755\nb: 0x1F\nc: 1_000\nd: 08", json!({"a": 493, "b": 31, "c": 1000, "d": 8})),
            ("a: 1.0\nb: 1e3\nc: 1.5\nd: -7", json!({"a": 1, "b": 1000, "c": 1.5, "d": -7})),
            ("a: ~\nb: null\nc:\nd: ''", json!({"a": null, "b": null, "c": null, "d": ""})),
            ("1: a\ntrue: b\non: c", json!({"1": "a", "true": "c"})),
            ("a: 2001-01-01\nb: 1:30", json!({"a": "2001-01-01", "b": "1:30"})),
            ("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}", json!({"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}})),
            ("a: |\n  x\n  y\nb: >-\n  x\n  y", json!({"a": "x\ny\n", "b": "x y"})),
            ("---\n- a\n- [1, {b: c}]\n", json!(["a", [1, {"b": "c"}]])),
            ("{\"a\": [1, 2], \"b\": \"\\u00e9\"}", json!({"a": [1, 2], "b": "é"})),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("", Value::Null),
            ("a: 1\n... what is behind", json!({"a": 1})),
            ("[a]\nb = 1", json!(["a"])),
            ("# nothing\n", Value::Null),
        ] {
            assert_eq!(to_value(text.as_bytes()).map_err(|e| e.to_string()), Ok(want), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_malformed_or_too_much() {
        let bomb = format!("a: &a [{}]\n{}", "x,".repeat(9), (0..9).map(bomb_line).collect::<String>());
        let deep = "[".repeat(5000);
        for text in ["a: [", "a: b: c", "a: .inf", "*x", "a: \"\\q\"", "\u{0}", &bomb, &deep] {
            assert!(to_value(text.as_bytes()).is_err(), "{text:?}");
        }
        for (text, want) in [
            (&b"a: \xff"[..], "yaml: invalid leading UTF-8 octet"),
            (b"a: b: c", "yaml: mapping values are not allowed in this context"),
            (b"x: 1\na: b: c", "yaml: line 2: mapping values are not allowed in this context"),
            (b"%YAML 9\n---\na: 1", "yaml: did not find expected digit or '.' character"),
            (b"a: .inf", "json: unsupported value: +Inf"),
            (b"a: {{ .b }}", "yaml: invalid map key: map[interface {}]interface {}{\".b\":interface {}(nil)}"),
            (b"[1]: a", "yaml: invalid map key: []interface {}{1}"),
            (b"~: [a]", "unsupported map key of type: %!s(<nil>), key: <nil>, value: []interface {}{\"a\"}"),
            (b"x: 1\na: {<<: 5}", "yaml: map merge requires map or sequence of maps as the value"),
            (b"a: !!binary '@@'", "yaml: !!binary value contains invalid base64 data"),
            (bomb.as_bytes(), "yaml: document contains excessive aliasing"),
        ] {
            assert_eq!(to_value(text).map_err(|e| e.to_string()), Err(want.to_owned()), "{text:?}");
        }
    }

    fn bomb_line(level: u8) -> String {
        let (name, of) = ((b'b' + level) as char, (b'a' + level) as char);
        format!("{name}: &{name} [{}]\n", format!("*{of},").repeat(9))
    }

    #[test]
    fn finds_duplicate_and_unknown_keys() {
        let ty = Schema::builtin().kind(&GroupVersionKind::new("", "v1", "ConfigMap")).expect("built in");
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  name: b\ndata:\n  x: \"1\"\n  x: \"2\"\nmore: 1\n";
        let decoded = decode(&ty, text.as_bytes()).expect("well-formed");
        assert_eq!(
            decoded.findings,
            [
                "yaml: unmarshal errors:\n  line 5: key \"name\" already set in map\n  line 8: key \"x\" already set in map",
                "unknown field \"more\"",
            ]
        );
        assert_eq!(decoded.value["metadata"]["name"], "b");
        let error = decode(&ty, b"data:\n  x: 1\n").map(drop).expect_err("no string");
        let want = "json: cannot unmarshal number into Go struct field ConfigMap.data of type string";
        assert_eq!(error.to_string(), want);
    }
}

//! Values against schemas, with the exact messages.

use super::*;
use crate::schema::node;
use serde_json::json;

fn errors(schema: Value, new: Value) -> Vec<String> {
    validate(&node(schema), &new, None, Base::Object).iter().map(ToString::to_string).collect()
}

#[test]
fn fractions_are_no_integers_twice() {
    for (schema, kind) in [
        (json!({"type": "integer"}), "integer (default format)"),
        (json!({"type": "integer", "format": "int32"}), "integer with format int32"),
    ] {
        let found = of(schema, json!(1.5));
        assert_eq!(found.len(), 2, "{found:?}");
        let want = format!("<nil>: Invalid value: \"\": Checked value must be of type {kind} in spec.v");
        assert_eq!(found[1], want);
    }
}

/// The errors of `spec.v` of this schema.
fn of(schema: Value, value: Value) -> Vec<String> {
    let spec = json!({"type": "object", "properties": {"v": schema}});
    errors(json!({"type": "object", "properties": {"spec": spec}}), json!({"spec": {"v": value}}))
}

#[test]
fn types() {
    for (schema, value, want) in [
        (
            json!({"type": "string"}),
            json!(1),
            r#"spec.v: Invalid value: "integer": spec.v in body must be of type string: "integer""#,
        ),
        (
            json!({"type": "integer"}),
            json!("a"),
            r#"spec.v: Invalid value: "string": spec.v in body must be of type integer: "string""#,
        ),
        (
            json!({"type": "object"}),
            json!([]),
            r#"spec.v: Invalid value: "array": spec.v in body must be of type object: "array""#,
        ),
        (
            json!({"type": "string"}),
            json!(null),
            r#"spec.v: Invalid value: "null": spec.v in body must be of type string: "null""#,
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            r#"spec.v: Invalid value: "boolean": spec.v in body must be of type integer,string: "boolean""#,
        ),
        (
            json!({"type": "string", "format": "date-time"}),
            json!(1),
            r#"spec.v: Invalid value: "int64": spec.v in body must be of type date-time: "int64""#,
        ),
        (
            json!({"type": "string", "format": "ipv4"}),
            json!("x"),
            r#"spec.v: Invalid value: "x": spec.v in body must be of type ipv4: "x""#,
        ),
        (
            json!({"type": "integer", "format": "int32"}),
            json!(3_000_000_000_i64),
            r#"<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec.v"#,
        ),
    ] {
        assert_eq!(of(schema.clone(), value.clone()), [want], "{schema} {value}");
    }
    for (schema, value) in [
        (json!({"type": "number"}), json!(1)),
        (json!({"type": "integer"}), json!(1.0)),
        (json!({"type": "string", "nullable": true}), json!(null)),
        (json!({"x-kubernetes-int-or-string": true}), json!("80%")),
        (json!({"x-kubernetes-preserve-unknown-fields": true}), json!([{"a": null}])),
        (json!({"type": "string", "format": "nonsense"}), json!("x")),
    ] {
        assert_eq!(of(schema.clone(), value.clone()), [""; 0], "{schema} {value}");
    }
}

#[test]
fn limits() {
    for (schema, value, want) in [
        (json!({"maximum": 5}), json!(6), "spec.v: Invalid value: 6: spec.v in body should be less than or equal to 5"),
        (
            json!({"maximum": 5, "exclusiveMaximum": true}),
            json!(5),
            "spec.v: Invalid value: 5: spec.v in body should be less than 5",
        ),
        (
            json!({"minimum": 0.5}),
            json!(0.25),
            "spec.v: Invalid value: 0.25: spec.v in body should be greater than or equal to 0.5",
        ),
        (json!({"multipleOf": 3}), json!(7), "spec.v: Invalid value: 7: spec.v in body should be a multiple of 3"),
        (json!({"maxLength": 2}), json!("abc"), "spec.v: Too long: may not be more than 2 bytes"),
        (
            json!({"minLength": 2}),
            json!("a"),
            r#"spec.v: Invalid value: "a": spec.v in body should be at least 2 chars long"#,
        ),
        (
            json!({"pattern": r"^\d+$"}),
            json!("a"),
            r#"spec.v: Invalid value: "a": spec.v in body should match '^\d+$'"#,
        ),
        (json!({"maxItems": 1}), json!([1, 2]), "spec.v: Too many: 2: must have at most 1 items"),
        (json!({"minItems": 1}), json!([]), "spec.v: Invalid value: 0: spec.v in body should have at least 1 items"),
        (
            json!({"minProperties": 1}),
            json!({}),
            "spec.v: Invalid value: 0: spec.v in body should have at least 1 properties",
        ),
        (json!({"maxProperties": 1}), json!({"a": 1, "b": 2}), "spec.v: Too many: 2: must have at most 1 items"),
        (json!({"required": ["a"]}), json!({}), "spec.v.a: Required value"),
        (json!({"enum": ["a", "b"]}), json!("c"), r#"spec.v: Unsupported value: "c": supported values: "a", "b""#),
        (json!({"enum": [1, 2]}), json!(3), r#"spec.v: Unsupported value: 3: supported values: "1", "2""#),
        (
            json!({"uniqueItems": true}),
            json!([1, 2, 1]),
            r#"spec.v: Invalid value: "": spec.v in body shouldn't contain duplicates"#,
        ),
        (
            json!({"additionalProperties": {"type": "string"}}),
            json!({"k": 1}),
            r#"spec.v.k: Invalid value: "integer": spec.v.k in body must be of type string: "integer""#,
        ),
        (
            json!({"items": {"type": "string"}}),
            json!(["a", 1]),
            r#"spec.v[1]: Invalid value: "integer": spec.v[1] in body must be of type string: "integer""#,
        ),
    ] {
        assert_eq!(of(schema.clone(), value.clone()), [want], "{schema} {value}");
    }
}

#[test]
fn alternatives() {
    let string_or_small = json!([{"type": "string"}, {"maximum": 3}]);
    for (key, value, want) in [
        ("anyOf", json!(2), vec![]),
        (
            "anyOf",
            json!(5),
            vec![
                r#"<nil>: Invalid value: "": "spec.v" must validate at least one schema (anyOf)"#,
                r#"spec.v: Invalid value: "integer": spec.v in body must be of type string: "integer""#,
            ],
        ),
        ("oneOf", json!(2), vec![]),
        (
            "oneOf",
            json!("x"),
            vec![
                r#"<nil>: Invalid value: "": "spec.v" must validate one and only one schema (oneOf). Found 2 valid alternatives"#,
            ],
        ),
        (
            "allOf",
            json!(2),
            vec![
                r#"spec.v: Invalid value: "integer": spec.v in body must be of type string: "integer""#,
                r#"<nil>: Invalid value: "": "spec.v" must validate all the schemas (allOf)"#,
            ],
        ),
    ] {
        assert_eq!(of(json!({key: string_or_small}), value.clone()), want, "{key} {value}");
    }
    let not = of(json!({"not": {"enum": ["x"]}}), json!("x"));
    assert_eq!(not, [r#"<nil>: Invalid value: "": "spec.v" must not validate the schema (not)"#]);
}

#[test]
fn what_was_wrong_before_may_stay() {
    let schema = node(json!({"properties": {
        "a": {"type": "string", "maxLength": 1}, "b": {"type": "string", "maxLength": 1},
        "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"properties": {"k": {"type": "string"}, "v": {"maximum": 1}}}},
        "plain": {"type": "array", "items": {"maximum": 1}},
    }}));
    let old = json!({"a": "long", "b": "x", "list": [{"k": "1", "v": 5}], "plain": [5]});
    for (new, want) in [
        (json!({"a": "long", "b": "y"}), vec![]),
        (json!({"a": "other"}), vec!["a"]),
        (json!({"a": "long", "list": [{"k": "0", "v": 1}, {"k": "1", "v": 5}]}), vec![]),
        (json!({"a": "long", "list": [{"k": "2", "v": 5}]}), vec!["list[0].v"]),
        (json!({"plain": [5, 0]}), vec!["plain[0]"]),
        (old.clone(), vec![]),
    ] {
        let found = validate(&schema, &new, Some(&old), Base::Object);
        assert_eq!(found.iter().map(|e| e.path.to_string()).collect::<Vec<_>>(), want, "{new}");
    }
}

#[test]
fn members_of_a_base() {
    let schema = node(json!({"type": "object", "required": ["b"], "properties": {"a": {"type": "string"}}}));
    let found = validate(&schema, &json!({"a": 1}), None, Base::Member("status"));
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            r#"status.a: Invalid value: "integer": a in body must be of type string: "integer""#,
            "status.b: Required value"
        ]
    );
}

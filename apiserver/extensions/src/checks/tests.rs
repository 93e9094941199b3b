//! Definitions, right and wrong, with the exact messages.

use super::*;
use serde_json::json;

fn definition(schema: Value) -> Value {
    json!({"metadata": {"name": "foos.g.io"}, "spec": {"group": "g.io", "scope": "Namespaced",
        "names": {"plural": "foos", "singular": "foo", "kind": "Foo", "listKind": "FooList"},
        "conversion": {"strategy": "None"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
        "status": {"storedVersions": ["v1"]}})
}

fn plain() -> Value {
    definition(json!({"type": "object", "properties": {"spec": {"type": "object"}}}))
}

fn texts(errors: Vec<FieldError>) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// The findings for a property `v` of the root with this schema, without the path to it.
fn of_property(schema: Value) -> Vec<String> {
    let found = texts(create(&definition(json!({"type": "object", "properties": {"v": schema}}))));
    let prefix = "spec.validation.openAPIV3Schema.properties[v]";
    found.iter().map(|text| text.replace(&format!("{prefix}."), "").replace(prefix, "v")).collect()
}

#[test]
fn good_definitions() {
    assert_eq!(texts(create(&plain())), [""; 0]);
    assert_eq!(texts(update(&plain(), &plain())), [""; 0]);
    for schema in [
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
        json!({"type": "string", "default": "a", "enum": ["a"], "pattern": "^a$"}),
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "oneOf": [{"required": ["a"]}, {"properties": {"a": {"enum": ["x"]}}}]}),
        json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}}}),
    ] {
        assert_eq!(of_property(schema.clone()), [""; 0], "{schema}");
    }
}

#[test]
fn schemas() {
    for (schema, want) in [
        (json!({}), vec!["type: Required value: must not be empty for specified object fields"]),
        (json!({"type": "array"}), vec!["items: Required value: must be specified"]),
        (
            json!({"type": "string", "anyOf": [{"type": "string"}]}),
            vec!["anyOf[0].type: Forbidden: must be empty to be structural"],
        ),
        (
            json!({"type": "object", "allOf": [{"properties": {"a": {"minLength": 1}}}]}),
            vec![
                "properties[a]: Required value: because it is defined in spec.validation.openAPIV3Schema.allOf[0].properties[a]",
            ],
        ),
        (
            json!({"type": "integer", "default": "a"}),
            vec![r#"default: Invalid value: "string":  in body must be of type integer: "string""#],
        ),
        (
            json!({"type": "string", "maxLength": 9, "default": "a", "x-kubernetes-validations": [{"rule": "self == 'b'"}]}),
            vec![r#"default: Invalid value: "a": failed rule: self == 'b'"#],
        ),
        (
            json!({"type": "object", "default": {"x": 1}}),
            vec![r#"default: Invalid value: {"x":1}: must not have unknown fields"#],
        ),
        (
            json!({"type": "nonsense"}),
            vec![
                r#"type: Unsupported value: "nonsense": supported values: "array", "boolean", "integer", "number", "object", "string""#,
            ],
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
            vec![
                "uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}),
            vec!["additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
        ),
        (
            json!({"type": "string", "x-kubernetes-list-type": "set"}),
            vec![r#"type: Invalid value: "string": must be array if x-kubernetes-list-type is specified"#],
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}}),
            vec!["x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"],
        ),
    ] {
        let found = of_property(schema.clone());
        for want in want {
            let is_there =
                found.iter().any(|f| f == want || want.contains(" because ") && f.contains("because it is defined in"));
            assert!(is_there, "{schema}: {found:#?}");
        }
    }
}

#[test]
fn what_is_wrong_is_said_once() {
    for (schema, want) in [
        (
            json!({"type": "string", "pattern": "("}),
            &[
                "pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: error parsing regexp: missing \
               closing ): `(`",
            ][..],
        ),
        // What is wrong with its structure is only looked at once it has one.
        (json!({"$ref": "x"}), &["$ref: Forbidden: $ref is not supported"]),
        (json!({"id": "x", "type": "array"}), &["id: Forbidden: id is not supported"]),
        (
            json!({"type": "string", "additionalItems": false}),
            &["additionalItems: Forbidden: additionalItems is not supported"],
        ),
        // Without anything in it, the schema can be read.
        (
            json!({"dependencies": {}}),
            &[
                "type: Required value: must not be empty for specified object fields",
                "dependencies: Forbidden: dependencies is not supported",
            ],
        ),
        (
            json!({"definitions": {"d": {"type": "x"}}}),
            &[
                "definitions: Forbidden: definitions is not supported",
                "definitions[d].type: Unsupported value: \"x\": supported values: \"array\", \"boolean\", \"integer\", \
                 \"number\", \"object\", \"string\"",
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string", "$schema": "x"}}}),
            &["spec.validation.openAPIV3Schema: Invalid value: \"\": OpenAPIV3Schema 'schema' is not supported"],
        ),
    ] {
        assert_eq!(of_property(schema.clone()), want, "{schema}");
    }
    let metadata = json!({"type": "object", "x-kubernetes-embedded-resource": true,
        "x-kubernetes-preserve-unknown-fields": true, "properties": {"metadata": {"type": "object",
            "properties": {"a": {"type": "object", "x-kubernetes-embedded-resource": true,
                "x-kubernetes-preserve-unknown-fields": true}}}}});
    let inside = "properties[metadata].properties[a].x-kubernetes-embedded-resource: Forbidden: must not be used inside of \
                  resource meta";
    assert_eq!(of_property(metadata), [inside]);
}

#[test]
fn specs() {
    let change = |pointer: &str, value: Value| {
        let mut changed = plain();
        *changed.pointer_mut(pointer).expect(pointer) = value;
        texts(create(&changed))
    };
    for (pointer, value, want) in [
        (
            "/metadata/name",
            json!("x"),
            r#"metadata.name: Invalid value: "x": must be spec.names.plural+"."+spec.group"#,
        ),
        ("/spec/group", json!(""), "spec.group: Required value"),
        (
            "/spec/scope",
            json!("Global"),
            r#"spec.scope: Unsupported value: "Global": supported values: "Cluster", "Namespaced""#,
        ),
        ("/spec/names/kind", json!("Foo_"), "spec.names.kind: Invalid value: \"Foo_\": may have mixed case"),
        (
            "/spec/names/listKind",
            json!("Foo"),
            "spec.names.listKind: Invalid value: \"Foo\": kind and listKind may not be the same",
        ),
        ("/spec/names/singular", json!(""), "spec.names.singular: Required value"),
        ("/spec/versions/0/storage", json!(false), "must have exactly one version marked as storage version"),
        ("/spec/versions/0/name", json!("V1"), "spec.versions[0].name: Invalid value: \"V1\""),
        ("/spec/versions/0/schema", json!({}), "spec.versions[0].schema.openAPIV3Schema: Required value"),
        (
            "/spec/conversion",
            json!({"strategy": "Webhook"}),
            "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
        ),
        (
            "/status/storedVersions",
            json!(["v1", "v0"]),
            r#"status.storedVersions[1]: Invalid value: "v0": missing from spec.versions"#,
        ),
    ] {
        let found = change(pointer, value);
        assert!(found.iter().any(|f| f.contains(want)), "{pointer}: {found:#?}");
    }
}

#[test]
fn parts_of_versions() {
    let with = |key: &str, value: Value| {
        let mut changed =
            definition(json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "color": {"type": "string"}, "list": {"type": "array", "items": {"type": "string"}}}}}}));
        changed["spec"]["versions"][0][key] = value;
        texts(create(&changed))
    };
    for (key, value, want) in [
        ("deprecationWarning", json!("x"), "can only be set for deprecated versions"),
        (
            "subresources",
            json!({"scale": {"specReplicasPath": ".spec.n"}}),
            "spec.subresources.scale.statusReplicasPath: Required value",
        ),
        (
            "subresources",
            json!({"scale": {"specReplicasPath": ".x.n", "statusReplicasPath": ".status.n"}}),
            r#"spec.subresources.scale.specReplicasPath: Invalid value: ".x.n": should be a json path under .spec"#,
        ),
        (
            "additionalPrinterColumns",
            json!([{"name": "A", "type": "x", "jsonPath": ".a"}]),
            "must be one of boolean,date,integer,number,string",
        ),
        (
            "subresources",
            json!({"scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n", "labelSelectorPath": ".x"}}),
            r#"spec.subresources.scale.labelSelectorPath: Invalid value: ".x": should be a json path under either .spec or .status"#,
        ),
        (
            "additionalPrinterColumns",
            json!([{"name": "A", "type": "string", "jsonPath": "a"}]),
            r#"additionalPrinterColumns[0].JSONPath: Invalid value: "a": must be a simple json path starting with ."#,
        ),
        (
            "additionalPrinterColumns",
            json!([{"name": "A", "type": "string"}]),
            "additionalPrinterColumns[0].JSONPath: Required value",
        ),
        (
            "selectableFields",
            json!([{"jsonPath": ".spec.none"}]),
            "is an invalid path: does not refer to a valid field",
        ),
        ("selectableFields", json!([{"jsonPath": "spec"}]), "is an invalid path: expected [ or . but got: spec"),
        ("selectableFields", json!([{"jsonPath": ".spec['a']"}]), "is an invalid path: array notation is not allowed"),
        ("selectableFields", json!([{"jsonPath": ".spec."}]), "is an invalid path: unexpected end of JSON path"),
        (
            "selectableFields",
            json!([{"jsonPath": ".spec.list"}]),
            "must point to a field of type string, boolean or integer",
        ),
        ("selectableFields", json!([{"jsonPath": ".metadata.name"}]), "does not refer to a valid field"),
        ("selectableFields", json!([{"jsonPath": ".spec.color"}, {"jsonPath": ".spec.color"}]), "Duplicate value"),
    ] {
        let found = with(key, value);
        assert!(found.iter().any(|f| f.contains(want)), "{key}: {found:#?}");
    }
    assert_eq!(with("selectableFields", json!([{"jsonPath": ".spec.color"}])), [""; 0]);
    let odd = json!([{"name": "A", "type": "string", "jsonPath": ".spec["}]);
    assert_eq!(with("additionalPrinterColumns", odd), [""; 0]);
}

#[test]
fn what_cannot_change() {
    let mut old = plain();
    old["status"]["conditions"] = json!([{"type": "Established", "status": "True"}]);
    for (pointer, value) in [
        ("/spec/scope", "Cluster"),
        ("/spec/names/kind", "Bar"),
        ("/spec/group", "h.io"),
        ("/spec/names/plural", "bars"),
    ] {
        let mut new = old.clone();
        *new.pointer_mut(pointer).expect(pointer) = value.into();
        let found = texts(update(&new, &old));
        assert!(found.iter().any(|f| f.contains("field is immutable")), "{pointer}: {found:#?}");
    }
}

/// The schemas are those of upstream's `TestValidateCustomResourceDefinitionValidation`.
#[test]
fn rules_may_not_cost_too_much() {
    const ADVICE: &str = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and \
                          strings are declared)";
    const AT: &str = "spec.validation.openAPIV3Schema";
    let of = |schema: Value| texts(create(&definition(schema)));
    let text = |rule: &str| json!({"type": "string", "maxLength": 5000, "x-kubernetes-validations": [{"rule": rule}]});
    let found = of(json!({"type": "object", "properties": {
        "list": {"type": "array", "maxItems": 100_000, "items": text("self.contains('keyword')")},
        "map": {"type": "object", "maxProperties": 1000, "additionalProperties": text("self.contains('keyword')")},
        "field": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 50 && self < 100"}]}}}));
    let contributed =
        "Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
    let rule = "x-kubernetes-validations[0].rule";
    assert_eq!(
        found,
        [
            format!(
                "{AT}.properties[list].items.{rule}: Forbidden: estimated rule cost exceeds budget by factor of 20.0x {ADVICE}"
            ),
            format!("{AT}.properties[list].items.{rule}: {contributed}"),
            format!("{AT}.properties[map].additionalProperties.{rule}: {contributed}"),
            format!(
                "{AT}: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds \
                 budget by factor of 2.0x {ADVICE}"
            ),
        ]
    );

    let unbounded = json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-validations": [
        {"rule": "self.all(x, self.exists_one(y, x.lowerAscii() == y.lowerAscii()))"}]});
    let found = of(json!({"type": "object", "properties": {"f": unbounded}}));
    let why =
        format!("{AT}.properties[f].{rule}: Forbidden: estimated rule cost exceeds budget by factor of more than 100x");
    assert!(found.iter().any(|f| f.starts_with(&why)), "{found:#?}");
    let bounded = json!({"type": "array", "maxItems": 5, "items": {"type": "string", "maxLength": 5},
        "x-kubernetes-validations": [
            {"rule": "self.all(x, self.exists_one(y, x.lowerAscii() == y.lowerAscii()))"}]});
    assert_eq!(of(json!({"type": "object", "properties": {"f": bounded}})), [""; 0]);

    let message = "self[0] + self[1] + self[2] + self[3] + self[4] + self[5] + self[6] + self[7]";
    let found = of(json!({"type": "object", "properties": {"f": {"type": "array", "items": {"type": "string"},
        "x-kubernetes-validations": [{"rule": "true", "messageExpression": message}]}}}));
    let why = format!(
        "{AT}.properties[f].x-kubernetes-validations[0].messageExpression: Forbidden: estimated messageExpression cost \
         exceeds budget by factor of 1.101006x {ADVICE}"
    );
    assert_eq!(found, [why]);
}

#[test]
fn costs_of_unchanged_schemas_only_count_together() {
    let nested = |rule: &str, most: u64| {
        json!({"type": "object", "properties": {"f": {"type": "array", "maxItems": most,
            "items": {"type": "string", "maxLength": 5000, "x-kubernetes-validations": [{"rule": rule}]}}}})
    };
    let with = |schema: Value, other: &str| {
        let mut definition = definition(schema);
        definition["spec"]["names"]["shortNames"] = json!([other]);
        definition
    };
    // Twice what one rule may cost, a fifth of what all may.
    let dear = nested("self.contains('keyword')", 10_000);
    assert_eq!(texts(create(&with(dear.clone(), "a"))).len(), 1);
    assert_eq!(texts(update(&with(dear.clone(), "b"), &with(dear.clone(), "a"))), [""; 0]);
    let changed = nested("self.contains('keyword!')", 10_000);
    assert_eq!(texts(update(&with(changed, "a"), &with(dear, "a"))).len(), 1);
    let dearest = nested("self.contains('keyword')", 100_000);
    let found = texts(update(&with(dearest.clone(), "b"), &with(dearest, "a")));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[1].contains("for entire OpenAPIv3 schema exceeds budget by factor of 2.0x"), "{found:#?}");
}

#[test]
fn rules_wait_for_schemas_that_are_right() {
    let found = of_property(json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.none > 50"}],
        "properties": {"a": {"type": "array", "items": {"type": "string"}, "uniqueItems": true}}}));
    assert_eq!(found.len(), 1, "{found:#?}");
    let found = of_property(json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.none > 50"}],
        "properties": {"a": {"type": "integer", "default": "a"}}}));
    assert_eq!(found.len(), 1, "{found:#?}");
}

//! No schema and no object may panic or blow up.

use apimachinery::Value;
use apimachinery::codec::json;
use apiserver_extensions::schema::{self, Base, Node};
use apiserver_extensions::{Definition, checks, status};
use proptest::prelude::*;
use serde_json::json;

const MEMBERS: &[&str] = &[
    "type",
    "properties",
    "items",
    "additionalProperties",
    "default",
    "nullable",
    "enum",
    "pattern",
    "required",
    "format",
    "minimum",
    "maxLength",
    "multipleOf",
    "anyOf",
    "oneOf",
    "not",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
    "rule",
    "metadata",
    "spec",
];

const TEXTS: &[&str] = &["object", "array", "string", "integer", "map", "set", "date-time", "(", "self.a", "^a$", ""];

/// JSON that looks like schemas and objects often enough.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(TEXTS).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        let key = proptest::sample::select(MEMBERS).prop_map(str::to_owned);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn definition(schema: Value) -> Value {
    json!({"metadata": {"name": "foos.g.io"}, "spec": {"group": "g.io", "scope": "Namespaced",
        "names": {"plural": "foos", "singular": "foo", "kind": "Foo", "listKind": "FooList"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
        "status": {"storedVersions": ["v1"]}})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn definitions(schema in anything(), whole in anything()) {
        let odd = definition(schema);
        checks::create(&odd);
        checks::update(&odd, &definition(json!({"type": "object"})));
        let _ = Definition::read(&odd);
        if whole.is_object() {
            checks::create(&whole);
            status::judge(&whole);
            let _ = Definition::read(&whole);
        }
    }

    #[test]
    fn objects(schema in anything(), object in anything(), old in anything()) {
        let Ok(node) = Node::read(&schema) else { return Ok(()) };
        let table = schema::table("Foo", &node);
        let Ok(decoded) = json::conform(&table, &object) else { return Ok(()) };
        let mut value = decoded.value;
        schema::prune_nulls(&node, &mut value);
        schema::default(&node, &mut value);
        schema::validate(&node, &value, Some(&old), Base::Object);
        schema::check_lists(&node, &value);
        schema::check_embedded(&node, &value);
    }
}

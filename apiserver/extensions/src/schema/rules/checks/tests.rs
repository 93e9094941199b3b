use super::*;
use crate::schema::node;
use apimachinery::Value;
use serde_json::json;

fn texts(root: &Node) -> (Vec<String>, Total) {
    let mut out = Report::default();
    let total = check(root, &At::root("schema"), &[], &mut out);
    (out.finish().iter().map(ToString::to_string).collect(), total)
}

fn numbers(rules: Value) -> Value {
    json!({"type": "object", "x-kubernetes-validations": rules,
        "properties": {"min": {"type": "integer"}, "max": {"type": "integer"}}})
}

#[test]
fn rules_must_compile() {
    let root = node(json!({"type": "object", "properties": {
        "spec": numbers(json!([{"rule": "self.none == 1"}, {"rule": "self.min"}])),
        "list": {"type": "array", "items": numbers(json!([{"rule": "self.min > oldSelf.min"}]))}}}));
    let (found, _) = texts(&root);
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found.iter().any(|f| f.contains("compilation failed")), "{found:#?}");
    let shown = r#"{"Rule":"self.min","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}"#;
    assert!(found.iter().any(|f| f.contains(shown)), "{found:#?}");
    let uncorrelatable =
        "oldSelf cannot be used on the uncorrelatable portion of the schema within schema.properties[list]";
    assert!(found.iter().any(|f| f.ends_with(uncorrelatable)), "{found:#?}");
}

#[test]
fn rules_about_what_they_cannot_see() {
    let rule = json!([{"rule": "true"}]);
    let root = node(json!({"type": "object", "properties": {"a": {
        "x-kubernetes-preserve-unknown-fields": true, "x-kubernetes-validations": rule}}}));
    assert_eq!(
        texts(&root).0,
        ["schema.properties[a].x-kubernetes-validations: Internal error: internal error: failed to construct type \
             information for x-kubernetes-validations rules: unable to convert structural schema to CEL declarations"]
    );
}

#[test]
fn rules_above_what_is_broken_are_left_alone() {
    let rule = || json!([{"rule": "self.none == 1"}]);
    let root = node(json!({"type": "object", "properties": {"a": {"type": "object",
        "x-kubernetes-validations": rule(), "properties": {"b": numbers(rule()), "c": {"type": "string"}}}}}));
    let at = At::root("schema");
    for (broken, want) in [
        (None, 2),
        (Some("schema.properties[a].properties[c].type"), 1),
        (Some("schema.properties[a].properties[b]"), 0),
        (Some("schema.properties[b]"), 2),
    ] {
        let broken: Vec<FieldError> = broken
            .map(|path| FieldError {
                path: apimachinery::field::Path::new(path),
                kind: apimachinery::field::FieldErrorKind::Required(String::new()),
            })
            .into_iter()
            .collect();
        let mut out = Report::default();
        check(&root, &at, &broken, &mut out);
        assert_eq!(out.finish().len(), want, "{broken:?}");
    }
}

/// The most that the only rule of a schema costs, once.
fn cost(schema: Value) -> u64 {
    let node = node(json!({"type": "object", "properties": {"v": schema}}));
    let node = &node.properties["v"];
    let rules = node.rules.as_deref().expect("a rule");
    let declared = Declared::of(node, false).expect("declared");
    let scope = Scope { is_root: false, count: Count::AtMost(1), uncorrelatable: None };
    let context = Context { rules, declared: &declared, scope };
    let program = rules.rules[0].program.0.as_ref().unwrap_or_else(|why| panic!("{why}"));
    context.estimate(&rules.rules[0], program)
}

fn with_rule(mut schema: Value, rule: &str) -> Value {
    schema["x-kubernetes-validations"] = json!([{"rule": rule}]);
    schema
}

/// The numbers are those of `TestCostEstimation` in
/// `apiextensions-apiserver/pkg/apiserver/schema/cel/compilation_test.go`.
#[test]
fn requests_bound_what_schemas_do_not() {
    let list = |items: Value| json!({"type": "array", "items": items});
    let map = |values: Value| json!({"type": "object", "additionalProperties": values});
    let formatted = |format: &str| json!({"type": "string", "format": format});
    let (number, text) = (json!({"type": "number"}), json!({"type": "string"}));
    let object = json!({"type": "object", "required": ["required"], "properties": {"required": {"type": "string"}}});
    for (schema, rule, want) in [
        (list(number.clone()), "self.all(x, true)", 4_718_591),
        (list(text.clone()), "self.all(x, true)", 3_145_727),
        (list(list(number.clone())), "self.all(x, true)", 3_145_727),
        (list(object), "self.all(x, true)", 555_128),
        (map(number.clone()), "self.all(x, true)", 1_348_169),
        (map(formatted("date-time")), "self.all(x, true)", 349_526),
        (text.clone(), "self.contains('test')", 314_574),
        (text.clone(), "size(self + \"hello\") > size(\"hello\")", 314_578),
        (list(number.clone()), "self[1] == 0.0", 2),
        (list(text.clone()), "self[1] == self[1]", 314_577),
        (text.clone(), "self.matches(\"x\")", 314_574),
        (map(text.clone()), "self.all(x, x.contains(self[x]))", 2_752_507),
        (json!({"type": "string", "format": "byte"}), "self == b\"x\"", 2),
        (list(number), "self.all(x, x == 0.0)", 6_291_454),
        (list(json!({"x-kubernetes-int-or-string": true})), "self[0] == 5", 3),
        (list(map(json!({"type": "number"}))), "self.all(x, x.y == 25.2)", 6_291_452),
        (list(formatted("duration")), "self[0].getHours() == 2", 4),
        (list(text.clone()), "self.join(' ') == 'aa bb'", 329_853_068_905),
        (list(text), "self.isSorted() == true", 329_854_432_052),
        (map(formatted("date-time")), "self['a'] == self['b']", 8),
        (json!({"type": "string", "enum": ["A", "B", "C", "LongValue"]}), "self.contains('A')", 2),
        (json!({"x-kubernetes-int-or-string": true, "maxLength": 20}), "isQuantity(self)", 9),
    ] {
        assert_eq!(cost(with_rule(schema, rule)), want, "{rule}");
    }
}

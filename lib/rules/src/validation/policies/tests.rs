use super::*;
use crate::patch::merge;
use serde_json::json;

fn found(check: fn(&Value, &mut Report), base: Value, with: Value) -> Vec<String> {
    let mut object = merge::apply(base, &with).expect("a patch");
    object["metadata"] = json!({"name": "p"});
    let mut out = Report::default();
    check(&object, &mut out);
    out.finish().iter().map(ToString::to_string).collect()
}

fn rules(operations: &[&str]) -> Value {
    json!({"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": [
        {"operations": operations, "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}]})
}

fn validating_policy() -> Value {
    json!({"spec": {"failurePolicy": "Fail", "matchConstraints": rules(&["*"]),
        "validations": [{"expression": "object.spec.replicas <= 5"}]}})
}

fn mutating_policy() -> Value {
    json!({"spec": {"failurePolicy": "Fail", "matchConstraints": rules(&["CREATE"]), "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'test', path: '/a'}]"}}]}})
}

#[test]
fn validating_policies() {
    let one = |validation: Value| json!({"spec": {"validations": [validation]}});
    for (with, want) in [
        (json!({}), None),
        (
            json!({"spec": {"failurePolicy": "x"}}),
            Some("spec.failurePolicy: Unsupported value: \"x\": supported values: \"Fail\", \"Ignore\""),
        ),
        (json!({"spec": {"matchConstraints": null}}), Some("spec.matchConstraints: Required value")),
        (
            json!({"spec": {"matchConstraints": {"resourceRules": null}}}),
            Some("spec.matchConstraints.resourceRules: Required value"),
        ),
        (
            one(json!({"expression": "object.x ="})),
            Some(
                "spec.validations[0].expression: Invalid value: \"object.x =\": compilation failed: ERROR: <input>:1:10: ",
            ),
        ),
        (
            one(json!({"expression": "'a'"})),
            Some("spec.validations[0].expression: Invalid value: \"'a'\": must evaluate to bool but got string"),
        ),
        (
            one(json!({"expression": " "})),
            Some("spec.validations[0].expression: Required value: expression is not specified"),
        ),
        (
            one(json!({"expression": "true", "messageExpression": "1"})),
            Some("spec.validations[0].messageExpression: Invalid value: \"1\": must evaluate to string but got int"),
        ),
        (
            one(json!({"expression": "true", "message": "a\nb"})),
            Some("spec.validations[0].message: Invalid value: \"a\\nb\": must not contain line breaks"),
        ),
        (
            one(json!({"expression": "true", "reason": "Conflict"})),
            Some(
                "spec.validations[0].reason: Unsupported value: \"Conflict\": supported values: \"Forbidden\", \"Invalid\", \
                  \"RequestEntityTooLarge\"",
            ),
        ),
        (
            json!({"spec": {"variables": [{"name": "a-b", "expression": "1"}]}}),
            Some("spec.variables[0].name: Invalid value: \"a-b\": must be a valid CEL identifier"),
        ),
        (
            json!({"spec": {"variables": [{"name": "a", "expression": "variables.b"}, {"name": "b", "expression": "1"}]}}),
            Some(
                "spec.variables[0].expression: Invalid value: \"variables.b\": compilation failed: ERROR: <input>:1:10: \
                  undefined field 'b'",
            ),
        ),
        (
            json!({"spec": {"matchConditions": [{"name": "a", "expression": "params.x == 1"}]}}),
            Some(
                "spec.matchConditions[0].expression: Invalid value: \"params.x == 1\": compilation failed: ERROR: \
                  <input>:1:1: undeclared reference to 'params' (in container '')",
            ),
        ),
        (
            json!({"spec": {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
                "matchConditions": [{"name": "a", "expression": "params.x == 1"}]}}),
            None,
        ),
        (
            json!({"spec": {"paramKind": {"apiVersion": "a/b/c", "kind": "ConfigMap"}}}),
            Some("spec.paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c"),
        ),
        (
            json!({"spec": {"auditAnnotations": [{"key": "a", "valueExpression": "1"}]}}),
            Some(
                "spec.auditAnnotations[0].valueExpression: Invalid value: \"1\": must evaluate to one of [string \
                  null_type] but got int",
            ),
        ),
        (
            json!({"spec": {"matchConstraints": {"resourceRules": [{"operations": ["*", "CREATE"], "apiGroups": [""],
                "apiVersions": ["v1"], "resources": ["pods", "*/*"]}]}}}),
            Some(
                "spec.matchConstraints.resourceRules[0].operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must \
                  not specify other operations",
            ),
        ),
    ] {
        let found = found(validating, validating_policy(), with.clone());
        match want {
            None => assert_eq!(found, [""; 0], "{with}"),
            Some(want) => assert!(found.first().is_some_and(|f| f.starts_with(want)), "{with}: {found:#?}"),
        }
    }
}

#[test]
fn mutating_policies() {
    let one = |mutation: Value| json!({"spec": {"mutations": [mutation]}});
    for (with, want) in [
        (json!({}), None),
        (
            json!({"spec": {"mutations": []}}),
            Some("spec.mutations: Required value: mutations must contain at least one item"),
        ),
        (json!({"spec": {"reinvocationPolicy": null}}), Some("spec.reinvocationPolicy: Required value")),
        (
            json!({"spec": {"matchConstraints": rules(&["DELETE"])}}),
            Some(
                "spec.matchConstraints.resourceRules.operations: Unsupported value: \"DELETE\": supported values: \"*\", \
                  \"CONNECT\", \"CREATE\", \"UPDATE\"",
            ),
        ),
        (
            one(json!({"patchType": "JSONPatch"})),
            Some("spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch"),
        ),
        (
            one(
                json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}, "jsonPatch": {}}),
            ),
            Some(
                "spec.mutations[0].jsonPatch: Invalid value: \"{jsonPatch}\": must not be specified when patchType is \
                  ApplyConfiguration",
            ),
        ),
        (
            one(json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "1"}})),
            Some(
                "spec.mutations[0].applyConfiguration.expression: Invalid value: \"1\": must evaluate to Object but got int",
            ),
        ),
        (
            one(json!({"patchType": "X"})),
            Some(
                "spec.mutations[0].patchType: Unsupported value: \"X\": supported values: \"ApplyConfiguration\", \"JSONPatch\"",
            ),
        ),
    ] {
        let found = found(mutating, mutating_policy(), with.clone());
        match want {
            None => assert_eq!(found, [""; 0], "{with}"),
            Some(want) => assert!(found.first().is_some_and(|f| f.starts_with(want)), "{with}: {found:#?}"),
        }
    }
}

#[test]
fn bindings() {
    let binding = || json!({"spec": {"policyName": "p", "validationActions": ["Deny"]}});
    let reference = |with: Value| json!({"spec": {"paramRef": with}});
    for (with, want) in [
        (json!({}), &[][..]),
        (json!({"spec": {"policyName": ""}}), &["spec.policyName: Required value"]),
        (
            json!({"spec": {"validationActions": ["Deny", "Warn"]}}),
            &[
                "spec.validationActions: Invalid value: [\"Deny\",\"Warn\"]: must not contain both Deny and Warn (repeating the \
               same validation failure information in the API response and headers serves no purpose)",
            ],
        ),
        (
            json!({"spec": {"validationActions": []}}),
            &["spec.validationActions: Required value: at least one validation action is required"],
        ),
        (
            reference(json!({"name": "a", "selector": {}, "parameterNotFoundAction": "Deny"})),
            &[
                "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
                "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
            ],
        ),
        (
            reference(json!({"parameterNotFoundAction": ""})),
            &[
                "spec.paramRef: Required value: one of name or selector must be specified",
                "spec.paramRef.parameterNotFoundAction: Required value",
            ],
        ),
        (
            json!({"spec": {"matchResources": {"matchPolicy": "Exact"}}}),
            &[
                "spec.matchResources.namespaceSelector: Required value",
                "spec.matchResources.objectSelector: Required value",
            ],
        ),
    ] {
        assert_eq!(found(validating_binding, binding(), with.clone()), want, "{with}");
    }
    let with = json!({"spec": {"matchResources": rules(&["DELETE"])}});
    assert_eq!(found(mutating_binding, binding(), with).len(), 1);
}

#[test]
fn conditions_have_unique_names_and_hold_or_do_not() {
    let owner = json!({"matchConditions": [
        {"name": "a", "expression": "true"}, {"name": "a", "expression": "1"}, {"name": "b c", "expression": " "}]});
    let mut out = Report::default();
    conditions(&At::root("webhooks"), &owner, false, &mut out);
    let found: Vec<String> = out.finish().iter().map(ToString::to_string).collect();
    let wants = [
        "webhooks.matchConditions[1].expression: Invalid value: \"1\": must evaluate to bool but got int",
        "webhooks.matchConditions[1].name: Duplicate value: \"a\"",
        "webhooks.matchConditions[2].expression: Required value",
        "webhooks.matchConditions[2].name: Invalid value: \"b c\": ",
    ];
    assert_eq!(found.len(), wants.len(), "{found:#?}");
    for (found, want) in found.iter().zip(wants) {
        assert!(found.starts_with(want), "{found}");
    }
}

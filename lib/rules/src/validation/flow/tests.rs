//! Flow schemas and priority levels, right and wrong.

use super::*;

fn texts(check: impl FnOnce(&mut Report)) -> Vec<String> {
    let mut report = Report::default();
    check(&mut report);
    report.finish().iter().map(ToString::to_string).collect()
}

/// The findings of a schema with this member in place of a right one.
fn schema_with(pointer: &str, value: Value) -> Vec<String> {
    let mut object = json!({"metadata": {"name": "a"}, "spec": {"priorityLevelConfiguration": {"name": "x"},
        "matchingPrecedence": 100, "distinguisherMethod": {"type": "ByUser"}, "rules": [{
            "subjects": [{"kind": "User", "user": {"name": "*"}}],
            "resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["n"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["/a/*"]}]}]}});
    *object.pointer_mut(pointer).expect(pointer) = value;
    texts(|out| schema(&object, out))
}

#[test]
fn schemas() {
    assert_eq!(schema_with("/metadata/name", json!("b")), [""; 0]);
    for (pointer, value, want) in [
        (
            "/spec/matchingPrecedence",
            json!(1),
            "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
        ),
        (
            "/spec/distinguisherMethod/type",
            json!("X"),
            "spec.distinguisherMethod.type: Unsupported value: {\"Type\":\"X\"}: supported values: \"ByNamespace\", \
             \"ByUser\"",
        ),
        (
            "/spec/priorityLevelConfiguration",
            json!({}),
            "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
        ),
        (
            "/spec/rules/0/subjects",
            json!([]),
            "spec.rules[0].subjects: Required value: subjects must contain at least one value",
        ),
        (
            "/spec/rules/0/subjects/0",
            json!({"kind": "Group", "group": {"name": "g"}, "user": {"name": "u"}}),
            "spec.rules[0].subjects[0].user: Forbidden: user is forbidden when subject kind is not 'User'",
        ),
        (
            "/spec/rules/0/subjects/0",
            json!({"kind": "ServiceAccount", "serviceAccount": {"name": "*"}}),
            "spec.rules[0].subjects[0].serviceAccount.namespace: Required value: must specify namespace for service \
             account",
        ),
        (
            "/spec/rules/0/resourceRules/0/verbs",
            json!(["get", "*"]),
            "spec.rules[0].resourceRules[0].verbs: Invalid value: [\"get\",\"*\"]: if '*' is present, must not \
             specify other verbs",
        ),
        (
            "/spec/rules/0/resourceRules/0/namespaces",
            json!([]),
            "spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped \
             must supply at least one namespace",
        ),
        (
            "/spec/rules/0/nonResourceRules/0/nonResourceURLs/0",
            json!("/a*"),
            "spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: \"/a*\": wildcard can only do \
             suffix matching",
        ),
    ] {
        assert_eq!(schema_with(pointer, value), [want]);
    }
}

#[test]
fn mandatory_schemas_are_what_they_are() {
    for (name, fixed) in MANDATORY.iter() {
        let mut object = json!({"metadata": {"name": name}, "spec": fixed});
        assert_eq!(texts(|out| schema(&object, out)), [""; 0]);
        object["spec"]["matchingPrecedence"] = json!(2);
        let found = texts(|out| schema(&object, out));
        assert!(found.len() == 1 && found[0].ends_with(&format!("spec of '{name}' must equal the fixed value")));
    }
}

/// The findings of a level with this spec.
fn level(name: &str, spec: Value) -> Vec<String> {
    texts(|out| priority_level(&json!({"metadata": {"name": name}, "spec": spec}), out))
}

#[test]
fn levels() {
    let queue = |queuing: Value| json!({"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": queuing}}});
    let right = json!({"queues": 64, "handSize": 8, "queueLengthLimit": 50});
    assert_eq!(level("a", queue(right.clone())), [""; 0]);
    assert_eq!(level("exempt", json!({"type": "Exempt", "exempt": {"lendablePercent": 100}})), [""; 0]);
    for (name, spec, want) in [
        ("a", json!({}), "spec.type: Unsupported value: \"\": supported values: \"Exempt\", \"Limited\""),
        ("a", json!({"type": "Limited"}), "spec.limited: Required value: must not be empty when type is Limited"),
        (
            "a",
            queue(json!(null)),
            "spec.limited.limitResponse.queuing: Required value: must not be empty if limited.limitResponse.type is \
             Limited",
        ),
        (
            "a",
            queue(json!({"queues": 4, "handSize": 8, "queueLengthLimit": 50})),
            "spec.limited.limitResponse.queuing.handSize: Invalid value: 8: should not be greater than queues (4)",
        ),
        (
            "a",
            queue(json!({"queues": 65535, "handSize": 4, "queueLengthLimit": 50})),
            "spec.limited.limitResponse.queuing.handSize: Invalid value: 4: required entropy bits of deckSize 65535 \
             and handSize 4 should not be greater than 60",
        ),
        (
            "a",
            json!({"type": "Limited", "limited": {"lendablePercent": 101, "limitResponse": {"type": "Reject"}}}),
            "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
        ),
        (
            "a",
            json!({"type": "Exempt"}),
            "spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'",
        ),
    ] {
        assert_eq!(level(name, spec), [want]);
    }
    assert_eq!(level("catch-all", queue(right)).len(), 1);
}

#[test]
fn conditions_have_types_of_their_own() {
    let object = json!({"status": {"conditions": [{"type": "A"}, {"type": ""}, {"type": "A"}]}});
    assert_eq!(
        texts(|out| status(&object, out)),
        ["status.conditions[1].type: Required value", "status.conditions[2].type: Duplicate value: \"A\""]
    );
}

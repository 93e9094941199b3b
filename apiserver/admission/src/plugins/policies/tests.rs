use super::{Mutating, Validating};
use crate::testing::{Cluster, context, run_in};
use apimachinery::Value;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Operation, Plugin};
use serde_json::json;
use std::collections::BTreeMap;

const GROUP: &str = "admissionregistration.k8s.io";

/// What became of a request.
struct Outcome {
    result: Result<Value, Status>,
    warnings: Vec<String>,
    annotations: BTreeMap<String, String>,
}

impl Outcome {
    fn message(&self) -> Result<(), &str> {
        self.result.as_ref().map(drop).map_err(|status| status.message.as_str())
    }
}

fn merged(base: Value, with: Value) -> Value {
    rules::patch::merge::apply(base, &with).expect("a patch")
}

fn rules_for(resources: &[&str]) -> Value {
    json!({"resourceRules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": resources}],
        "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}})
}

async fn cluster() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.add("/namespaces", json!({"metadata": {"name": "ns", "labels": {"team": "a"}}})).await;
    cluster
}

async fn add(cluster: &Cluster, kind: &str, name: &str, policy: Value, binding: Value) {
    let spec = merged(json!({"failurePolicy": "Fail", "matchConstraints": rules_for(&["configmaps"])}), policy);
    let binding = merged(json!({"policyName": name}), binding);
    cluster.add(&format!("{GROUP}/{kind}policies"), json!({"metadata": {"name": name}, "spec": spec})).await;
    let name = format!("{name}-binding");
    cluster.add(&format!("{GROUP}/{kind}policybindings"), json!({"metadata": {"name": name}, "spec": binding})).await;
}

async fn ask(cluster: &Cluster, plugin: &dyn Plugin, object: Value) -> Outcome {
    let cx = Context { annotations: Some(Default::default()), ..context("/configmaps", "", "tester") };
    let result = run_in(cluster.store.clone(), plugin, &cx, Operation::Create, object, Value::Null).await;
    let annotations = cx.annotations.as_ref().map(|all| all.lock().clone()).unwrap_or_default();
    let warnings = cx.warnings.lock().clone();
    Outcome { result, warnings, annotations }
}

fn config_map() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns", "labels": {"app": "x"}},
        "data": {"k": "v"}})
}

/// A policy of this name `p` and its binding, judging a config map.
async fn validated(policy: Value, binding: Value) -> Outcome {
    let cluster = cluster().await;
    let binding = merged(json!({"validationActions": ["Deny"]}), binding);
    add(&cluster, "validatingadmission", "p", policy, binding).await;
    ask(&cluster, &Validating::new(&cluster.means()), config_map()).await
}

fn validation(expression: &str) -> Value {
    json!({"validations": [{"expression": expression}]})
}

#[tokio::test]
async fn managed_fields_are_seen_as_trees() {
    let cluster = cluster().await;
    let sees = validation("'f:data' in object.metadata.managedFields[0].fieldsV1");
    add(&cluster, "validatingadmission", "p", sees, json!({"validationActions": ["Deny"]})).await;
    let mut closed = config_map();
    closed["metadata"]["managedFields"] = json!([{"manager": "m", "fieldsV1": "{\"f:data\":{}}"}]);
    let outcome = ask(&cluster, &Validating::new(&cluster.means()), closed).await;
    assert_eq!(outcome.message(), Ok(()));
}

#[tokio::test]
async fn violations_are_denied_in_upstreams_words() {
    const HEAD: &str =
        "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p-binding' denied request: ";
    for (policy, code, want) in [
        (validation("object.data.k == 'x'"), 422, "failed expression: object.data.k == 'x'"),
        (
            json!({"validations": [{"expression": "false", "message": " no way ", "reason": "Forbidden"}]}),
            403,
            "no way",
        ),
        (
            json!({"validations": [{"expression": "false", "messageExpression": "'not ' + object.data.k", "message": "m"}]}),
            422,
            "not v",
        ),
        (
            json!({"validations": [{"expression": "false", "messageExpression": "object.data.gone", "message": "m"}]}),
            422,
            "m",
        ),
        (
            validation("object.data.gone == 'x'"),
            422,
            "expression 'object.data.gone == 'x'' resulted in error: no such key: gone",
        ),
        (validation("object.data.k"), 422, "compilation error: must evaluate to bool but got dyn"),
        (
            json!({"variables": [{"name": "a", "expression": "object.data.gone"}],
                "validations": [{"expression": "variables.a == 'x'"}]}),
            422,
            "expression 'variables.a == 'x'' resulted in error: composited variable \"a\" fails to evaluate: no such key: \
             gone",
        ),
        (
            json!({"matchConditions": [{"name": "c", "expression": "object.gone == 1"}], "validations": [{"expression": "true"}]}),
            422,
            "expression 'object.gone == 1' resulted in error: no such key: gone",
        ),
        (
            validation("namespaceObject.metadata.labels.team == 'b' || request.userInfo.username == 'other'"),
            422,
            "failed expression: namespaceObject.metadata.labels.team == 'b' || request.userInfo.username == 'other'",
        ),
        (
            validation(&format!("{0}.all(a, {0}.all(b, {0}.all(c, {0}.all(d, {0}.all(e, {0}.all(f, true))))))", TEN)),
            422,
            "actual cost limit exceeded",
        ),
    ] {
        let outcome = validated(policy.clone(), json!({})).await;
        let status = outcome.result.expect_err("denied");
        assert_eq!(status.code, code, "{policy}");
        assert!(status.message.starts_with(HEAD) && status.message.ends_with(want), "{policy}: {}", status.message);
        let causes = status.details.expect("details").causes;
        assert!(status.message.ends_with(&causes[0].message), "{causes:?}");
    }
}

const TEN: &str = "[1,2,3,4,5,6,7,8,9,0]";

#[tokio::test]
async fn what_holds_or_is_not_meant_passes() {
    for (policy, binding) in [
        (validation("object.data.k == 'v' && oldObject == null && params == null"), json!({})),
        (merged(validation("object.gone == 1"), json!({"failurePolicy": "Ignore"})), json!({})),
        (merged(validation("false"), json!({"matchConstraints": rules_for(&["secrets"])})), json!({})),
        (
            merged(
                validation("false"),
                json!({"matchConstraints": {"excludeResourceRules":
                [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["*"], "resourceNames": ["a"]}]}}),
            ),
            json!({}),
        ),
        (
            merged(validation("false"), json!({"matchConstraints": {"objectSelector": {"matchLabels": {"app": "y"}}}})),
            json!({}),
        ),
        (
            merged(
                validation("false"),
                json!({"matchConditions": [{"name": "c", "expression": "object.data.k == 'x'"}]}),
            ),
            json!({}),
        ),
        (
            validation("false"),
            json!({"matchResources": merged(rules_for(&["*"]), json!({"namespaceSelector": {"matchLabels": {"team": "b"}}}))}),
        ),
        (validation("false"), json!({"policyName": "other"})),
        (
            json!({"variables": [{"name": "a", "expression": "object.data"}, {"name": "b", "expression": "variables.a.k"}],
                "validations": [{"expression": "variables.b == 'v'"}]}),
            json!({}),
        ),
    ] {
        // `params` is declared only where there are some.
        let policy = match policy.to_string().contains("params") {
            true => merged(policy, json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}})),
            false => policy,
        };
        let outcome = validated(policy.clone(), binding.clone()).await;
        assert_eq!(outcome.message(), Ok(()), "{policy} {binding}");
    }
}

#[tokio::test]
async fn violations_are_warned_about_and_recorded() {
    let policy = json!({"validations": [{"expression": "object.data.k != 'v'"}], "auditAnnotations": [
        {"key": "who", "valueExpression": "'  by ' + request.userInfo.username"},
        {"key": "none", "valueExpression": "null"}]});
    let outcome = validated(policy, json!({"validationActions": ["Warn", "Audit"]})).await;
    assert_eq!(outcome.message(), Ok(()));
    let why = "failed expression: object.data.k != 'v'";
    assert_eq!(
        outcome.warnings,
        [format!("Validation failed for ValidatingAdmissionPolicy 'p' with binding 'p-binding': {why}")]
    );
    assert_eq!(outcome.annotations["p/who"], "by tester");
    assert_eq!(
        outcome.annotations["validation.policy.admission.k8s.io/validation_failure"],
        format!(
            r#"[{{"message":"{why}","policy":"p","binding":"p-binding","expressionIndex":0,"validationActions":["Warn","Audit"]}}]"#
        )
    );
    assert_eq!(outcome.annotations.len(), 2, "{:?}", outcome.annotations);
}

#[tokio::test]
async fn parameters_are_found_by_name_and_labels() {
    let kind = |kind: &str| json!({"paramKind": {"apiVersion": "v1", "kind": kind}});
    let policy = merged(validation("params != null && params.metadata.name.startsWith('good')"), kind("ConfigMap"));
    let by_name = |name: &str, missing: &str| json!({"paramRef": {"name": name, "parameterNotFoundAction": missing}});
    let labelled = json!({"selector": {"matchLabels": {"for": "p"}}, "parameterNotFoundAction": "Deny"});
    let failed = |why: &str| Err(format!("failed to configure {why}"));
    for (policy, binding, want) in [
        (policy.clone(), by_name("good", "Deny"), Ok(())),
        (policy.clone(), by_name("bad", "Deny"), Err("failed expression: ".into())),
        (policy.clone(), by_name("gone", "Allow"), Ok(())),
        (
            policy.clone(),
            by_name("gone", "Deny"),
            failed("binding: no params found for policy binding with `Deny` parameterNotFoundAction"),
        ),
        (policy.clone(), json!({"paramRef": labelled}), Ok(())),
        (
            policy.clone(),
            json!({"paramRef": merged(labelled.clone(), json!({"namespace": "other"}))}),
            failed("binding: no params found"),
        ),
        (policy.clone(), json!({}), Err("failed expression: ".into())),
        (
            merged(policy.clone(), kind("Nonsense")),
            by_name("good", "Deny"),
            failed("policy: failed to find resource referenced by paramKind: '/v1, Kind=Nonsense'"),
        ),
        (
            merged(policy.clone(), kind("Namespace")),
            json!({"paramRef": {"name": "ns", "namespace": "ns", "parameterNotFoundAction": "Deny"}}),
            failed("binding: paramRef.namespace must not be provided for a cluster-scoped `paramKind`"),
        ),
        (
            merged(kind("Namespace"), validation("params.metadata.labels.team == 'a'")),
            json!({"paramRef": {"name": "ns", "parameterNotFoundAction": "Deny"}}),
            Ok(()),
        ),
    ] {
        let cluster = cluster().await;
        for (name, labels) in [("good", json!({"for": "p"})), ("bad", json!({}))] {
            cluster.add("/configmaps", json!({"metadata": {"name": name, "namespace": "ns", "labels": labels}})).await;
        }
        let binding = merged(json!({"validationActions": ["Deny"]}), binding);
        add(&cluster, "validatingadmission", "p", policy.clone(), binding.clone()).await;
        let outcome = ask(&cluster, &Validating::new(&cluster.means()), config_map()).await;
        match (outcome.message(), want) {
            (Ok(()), Ok(())) => {}
            (Err(message), Err(want)) => assert!(message.contains(&want), "{binding}: {message}"),
            (got, want) => panic!("{policy} {binding}: {got:?}, not {want:?}"),
        }
    }
}

#[tokio::test]
async fn what_was_written_is_in_force() {
    let cluster = cluster().await;
    let plugin = Validating::new(&cluster.means());
    assert_eq!(ask(&cluster, &plugin, config_map()).await.message(), Ok(()));
    add(&cluster, "validatingadmission", "p", validation("false"), json!({"validationActions": ["Deny"]})).await;
    assert!(ask(&cluster, &plugin, config_map()).await.result.is_err());
    let cx = context(&format!("{GROUP}/validatingadmissionpolicies"), "", "tester");
    assert!(!plugin.handles(Operation::Create, &cx), "policies are exempt");
}

/// What policies `a`, `b`, … make of a config map.
async fn mutated(policies: &[Value]) -> Outcome {
    let cluster = cluster().await;
    for (name, policy) in ["a", "b", "c"].iter().zip(policies) {
        let policy = merged(json!({"reinvocationPolicy": "Never"}), policy.clone());
        add(&cluster, "mutatingadmission", name, policy, json!({})).await;
    }
    ask(&cluster, &Mutating::new(&cluster.means()), config_map()).await
}

fn applies(expression: &str) -> Value {
    json!({"mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}]})
}

fn patches(expression: &str) -> Value {
    json!({"mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}]})
}

#[tokio::test]
async fn mutations_follow_each_other() {
    let both = [
        applies("Object{data: {'first': 'yes'}}"),
        patches(
            "[JSONPatch{op: 'test', path: '/data/first', value: 'yes'}, \
             JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('x/y'), value: object.data.first}]",
        ),
    ];
    let object = mutated(&both).await.result.expect("changed");
    assert_eq!(object["data"], json!({"k": "v", "first": "yes"}));
    assert_eq!(object["metadata"]["labels"], json!({"app": "x", "x/y": "yes"}));
}

#[tokio::test]
async fn mutations_that_fail_refuse_the_request() {
    for (policy, code, want) in [
        (
            applies("Object{data: {'a': object.gone}}"),
            403,
            Err("policy 'a' with binding 'a-binding' denied request: expression 'Object{data: {'a': object.gone}}' \
                 resulted in error: no such key: gone"),
        ),
        (
            applies("Object{spec: Object.spec{a: 1}}"),
            403,
            Err("policy 'a' with binding 'a-binding' denied request: error applying patch: failed to convert patch \
                 object to typed object: .spec: field not declared in schema"),
        ),
        (
            applies("Object{metadata: Object.other{}}"),
            403,
            Err("policy 'a' with binding 'a-binding' denied request: type mismatch: unexpected type name \
                 \"Object.other\", expected \"Object.metadata\", which matches field name path from root Object type"),
        ),
        (
            patches("[JSONPatch{op: 'remove', path: '/data/gone'}]"),
            403,
            Err("policy 'a' with binding 'a-binding' denied request: JSON Patch: error in remove for path: \
                 '/data/gone': Unable to remove nonexistent key: gone: missing value"),
        ),
        (
            patches("[JSONPatch{op: 'add', path: '/nonsense', value: 1}]"),
            500,
            Err("Internal error occurred: strict decoding error: unknown field \"nonsense\""),
        ),
        (
            patches("[JSONPatch{op: 'test', path: '/data/k', value: 'other'}, JSONPatch{op: 'remove', path: '/data'}]"),
            0,
            Ok(()),
        ),
        (merged(applies("Object{data: {'a': object.gone}}"), json!({"failurePolicy": "Ignore"})), 0, Ok(())),
        (
            merged(
                applies("Object{data: {'a': object.gone}}"),
                json!({"matchConditions": [{"name": "c", "expression": "false"}]}),
            ),
            0,
            Ok(()),
        ),
    ] {
        let outcome = mutated(std::slice::from_ref(&policy)).await;
        assert_eq!(outcome.message(), want, "{policy}");
        match outcome.result {
            Ok(object) => assert_eq!(object["data"], json!({"k": "v"})),
            Err(status) => assert_eq!(status.code, code, "{policy}"),
        }
    }
}

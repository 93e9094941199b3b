//! Admission policies through the binary: what is written is checked, then enforced, recorded and
//! counted.

mod support;

use apimachinery::Value;
use hyper::{Method, StatusCode};
use serde_json::json;
use std::path::Path;
use support::{ADMIN, Answer, Server, file};
use testkit::etcd::Etcd;

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
const BOB: &str = "Bearer bob-token";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

const AUDIT: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, resources: [{group: '', resources: [configmaps]}]}
";

fn arguments(folder: &Path) -> Vec<String> {
    let tokens = file(folder, "tokens.csv", "admin-token,admin,u0,system:masters\nbob-token,bob,u1\n");
    let audit = file(folder, "audit.yaml", AUDIT);
    vec![
        "--authorization-mode=RBAC".into(),
        format!("--token-auth-file={}", tokens.display()),
        format!("--audit-policy-file={}", audit.display()),
        format!("--audit-log-path={}", folder.join("audit.log").display()),
    ]
}

async fn server(etcd: &Etcd, more: &[&str]) -> Server {
    let server = Server::start(etcd, |folder| {
        let mut all = arguments(folder);
        all.extend(more.iter().map(|argument| (*argument).to_owned()));
        all
    })
    .await;
    server.ready().await;
    server
}

fn constraints(group: &str, resource: &str) -> Value {
    json!({"resourceRules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": [group], "apiVersions": ["v1"],
        "resources": [resource]}]})
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A validating policy and its binding.
async fn enforce(server: &Server, name: &str, policy: Value, actions: &[&str], params: Value) {
    let policy = object("ValidatingAdmissionPolicy", name, policy);
    server.create(&format!("{GROUP}/validatingadmissionpolicies"), policy).await;
    let mut spec = json!({"policyName": name, "validationActions": actions});
    if !params.is_null() {
        spec["paramRef"] = params;
    }
    let binding = object("ValidatingAdmissionPolicyBinding", &format!("{name}-binding"), spec);
    server.create(&format!("{GROUP}/validatingadmissionpolicybindings"), binding).await;
    settle(server).await;
}

/// Waits until the cache has what was written: a consistent list does.
async fn settle(server: &Server) {
    for kind in ["validating", "mutating"] {
        for of in ["policies", "policybindings"] {
            server.get(ADMIN, &format!("{GROUP}/{kind}admission{of}")).await;
        }
    }
}

async fn post(server: &Server, path: &str, object: Value) -> Answer {
    server.ask(ADMIN, Method::POST, path, object).await
}

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

fn deployment(name: &str, replicas: u32) -> Value {
    let labels = json!({"app": name});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": replicas,
        "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "c", "image": "x"}]}}}})
}

#[tokio::test]
async fn policies_are_checked_when_they_are_written() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let server = server(&etcd, &[]).await;
    let policy = |expression: &str| json!({"matchConstraints": constraints("", "configmaps"), "validations": [{"expression": expression}]});
    let hook = |condition: &str| {
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "h"}, "webhooks": [{"name": "a.b.c", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": "https://127.0.0.1:1"}, "matchConditions": [{"name": "c", "expression": condition}]}]})
    };
    let class = json!({"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "d"},
        "spec": {"selectors": [{"cel": {"expression": "device.drver == ''"}}]}});
    for (path, object, want) in [
        (
            "validatingadmissionpolicies",
            object("ValidatingAdmissionPolicy", "p", policy("object.data.k")),
            "ValidatingAdmissionPolicy.admissionregistration.k8s.io \"p\" is invalid: spec.validations[0].expression: Invalid \
             value: \"object.data.k\": must evaluate to bool but got dyn",
        ),
        (
            "validatingadmissionpolicies",
            object("ValidatingAdmissionPolicy", "p", policy("request.nme == ''")),
            "compilation failed: ERROR: <input>:1:8: undefined field 'nme'\n | request.nme == ''\n | .......^",
        ),
        (
            "mutatingadmissionpolicies",
            object(
                "MutatingAdmissionPolicy",
                "p",
                json!({"matchConstraints": constraints("", "configmaps"), "reinvocationPolicy": "Never",
                    "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "1"}}]}),
            ),
            "spec.mutations[0].jsonPatch.expression: Invalid value: \"1\": must evaluate to list(JSONPatch) but got int",
        ),
        (
            "validatingwebhookconfigurations",
            hook("request.nme == ''"),
            "webhooks[0].matchConditions[0].expression: Invalid value: \"request.nme == ''\": compilation failed: ",
        ),
    ] {
        let answer = post(&server, &format!("{GROUP}/{path}"), object).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{answer:?}");
        assert!(answer.message().contains(want), "{}", answer.message());
    }
    let answer = post(&server, "/apis/resource.k8s.io/v1/deviceclasses", class).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{answer:?}");
    assert!(answer.message().contains("spec.selectors[0].cel.expression: Invalid value: \"device.drver == ''\""));
}

#[tokio::test]
async fn validating_policies_are_enforced_recorded_and_counted() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let server = server(&etcd, &[]).await;
    let replicas = json!({"matchConstraints": constraints("apps", "deployments"), "validations": [
        {"expression": "object.spec.replicas > 1", "messageExpression": "'wants replicas > 1, got ' + string(object.spec.replicas)"},
        {"expression": "namespaceObject.metadata.name == 'default'"}]});
    enforce(&server, "replicas", replicas, &["Deny"], Value::Null).await;
    let answer = post(&server, DEPLOYMENTS, deployment("one", 1)).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.json()["reason"], "Invalid");
    let want = "ValidatingAdmissionPolicy 'replicas' with binding 'replicas-binding' denied request: wants replicas > 1, got 1";
    assert_eq!(answer.message(), format!("deployments.apps \"one\" is forbidden: {want}"));
    assert_eq!(answer.json()["details"]["causes"][0]["message"], want);
    server.create(DEPLOYMENTS, deployment("two", 2)).await;
    let patch = json!({"spec": {"replicas": 1}});
    let answer = server.ask(ADMIN, Method::PATCH, &format!("{DEPLOYMENTS}/two"), patch).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);

    let asks = json!({"matchConstraints": constraints("", "configmaps"),
        "variables": [{"name": "may", "expression": "authorizer.group('').resource('secrets').check('create').allowed()"}],
        "validations": [{"expression": "!variables.may", "message": "too <mighty>"}],
        "auditAnnotations": [{"key": "user", "valueExpression": "request.userInfo.username"}]});
    enforce(&server, "asks", asks, &["Warn", "Audit"], Value::Null).await;
    let answer = post(&server, MAPS, config_map("a", json!({}))).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let warning = answer.headers["warning"].to_str().expect("text");
    assert!(
        warning.contains("Validation failed for ValidatingAdmissionPolicy 'asks' with binding 'asks-binding'"),
        "{warning}"
    );
    let log = std::fs::read_to_string(server.folder.path().join("audit.log")).expect("the log");
    let mut events = log.lines().rev().map(|line| serde_json::from_str::<Value>(line).expect("an event"));
    let event = events.find(|event| event["verb"] == "create").expect("a creation");
    assert_eq!(event["annotations"]["asks/user"], "admin", "{event}");
    assert_eq!(
        event["annotations"]["validation.policy.admission.k8s.io/validation_failure"],
        r#"[{"message":"too \u003cmighty\u003e","policy":"asks","binding":"asks-binding","expressionIndex":0,"validationActions":["Warn","Audit"]}]"#
    );

    let metrics = server.get(ADMIN, "/metrics").await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    for line in [
        "apiserver_validating_admission_policy_check_total{enforcement_action=\"deny\",error_type=\"invalid_error\",\
         policy=\"replicas\",policy_binding=\"replicas-binding\"} 2",
        "apiserver_admission_step_admission_duration_seconds_count{operation=\"CREATE\",rejected=\"true\",type=\"validate\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    let plugin = "apiserver_admission_controller_admission_duration_seconds_count{name=\"ValidatingAdmissionPolicy\"";
    assert!(text.contains(plugin), "{text}");

    // What is gone is out of force.
    for plural in ["validatingadmissionpolicybindings/replicas-binding", "validatingadmissionpolicies/replicas"] {
        server.ask(ADMIN, Method::DELETE, &format!("{GROUP}/{plural}"), Value::Null).await;
    }
    settle(&server).await;
    server.create(DEPLOYMENTS, deployment("three", 1)).await;
}

#[tokio::test]
async fn parameters_have_to_be_readable_for_their_author() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let server = server(&etcd, &[]).await;
    let rbac = |kind: &str, with: Value| {
        let mut object =
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": "author"}});
        object.as_object_mut().expect("an object").extend(with.as_object().expect("members").clone());
        object
    };
    let rules = json!({"rules": [{"apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]});
    server.create("/apis/rbac.authorization.k8s.io/v1/clusterroles", rbac("ClusterRole", rules)).await;
    let subject = json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "author"},
        "subjects": [{"kind": "User", "name": "bob", "apiGroup": "rbac.authorization.k8s.io"}]});
    server.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", rbac("ClusterRoleBinding", subject)).await;
    let path = format!("{GROUP}/validatingadmissionpolicies");
    let policy = |kind: &str| {
        let spec = json!({"paramKind": {"apiVersion": "v1", "kind": kind}, "matchConstraints": constraints("", "pods"),
            "validations": [{"expression": "true"}]});
        object("ValidatingAdmissionPolicy", "p", spec)
    };
    while server.ask(BOB, Method::GET, &path, Value::Null).await.status != StatusCode::OK {}
    let answer = server.ask(BOB, Method::POST, &path, policy("Secret")).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let want = "spec.paramKind: Forbidden: user &{bob u1 [system:authenticated] map[]} must have \"get\" permission on all \
                objects of the referenced paramKind (kind=Secret, apiVersion=v1)";
    assert!(answer.message().ends_with(want), "{}", answer.message());
    let answer = server.ask(BOB, Method::POST, &path, policy("ConfigMap")).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
}

fn definition() -> Value {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"max": {"type": "integer"}}}}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "limits.stable.example.com"}, "spec": {"group": "stable.example.com", "scope": "Namespaced",
            "names": {"plural": "limits", "kind": "Limit"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}})
}

#[tokio::test]
async fn custom_resources_are_parameters() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let server = server(&etcd, &[]).await;
    let policy = json!({"paramKind": {"apiVersion": "stable.example.com/v1", "kind": "Limit"},
        "matchConstraints": constraints("apps", "deployments"),
        "validations": [{"expression": "object.spec.replicas <= params.spec.max", "reason": "Forbidden"}]});
    let reference = json!({"name": "low", "parameterNotFoundAction": "Deny"});
    enforce(&server, "limit", policy, &["Deny"], reference).await;
    let answer = post(&server, DEPLOYMENTS, deployment("a", 1)).await;
    let want = "failed to configure policy: failed to find resource referenced by paramKind: 'stable.example.com/v1, Kind=Limit'";
    assert!(answer.message().ends_with(want), "{}", answer.message());

    server.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition()).await;
    let limits = "/apis/stable.example.com/v1/namespaces/default/limits";
    while server.get(ADMIN, limits).await.status != StatusCode::OK {}
    let answer = post(&server, DEPLOYMENTS, deployment("a", 1)).await;
    let want = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";
    assert!(answer.message().ends_with(want), "{}", answer.message());

    let limit = json!({"apiVersion": "stable.example.com/v1", "kind": "Limit", "metadata": {"name": "low"}, "spec": {"max": 2}});
    server.create(limits, limit).await;
    server.create(DEPLOYMENTS, deployment("a", 2)).await;
    let answer = post(&server, DEPLOYMENTS, deployment("b", 3)).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
    let change = json!({"spec": {"max": 3}});
    server.ask(ADMIN, Method::PATCH, &format!("{limits}/low"), change).await;
    server.create(DEPLOYMENTS, deployment("b", 3)).await;
}

#[tokio::test]
async fn mutating_policies_change_what_is_stored() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let server = server(&etcd, &[]).await;
    let sidecar = json!({"matchConstraints": constraints("apps", "deployments"), "reinvocationPolicy": "IfNeeded",
        "matchConditions": [{"name": "once", "expression": "!object.spec.template.spec.containers.exists(c, c.name == 'side')"}],
        "mutations": [
            {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression":
                "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{containers: \
                 [Object.spec.template.spec.containers{name: 'side', image: 'side:1'}]}}}}"}},
            {"patchType": "JSONPatch", "jsonPatch": {"expression":
                "[JSONPatch{op: 'add', path: '/metadata/labels', value: {'side/car': string(object.spec.template.spec.containers.size())}}]"}}]});
    server
        .create(&format!("{GROUP}/mutatingadmissionpolicies"), object("MutatingAdmissionPolicy", "sidecar", sidecar))
        .await;
    let binding = object("MutatingAdmissionPolicyBinding", "sidecar", json!({"policyName": "sidecar"}));
    server.create(&format!("{GROUP}/mutatingadmissionpolicybindings"), binding).await;
    settle(&server).await;
    let made = server.create(DEPLOYMENTS, deployment("a", 1)).await;
    assert_eq!(made["metadata"]["labels"], json!({"side/car": "2"}));
    let containers = made["spec"]["template"]["spec"]["containers"].as_array().expect("a list");
    assert_eq!(containers.len(), 2);
    assert_eq!(containers[1]["name"], "side");
    assert_eq!(containers[1]["imagePullPolicy"], "IfNotPresent", "what is new has its defaults");
}

#[tokio::test]
async fn plugins_can_be_disabled() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let server = server(&etcd, &["--disable-admission-plugins=ValidatingAdmissionPolicy"]).await;
    let never = json!({"matchConstraints": constraints("", "configmaps"), "validations": [{"expression": "false"}]});
    enforce(&server, "never", never, &["Deny"], Value::Null).await;
    server.create(MAPS, config_map("a", json!({}))).await;
}

#[tokio::test]
async fn connections_and_failures_are_warned_about() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let server = server(&etcd, &["--disable-admission-plugins=ServiceAccount"]).await;
    let constraints = |operation: &str, resource: &str| {
        json!({"resourceRules": [{"operations": [operation],
        "apiGroups": [""], "apiVersions": ["v1"], "resources": [resource]}]})
    };
    for (name, operation, resource) in [("talks", "CONNECT", "pods/exec"), ("maps", "CREATE", "configmaps")] {
        let policy = json!({"matchConstraints": constraints(operation, resource),
            "validations": [{"expression": "false", "message": format!("about {name}")}]});
        enforce(&server, name, policy, &["Warn"], Value::Null).await;
    }
    let denial =
        json!({"matchConstraints": constraints("CREATE", "configmaps"), "validations": [{"expression": "false"}]});
    enforce(&server, "none", denial, &["Deny"], Value::Null).await;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "x"}]}});
    server.create("/api/v1/namespaces/default/pods", pod).await;
    // Neither comes to be: the pod has no node, and another policy refuses the map.
    let exec = server.ask(ADMIN, Method::POST, "/api/v1/namespaces/default/pods/p/exec?command=c", Value::Null).await;
    let map = post(&server, MAPS, config_map("m", json!({}))).await;
    for (answer, name) in [(exec, "talks"), (map, "maps")] {
        assert!(answer.status.is_client_error() || answer.status.is_server_error(), "{answer:?}");
        let warning = answer.headers.get("warning").map(|value| value.to_str().expect("a text")).unwrap_or_default();
        assert!(warning.contains(&format!("Validation failed for ValidatingAdmissionPolicy '{name}'")), "{answer:?}");
    }
}

#[tokio::test]
async fn scales_are_admitted_as_scales() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let server = server(&etcd, &[]).await;
    server.create(DEPLOYMENTS, deployment("d", 1)).await;
    let policy = |resource: &str, expression: &str| {
        json!({"matchConstraints": constraints("apps", resource),
        "validations": [{"expression": expression, "messageExpression": "object.kind + ' is refused'"}]})
    };
    let few = "object.kind == 'Scale' && object.apiVersion == 'autoscaling/v1' && object.spec.replicas < 4 \
               && oldObject.kind == 'Scale' && request.subResource == 'scale' && request.kind.kind == 'Scale'";
    enforce(&server, "few", policy("deployments/scale", few), &["Deny"], Value::Null).await;
    enforce(&server, "none", policy("deployments", "false"), &["Deny"], Value::Null).await;
    let path = format!("{DEPLOYMENTS}/d/scale");
    let patch = |replicas: u32| server.ask(ADMIN, Method::PATCH, &path, json!({"spec": {"replicas": replicas}}));
    let scaled = patch(3).await;
    assert_eq!((scaled.status, &scaled.json()["spec"]["replicas"]), (StatusCode::OK, &json!(3)), "{scaled:?}");
    let refused = patch(4).await;
    let want = "deployments.apps \"d\" is forbidden: ValidatingAdmissionPolicy 'few' with binding 'few-binding' denied request: Scale is refused";
    assert_eq!(refused.message(), want);
    assert_eq!(server.get(ADMIN, &path).await.json()["spec"]["replicas"], 3);
    // The object itself is another matter.
    let whole = server.ask(ADMIN, Method::PATCH, &format!("{DEPLOYMENTS}/d"), json!({"spec": {"replicas": 2}})).await;
    assert!(whole.message().ends_with("Deployment is refused"), "{whole:?}");
}

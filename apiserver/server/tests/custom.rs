//! Custom resources through the whole server.

mod support;

use apimachinery::Value;
use apiserver_extensions::conversion::WebhookCaller;
use async_trait::async_trait;
use http::{Method, StatusCode};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use support::{Answer, TestServer};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const FOOS: &str = "/apis/stable.example.com/v1/namespaces/default/foos";

fn definition() -> Value {
    let spec = json!({"type": "object", "properties": {
        "replicas": {"type": "integer", "minimum": 0, "default": 1},
        "color": {"type": "string", "enum": ["red", "blue"]},
        "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "value": {"type": "string"}}}},
    }});
    let status =
        json!({"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}}});
    let schema =
        json!({"type": "object", "description": "Foo for tests", "properties": {"spec": spec, "status": status}});
    let version = |name: &str, storage: bool| {
        json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema},
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
            "selectableFields": [{"jsonPath": ".spec.color"}],
            "additionalPrinterColumns": [{"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
                {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]})
    };
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "foos.stable.example.com"}, "spec": {"group": "stable.example.com", "scope": "Namespaced",
            "names": {"plural": "foos", "kind": "Foo", "shortNames": ["fo"], "categories": ["all"]},
            "versions": [version("v1", true), version("v1beta1", false)]}})
}

fn foo(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "stable.example.com/v1", "kind": "Foo", "metadata": {"name": name}, "spec": spec})
}

async fn established() -> TestServer {
    let server = TestServer::start().await;
    server.create(CRDS, definition()).await;
    wait_for(&server, "/apis/stable.example.com/v1", StatusCode::OK).await;
    server
}

/// Asks until the answer has this status.
async fn wait_for(server: &TestServer, path: &str, status: StatusCode) {
    for _ in 0..500 {
        if server.get(path).await.status == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{path} does not become {status}");
}

async fn send(server: &TestServer, method: Method, path: &str, body: &Value) -> Answer {
    let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    server.ask(method, path, &[("content-type", kind)], body.to_string()).await
}

#[tokio::test]
async fn definitions_are_defaulted_named_and_established() {
    let server = established().await;
    let stored = server.get(&format!("{CRDS}/foos.stable.example.com")).await.json();
    assert_eq!(stored["spec"]["names"]["listKind"], "FooList");
    assert_eq!(stored["spec"]["conversion"], json!({"strategy": "None"}));
    assert_eq!(stored["status"]["acceptedNames"], stored["spec"]["names"]);
    assert_eq!(stored["status"]["storedVersions"], json!(["v1"]));
    let reasons: Vec<_> =
        stored["status"]["conditions"].as_array().expect("conditions").iter().map(|c| c["reason"].clone()).collect();
    assert_eq!(reasons, ["NoConflicts", "InitialNamesAccepted"]);
    let group = server.get("/apis/stable.example.com").await.json();
    assert_eq!(group["preferredVersion"]["version"], "v1");
    let list = server.get("/apis/stable.example.com/v1").await.json();
    let names: Vec<_> = list["resources"].as_array().expect("resources").iter().map(|r| r["name"].clone()).collect();
    assert_eq!(names, ["foos", "foos/scale", "foos/status"]);
    assert_eq!(list["resources"][0]["shortNames"], json!(["fo"]));
}

#[tokio::test]
async fn wrong_definitions_are_refused() {
    let server = TestServer::start().await;
    let mut wrong = definition();
    wrong["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = json!({});
    let answer = send(&server, Method::POST, CRDS, &wrong).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text());
    assert!(answer.message().contains("must not be empty for specified object fields"), "{}", answer.message());
}

#[tokio::test]
async fn objects_are_pruned_defaulted_and_validated() {
    let server = established().await;
    let created = server.create(FOOS, foo("a", json!({"color": "red", "odd": 1}))).await;
    assert_eq!(created["spec"], json!({"color": "red", "replicas": 1}));
    assert_eq!(created["metadata"]["generation"], 1);
    for (spec, want) in [
        (json!({"color": "green"}), r#"spec.color: Unsupported value: "green": supported values: "red", "blue""#),
        (
            json!({"items": "x"}),
            r#"spec.items: Invalid value: "string": spec.items in body must be of type array: "string""#,
        ),
        (json!({"items": [{}]}), "spec.items[0].name: Required value"),
        (json!({"items": [{"name": "a"}, {"name": "a"}]}), r#"spec.items[1]: Duplicate value: {"name":"a"}"#),
    ] {
        let answer = send(&server, Method::POST, FOOS, &foo("b", spec)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.message(), format!("Foo.stable.example.com \"b\" is invalid: {want}"));
    }
    let strict = format!("{FOOS}?fieldValidation=Strict");
    let answer = send(&server, Method::POST, &strict, &foo("c", json!({"odd": 1}))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.message().contains(r#"strict decoding error: unknown field "spec.odd""#), "{}", answer.message());
}

#[tokio::test]
async fn status_and_scale_are_apart() {
    let server = established().await;
    let mut object = foo("a", json!({"replicas": 2}));
    object["status"] = json!({"replicas": 9});
    assert_eq!(server.create(FOOS, object).await["status"], Value::Null);
    let path = format!("{FOOS}/a");
    let patched = send(
        &server,
        Method::PATCH,
        &format!("{path}/status"),
        &json!({"status": {"replicas": 2, "selector": "a=b"}, "spec": {"replicas": 7}}),
    )
    .await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.text());
    let stored = patched.json();
    assert_eq!((&stored["spec"]["replicas"], &stored["status"]["replicas"]), (&json!(2), &json!(2)));
    assert_eq!(stored["metadata"]["generation"], 1);
    let scale = server.get(&format!("{path}/scale")).await.json();
    assert_eq!(
        (&scale["spec"], &scale["status"]),
        (&json!({"replicas": 2}), &json!({"replicas": 2, "selector": "a=b"}))
    );
    let scaled = send(&server, Method::PATCH, &format!("{path}/scale"), &json!({"spec": {"replicas": 5}})).await;
    assert_eq!(scaled.json()["spec"]["replicas"], 5, "{}", scaled.text());
    let stored = server.get(&path).await.json();
    assert_eq!((&stored["spec"]["replicas"], &stored["metadata"]["generation"]), (&json!(5), &json!(2)));
}

#[tokio::test]
async fn tables_selectors_and_versions() {
    let server = established().await;
    for (name, color) in [("a", "red"), ("b", "blue")] {
        server.create(FOOS, foo(name, json!({"color": color}))).await;
    }
    let table = server.get_as(FOOS, "application/json;as=Table;v=v1;g=meta.k8s.io").await.json();
    let columns: Vec<_> =
        table["columnDefinitions"].as_array().expect("columns").iter().map(|c| c["name"].clone()).collect();
    assert_eq!(columns, ["Name", "Replicas", "Age"]);
    assert_eq!(table["rows"][0]["cells"][1], 1);
    let blue = server.get(&format!("{FOOS}?fieldSelector=spec.color%3Dblue")).await.json();
    assert_eq!(blue["items"].as_array().map(Vec::len), Some(1));
    assert_eq!((&blue["kind"], &blue["items"][0]["kind"]), (&json!("FooList"), &json!("Foo")));
    let beta = server.get("/apis/stable.example.com/v1beta1/foos").await.json();
    assert_eq!(beta["items"][0]["apiVersion"], "stable.example.com/v1beta1");
    let watch = format!("{FOOS}?watch=true&timeoutSeconds=1&resourceVersion=0").replace("/v1/", "/v1beta1/");
    let events = server.get(&watch).await;
    assert_eq!(events.text().matches("\"apiVersion\":\"stable.example.com/v1beta1\"").count(), 2, "{}", events.text());
}

#[tokio::test]
async fn a_new_schema_is_seen_at_once() {
    let server = established().await;
    server.create(FOOS, foo("a", json!({}))).await;
    let path = format!("{CRDS}/foos.stable.example.com");
    let mut changed = server.get(&path).await.json();
    for version in [0, 1] {
        changed["spec"]["versions"][version]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["extra"] =
            json!({"type": "string", "default": "new"});
    }
    let answer = send(&server, Method::PUT, &path, &changed).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    for _ in 0..500 {
        // The default shows on what was stored before.
        if server.get(&format!("{FOOS}/a")).await.json()["spec"]["extra"] == "new" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the default does not show");
}

#[tokio::test]
async fn deletion_takes_the_objects_along() {
    let server = established().await;
    let mut held = foo("held", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/wait"]);
    server.create(FOOS, held).await;
    server.create(FOOS, foo("free", json!({}))).await;
    let path = format!("{CRDS}/foos.stable.example.com");
    let answer = server.ask(Method::DELETE, &path, &[], "").await;
    assert_eq!(
        answer.json()["metadata"]["finalizers"],
        json!(["customresourcecleanup.apiextensions.k8s.io"]),
        "{}",
        answer.text()
    );
    wait_for(&server, &format!("{FOOS}/free"), StatusCode::NOT_FOUND).await;
    assert_eq!(server.get(&path).await.status, StatusCode::OK);
    let refused = send(&server, Method::POST, FOOS, &foo("late", json!({}))).await;
    assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED, "{}", refused.text());
    assert_eq!(refused.json()["message"], "create not allowed while custom resource definition is terminating");
    let freed = send(&server, Method::PATCH, &format!("{FOOS}/held"), &json!({"metadata": {"finalizers": null}})).await;
    assert_eq!(freed.status, StatusCode::OK, "{}", freed.text());
    wait_for(&server, &path, StatusCode::NOT_FOUND).await;
    wait_for(&server, FOOS, StatusCode::NOT_FOUND).await;
    wait_for(&server, "/apis/stable.example.com", StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn openapi_tells_of_custom_kinds() {
    let server = established().await;
    let index = server.get("/openapi/v3").await.json();
    let url = index["paths"]["apis/stable.example.com/v1"]["serverRelativeURL"].as_str().expect("a URL").to_owned();
    let document = server.get(&url).await.json();
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["com.example.stable.v1.Foo"]["description"], "Foo for tests");
    let created = &schemas["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]["properties"]["creationTimestamp"];
    assert!(created["description"].as_str().expect("a text").starts_with("CreationTimestamp is"));
    assert!(document["paths"]["/apis/stable.example.com/v1/namespaces/{namespace}/foos/{name}"]["get"].is_object());
    let v2 = server.get("/openapi/v2").await.json();
    let patch = &v2["paths"]["/apis/stable.example.com/v1/namespaces/{namespace}/foos/{name}"]["patch"];
    let patches = ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
    assert_eq!(patch["consumes"], json!(patches));
    let kind = &v2["definitions"]["com.example.stable.v1.Foo"];
    assert_eq!(kind["x-kubernetes-group-version-kind"][0]["kind"], "Foo");
    assert_eq!(kind["properties"]["spec"]["properties"]["color"]["enum"], json!(["red", "blue"]));
    server.ask(Method::DELETE, &format!("{CRDS}/foos.stable.example.com"), &[], "").await;
    wait_for(&server, "/apis/stable.example.com", StatusCode::NOT_FOUND).await;
    assert_eq!(server.get("/openapi/v2").await.json()["definitions"]["com.example.stable.v1.Foo"], Value::Null);
    assert_eq!(server.get("/openapi/v3/apis/stable.example.com/v1").await.status, StatusCode::NOT_FOUND);
}

/// Shows every third object in red, the others in blue.
struct Painter;

#[async_trait]
impl WebhookCaller for Painter {
    async fn call(&self, _: &Value, review: &Value, _: Duration) -> Result<Value, String> {
        let mut objects = review["request"]["objects"].clone();
        for object in objects.as_array_mut().expect("objects") {
            let number = object["metadata"]["name"].as_str().expect("a name")[1..].parse::<usize>().expect("a number");
            object["apiVersion"] = review["request"]["desiredAPIVersion"].clone();
            object["spec"]["color"] = if number.is_multiple_of(3) { "red".into() } else { "blue".into() };
        }
        Ok(json!({"kind": "ConversionReview", "apiVersion": review["apiVersion"], "response": {
            "uid": review["request"]["uid"], "result": {"status": "Success"}, "convertedObjects": objects}}))
    }
}

#[tokio::test]
async fn pages_of_converted_objects_keep_to_the_limit() {
    let registry =
        apiserver_registry::Options { conversion: Some(Arc::new(Painter)), ..apiserver_registry::Options::default() };
    let server = TestServer::over(registry, apiserver_server::Options::default(), None).await;
    let mut definition = definition();
    definition["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {
        "clientConfig": {"url": "https://example.com/convert"}, "conversionReviewVersions": ["v1"]}});
    server.create(CRDS, definition).await;
    wait_for(&server, "/apis/stable.example.com/v1", StatusCode::OK).await;
    for number in 0..8 {
        server.create(FOOS, foo(&format!("f{number}"), json!({}))).await;
    }
    let list = "/apis/stable.example.com/v1beta1/namespaces/default/foos?fieldSelector=spec.color%3Dred";
    for (limit, want) in [(0, vec![3]), (1, vec![1, 1, 1]), (2, vec![2, 1]), (3, vec![3]), (9, vec![3])] {
        let (mut sizes, mut names, mut token) = (Vec::new(), Vec::new(), String::new());
        loop {
            let page = server.get(&format!("{list}&limit={limit}&continue={token}")).await.json();
            let items = page["items"].as_array().unwrap_or_else(|| panic!("{page}")).clone();
            sizes.push(items.len());
            names.extend(items.iter().map(|item| item["metadata"]["name"].clone()));
            token = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if token.is_empty() {
                break;
            }
        }
        assert_eq!((sizes, names), (want, vec![json!("f0"), json!("f3"), json!("f6")]), "limit {limit}");
    }
}

async fn apply(server: &TestServer, manager: &str, object: &Value) -> Answer {
    let path = format!("/apis/stable.example.com/v1/namespaces/default/boxes/b?fieldManager={manager}");
    server.ask(Method::PATCH, &path, &[("content-type", "application/apply-patch+yaml")], object.to_string()).await
}

#[tokio::test]
async fn applied_objects_own_what_no_schema_lists() {
    let server = TestServer::start().await;
    let spec = json!({"type": "object", "properties": {
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
            "known": {"type": "string"}}},
        "template": {"type": "object", "x-kubernetes-embedded-resource": true,
            "x-kubernetes-preserve-unknown-fields": true},
        "closed": {"type": "object", "properties": {"known": {"type": "string"}}},
    }});
    server
        .create(
            CRDS,
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "boxes.stable.example.com"}, "spec": {"group": "stable.example.com", "scope": "Namespaced",
            "names": {"plural": "boxes", "kind": "Box"}, "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}}]}}),
        )
        .await;
    wait_for(&server, "/apis/stable.example.com/v1", StatusCode::OK).await;
    let object = |spec: Value| json!({"apiVersion": "stable.example.com/v1", "kind": "Box", "metadata": {"name": "b"}, "spec": spec});
    let template = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"l": "1"}},
        "spec": {"nodeName": "n", "containers": [{"name": "c"}]}});
    let first = object(json!({"free": {"known": "k", "deep": {"a": 1}, "list": [1, 2]}, "template": template}));
    let created = apply(&server, "one", &first).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text());
    let created = created.json();
    assert_eq!(created["spec"], first["spec"]);
    assert_eq!(
        created["metadata"]["managedFields"][0]["fieldsV1"],
        json!({"f:spec": {
        "f:free": {"f:known": {}, "f:deep": {".": {}, "f:a": {}}, "f:list": {}},
        "f:template": {"f:apiVersion": {}, "f:kind": {}, "f:metadata": {"f:name": {}, "f:labels": {"f:l": {}}},
            "f:spec": {".": {}, "f:nodeName": {}, "f:containers": {}}}}})
    );

    let conflict = apply(&server, "two", &object(json!({"free": {"deep": {"a": 2}}}))).await;
    assert_eq!(conflict.status, StatusCode::CONFLICT, "{}", conflict.text());
    assert!(conflict.message().ends_with("conflict with \"one\": .spec.free.deep.a"), "{}", conflict.message());
    let both = apply(&server, "two", &object(json!({"free": {"deep": {"b": 2}}}))).await;
    assert_eq!(both.json()["spec"]["free"]["deep"], json!({"a": 1, "b": 2}), "{}", both.text());
    // What one manager no longer wants is gone, and what the other owns stays.
    let less =
        apply(&server, "one", &object(json!({"template": {"apiVersion": "v1", "kind": "Pod", "metadata": {}}}))).await;
    let left = json!({"free": {"deep": {"b": 2}}, "template": {"apiVersion": "v1", "kind": "Pod", "metadata": {}}});
    assert_eq!(less.json()["spec"], left, "{}", less.text());

    let unknown = apply(&server, "one", &object(json!({"closed": {"odd": 1}}))).await;
    assert!(unknown.message().contains(".spec.closed.odd: field not declared in schema"), "{}", unknown.text());
}

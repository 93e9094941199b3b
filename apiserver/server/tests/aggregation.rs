//! An API server behind this one: found, checked, forwarded to, listed, and given up.
#![expect(clippy::disallowed_methods, reason = "tests own their tasks")]

mod support;

use apimachinery::Value;
use base64::Engine as _;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::convert::Infallible;
use std::time::Duration;
use support::{TestServer, serve_tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const GROUP: &str = "wardle.example.com";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A server of `flunders` that tells who asked.
async fn backend(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let answer = Response::builder();
    let answer = match request.uri().path() {
        "/apis" if header("accept").contains("as=APIGroupDiscoveryList") => {
            assert_eq!(
                (header("x-remote-user").as_str(), header("x-remote-group").as_str()),
                ("system:kube-aggregator", "system:masters")
            );
            let resources = json!([{"resource": "flunders", "scope": "Namespaced", "verbs": ["get", "list"]}]);
            let groups = json!({"items": [{"metadata": {"name": GROUP}, "versions": [
                {"version": "v1alpha1", "resources": resources}]}]});
            answer.header("content-type", AGGREGATED).body(Full::from(groups.to_string()))
        }
        "/apis/wardle.example.com/v1alpha1" => answer.body(Full::from(json!({"kind": "APIResourceList"}).to_string())),
        "/openapi/v3" => {
            let url = json!({"serverRelativeURL": "/openapi/v3/apis/wardle.example.com/v1alpha1?hash=H"});
            answer.body(Full::from(json!({"paths": {"apis/wardle.example.com/v1alpha1": url}}).to_string()))
        }
        "/openapi/v3/apis/wardle.example.com/v1alpha1" => answer.body(Full::from("{}")),
        "/openapi/v2" if header("if-none-match") == "\"T\"" => answer.status(304).body(Full::default()),
        "/openapi/v2" => {
            let item = json!({"get": {"responses": {"200": {"schema": {"$ref": "#/definitions/Flunder"}}}}});
            let paths = json!({"/apis/": item, format!("/apis/{GROUP}/v1alpha1/flunders"): item});
            let document = json!({"swagger": "2.0", "paths": paths, "definitions": {"Flunder": {"type": "object"}}});
            answer.header("etag", "\"T\"").body(Full::from(document.to_string()))
        }
        path if path.ends_with("/redirect") => {
            answer.status(302).header("location", "http://evil/").body(Full::default())
        }
        path if path.ends_with("/upgrade") => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut io = TokioIo::new(upgrade.await.expect("an upgrade"));
                let mut buffer = [0; 4];
                io.read_exact(&mut buffer).await.expect("four bytes");
                io.write_all(&buffer).await.expect("an echo");
            });
            answer.status(101).header("connection", "Upgrade").header("upgrade", "echo").body(Full::default())
        }
        _ => {
            let told = json!({"uri": request.uri().to_string(), "method": request.method().to_string(),
                "user": header("x-remote-user"), "group": header("x-remote-group"), "uid": header("x-remote-uid"),
                "authorization": header("authorization"), "audit": header("audit-id")});
            let body = request.into_body().collect().await.expect("a body").to_bytes();
            let told = json!({"told": told, "body": String::from_utf8_lossy(&body)});
            answer.body(Full::from(told.to_string()))
        }
    };
    Ok(answer.expect("an answer"))
}

/// A server that follows API services, with the backend's Service and its `APIService`.
async fn cluster(bundle: impl FnOnce(&str) -> Value) -> TestServer {
    let server = TestServer::start().await;
    let (port, authority) = serve_tls("api.ns.svc", backend).await;
    let running = server.server.clone();
    server.supervisor.spawn_until_stop("aggregation", async move {
        running.aggregator.run(&running.registry, || {}, |remote| running.discovery.set_remote(remote)).await;
    });
    server
        .create("/api/v1/namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}}))
        .await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api"},
        "spec": {"ports": [{"name": "https", "port": 7443}]}});
    server.create("/api/v1/namespaces/ns/services", service).await;
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "api-1", "labels": {"kubernetes.io/service-name": "api"}},
        "endpoints": [{"addresses": ["127.0.0.1"]}], "ports": [{"name": "https", "port": port}]});
    // The backend is on this machine, which an endpoint may not be; a slice in the store may.
    let resource = apimachinery::resources::find("discovery.k8s.io", "v1", "endpointslices").expect("built in");
    let mut stored = slice;
    stored["metadata"]["namespace"] = "ns".into();
    server.server.registry.store.create(resource, &resource.key("ns", "api-1"), stored, None).await.expect("a slice");
    let mut spec = json!({"group": GROUP, "version": "v1alpha1", "groupPriorityMinimum": 2000, "versionPriority": 200,
        "service": {"namespace": "ns", "name": "api", "port": 7443}});
    spec["caBundle"] = bundle(&authority);
    let api_service = json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": format!("v1alpha1.{GROUP}")}, "spec": spec});
    server.create("/apis/apiregistration.k8s.io/v1/apiservices", api_service).await;
    server
}

fn base64(text: &str) -> Value {
    base64::engine::general_purpose::STANDARD.encode(text).into()
}

/// Waits until the `Available` condition has this reason; the condition.
async fn condition(server: &TestServer, reason: &str) -> Value {
    let path = format!("/apis/apiregistration.k8s.io/v1/apiservices/v1alpha1.{GROUP}");
    let wait = async {
        loop {
            let object = server.get(&path).await.json();
            let condition = object["status"]["conditions"][0].clone();
            if condition["reason"] == reason {
                return condition;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the condition in time")
}

/// Waits until discovery lists the group's resources.
async fn listed(server: &TestServer) -> Value {
    let wait = async {
        loop {
            let groups = server.get_as("/apis", AGGREGATED).await.json();
            let items = groups["items"].as_array().expect("groups").clone();
            let found = items.into_iter().find(|g| g["metadata"]["name"] == GROUP);
            if let Some(version) = found.map(|g| g["versions"][0].clone()).filter(|v| v["freshness"] == "Current") {
                return version;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("discovery in time")
}

const FLUNDERS: &str = "/apis/wardle.example.com/v1alpha1/namespaces/default/flunders";

#[tokio::test]
async fn forwards_with_the_identity_of_who_asks() {
    let server = cluster(base64).await;
    let available = condition(&server, "Passed").await;
    assert_eq!((&available["status"], &available["message"]), (&json!("True"), &json!("all checks passed")));
    listed(&server).await;
    let headers = [("x-remote-user", "root"), ("x-remote-group", "system:masters")];
    let told = server.ask(Method::POST, &format!("{FLUNDERS}?a=b%20c"), &headers, "a body").await;
    let answer = told.json();
    assert_eq!(answer["told"]["uri"], format!("{FLUNDERS}?a=b%20c"));
    assert_eq!(answer["body"], "a body");
    let of = |key: &str| answer["told"][key].as_str().expect("text").to_owned();
    assert_eq!((of("method"), of("user"), of("uid")), ("POST".into(), "admin".into(), "u1".into()));
    assert_eq!((of("group"), of("authorization")), ("system:masters".into(), String::new()));
    assert_eq!(told.headers["audit-id"], of("audit").as_str());
    let refused = server.ask(Method::GET, FLUNDERS, &[("authorization", "Bearer nobody-token")], "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let redirect = server.get(&format!("{FLUNDERS}/redirect")).await;
    assert_eq!(redirect.status, StatusCode::BAD_GATEWAY);
    server.supervisor.stop();
}

#[tokio::test]
async fn upgrades_pass() {
    let server = cluster(base64).await;
    condition(&server, "Passed").await;
    listed(&server).await;
    let upgrade = [("connection", "Upgrade"), ("upgrade", "echo")];
    let mut response = server.send(Method::GET, &format!("{FLUNDERS}/a/upgrade"), &upgrade, "").await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut io = TokioIo::new(hyper::upgrade::on(&mut response).await.expect("an upgrade"));
    io.write_all(b"ping").await.expect("a write");
    let mut echo = Vec::new();
    io.read_to_end(&mut echo).await.expect("the echo");
    assert_eq!(echo, b"ping");
    server.supervisor.stop();
}

#[tokio::test]
async fn discovery_and_documents_include_it() {
    let server = cluster(base64).await;
    assert_eq!(listed(&server).await["resources"][0]["resource"], "flunders");
    let groups = server.get("/apis").await.json();
    assert!(groups["groups"].as_array().expect("groups").iter().any(|g| g["name"] == GROUP));
    let group = server.get(&format!("/apis/{GROUP}")).await.json();
    assert_eq!(group["preferredVersion"]["groupVersion"], format!("{GROUP}/v1alpha1"));
    let list = server.get(&format!("/apis/{GROUP}/v1alpha1")).await.json();
    assert_eq!(list["kind"], "APIResourceList");
    let index = server.get("/openapi/v3").await.json();
    let url = index["paths"][format!("apis/{GROUP}/v1alpha1")]["serverRelativeURL"].as_str().expect("a URL").to_owned();
    assert_eq!(server.get(&url).await.text(), "{}");
    let version2 = server.get("/openapi/v2").await.json();
    assert_eq!(version2["definitions"]["Flunder"], json!({"type": "object"}));
    assert!(version2["paths"][format!("/apis/{GROUP}/v1alpha1/flunders")]["get"].is_object());
    assert_eq!(version2["paths"]["/apis/"]["get"]["operationId"], "getAPIVersions", "its own");
    server.supervisor.stop();
}

#[tokio::test]
async fn unavailable_servers_are_named() {
    let server = cluster(base64).await;
    condition(&server, "Passed").await;
    server.ask(Method::DELETE, "/api/v1/namespaces/ns/services/api", &[], "").await;
    let missing = condition(&server, "ServiceNotFound").await;
    assert_eq!(missing["message"], "service/api in \"ns\" is not present");
    let refused = server.get(FLUNDERS).await;
    assert_eq!((refused.status, refused.text()), (StatusCode::SERVICE_UNAVAILABLE, "service unavailable\n"));
    server.supervisor.stop();
}

#[tokio::test]
async fn strangers_are_not_trusted() {
    let other = pki::serving::self_signed("other", &["other"]).expect("a certificate").certificate_pem;
    let server = cluster(move |_| base64(&other)).await;
    let failed = condition(&server, "FailedDiscoveryCheck").await;
    assert!(failed["message"].as_str().expect("text").contains("invalid peer certificate"), "{failed}");
    server.supervisor.stop();
}

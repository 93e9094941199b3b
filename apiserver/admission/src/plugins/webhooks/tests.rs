//! Against webhooks that are TLS servers here, with an authority of their own.
#![expect(clippy::disallowed_methods, reason = "tests own their tasks")]

use super::{Mutating, Validating};
use crate::testing::{Cluster, create};
use apimachinery::Value;
use apimachinery::status::Status;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A webhook server: what it was asked, where it listens, who certifies it.
struct Server {
    asked: Arc<Mutex<Vec<Value>>>,
    port: u16,
    authority: String,
}

/// Answers by the path: `/allow`, `/deny`, `/mark` (adds a label named by the query), `/hang`.
async fn answer(
    asked: Arc<Mutex<Vec<Value>>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let review: Value = serde_json::from_slice(&body).expect("a review");
    asked.lock().push(review.clone());
    let mut response = json!({"uid": review["request"]["uid"], "allowed": path != "/deny"});
    match path.as_str() {
        "/deny" => response["status"] = json!({"message": "not today", "code": 403, "reason": "Forbidden"}),
        "/mark" => {
            let mark = query.split('&').next().unwrap_or_default();
            let patch = json!([{"op": "add", "path": format!("/data/{mark}"), "value": "yes"}]).to_string();
            response["patch"] = BASE64.encode(patch).into();
            response["patchType"] = "JSONPatch".into();
            response["warnings"] = json!(["marked"]);
        }
        "/hang" => std::future::pending().await,
        _ => {}
    }
    let answer = json!({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response});
    Ok(Response::new(Full::from(answer.to_string())))
}

impl Server {
    async fn start() -> Self {
        let year = Duration::from_secs(365 * 24 * 3600);
        let authority = pki::Authority::create("webhooks", year).expect("an authority");
        let key = pki::Key::generate(pki::Algorithm::default()).expect("a key");
        let names = ["127.0.0.1", "hook.ns.svc"];
        let certificate = authority.issue(&pki::Profile::server("hook", &names, year), &key).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                pki::pem::parse_certificates(certificate.as_bytes(), "test").expect("certificates"),
                pki::pem::parse_private_key(key.to_pem().as_bytes(), "test").expect("a key"),
            )
            .expect("a configuration");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (asked, acceptor) = (Arc::new(Mutex::default()), TlsAcceptor::from(Arc::new(tls)));
        let seen = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen) = (acceptor.clone(), seen.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| answer(seen.clone(), request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { asked, port, authority: authority.certificate_pem().to_owned() }
    }

    /// A webhook at a path of this server, with what makes it different.
    fn hook(&self, name: &str, path: &str, with: Value) -> Value {
        let mut hook = json!({
            "name": format!("{name}.example.com"), "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"url": format!("https://127.0.0.1:{}{path}", self.port),
                "caBundle": BASE64.encode(&self.authority)},
            "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
        });
        if let (Some(hook), Value::Object(with)) = (hook.as_object_mut(), with) {
            hook.extend(with);
        }
        hook
    }
}

async fn cluster() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.add("/namespaces", json!({"metadata": {"name": "ns", "labels": {"team": "a"}}})).await;
    cluster
}

async fn configure(cluster: &Cluster, plural: &str, name: &str, hooks: Vec<Value>) {
    let resource = format!("admissionregistration.k8s.io/{plural}");
    cluster.add(&resource, json!({"metadata": {"name": name}, "webhooks": hooks})).await;
}

fn config_map() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns", "labels": {"app": "x"}},
        "data": {"k": "v"}})
}

/// What a validating webhook makes of a config map.
async fn validated(hook: impl FnOnce(&Server) -> Value) -> (Result<Value, Status>, usize) {
    let (cluster, server) = (cluster().await, Server::start().await);
    configure(&cluster, "validatingwebhookconfigurations", "c", vec![hook(&server)]).await;
    let result = create(&Validating::new(&cluster.means(), None).expect("a plugin"), "/configmaps", config_map()).await;
    let asked = server.asked.lock().len();
    (result, asked)
}

#[tokio::test]
async fn denials_and_failures() {
    for (path, with, want) in [
        ("/allow", json!({}), Ok(())),
        ("/deny", json!({}), Err("admission webhook \"h.example.com\" denied the request: not today")),
        ("/hang", json!({"timeoutSeconds": 1}), Err("/hang?timeout=1s\": context deadline exceeded")),
        ("/hang", json!({"timeoutSeconds": 1, "failurePolicy": "Ignore"}), Ok(())),
        (
            "/allow",
            json!({"clientConfig": {"service": {"namespace": "ns", "name": "gone", "path": "/x"}}}),
            Err(
                "failed calling webhook \"h.example.com\": failed to call webhook: Post \"https://gone.ns.svc:443/x?timeout=10s\": services \"gone\" not found",
            ),
        ),
        ("/deny", json!({"matchConditions": [{"name": "c", "expression": "object.data.k == 1"}]}), Ok(())),
        (
            "/deny",
            json!({"matchConditions": [{"name": "c", "expression": "object.x == 1"}]}),
            Err("configmaps \"a\" is forbidden: expression 'object.x == 1' resulted in error: no such key: x"),
        ),
    ] {
        let (got, _) = validated(|server| server.hook("h", path, with.clone())).await;
        let got = got.map(drop).map_err(|status| status.message);
        match want {
            Ok(()) => assert_eq!(got, Ok(()), "{path} {with}"),
            Err(text) => assert!(got.as_ref().is_err_and(|m| m.contains(text)), "{path} {with}: {got:?}"),
        }
    }
}

#[tokio::test]
async fn managed_fields_are_shown_as_trees() {
    let (cluster, server) = (cluster().await, Server::start().await);
    for plural in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        configure(&cluster, plural, "c", vec![server.hook("h", "/mark?x", json!({}))]).await;
    }
    let mut closed = config_map();
    closed["metadata"]["managedFields"] = json!([{"manager": "m", "fieldsV1": "{\"f:data\":{}}"}]);
    let changed = create(&Mutating::new(&cluster.means(), None).expect("a plugin"), "/configmaps", closed.clone())
        .await
        .expect("admitted");
    create(&Validating::new(&cluster.means(), None).expect("a plugin"), "/configmaps", closed).await.expect("admitted");
    for review in server.asked.lock().iter() {
        let fields = review.pointer("/request/object/metadata/managedFields/0/fieldsV1");
        assert_eq!(fields, Some(&json!({"f:data": {}})), "{review}");
    }
    assert_eq!(server.asked.lock().len(), 2);
    assert_eq!(changed["data"]["x"], "yes");
}

#[tokio::test]
async fn only_what_is_meant_is_asked() {
    for (with, asked) in [
        (json!({}), 1),
        (
            json!({"rules": [{"operations": ["DELETE"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]}),
            0,
        ),
        (json!({"namespaceSelector": {"matchLabels": {"team": "a"}}}), 1),
        (json!({"namespaceSelector": {"matchLabels": {"team": "b"}}}), 0),
        (json!({"objectSelector": {"matchLabels": {"app": "x"}}}), 1),
        (json!({"objectSelector": {"matchLabels": {"app": "y"}}}), 0),
        (json!({"matchConditions": [{"name": "c", "expression": "request.userInfo.username != 'tester'"}]}), 0),
    ] {
        let (result, count) = validated(|server| server.hook("h", "/allow", with.clone())).await;
        assert!(result.is_ok() && count == asked, "{with}: {count} {result:?}");
    }
}

#[tokio::test]
async fn services_are_reached_by_their_endpoints() {
    let (cluster, server) = (cluster().await, Server::start().await);
    let service = json!({"metadata": {"name": "hook", "namespace": "ns"}, "spec": {"ports": [{"port": 8443}]}});
    cluster.add("/services", service).await;
    let slice = json!({"metadata": {"name": "hook-1", "namespace": "ns",
        "labels": {"kubernetes.io/service-name": "hook"}}, "addressType": "IPv4",
        "ports": [{"name": "", "port": server.port}], "endpoints": [{"addresses": ["127.0.0.1"]}]});
    cluster.add("discovery.k8s.io/endpointslices", slice).await;
    let service = json!({"namespace": "ns", "name": "hook", "path": "/deny", "port": 8443});
    let with = json!({"clientConfig": {"service": service, "caBundle": BASE64.encode(&server.authority)},
        "admissionReviewVersions": ["v9", "v1beta1", "v1"]});
    configure(&cluster, "validatingwebhookconfigurations", "c", vec![server.hook("h", "", with)]).await;
    let plugin = Validating::new(&cluster.means(), None).expect("a plugin");
    for _ in 0..2 {
        let refused = create(&plugin, "/configmaps", config_map()).await.expect_err("denied");
        assert_eq!((refused.code, refused.message.ends_with("not today")), (403, true), "{refused}");
    }
    let asked = server.asked.lock();
    assert_eq!(asked[0]["apiVersion"], "admission.k8s.io/v1beta1");
    assert_eq!(asked[0]["request"]["object"]["data"]["k"], "v");
    assert_eq!(asked[0]["request"]["kind"], json!({"group": "", "version": "v1", "kind": "ConfigMap"}));
}

#[tokio::test]
async fn mutations_follow_each_other() {
    let (cluster, server) = (cluster().await, Server::start().await);
    let second = server.hook("two", "/mark?second", json!({}));
    configure(&cluster, "mutatingwebhookconfigurations", "b", vec![second]).await;
    let first = server.hook("one", "/mark?first", json!({}));
    configure(&cluster, "mutatingwebhookconfigurations", "a", vec![first]).await;
    let object = create(&Mutating::new(&cluster.means(), None).expect("a plugin"), "/configmaps", config_map())
        .await
        .expect("changed");
    assert_eq!(object["data"], json!({"k": "v", "first": "yes", "second": "yes"}));
    let asked = server.asked.lock();
    assert_eq!(asked[1]["request"]["object"]["data"]["first"], "yes", "the second sees what the first did");
}

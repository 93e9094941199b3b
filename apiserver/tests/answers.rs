//! What upstream answers to bad requests, and that the binary answers the same.
//!
//! `answers/*.jsonl` has a request a line, with the code, the reason and the message of the answer: a request of each
//! kind was made at random, sent to upstream's v1.36.2, and kept if upstream's answer was a failure that says the same
//! each time. `answers/objects.jsonl` is what there is at the start. None of the requests changes it, so their order does
//! not count.

mod support;

use apimachinery::Value;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use support::{ADMIN, Server, file};
use testkit::etcd::Etcd;

/// A request, and what upstream says to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    method: String,
    target: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    /// A body that is no text.
    #[serde(default)]
    base64: String,
    code: u16,
    reason: String,
    message: String,
}

/// What there is when the requests come.
#[derive(Deserialize)]
struct Existing {
    target: String,
    object: Value,
}

fn lines<T: for<'de> Deserialize<'de>>(path: &Path) -> Vec<T> {
    let text = std::fs::read_to_string(path).expect("a file");
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers")
}

fn arguments(folder: &Path) -> Vec<String> {
    let tokens = file(folder, "tokens.csv", "admin-token,admin,u0,system:masters\n");
    let key = pki::key::Key::generate(pki::key::Algorithm::EcdsaP256).expect("a key").to_pem();
    let key = file(folder, "sa.key", &key);
    vec![
        "--authorization-mode=Node,RBAC".into(),
        format!("--token-auth-file={}", tokens.display()),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        format!("--service-account-signing-key-file={}", key.display()),
        format!("--service-account-key-file={}", key.display()),
        "--allow-privileged=true".into(),
        "--disable-admission-plugins=ServiceAccount".into(),
    ]
}

/// A connection that is made again when the server has ended it.
struct Line<'a> {
    server: &'a Server,
    sender: SendRequest<Full<Bytes>>,
}

impl Line<'_> {
    /// Code, reason and message of the answer.
    async fn ask(&mut self, case: &Case) -> (u16, String, String) {
        let body = match case.base64.as_str() {
            "" => case.body.clone().into_bytes(),
            text => STANDARD.decode(text).expect("base64"),
        };
        let method = Method::from_bytes(case.method.as_bytes()).expect("a method");
        let mut request = Request::builder().method(method).uri(&case.target).header("host", "localhost");
        request = request.header("authorization", ADMIN);
        for (name, value) in &case.headers {
            request = request.header(name, value);
        }
        if self.sender.ready().await.is_err() {
            self.sender = self.server.connect().await;
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        let (parts, body) = self.sender.send_request(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let status: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        (parts.status.as_u16(), text("reason"), text("message"))
    }
}

async fn set_up(server: &Server) {
    let objects: Vec<Existing> = lines(&folder().join("objects.jsonl"));
    for Existing { target, object } in objects {
        // Not all of them can be: upstream refused those, too.
        let answer = server.ask(ADMIN, Method::POST, &target, object).await;
        assert!(!answer.status.is_server_error(), "{target}: {answer:?}");
    }
    // Definitions are served a moment after they are there.
    for plural in ["widgets", "gadgets"] {
        while server.get(ADMIN, &format!("/apis/t.io/v1/{plural}")).await.status == StatusCode::NOT_FOUND {}
    }
}

#[tokio::test]
async fn bad_requests_are_answered_as_upstream_answers_them() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let server = Server::start(&etcd, arguments).await;
    server.ready().await;
    set_up(&server).await;
    let mut line = Line { server: &server, sender: server.connect().await };
    let (mut asked, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(folder()).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.ends_with("objects.jsonl") {
            continue;
        }
        for case in lines::<Case>(&path) {
            let got = line.ask(&case).await;
            asked += 1;
            if got != (case.code, case.reason.clone(), case.message.clone()) {
                let want = (case.code, case.reason, case.message);
                wrong.push(format!("{} {} {}\n  want {want:?}\n  got  {got:?}", case.method, case.target, case.body));
            }
        }
    }
    assert!(asked > 1_500, "{asked} requests");
    assert!(wrong.is_empty(), "{} of {asked} differ:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}

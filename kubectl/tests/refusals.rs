//! Servers that refuse, cut the line, say nonsense or nothing: what is told, and the exit code.
//!
//! The words are those of kubectl 1.36.4 against the same answers.

#[path = "support/scripted.rs"]
mod scripted;

use scripted::{Answer, serve};
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

fn run_at(server: &str, line: &str) -> (String, String, Option<i32>) {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("cm.yaml"), "{apiVersion: v1, kind: ConfigMap, metadata: {name: cm1}}")
        .expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-rs"));
    command.env_clear().env("KUBECONFIG", "/dev/null").env("HOME", home.path()).current_dir(home.path());
    command.args(line.split(' ')).arg(format!("--server={server}")).arg("--token=x");
    let output = command.output().expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

fn run(server: SocketAddr, line: &str) -> (String, String, Option<i32>) {
    run_at(&format!("http://{server}"), line)
}

fn told(server: SocketAddr, line: &str) -> String {
    let (_, told, code) = run(server, line);
    assert_ne!(code, Some(0), "{line}: {told}");
    told
}

/// Pods and configmaps, aggregated.
const CORE: &str = r#"{"kind": "APIGroupDiscoveryList", "items": [{"versions": [{"version": "v1", "resources": [
    {"resource": "pods", "singularResource": "pod", "responseKind": {"kind": "Pod"}, "scope": "Namespaced", "verbs": ["get", "list"]},
    {"resource": "configmaps", "singularResource": "configmap", "responseKind": {"kind": "ConfigMap"}, "scope": "Namespaced", "verbs": ["get", "list"]}]}]}]}"#;

fn discovery(path: &str) -> Option<Answer> {
    match path {
        "/api" => Some(Answer::json(200, CORE)),
        "/apis" => Some(Answer::json(200, r#"{"kind": "APIGroupDiscoveryList", "items": []}"#)),
        _ => None,
    }
}

#[test]
fn answers_that_explain_nothing_are_told_by_their_code() {
    let with = |code| match code {
        400 => serve(|_, path| discovery(path).unwrap_or(Answer::text(400, "some \"text\"\n"))),
        401 => serve(|_, path| discovery(path).unwrap_or(Answer::text(401, "some \"text\"\n"))),
        409 => serve(|_, path| discovery(path).unwrap_or(Answer::text(409, "some \"text\"\n"))),
        410 => serve(|_, path| discovery(path).unwrap_or(Answer::text(410, "some \"text\"\n"))),
        422 => serve(|_, path| discovery(path).unwrap_or(Answer::text(422, "some \"text\"\n"))),
        429 => serve(|_, path| discovery(path).unwrap_or(Answer::text(429, "some \"text\"\n"))),
        _ => serve(|_, path| discovery(path).unwrap_or(Answer::text(500, "some \"text\"\n"))),
    };
    for (code, line, want) in [
        (
            400,
            "get pod p",
            "Error from server (BadRequest): the server rejected our request for an unknown reason (get pods p)\n",
        ),
        (
            401,
            "get pods",
            "error: You must be logged in to the server (the server has asked for the client to provide credentials (get pods))\n",
        ),
        (
            409,
            "create -f cm.yaml",
            "Error from server (AlreadyExists): error when creating \"cm.yaml\": the server reported a conflict (post configmaps)\n",
        ),
        (409, "delete pod p", "Error from server (Conflict): the server reported a conflict (delete pods p)\n"),
        (
            410,
            "get --raw /api/v1/pods",
            "Error from server: the server responded with the status code 410 but did not return more information\n",
        ),
        (422, "get pod p", "The pods \"p\" is invalid: : some \"text\"\n"),
        (
            422,
            "get pods",
            "Error from server (Invalid): the server rejected our request due to an error in our request (get pods)\n",
        ),
        (
            429,
            "get pods",
            "Error from server (TooManyRequests): the server has received too many requests and has asked us to try again later (get pods)\n",
        ),
        (
            500,
            "get pods p q",
            "Error from server (InternalError): an error on the server (\"some \\\"text\\\"\") has prevented the request from succeeding (get pods p)\nError from server (InternalError): an error on the server (\"some \\\"text\\\"\") has prevented the request from succeeding (get pods q)\n",
        ),
    ] {
        assert_eq!(told(with(code), line), want, "{code} {line}");
    }
}

#[test]
fn a_status_is_told_as_it_is_but_harmlessly() {
    let server = serve(|_, path| {
        discovery(path).unwrap_or(Answer::json(
            403,
            r#"{"kind": "Status", "status": "Failure", "reason": "Forbidden", "message": "red \u001b[31m no", "code": 403}"#,
        ))
    });
    assert_eq!(told(server, "get pods"), "Error from server (Forbidden): red ^[[31m no\n");
    // What is said of the server itself is not looked at.
    let server =
        serve(|_, _| Answer::json(401, r#"{"kind": "Status", "status": "Failure", "message": "x", "code": 401}"#));
    let want =
        "error: You must be logged in to the server (the server has asked for the client to provide credentials)\n";
    assert_eq!(told(server, "get pods"), want);
    let want = "error: error validating \"cm.yaml\": error validating data: failed to download openapi: the server has asked for the client to provide credentials; if you choose to ignore these errors, turn validation off with --validate=false\n";
    assert_eq!(told(server, "apply -f cm.yaml"), want);
}

#[test]
fn lines_that_are_cut_are_told_of() {
    let server = serve(|_, path| discovery(path).unwrap_or(Answer::Cut("{\"kind\":")));
    let want = "unexpected error when reading response body. Please retry. Original error: unexpected EOF\n";
    assert_eq!(told(server, "get pods"), want);
    assert_eq!(told(server, "get pod p"), format!("error: {want}"));
    assert_eq!(told(server, "create -f cm.yaml"), format!("error: error when creating \"cm.yaml\": {want}"));
    let raw = run(server, "get --raw /api/v1/pods");
    assert_eq!(raw, ("{\"kind\":".into(), "error: unexpected EOF\n".into(), Some(1)));
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for() {
    let server = serve(|_, path| discovery(path).unwrap_or(Answer::Nothing));
    let begin = Instant::now();
    let want = "Unable to connect to the server: net/http: request canceled (Client.Timeout exceeded while awaiting headers)\n";
    assert_eq!(told(server, "get pods --request-timeout=1"), want);
    assert!(begin.elapsed() < Duration::from_secs(10));
    let closes = serve(|_, path| discovery(path).unwrap_or(Answer::Close));
    assert_eq!(told(closes, "delete pod p"), "Unable to connect to the server: EOF\n");
}

#[test]
fn a_server_that_asks_for_patience_is_asked_again() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let server = serve(|_, path| {
        discovery(path).unwrap_or_else(|| match ASKED.fetch_add(1, Ordering::Relaxed) {
            0 => Answer::Later(429),
            1 => Answer::Later(503),
            _ => Answer::json(200, r#"{"kind": "PodList", "items": []}"#),
        })
    });
    assert_eq!(run(server, "get pods").1, "No resources found in default namespace.\n");
    static NEVER: AtomicUsize = AtomicUsize::new(0);
    let server = serve(|_, path| {
        discovery(path).unwrap_or_else(|| {
            NEVER.fetch_add(1, Ordering::Relaxed);
            Answer::Later(429)
        })
    });
    assert!(told(server, "get pods").starts_with("Error from server (TooManyRequests)"));
    assert_eq!(NEVER.load(Ordering::Relaxed), 11, "once, and ten times again");
}

#[test]
fn nobody_there() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("listens").local_addr().expect("an address");
    let refused =
        format!("The connection to the server {free} was refused - did you specify the right host or port?\n");
    for line in ["get pods", "get --raw /x", "api-resources", "drain n", "wait pod/p --for=delete"] {
        assert_eq!(told(free, line), refused, "{line}");
    }
    for (line, want) in [
        (
            "create configmap x",
            format!(
                "error: failed to create configmap: Post \"http://{free}/api/v1/namespaces/default/configmaps?fieldManager=kubectl-create&fieldValidation=Strict\": dial tcp {free}: connect: connection refused\n"
            ),
        ),
        (
            "apply -f cm.yaml",
            format!(
                "error: error validating \"cm.yaml\": error validating data: failed to download openapi: Get \"http://{free}/openapi/v2?timeout=32s\": dial tcp {free}: connect: connection refused; if you choose to ignore these errors, turn validation off with --validate=false\n"
            ),
        ),
        (
            "diff -f cm.yaml",
            format!(
                "error: unable to recognize \"cm.yaml\": Get \"http://{free}/api?timeout=32s\": dial tcp {free}: connect: connection refused\n"
            ),
        ),
    ] {
        assert_eq!(told(free, line), want, "{line}");
    }
}

#[test]
fn servers_without_aggregated_discovery_are_asked_for_each_group_version() {
    let server = serve(|_, path| match path {
        "/api" => Answer::json(200, r#"{"kind": "APIVersions", "versions": ["v1"]}"#),
        "/api/v1" => Answer::json(
            200,
            r#"{"kind": "APIResourceList", "groupVersion": "v1", "resources": [
                {"name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod", "verbs": ["get", "list"], "shortNames": ["po"]},
                {"name": "pods/log", "singularName": "", "namespaced": true, "kind": "Pod", "verbs": ["get"]}]}"#,
        ),
        "/apis" => Answer::json(
            200,
            r#"{"kind": "APIGroupList", "groups": [
                {"name": "b.example.com", "versions": [{"version": "v1beta1"}, {"version": "v1"}], "preferredVersion": {"version": "v1"}},
                {"name": "metrics.k8s.io", "versions": [{"version": "v1beta1"}], "preferredVersion": {"version": "v1beta1"}}]}"#,
        ),
        "/apis/b.example.com/v1" | "/apis/b.example.com/v1beta1" => Answer::json(
            200,
            r#"{"resources": [{"name": "cows", "singularName": "cow", "namespaced": true, "kind": "Cow", "verbs": ["get", "list"]}]}"#,
        ),
        path if path.starts_with("/api/v1/namespaces/default/pods") => {
            Answer::json(200, r#"{"kind": "PodList", "items": [{"metadata": {"name": "p"}}]}"#)
        }
        _ => Answer::text(503, "no\n"),
    });
    let unavailable = "the server is currently unable to handle the request";
    let (out, err, code) = run(server, "get po");
    assert_eq!((out.as_str(), code), ("NAME   AGE\np      <unknown>\n", Some(0)), "{err}");
    // One line of the log, and no more.
    assert!(err.starts_with('E') && err.lines().count() == 1, "{err}");
    assert!(err.ends_with(&format!(
        "] \"Unhandled Error\" err=\"couldn't get resource list for metrics.k8s.io/v1beta1: {unavailable}\"\n"
    )));
    let (out, err, code) = run(server, "api-resources --no-headers");
    assert_eq!(out, "pods   po    v1                 true   Pod\ncows         b.example.com/v1   true   Cow\n");
    assert!(err.ends_with(&format!(
        "error: unable to retrieve the complete list of server APIs: metrics.k8s.io/v1beta1: {unavailable}\n"
    )));
    assert_eq!(code, Some(1));
    let (out, _, code) = run(server, "api-versions");
    assert_eq!(
        (out.as_str(), code),
        ("b.example.com/v1\nb.example.com/v1beta1\nmetrics.k8s.io/v1beta1\nv1\n", Some(0))
    );
}

//! Servers that refuse, cut the line, say nonsense or nothing: what is told, and the exit code.
//!
//! The words are those of kubectl 1.36.4 against the same answers.

#[path = "support/scripted.rs"]
mod scripted;

use scripted::{Answer, serve, serve_targets};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
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
    without_vain_asks(&told)
}

/// What begins a line that tells of a server that does not say what it serves.
const VAIN: &str = "memcache.go:265] \"Unhandled Error\" err=\"couldn't get current server API group list: ";

/// What a line of the log says of an answer that broke off.
const BROKEN_OFF: &str = "request.go:1196] \"Unexpected error when reading response body\" err=\"unexpected EOF\"";

fn without_vain_asks(told: &str) -> String {
    told.split_inclusive('\n').filter(|line| !line.contains(VAIN) && !line.contains(BROKEN_OFF)).collect()
}

/// Pods, services and configmaps, aggregated.
const CORE: &str = r#"{"kind": "APIGroupDiscoveryList", "items": [{"versions": [{"version": "v1", "resources": [
    {"resource": "pods", "singularResource": "pod", "responseKind": {"kind": "Pod"}, "scope": "Namespaced", "verbs": ["get", "list"]},
    {"resource": "services", "singularResource": "service", "responseKind": {"kind": "Service"}, "scope": "Namespaced", "verbs": ["get", "list"]},
    {"resource": "configmaps", "singularResource": "configmap", "responseKind": {"kind": "ConfigMap"}, "scope": "Namespaced", "verbs": ["get", "list"]}]}]}]}"#;

fn discovery(path: &str) -> Option<Answer> {
    match path {
        "/api" => Some(Answer::json(200, CORE)),
        "/apis" => Some(Answer::json(200, r#"{"kind": "APIGroupDiscoveryList", "items": []}"#)),
        path if path.starts_with("/openapi/v3") => Some(Answer::json(200, r#"{"paths": {}}"#)),
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
fn answers_must_say_what_they_are() {
    for (line, want) in [
        ("delete configmaps x", "error: Object 'Kind' is missing in '{}'\n"),
        ("logs p", "error: Object 'Kind' is missing in '{}'\n"),
        ("get pods p", "error: Object 'Kind' is missing in '{}'\n"),
        ("get pods p -o json", "error: Object 'Kind' is missing in '{}'\n"),
    ] {
        let server = serve(|_, path| discovery(path).unwrap_or(Answer::json(200, "{}")));
        assert_eq!(told(server, line), want, "{line}");
    }
    let texts = serve(|_, path| discovery(path).unwrap_or(Answer::text(200, "{}")));
    assert_eq!(told(texts, "get pods p"), "error: serializer for text/plain doesn't exist\n");
    let packed =
        serve(|_, path| discovery(path).unwrap_or(Answer::Raw("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n{}")));
    let want = "Unable to connect to the server: net/http: HTTP/1.x transport connection broken: unsupported transfer encoding: \"gzip\"\n";
    assert_eq!(told(packed, "get pods p"), want);
    let refused = serve(|_, path| {
        discovery(path).unwrap_or(Answer::json(
            200,
            r#"{"kind": "Status", "status": "Failure", "message": "no", "reason": "NotFound", "code": 404}"#,
        ))
    });
    for line in ["get pods p -o name", "logs p", "label pods p a=b", "delete pods p"] {
        assert!(told(refused, line).to_lowercase().contains("error from server (notfound): no"), "{line}");
    }
    let list = serve(|_, path| discovery(path).unwrap_or(Answer::json(200, "[]")));
    let unstructured = "error: json: cannot unmarshal array into Go value of type unstructured.detector\n";
    for line in ["label pods p a=b", "delete pods p", "describe pods p", "annotate pods p a=b"] {
        assert_eq!(told(list, line), unstructured, "{line}");
    }
}

/// A group's resources as discovery tells them.
fn group(name: &str, resources: &[(&str, &str, &str)]) -> String {
    let told = |(plural, kind, scope): &(&str, &str, &str)| {
        let singular = kind.to_lowercase();
        format!(
            r#"{{"resource": "{plural}", "singularResource": "{singular}", "responseKind": {{"kind": "{kind}"}}, "scope": "{scope}", "verbs": ["get", "list", "patch"]}}"#
        )
    };
    let resources: Vec<String> = resources.iter().map(told).collect();
    format!(
        r#"{{"metadata": {{"name": "{name}"}}, "versions": [{{"version": "v1", "resources": [{}]}}]}}"#,
        resources.join(", ")
    )
}

fn groups(groups: &[String]) -> String {
    format!(r#"{{"kind": "APIGroupDiscoveryList", "items": [{}]}}"#, groups.join(", "))
}

/// The kind of what is behind a path.
fn kind_behind(path: &str) -> &'static str {
    let kinds = [
        ("/certificatesigningrequests", "CertificateSigningRequest"),
        ("/deployments", "Deployment"),
        ("/services", "Service"),
        ("/nodes", "Node"),
        ("/rolebindings", "RoleBinding"),
        ("/replicasets", "ReplicaSet"),
        ("/events", "Event"),
    ];
    kinds.iter().find(|(part, _)| path.contains(part)).map_or("Pod", |(_, kind)| kind)
}

#[test]
fn answers_of_odd_shapes_end_no_command_in_a_panic() {
    let core = [
        ("pods", "Pod", "Namespaced"),
        ("services", "Service", "Namespaced"),
        ("nodes", "Node", "Cluster"),
        ("events", "Event", "Namespaced"),
    ];
    let apps = [("deployments", "Deployment", "Namespaced"), ("replicasets", "ReplicaSet", "Namespaced")];
    let rbac = [("rolebindings", "RoleBinding", "Namespaced"), ("roles", "Role", "Namespaced")];
    let requests = [("certificatesigningrequests", "CertificateSigningRequest", "Cluster")];
    let core: &'static str = groups(&[group("", &core)]).leak();
    let named: &'static str = groups(&[
        group("apps", &apps),
        group("rbac.authorization.k8s.io", &rbac),
        group("certificates.k8s.io", &requests),
    ])
    .leak();
    for shape in [
        r#""metadata": {"name": "p", "uid": "u"}, "spec": "x", "status": "y", "items": [5, "x"], "subjects": ["x"], "rules": "r", "data": 1"#,
        r#""metadata": {"name": "p", "annotations": 5, "labels": "l"}, "spec": {"containers": ["c"], "template": "t", "selector": 3, "taints": ["t"]}, "status": {"conditions": ["x"]}"#,
        r#""metadata": "m", "spec": {"template": {"metadata": "m", "spec": "s"}, "containers": [{"name": 1}], "replicas": "r"}, "status": [], "items": {"a": 1}"#,
        r#""metadata": [], "spec": [1], "status": {"containerStatuses": [1], "conditions": {"a": "b"}}, "items": [{"metadata": "m", "spec": "s", "status": "t", "involvedObject": 5}]"#,
    ] {
        let server = serve_targets(move |_, path| match path.split('?').next().unwrap_or_default() {
            "/api" => Answer::json(200, core),
            "/apis" => Answer::json(200, named),
            path => Answer::json(200, &format!(r#"{{"kind": "{}", "apiVersion": "v1", {shape}}}"#, kind_behind(path))),
        });
        for line in [
            "get pods p -o wide",
            "get pods -o yaml",
            "get pods --sort-by=.spec.x",
            "describe pods p",
            "describe nodes p",
            "describe deployments p",
            "describe services p",
            "events",
            "certificate approve p",
            "scale deployments p --replicas=2",
            "rollout history deployments/p --revision=1",
            "rollout undo deployments/p",
            "rollout restart deployments/p",
            "rollout status deployments/p --timeout=1s",
            "set image deployments/p *=x",
            "set env pods/p a=b",
            "set serviceaccount deployments p s",
            "set selector services p a=b",
            "set resources pods p --limits=cpu=1",
            "taint nodes p a=b:NoSchedule",
            "cordon p",
            "drain p --force",
            "label pods p a=b",
            "annotate pods p a=b",
            "expose pods p --port=1",
            "autoscale deployments p --max=2",
            "wait pods/p --for=condition=Ready --timeout=1s",
            "exec p -- x",
            "logs p",
            "debug p --image=x",
            "debug p --image=x --copy-to=q --profile=general",
            "debug node/p --image=x --profile=sysadmin",
            "why pod p",
            "why node p",
            "delete pods p --wait=false",
            "apply -f cm.yaml --validate=false",
            "top pods",
            "set subject rolebindings p --user=u",
        ] {
            let (_, told, code) = run(server, line);
            assert!(matches!(code, Some(0 | 1)), "{line} of {shape}: {code:?} {told}");
        }
    }
}

#[test]
fn what_says_what_there_is_must_be_readable() {
    let html = serve(|_, _| Answer::Whole(200, "text/html", "<html>".into()));
    assert_eq!(told(html, "get pods"), "error: invalid character '<' looking for beginning of value\n");
    let want = "error: error validating \"cm.yaml\": error validating data: failed to download openapi: proto: cannot parse invalid wire-format data; if you choose to ignore these errors, turn validation off with --validate=false\n";
    assert_eq!(told(html, "create -f cm.yaml"), want);
}

#[test]
fn lines_that_are_cut_are_told_of() {
    let server = serve(|_, path| discovery(path).unwrap_or(Answer::Cut("{\"kind\":")));
    let want = "unexpected error when reading response body. Please retry. Original error: unexpected EOF\n";
    assert_eq!(told(server, "get pods"), want);
    assert_eq!(run(server, "get pods").1.matches(BROKEN_OFF).count(), 1);
    assert_eq!(told(server, "get pod p"), format!("error: {want}"));
    assert_eq!(told(server, "create -f cm.yaml"), format!("error: error when creating \"cm.yaml\": {want}"));
    let raw = run(server, "get --raw /api/v1/pods");
    assert_eq!(raw, ("{\"kind\":".into(), "error: unexpected EOF\n".into(), Some(1)));
}

/// A table with a pod.
const PODS: &str = r#"{"kind": "Table", "metadata": {"resourceVersion": "5"}, "columnDefinitions": [{"name": "Name"}, {"name": "Status"}], "rows": [{"cells": ["a-long-name", "Running"]}]}"#;

#[test]
fn names_have_kinds_only_where_several_are_there() {
    let server = serve(|_, path| match discovery(path) {
        Some(answer) => answer,
        None if path.contains("/services/") => Answer::text(404, "no"),
        None => Answer::json(200, PODS),
    });
    let shown = |line| run(server, line).0;
    assert_eq!(shown("get service/s pod/p"), "NAME          STATUS\na-long-name   Running\n");
    assert_eq!(shown("get service/s pod/p --show-kind"), "NAME              STATUS\npod/a-long-name   Running\n");
}

/// The head of a watch, and a change.
macro_rules! change {
    ($rest:literal) => {
        concat!(
            "HTTP/1.1 200 X\r\ncontent-type: application/json\r\n\r\n",
            r#"{"type": "MODIFIED", "object": {"kind": "Table", "rows": [{"cells": ["p", "Gone"]}]}}"#,
            "\n",
            $rest
        )
    };
}

#[test]
fn watches_that_are_cut_are_over() {
    let with = |rest: &'static str| {
        let server =
            scripted::serve_targets(move |_, target| match discovery(target.split('?').next().unwrap_or("")) {
                Some(answer) => answer,
                None if target.contains("watch=true") => Answer::Raw(rest),
                None => Answer::json(200, PODS),
            });
        run(server, "get pods -w")
    };
    let seen = "NAME          STATUS\na-long-name   Running\np             Gone\n";
    for rest in [change!(""), change!("{\"type\": \"MOD")] {
        assert_eq!(with(rest), (seen.to_owned(), String::new(), Some(0)), "{rest}");
    }
    // What cannot be read is shown as what it is.
    let (out, err, code) = with(change!("garbage\n"));
    assert_eq!(
        (out.strip_prefix(seen), err.as_str(), code),
        (
            Some(
                "STATUS        REASON          MESSAGE\nFailure       InternalError   an error on the server (\"unable to decode an event from the watch stream: invalid character 'g' looking for beginning of value\") has prevented the request from succeeding\n"
            ),
            "",
            Some(0)
        )
    );
}

#[test]
fn what_is_there_is_looked_at_before_it_is_watched() {
    let with = |list: fn() -> Answer| serve_lists(list);
    let refused = with(|| Answer::text(404, "no"));
    assert_eq!(
        told(refused, "get pods -w"),
        "Error from server (NotFound): Unable to list \"/v1, Resource=pods\": the server could not find the requested resource (get pods)\n"
    );
    let cut = with(|| Answer::Cut("{\"kind\":"));
    assert_eq!(
        told(cut, "get pods -w"),
        "error: unexpected error when reading response body. Please retry. Original error: unexpected EOF\n"
    );
    let services = with(|| Answer::text(404, "no"));
    let want = "Error from server (NotFound): Unable to find \"/v1, Resource=services\" that match label selector \"kubernetes.io/cluster-service=true\", field selector \"\": the server could not find the requested resource (get services)\n";
    assert_eq!(told(services, "cluster-info"), want);
}

fn serve_lists(list: fn() -> Answer) -> SocketAddr {
    scripted::serve_targets(move |_, target| {
        discovery(target.split('?').next().unwrap_or_default()).unwrap_or_else(list)
    })
}

#[test]
fn a_server_that_watches_nothing_is_asked_again() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let server = scripted::serve_targets(|_, target| match discovery(target.split('?').next().unwrap_or("")) {
        Some(answer) => answer,
        None if target.contains("watch=true") && ASKED.fetch_add(1, Ordering::Relaxed) < 2 => Answer::text(500, "no"),
        None if target.contains("watch=true") => Answer::Raw(
            "HTTP/1.1 200 X\r\n\r\n{\"type\": \"DELETED\", \"object\": {\"kind\": \"Pod\", \"metadata\": {\"name\": \"p\"}}}\n",
        ),
        None if target.contains("/pods/p") => Answer::json(200, r#"{"kind": "Pod", "metadata": {"name": "p"}}"#),
        None => Answer::json(200, r#"{"kind": "PodList", "items": [{"metadata": {"name": "p"}}]}"#),
    });
    let (out, err, code) = run(server, "wait pod/p --for=delete");
    assert_eq!((out.as_str(), code), ("pod/p condition met\n", Some(0)), "{err}");
    assert_eq!(err.matches("\"Failed to watch\"").count(), 2, "{err}");
    // Whoever sees no end is not told that all is well.
    let server = scripted::serve_targets(|_, target| match discovery(target.split('?').next().unwrap_or("")) {
        Some(answer) => answer,
        None if target.contains("/pods/p") => Answer::json(200, r#"{"kind": "Pod", "metadata": {"name": "p"}}"#),
        None => Answer::Cut("{"),
    });
    let want = "error: timed out waiting for the condition on pods/p\n";
    assert!(told(server, "wait pod/p --for=delete --timeout=2s").ends_with(want));
}

#[test]
fn what_is_not_http_is_told_of() {
    let broken = "Unable to connect to the server: net/http: HTTP/1.x transport connection broken:";
    for (answers, want) in [
        (serve(|_, _| Answer::Raw("garbage\n")), "malformed HTTP response \"garbage\""),
        (serve(|_, _| Answer::Raw("SSH-2.0-x Debian\r\n")), "malformed HTTP status code \"Debian\""),
        (
            serve(|_, _| Answer::Raw("HTTP/1.1 200 OK\r\n\u{1b}[31m\r\n\r\n")),
            "malformed MIME header: missing colon: \"\\x1b[31m\"",
        ),
    ] {
        assert_eq!(told(answers, "get --raw /x"), format!("{broken} {want}\n"));
        assert_eq!(told(answers, "get pods"), format!("{broken} {want}\n"));
    }
}

#[test]
fn a_signal_ends_what_would_go_on() {
    let server = scripted::serve_targets(|_, target| match discovery(target.split('?').next().unwrap_or("")) {
        Some(answer) => answer,
        None if target.contains("watch=true") => Answer::Open(change!("")),
        None => Answer::json(200, PODS),
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-rs"));
    command.env_clear().env("KUBECONFIG", "/dev/null").env("HOME", "/nonexistent");
    command.args(["get", "pods", "-w"]).arg(format!("--server=http://{server}"));
    for signal in ["INT", "TERM", "HUP"] {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line.starts_with("p "))), "the change is shown");
        let killed = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status();
        assert!(killed.is_ok_and(|status| status.success()));
        let output = child.wait_with_output().expect("ends");
        assert_eq!((output.status.code(), output.stderr), (Some(1), Vec::new()), "{signal}");
    }
}

#[test]
fn who_sends_elsewhere_is_followed() {
    let server = serve(|method, path| match (method, path) {
        (_, "/new") => Answer::text(200, "here"),
        (_, "/loop") => Answer::Elsewhere(302, "/loop"),
        (_, "/ftp") => Answer::Elsewhere(302, "ftp://x/"),
        _ => Answer::Elsewhere(307, "/new"),
    });
    assert_eq!(run(server, "get --raw /old"), ("here".into(), String::new(), Some(0)));
    assert_eq!(told(server, "get --raw /loop"), "Unable to connect to the server: stopped after 10 redirects\n");
    let want = "Unable to connect to the server: unsupported protocol scheme \"ftp\"\n";
    assert_eq!(told(server, "get --raw /ftp"), want);
}

#[test]
fn a_namespace_that_is_not_there_is_told_of() {
    let server = serve(|_, path| match path {
        "/api/v1/namespaces/none" => Answer::json(
            404,
            r#"{"kind": "Status", "status": "Failure", "message": "namespaces \"none\" not found", "reason": "NotFound", "code": 404}"#,
        ),
        "/api/v1/namespaces/some" => Answer::json(200, r#"{"kind": "Namespace", "apiVersion": "v1"}"#),
        path => discovery(path).unwrap_or(Answer::text(404, "")),
    });
    let missing = "Error from server (NotFound): namespaces \"none\" not found\n";
    for line in ["get pod p", "get pod p -o yaml", "label pod p a=b", "attach p", "debug p --image=x"] {
        assert_eq!(told(server, &format!("-n none {line}")), missing, "{line}");
        let other = "Error from server (NotFound): the server could not find the requested resource (get pods p)\n";
        assert_eq!(told(server, &format!("-n some {line}")), other, "{line}");
    }
    let want = "error: error from server (NotFound): namespaces \"none\" not found in namespace \"none\"\n";
    assert_eq!(told(server, "-n none logs p"), want);
    // A name that would lead elsewhere is told as it was given.
    let want = "invalid namespace \"../x\": [may not contain '/']\n";
    assert_eq!(told(server, "-n ../x get pods"), want);
    for line in ["get pod p", "label pod p a=b", "delete pod p"] {
        assert_eq!(told(server, &format!("-n ../x {line}")), format!("error: {want}"), "{line}");
    }
}

#[test]
fn only_some_successes_are_any() {
    let refused = "Error from server: the server responded with the status code 299 but did not return more information (get pods p)\n";
    let odd = serve(|_, path| discovery(path).unwrap_or(Answer::json(299, "{}")));
    assert_eq!(told(odd, "get pod p"), refused);
    let switched = serve(|_, path| discovery(path).unwrap_or(Answer::Raw("HTTP/1.1 101 X\r\n\r\n")));
    assert_eq!(told(switched, "get pod p"), "error: unexpected end of JSON input\n");
    let media = serve(|_, path| discovery(path).unwrap_or(Answer::Whole(404, "a/b; c", String::new())));
    let want = "Error from server (InternalError): Internal error occurred: mime: invalid media parameter\n";
    assert_eq!(told(media, "get pod p"), want);
}

#[test]
fn nonsense_about_what_there_is_is_forgiven_once() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static FIRST: AtomicBool = AtomicBool::new(true);
    let server = serve(|_, path| match path {
        "/api" if FIRST.swap(false, Ordering::Relaxed) => Answer::Cut("{"),
        path => discovery(path).unwrap_or(Answer::json(200, PODS)),
    });
    assert_eq!(run(server, "get pods").2, Some(0));
    FIRST.store(true, Ordering::Relaxed);
    assert_eq!(run(server, "label pods --all a=b --list").2, Some(0));
}

#[test]
fn a_head_that_is_cut_is_not_asked_for_again() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let server = serve(|_, path| {
        discovery(path).unwrap_or_else(|| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            Answer::Raw("HTTP/1.1 200 OK\r\nContent-Ty")
        })
    });
    let want = "Unable to connect to the server: net/http: HTTP/1.x transport connection broken: malformed MIME header: missing colon: \"Content-Ty\"\n";
    assert_eq!(told(server, "get pod p"), want);
    assert_eq!(ASKED.load(Ordering::Relaxed), 1);
}

/// A server of which nothing is without an escape.
fn hostile(target: &str) -> Answer {
    let path = target.split('?').next().unwrap_or_default();
    let name =
        r#""metadata": {"name": "p\u001b[31m", "namespace": "d\u001b[31m", "labels": {"a\u001b[31m": "b\u001b[31m"}}"#;
    let pod = format!(
        r#"{{"kind": "Pod", "apiVersion": "v1", {name}, "spec": {{"nodeName": "n\u001b[31m", "containers": [{{"name": "c", "image": "i\u001b[31m"}}]}}, "status": {{"phase": "x\u001b[31m", "message": "m\u001b[31m\u0007"}}}}"#
    );
    let event = format!(
        r#"{{"kind": "Event", "apiVersion": "v1", {name}, "involvedObject": {{"kind": "Pod", "name": "p\u001b[31m"}}, "type": "t\u001b[31m", "reason": "r\u001b[31m", "message": "m\u001b[31m"}}"#
    );
    match path {
        _ if discovery(path).is_some() => discovery(path).expect("something"),
        "/api/v1/namespaces/default/events" => {
            Answer::json(200, &format!(r#"{{"kind": "EventList", "metadata": {{}}, "items": [{event}]}}"#))
        }
        "/api/v1/namespaces/default/pods" => Answer::json(
            200,
            r#"{"kind": "Table", "columnDefinitions": [{"name": "N\u001b[31m"}], "rows": [{"cells": ["p\u001b[31m"]}]}"#,
        ),
        "/api/v1/namespaces/default/pods/p" => Answer::json(200, &pod),
        path if path.ends_with("/log") => Answer::text(200, "a line\n"),
        _ => Answer::json(
            403,
            r#"{"kind": "Status", "status": "Failure", "reason": "Forbidden\u001b[31m", "message": "no\u001b[31m", "code": 403}"#,
        ),
    }
}

#[test]
fn nothing_of_a_server_reaches_the_terminal_as_a_command() {
    let server = scripted::serve_targets(|_, target| hostile(target));
    for line in [
        "get pods",
        "get pods -w",
        "get pods -o wide --show-labels",
        "get pod p -o custom-columns=A:.status.message",
        "describe pod p",
        "events",
        "logs --prefix p",
        "why pod p",
        "label pod p x=y",
        "patch pod p -p {}",
        "get pod p -o name",
        "delete configmap x",
        "create configmap x",
        "label pod p --list",
    ] {
        let (out, err, _) = run(server, line);
        assert!(!format!("{out}{err}").contains(['\u{1b}', '\u{7}']), "{line}: {out:?} {err:?}");
        assert!(format!("{out}{err}").contains("^[[31m") || line.starts_with("logs"), "{line}: {out:?} {err:?}");
    }
}

#[test]
fn addresses_that_lead_nowhere() {
    for (server, want) in [
        ("http://", "error: host must be a URL or a host:port pair: \"http://\"\n"),
        ("http://x:abc", "error: host must be a URL or a host:port pair: \"http://x:abc\"\n"),
        ("ftp://x", "Unable to connect to the server: unsupported protocol scheme \"ftp\"\n"),
        ("http://127.0.0.1:99999", "Unable to connect to the server: dial tcp: address 99999: invalid port\n"),
    ] {
        let (out, told, code) = run_at(server, "get pods");
        assert_eq!((out.as_str(), without_vain_asks(&told).as_str(), code), ("", want, Some(1)), "{server}");
    }
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
fn every_vain_ask_is_told() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("listens").local_addr().expect("an address");
    for (line, asks) in [
        ("api-resources", 1),
        ("diff -f cm.yaml", 1),
        ("explain pods", 2),
        ("taint nodes n a=b:NoSchedule", 2),
        ("logs p", 4),
        ("logs -l a=b", 4),
        ("get pods/p svc/s", 4),
        ("drain n", 4),
        ("delete pod p", 5),
        ("get pods,svc", 6),
        ("get foos.v1.example.com f", 7),
        ("create configmap x", 0),
        ("top pods", 0),
    ] {
        let told = run(free, line).1;
        assert_eq!(told.matches(VAIN).count(), asks, "{line}: {told}");
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

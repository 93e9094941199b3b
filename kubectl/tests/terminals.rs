//! Commands in a terminal, as a person types them.

#[path = "support/answers.rs"]
mod answers;
#[path = "support/terminal.rs"]
mod terminal;

use answers::serve;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use terminal::Terminal;

const PROGRAM: &str = env!("CARGO_BIN_EXE_kubectl-rs");

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Ctrl-C.
const INTERRUPT: &[u8] = &[3];

fn kubectl(server: SocketAddr, home: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env("KUBECONFIG", "/dev/null").env("HOME", home).arg(format!("--server=http://{server}"));
    command
}

/// A node with a pod, and a config map.
fn answers(method: &str, path: &str, body: &Value) -> Option<Value> {
    let resource = |plural: &str, kind: &str, scope: &str| {
        json!({"resource": plural, "responseKind": {"kind": kind}, "scope": scope,
            "verbs": ["create", "delete", "get", "list", "patch", "watch"],
            "subresources": [{"subresource": "eviction", "responseKind": {"group": "policy", "version": "v1", "kind": "Eviction"}, "verbs": ["create"]}]})
    };
    let map = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default", "uid": "c", "resourceVersion": "1"}, "data": {"k": value}});
    let picky = |value: &str| {
        let mut object = map(value);
        object["metadata"]["name"] = "picky".into();
        object
    };
    let node = |cordoned: bool| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "resourceVersion": "1"}, "spec": {"unschedulable": cordoned}});
    let row = |name: &str| {
        json!({"type": "ADDED", "object": {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "2"},
            "columnDefinitions": [{"name": "Name", "type": "string", "priority": 0}],
            "rows": [{"cells": [name], "object": {"kind": "PartialObjectMetadata", "metadata": {"name": name, "namespace": "default"}}}]}})
    };
    match (method, path.split('?').next().unwrap_or_default()) {
        (_, "/api") => Some(
            json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": ""}, "versions": [{"version": "v1", "resources": [
            resource("configmaps", "ConfigMap", "Namespaced"), resource("nodes", "Node", "Cluster"), resource("pods", "Pod", "Namespaced")]}]}]}),
        ),
        (_, "/apis") => Some(json!({"kind": "APIGroupDiscoveryList", "items": []})),
        ("GET", "/api/v1/namespaces/default/configmaps/c") => Some(map("one")),
        ("PATCH", "/api/v1/namespaces/default/configmaps/c") => {
            assert_eq!(body["data"]["k"], "two");
            Some(map("two"))
        }
        ("GET", "/api/v1/namespaces/default/configmaps/picky") => Some(picky("one")),
        ("PATCH", "/api/v1/namespaces/default/configmaps/picky") if body["data"]["k"] == "bad" => Some(
            json!({"kind": "Status", "status": "Failure", "code": 422, "reason": "Invalid", "message": "no", "details": {
                "kind": "ConfigMap", "name": "picky", "causes": [{"field": "data", "message": "not that"}]}}),
        ),
        ("PATCH", "/api/v1/namespaces/default/configmaps/picky") => Some(picky("good")),
        ("GET", "/api/v1/namespaces/default/configmaps") if path.contains("limit=") => {
            Some(json!({"kind": "ConfigMapList", "metadata": {}, "items": [
            {"metadata": {"name": "c", "namespace": "default", "uid": "c", "annotations": {LAST_APPLIED: "{}"}}},
            {"metadata": {"name": "old", "namespace": "default", "uid": "o", "annotations": {LAST_APPLIED: "{}"}}},
            {"metadata": {"name": "mine", "namespace": "default", "uid": "m"}}]}))
        }
        ("DELETE", "/api/v1/namespaces/default/configmaps/old") => Some(json!({"kind": "Status", "status": "Success"})),
        ("GET", "/api/v1/nodes/n") => Some(node(false)),
        ("PATCH", "/api/v1/nodes/n") => Some(node(true)),
        ("GET", "/api/v1/pods") => {
            Some(json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": [
            {"metadata": {"name": "p", "namespace": "default", "uid": "u", "ownerReferences": [{"controller": true, "kind": "ReplicaSet", "name": "r", "apiVersion": "apps/v1", "uid": "r"}]},
                "spec": {"nodeName": "n"}, "status": {"phase": "Running"}}]}))
        }
        ("POST", "/api/v1/namespaces/default/pods/p/eviction") => Some(json!({"kind": "Status", "status": "Success"})),
        ("GET", "/api/v1/namespaces/default/configmaps") if path.contains("watch=") => {
            Some(json!([row("first"), row("second")]))
        }
        _ => None,
    }
}

#[test]
fn an_editor_has_the_terminal() {
    let home = tempfile::tempdir().expect("a folder");
    let mut terminal = Terminal::new(24, 80);
    let mut command = kubectl(serve(answers), home.path());
    let editor = home.path().join("editor");
    let script = "#!/bin/sh\ntest -t 0 && test -t 1 && echo editing && sed -i s/one/two/ \"$1\"\n";
    std::fs::write(&editor, script).expect("writes");
    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    std::fs::set_permissions(&editor, mode).expect("sets");
    command.env("KUBE_EDITOR", &editor).args(["edit", "configmap", "c"]);
    let mut child = terminal.start(&command);
    let shown = terminal.expect("configmap/c edited");
    assert!(shown.contains("editing"), "{shown}");
    assert_eq!(child.wait().expect("ends").code(), Some(0));
}

#[test]
fn what_the_server_refuses_is_edited_again() {
    let home = tempfile::tempdir().expect("a folder");
    let mut terminal = Terminal::new(24, 120);
    let mut command = kubectl(serve(answers), home.path());
    let editor = home.path().join("editor");
    let script = "#!/bin/sh\nif grep -q '^# \\* data: not that' \"$1\"; then sed -i s/bad/good/ \"$1\"; else sed -i s/one/bad/ \"$1\"; fi\n";
    std::fs::write(&editor, script).expect("writes");
    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    std::fs::set_permissions(&editor, mode).expect("sets");
    command.env("KUBE_EDITOR", &editor).env("TMPDIR", home.path()).args(["edit", "configmap", "picky"]);
    let mut child = terminal.start(&command);
    let shown = terminal.expect("configmap/picky edited");
    assert!(shown.contains("error: configmaps \"picky\" is invalid"), "{shown}");
    assert_eq!(child.wait().expect("ends").code(), Some(0));
    let left = std::fs::read_dir(home.path()).expect("reads").flatten();
    assert!(
        !left.into_iter().any(|entry| entry.file_name().to_string_lossy().contains("-edit-")),
        "files that are left"
    );
}

#[test]
fn a_watch_goes_on_until_it_is_interrupted() {
    let home = tempfile::tempdir().expect("a folder");
    let mut terminal = Terminal::new(24, 80);
    let mut command = kubectl(serve(answers), home.path());
    command.args(["get", "configmaps", "-w"]);
    let mut child = terminal.start(&command);
    let shown = terminal.expect("second");
    let places: Vec<Option<usize>> = ["NAME", "first", "second"].iter().map(|text| shown.find(text)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{shown}");
    terminal.press(INTERRUPT);
    assert_ne!(child.wait().expect("ends").code(), Some(0));
}

#[test]
fn pruning_waits_for_a_yes() {
    let home = tempfile::tempdir().expect("a folder");
    let manifest = home.path().join("c.yaml");
    std::fs::write(&manifest, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: two}\n")
        .expect("writes");
    let server = serve(answers);
    for (typed, want) in [(&b"n\r"[..], "pruning is cancelled"), (b"y\r", "configmap/old pruned")] {
        let mut terminal = Terminal::new(24, 80);
        let mut command = kubectl(server, home.path());
        command.args(["apply", "--prune", "--all", "--prune-allowlist=core/v1/ConfigMap", "--interactive", "-f"]);
        command.arg(&manifest);
        let mut child = terminal.start(&command);
        let shown = terminal.expect("(y/N): ");
        assert!(shown.contains("configmap/c unchanged") && shown.contains("configmap/old\r\n"), "{shown}");
        terminal.press(typed);
        terminal.expect(want);
        assert_eq!(child.wait().expect("ends").code(), Some(0));
    }
}

#[test]
fn draining_is_told_step_by_step() {
    let home = tempfile::tempdir().expect("a folder");
    let mut terminal = Terminal::new(24, 80);
    let mut command = kubectl(serve(answers), home.path());
    command.args(["drain", "n"]);
    let mut child = terminal.start(&command);
    let shown = terminal.expect("node/n drained");
    let places: Vec<Option<usize>> =
        ["node/n cordoned", "evicting pod default/p", "pod/p evicted"].iter().map(|text| shown.find(text)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{shown}");
    assert_eq!(child.wait().expect("ends").code(), Some(0));
}

#[test]
fn bash_completes_commands_flags_and_types() {
    let home = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink(PROGRAM, home.path().join("kubectl")).expect("links");
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", serve(answers))}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": ""}}]});
    std::fs::write(home.path().join("config"), config.to_string()).expect("writes");
    let mut bash = Command::new("bash");
    let path = format!("{}:/usr/bin:/bin", home.path().display());
    bash.args(["--norc", "--noprofile", "-i"]).env("HOME", home.path()).env("PATH", path).env("TERM", "dumb");
    bash.env("KUBECONFIG", home.path().join("config")).env("PS1", "ready> ").env("INPUTRC", "/dev/null");
    for (typed, want) in [
        ("kubectl desc\t", "kubectl describe "),
        ("kubectl get --all-n\t", "kubectl get --all-namespaces "),
        ("kubectl get config\t", "kubectl get configmaps "),
        ("kubectl rollout sta\t", "kubectl rollout status "),
    ] {
        // A shell for each line: it ends with its terminal.
        let mut terminal = Terminal::new(24, 200);
        let mut child = terminal.start(&bash);
        terminal.expect("ready> ");
        terminal.press(b"source <(kubectl completion bash) && echo com''plete\r");
        terminal.expect("complete\r\n");
        terminal.expect("ready> ");
        terminal.press(typed.as_bytes());
        terminal.expect(want);
        drop(terminal);
        assert!(child.wait().is_ok());
    }
}

#[test]
fn errors_come_with_what_to_do_next() {
    let server = serve(|method, path, body| match path.split('?').next().unwrap_or_default() {
        "/api/v1/namespaces/default/configmaps/secret" => {
            Some(json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden",
            "message": "configmaps \"secret\" is forbidden: User \"x\" cannot get resource \"configmaps\" in API group \"\" in the namespace \"default\""}))
        }
        _ => answers(method, path, body),
    });
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(
        home.path().join("kc"),
        "contexts: [{name: one, context: {cluster: c}}, {name: two, context: {cluster: c}}]",
    )
    .expect("written");
    let manifest = home.path().join("pod.yaml");
    std::fs::write(&manifest, "{apiVersion: v1, kind: Pud, metadata: {name: p}}").expect("written");
    let manifest = format!("create --validate=false -f {}", manifest.display());
    for (line, want) in [
        ("get podz", "Did you mean pods?"),
        ("describe podz p", "Did you mean pods?"),
        (&manifest, "Did you mean Pod of v1?"),
        ("get pods --context=three", "The kubeconfig has: one, two"),
        ("get configmaps secret", "kubectl create role get-configmaps --verb=get --resource=configmaps -n default"),
    ] {
        let with = || {
            let mut command = kubectl(server, home.path());
            command.env("KUBECONFIG", home.path().join("kc")).args(line.split(' '));
            command
        };
        let mut terminal = Terminal::new(24, 200);
        let mut child = terminal.start(&with());
        terminal.expect(want);
        assert_eq!(child.wait().expect("ends").code(), Some(1), "{line}");
        // Nobody at a terminal: nothing but the error.
        let output = with().output().expect("runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!told.contains(want) && told.lines().count() <= 2, "{line}: {told}");
    }
}

//! Commands of the binary that ask no server: kubeconfigs, preferences, plugins, completion.

use std::path::Path;
use std::process::{Command, Output};

fn kubectl(home: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-rs"));
    command.env_clear().env("HOME", home).env("PATH", format!("{}:/usr/bin:/bin", home.display()));
    command.args(words).output().expect("runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn program(path: &Path, text: &str) {
    std::fs::write(path, text).expect("writes");
    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    std::fs::set_permissions(path, mode).expect("sets");
}

#[test]
fn a_kubeconfig_is_made_and_changed() {
    let home = tempfile::tempdir().expect("a folder");
    let run = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let output = kubectl(home.path(), &words);
        format!("{}{}", stdout(&output), stderr(&output))
    };
    for (line, want) in [
        ("config current-context", "error: current-context is not set\n"),
        ("config set-cluster c --server=https://1.2.3.4", "Cluster \"c\" set.\n"),
        ("config set-credentials u --token=secret", "User \"u\" set.\n"),
        ("config set-context x --cluster=c --user=u -n ns", "Context \"x\" created.\n"),
        ("config use-context x", "Switched to context \"x\".\n"),
        ("config current-context", "x\n"),
        (
            "config get-contexts",
            "CURRENT   NAME   CLUSTER   AUTHINFO   NAMESPACE\n*         x      c         u          ns\n",
        ),
        (
            "config view",
            "apiVersion: v1\nclusters:\n- cluster:\n    server: https://1.2.3.4\n  name: c\ncontexts:\n- context:\n    cluster: c\n    namespace: ns\n    user: u\n  name: x\ncurrent-context: x\nkind: Config\nusers:\n- name: u\n  user:\n    token: REDACTED\n",
        ),
        ("config view --raw -o jsonpath={.users[0].user.token}", "secret"),
        ("config set users.u.password p", "Property \"users.u.password\" set.\n"),
        ("config unset users.u.password", "Property \"users.u.password\" unset.\n"),
        ("config rename-context x y", "Context \"x\" renamed to \"y\".\n"),
        ("config use-context x", "error: no context exists with the name: \"x\"\n"),
        ("config get-contexts -o name", "y\n"),
    ] {
        assert_eq!(run(line), want, "{line}");
    }
    assert!(
        run("config delete-context y").starts_with("warning: this removed your active context")
            || run("config get-contexts -o name").is_empty()
    );
    let mode = std::fs::metadata(home.path().join(".kube/config")).expect("there").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
}

#[test]
fn plugins_are_run_with_what_is_behind_them() {
    let home = tempfile::tempdir().expect("a folder");
    program(&home.path().join("kubectl-foo"), "#!/bin/sh\necho foo \"$@\" $MARK\n");
    program(&home.path().join("kubectl-foo-b_ar"), "#!/bin/sh\necho bar \"$@\"\nexit 3\n");
    program(&home.path().join("kubectl-create-cow"), "#!/bin/sh\necho cow \"$@\"\n");
    for (words, want, code) in [
        (vec!["foo", "x", "--y"], "foo x --y\n", 0),
        (vec!["foo", "b-ar", "z"], "bar z\n", 3),
        (vec!["create", "cow", "1"], "cow 1\n", 0),
    ] {
        let output = kubectl(home.path(), &words);
        assert_eq!((stdout(&output).as_str(), output.status.code()), (want, Some(code)), "{words:?}");
    }
    let early = kubectl(home.path(), &["--context", "x", "foo"]);
    assert_eq!(stderr(&early), "Error: flags cannot be placed before plugin name: --context\n");
    let list = kubectl(home.path(), &["plugin", "list", "--name-only"]);
    assert!(stdout(&list).contains("\nkubectl-foo\nkubectl-foo-b_ar\n"), "{}", stdout(&list));
    assert_eq!(list.status.code(), Some(1), "one of them has the name of a command");
}

#[test]
fn preferences_change_the_command_line() {
    let home = tempfile::tempdir().expect("a folder");
    let kuberc = home.path().join("kuberc");
    std::fs::write(
        &kuberc,
        "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\naliases:\n- name: ver\n  command: version\n  options:\n  - name: client\n    default: \"true\"\ndefaults:\n- command: version\n  options:\n  - name: output\n    default: json\n",
    )
    .expect("writes");
    let path = kuberc.display().to_string();
    let alias = kubectl(home.path(), &["ver", "--kuberc", &path]);
    assert!(stdout(&alias).starts_with("Client Version: v"), "{}", stderr(&alias));
    let default = kubectl(home.path(), &["version", "--client", "--kuberc", &path]);
    assert!(stdout(&default).starts_with("{\n  \"clientVersion\": {\n    \"major\": \"1\""), "{}", stdout(&default));
    let gone = kubectl(home.path(), &["version", "--client", "--kuberc", "/nowhere"]);
    assert_eq!(
        stderr(&gone),
        "error occurred while applying preferences kuberc error kuberc: open /nowhere: no such file or directory\n"
    );
    let off = Command::new(env!("CARGO_BIN_EXE_kubectl-rs"))
        .args(["version", "--client"])
        .env("KUBERC", "off")
        .env("HOME", home.path())
        .output()
        .expect("runs");
    assert!(stdout(&off).starts_with("Client Version: v"));
}

#[test]
fn shells_are_answered() {
    let home = tempfile::tempdir().expect("a folder");
    let asked = kubectl(home.path(), &["__complete", "config", "use"]);
    assert_eq!(stdout(&asked), "use-context\tSet the current-context in a kubeconfig file\n:4\n");
    assert_eq!(stderr(&asked), "Completion ended with directive: ShellCompDirectiveNoFileComp\n");
    let bare = kubectl(home.path(), &["__completeNoDesc", "config", "use"]);
    assert_eq!(stdout(&bare), "use-context\n:4\n");
    assert!(stdout(&kubectl(home.path(), &["completion", "bash"])).contains("complete -o default -F"));
}

#[test]
fn manifests_are_changed_without_a_server() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("cm.yaml");
    std::fs::write(&path, "{apiVersion: v1, kind: ConfigMap, metadata: {name: m}}").expect("written");
    let file = path.display().to_string();
    // Nobody listens there, and with a namespace even the context may be none.
    for words in [
        ["label", "-f", &file, "--local", "a=b"],
        ["annotate", "-f", &file, "--local", "a=b"],
        ["patch", "-f", &file, "--local", "-p{\"data\":{\"a\":\"b\"}}"],
    ] {
        let run = |more: &[&str]| {
            let output = kubectl(home.path(), &[&words, more].concat());
            (stdout(&output), stderr(&output))
        };
        let (out, err) = run(&["-sx:1"]);
        assert!(out.starts_with("configmap/m ") && err.is_empty(), "{words:?}: {out}{err}");
        assert_eq!(run(&["-n", "default", "--context=none"]), (out, err), "{words:?}");
        let why = "Error in configuration: context was not found for specified context: none\n";
        assert_eq!(run(&["--context=none"]), (String::new(), why.to_owned()), "{words:?}");
    }
}

use super::*;
use serde_json::json;

fn texts(check: impl FnOnce(&mut Report)) -> Vec<String> {
    let mut out = Report::default();
    check(&mut out);
    out.finish().iter().map(ToString::to_string).collect()
}

fn with_path(path: Value) -> Value {
    json!({"spec": {"rules": [{"host": "*.a.b", "http": {"paths": [path]}}]}})
}

#[test]
fn backends() {
    let path = |backend: Value| with_path(json!({"path": "/", "pathType": "Prefix", "backend": backend}));
    for (backend, want) in [
        (json!({"service": {"name": "s", "port": {"number": 80}}}), &[][..]),
        (json!({"resource": {"apiGroup": "g", "kind": "K", "name": "n"}}), &[]),
        (json!({}), &["backend: Invalid value: \"\": resource or service backend is required"]),
        (
            json!({"service": {}, "resource": {}}),
            &["backend: Invalid value: \"\": cannot set both resource and service backends"],
        ),
        (
            json!({"service": {}}),
            &["backend.service.name: Required value", "backend: Required value: port name or number is required"],
        ),
        (
            json!({"service": {"name": "s", "port": {"number": 80, "name": "a"}}}),
            &["backend: Invalid value: \"\": cannot set both port name & port number"],
        ),
        (
            json!({"resource": {"kind": "a/b"}}),
            &[
                "backend.resource.kind: Invalid value: \"a/b\": may not contain '/'",
                "backend.resource.name: Required value",
            ],
        ),
    ] {
        let want: Vec<String> = want.iter().map(|text| format!("spec.rules[0].http.paths[0].{text}")).collect();
        assert_eq!(texts(|out| create(&path(backend.clone()), out)), want, "{backend}");
    }
}

#[test]
fn paths_and_hosts() {
    let path = |kind: Value, path: &str| {
        texts(|out| {
            let backend = json!({"service": {"name": "s", "port": {"number": 80}}});
            create(&with_path(json!({"path": path, "pathType": kind, "backend": backend})), out);
        })
    };
    assert_eq!(path(json!("Exact"), "/a"), [""; 0]);
    assert!(path(Value::Null, "/a")[0].ends_with("pathType: Required value: pathType must be specified"));
    assert!(path(json!(""), "/a")[0].contains("pathType: Unsupported value: \"\""));
    assert!(path(json!("Prefix"), "/a/..")[0].ends_with("cannot end with '/..'"));
    assert!(path(json!("Prefix"), "a")[0].ends_with("must be an absolute path"));
    assert_eq!(path(json!("ImplementationSpecific"), ""), [""; 0]);
    let host = |host: &str| texts(|out| create(&json!({"spec": {"rules": [{"host": host}]}}), out)).len();
    assert_eq!([host("a.b"), host("*.a"), host("1.2.3.4"), host("::1"), host("*")], [0, 0, 1, 2, 1]);
    let tls = json!({"spec": {"defaultBackend": {"resource": {"kind": "K", "name": "n"}},
        "tls": [{"hosts": ["A"], "secretName": "B"}]}});
    assert_eq!(texts(|out| create(&tls, out)).len(), 2);
    assert_eq!(texts(|out| update(&tls, &tls, out)).len(), 1, "the name of a secret may stay");
}

#[test]
fn classes() {
    let of = |spec: Value| json!({"spec": spec});
    let right = of(json!({"controller": "a.b/c", "parameters": {"kind": "K", "name": "n", "scope": "Cluster"}}));
    assert_eq!(texts(|out| class(&right, out)), [""; 0]);
    for (spec, want) in [
        (json!({}), "spec.controller: Required value"),
        (
            json!({"controller": "a"}),
            "spec.controller: Invalid value: \"a\": must be a domain-prefixed path (such as \"acme.io/foo\")",
        ),
        (
            json!({"controller": "a/b c"}),
            "spec.controller: Invalid value: \"b c\": Invalid path (regex used for validation is \
             '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')",
        ),
        (
            json!({"controller": "a/b", "parameters": {"kind": "K", "name": "n", "scope": "Namespace"}}),
            "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
        ),
        (
            json!({"controller": "a/b", "parameters": {"kind": "K", "name": "n", "scope": "Cluster", "namespace": "a"}}),
            "spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'",
        ),
        (
            json!({"controller": "a/b", "parameters": {"kind": "K", "name": "n", "scope": ""}}),
            "spec.parameters.scope: Unsupported value: \"\": supported values: \"Cluster\", \"Namespace\"",
        ),
    ] {
        assert_eq!(texts(|out| class(&of(spec), out)), [want]);
    }
    let other = of(json!({"controller": "b/c"}));
    assert_eq!(
        texts(|out| class_update(&other, &right, out)),
        ["spec.controller: Invalid value: \"b/c\": field is immutable"]
    );
}

//! What is decoded, found and refused.

use super::*;
use crate::gvk::GroupVersionKind;
use serde_json::json;

fn deployment(text: &str) -> Result<Decoded, DecodeError> {
    let ty = Schema::builtin().kind(&GroupVersionKind::new("apps", "v1", "Deployment")).expect("built in");
    decode(&ty, text.as_bytes())
}

#[test]
fn finds_unknown_and_duplicate_fields() {
    let decoded = deployment(
        r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","unknownMeta":1,"labels":{"x":"1","x":"2"}},
           "spec":{"unknownField":{"deep":[1]},"replicas":1,"replicas":2,"template":{"spec":{"containers":[{"nam":"x"}]}}}}"#,
    )
    .expect("well-formed");
    assert_eq!(
        decoded.findings,
        [
            r#"unknown field "metadata.unknownMeta""#,
            r#"duplicate field "metadata.labels.x""#,
            r#"unknown field "spec.unknownField""#,
            r#"duplicate field "spec.replicas""#,
            r#"unknown field "spec.template.spec.containers[0].nam""#,
        ]
    );
    assert_eq!(decoded.value["spec"]["replicas"], 2);
    assert_eq!(decoded.value["kind"], "Deployment");
    assert!(decoded.value["spec"].get("unknownField").is_none());
}

#[test]
fn reads_bytes_that_are_no_text_as_go_does() {
    for (bytes, want) in [
        (&b"{\"a\":\"\xff\xfe b\"}"[..], Ok(json!({"a": "\u{fffd}\u{fffd} b"}))),
        (b"{\"a\xc3\":\"\xe2\x82\"}", Ok(json!({"a\u{fffd}": "\u{fffd}\u{fffd}"}))),
        (b"\"\xed\xa0\x80\"", Ok(json!("\u{fffd}\u{fffd}\u{fffd}"))),
        (b" \xff", Err("invalid character '\u{ff}' looking for beginning of value")),
    ] {
        assert_eq!(to_value(bytes).map_err(|e| e.to_string()), want.map_err(str::to_owned), "{bytes:?}");
    }
}

#[test]
fn drops_nulls_and_normalises() {
    let decoded = deployment(
        r#"{"metadata":{"creationTimestamp":null,"annotations":null},"spec":{"template":{"spec":{"containers":[
           {"resources":{"requests":{"cpu":"0.5","memory":1073741824}},"ports":[{"containerPort":80}]}]}},
           "strategy":{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":1}}}}"#,
    )
    .expect("well-formed");
    let container = &decoded.value["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["resources"]["requests"], json!({"cpu": "500m", "memory": "1073741824"}));
    assert_eq!(decoded.value["metadata"], json!({}));
    assert!(decoded.findings.is_empty());
}

#[test]
fn the_first_of_all_times_is_null() {
    let ty = Schema::builtin().kind(&GroupVersionKind::new("coordination.k8s.io", "v1", "Lease")).expect("built in");
    let text = r#"{"metadata":{"creationTimestamp":"0001-01-01T00:00:00Z"},
        "spec":{"acquireTime":"0001-01-01T00:00:00.000000Z","renewTime":null}}"#;
    let decoded = decode(&ty, text.as_bytes()).expect("well-formed").value;
    assert_eq!(decoded, json!({"metadata": {}, "spec": {"acquireTime": null}}));
    let stored = crate::codec::protobuf::encode(&ty, &decoded);
    assert_eq!(crate::codec::protobuf::decode(&ty, &stored).expect("a message"), decoded);
}

#[test]
fn decodes_to_what_protobuf_gives_back() {
    let ty = Schema::builtin().kind(&GroupVersionKind::new("", "v1", "Pod")).expect("built in");
    let text = r#"{"metadata":{"name":"","labels":{}},"spec":{"hostNetwork":false,"priority":0,"volumes":[],
        "containers":[{"image":"i","args":[],"env":[{"name":"E","value":""}],"ports":[{"containerPort":80}]},null]}}"#;
    let decoded = decode(&ty, text.as_bytes()).expect("well-formed").value;
    let want = json!({
        "metadata": {},
        "spec": {"priority": 0, "containers": [
            {"name": "", "image": "i", "env": [{"name": "E"}], "ports": [{"containerPort": 80}], "resources": {}},
            {"name": "", "resources": {}},
        ]},
        "status": {},
    });
    assert_eq!(decoded, want);
    let stored = crate::codec::protobuf::encode(&ty, &decoded);
    assert_eq!(crate::codec::protobuf::decode(&ty, &stored).expect("a message"), want);
    assert_eq!(conform(&ty, &want).expect("the same").value, want);
}

#[test]
fn names_wrong_types_as_go_does() {
    for (text, want) in [
        (
            r#"{"spec":{"replicas":"3"}}"#,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            r#"{"spec":{"replicas":1.5}}"#,
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            r#"{"spec":{"paused":{}}}"#,
            "json: cannot unmarshal object into Go struct field DeploymentSpec.spec.paused of type bool",
        ),
        (
            r#"{"spec":[]}"#,
            "json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec",
        ),
        (
            r#"{"metadata":{"labels":{"a":1}}}"#,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        ("[]", "json: cannot unmarshal array into Go value of type v1.Deployment"),
        (
            r#"{"x":1e400,"spec":{"replicas":1e400}}"#,
            "json: cannot unmarshal number 1e400 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        // Of wrong types the first is told, but what a type's own decoder refuses comes before it, as the kind does.
        (
            r#"{"spec":{"replicas":1e20,"paused":1}}"#,
            "json: cannot unmarshal number 1e20 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            r#"{"spec":{"replicas":"3","template":{"spec":{"overhead":{"cpu":"_"}}}}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            r#"{"metadata":{"labels":[],"creationTimestamp":5}}"#,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
        (r#"{"spec":[],"kind":7}"#, "json: cannot unmarshal number into Go struct field .kind of type string"),
    ] {
        assert_eq!(deployment(text).map(|d| d.value).map_err(|e| e.to_string()), Err(want.to_owned()));
    }
}

#[test]
fn lists_of_any_json_are_named_as_go_does() {
    let kind = GroupVersionKind::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let ty = Schema::builtin().kind(&kind).expect("built in");
    let text = r#"{"spec":{"versions":[{"schema":{"openAPIV3Schema":{"properties":{"a":{"enum":"x"}}}}}]}}"#;
    let want = "json: cannot unmarshal string into Go struct field \
                JSONSchemaProps.spec.versions.schema.openAPIV3Schema.properties.enum of type []v1.JSON";
    assert_eq!(decode(&ty, text.as_bytes()).map(|d| d.value).map_err(|e| e.to_string()), Err(want.to_owned()));
}

#[test]
fn refuses_malformed_text() {
    for text in [
        "",
        "{",
        r#"{"a"}"#,
        r#"{"metadata":{}}x"#,
        r#"{"metadata":}"#,
        "{\"metadata\":{\"name\":\"\u{1}\"}}",
        r#"{"spec":{"replicas":01}}"#,
        r#"{"spec":{"replicas":"3"},"#,
    ] {
        assert!(matches!(deployment(text), Err(DecodeError::Syntax(_))), "{text:?}");
    }
}

#[test]
fn what_is_not_kept_may_be_deep() {
    let nested = |levels: usize| format!("{}1{}", r#"{"x":"#.repeat(levels), "}".repeat(levels));
    assert!(deployment(&nested(10_000)).is_ok());
    assert!(matches!(deployment(&nested(10_001)), Err(DecodeError::Limit(_))));
    assert!(head(nested(10_000).as_bytes()).is_ok_and(|head| head == Head::default()));
    assert!(matches!(head(nested(10_001).as_bytes()), Err(DecodeError::Limit(_))));
    // What is kept is not.
    assert!(to_value(nested(120).as_bytes()).is_ok());
    assert!(matches!(to_value(nested(121).as_bytes()), Err(DecodeError::Limit(_))));
}

#[test]
fn trees_that_could_not_be_read_again_are_refused() {
    let tree = |levels: usize| (0..levels).fold(Value::from(1), |inner, _| Value::Array(vec![inner]));
    assert!(!is_deeper(&tree(120), MAX_DEPTH) && is_deeper(&tree(121), MAX_DEPTH));
}

//! Requests and what is written into them.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

fn texts(check: impl FnOnce(&mut Report)) -> Vec<String> {
    let mut report = Report::default();
    check(&mut report);
    report.finish().iter().map(ToString::to_string).collect()
}

fn block(label: &str) -> String {
    STANDARD.encode(format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n"))
}

fn request(key: &str, value: Value) -> Value {
    let mut spec = json!({"request": block("CERTIFICATE REQUEST"), "usages": ["client auth"], "signerName": "a.b/c"});
    spec[key] = value;
    json!({"spec": spec})
}

#[test]
fn requests() {
    for (key, value, want) in [
        ("expirationSeconds", json!(600), &[][..]),
        ("request", json!(null), &["spec.request: Invalid value: null: PEM block type must be CERTIFICATE REQUEST"]),
        ("usages", json!([]), &["spec.usages: Required value"]),
        ("usages", json!(["any", "any"]), &["spec.usages[1]: Duplicate value: \"any\""]),
        ("signerName", json!(""), &["spec.signerName: Required value"]),
        (
            "signerName",
            json!("a.b"),
            &["spec.signerName: Invalid value: \"a.b\": must be a fully qualified domain and path of the form \
               'example.com/signer-name'"],
        ),
        (
            "signerName",
            json!("a/b"),
            &["spec.signerName: Invalid value: \"a\": should be a domain with at least two segments separated by dots"],
        ),
        (
            "signerName",
            json!(LEGACY),
            &[
                "spec.signerName: Invalid value: \"kubernetes.io/legacy-unknown\": the legacy signerName is not allowed \
               via this API version",
            ],
        ),
        (
            "expirationSeconds",
            json!(1),
            &[
                "spec.expirationSeconds: Invalid value: 1: may not specify a duration less than 600 seconds (10 minutes)",
            ],
        ),
    ] {
        assert_eq!(texts(|out| create(&request(key, value), out)), want, "{key}");
    }
    let odd = request("usages", json!(["odd"]));
    assert!(texts(|out| create(&odd, out))[0].starts_with("spec.usages[0]: Unsupported value: \"odd\""));
    assert_eq!(texts(|out| update(&odd, &odd, out)), [""; 0]);
    assert_eq!(texts(|out| create(&request("request", json!(block("CERTIFICATE"))), out)).len(), 1);
}

#[test]
fn verdicts() {
    let with = |conditions: Value| {
        let mut object = request("expirationSeconds", json!(null));
        object["status"] = json!({"conditions": conditions});
        object
    };
    let condition = |kind: &str| json!({"type": kind, "status": "True"});
    let (none, approved) = (with(json!([])), with(json!([condition("Approved")])));
    assert_eq!(texts(|out| approval(&approved, &none, out)), [""; 0]);
    assert_eq!(
        texts(|out| status(&approved, &none, out)),
        ["status.conditions: Forbidden: updates may not add a condition of type \"Approved\""]
    );
    assert_eq!(
        texts(|out| approval(&none, &approved, out)),
        ["status.conditions: Forbidden: updates may not remove a condition of type \"Approved\""]
    );
    let both = with(json!([condition("Approved"), condition("Denied"), {"type": "Failed", "status": "False"}, {}]));
    assert_eq!(
        texts(|out| approval(&both, &none, out)),
        [
            "status.conditions: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive",
            "status.conditions[2].status: Unsupported value: \"False\": supported values: \"True\"",
            "status.conditions[3].type: Required value",
            "status.conditions[3].status: Required value",
        ]
    );
}

#[test]
fn certificates_are_written_once() {
    let with = |certificate: String| {
        let mut object = request("expirationSeconds", json!(null));
        object["status"] = json!({"certificate": certificate});
        object
    };
    let (none, one) = (with(String::new()), with(block("CERTIFICATE")));
    assert_eq!(texts(|out| status(&one, &none, out)), [""; 0]);
    assert_eq!(texts(|out| status(&one, &one, out)), [""; 0]);
    assert_eq!(texts(|out| status(&none, &one, out)).len(), 1);
    for (text, why) in [
        (block("PRIVATE KEY"), "only CERTIFICATE PEM blocks are allowed, found \"PRIVATE KEY\""),
        (STANDARD.encode("x"), "must contain at least one CERTIFICATE PEM block"),
        (
            STANDARD.encode("-----BEGIN CERTIFICATE-----\na: b\n\nMAA=\n-----END CERTIFICATE-----\n"),
            "no PEM block headers are permitted",
        ),
    ] {
        let want = format!("status.certificate: Invalid value: \"<certificate data>\": {why}");
        assert_eq!(texts(|out| status(&with(text), &none, out)), [want]);
    }
}

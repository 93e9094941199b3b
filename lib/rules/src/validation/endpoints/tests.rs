use super::*;
use serde_json::json;

fn texts(check: impl FnOnce(&mut Report)) -> Vec<String> {
    let mut out = Report::default();
    check(&mut out);
    out.finish().iter().map(ToString::to_string).collect()
}

#[test]
fn subsets() {
    let of = |subset: Value| json!({"subsets": [subset]});
    for (subset, want) in [
        (json!({"addresses": [{"ip": "10.0.0.1"}]}), &[][..]),
        (json!({}), &["subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"]),
        (
            json!({"addresses": [{"ip": "x", "hostname": "a.b", "nodeName": "N"}]}),
            &[
                "subsets[0].addresses[0].ip",
                "subsets[0].addresses[0].hostname",
                "subsets[0].addresses[0].nodeName",
                "subsets[0].addresses[0].ip: Invalid value: \"x\": must be a valid IP address",
            ],
        ),
        (
            json!({"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80, "protocol": "TCP"}, {"port": 0, "protocol": "TCP", "name": "a"}]}),
            &["subsets[0].ports[0].name: Required value", "subsets[0].ports[1].port: Invalid value: 0"],
        ),
    ] {
        let found = texts(|out| endpoints(&of(subset.clone()), out));
        assert_eq!(found.len(), want.len(), "{found:?}");
        assert!(found.iter().zip(want).all(|(found, want)| found.starts_with(want)), "{found:?}");
    }
    let odd = of(json!({}));
    assert_eq!(texts(|out| endpoints_update(&odd, &odd, out)), [""; 0]);
    assert_eq!(texts(|out| endpoints_update(&odd, &of(json!({"ports": []})), out)).len(), 1);
}

#[test]
fn slices() {
    let of = |kind: &str, endpoint: Value| json!({"addressType": kind, "endpoints": [endpoint]});
    for (kind, endpoint, want) in [
        (
            "IPv4",
            json!({"addresses": ["10.0.0.1"], "hints": {"forZones": [{"name": "a"}], "forNodes": [{"name": "n"}]}}),
            None,
        ),
        ("IPv4", json!({}), Some("endpoints[0].addresses: Required value: must contain at least 1 address")),
        (
            "IPv4",
            json!({"addresses": ["fd00::1"]}),
            Some("endpoints[0].addresses: Invalid value: \"fd00::1\": must be an IPv4 address"),
        ),
        (
            "IPv6",
            json!({"addresses": ["FD00::1"]}),
            Some("endpoints[0].addresses[0]: Invalid value: \"FD00::1\": must be in canonical form (\"fd00::1\")"),
        ),
        ("FQDN", json!({"addresses": ["a.b."]}), None),
        (
            "FQDN",
            json!({"addresses": ["a"]}),
            Some(
                "endpoints[0].addresses[0]: Invalid value: \"a\": should be a domain with at least two segments separated by dots",
            ),
        ),
        (
            "X",
            json!({"addresses": ["?"]}),
            Some("addressType: Unsupported value: \"X\": supported values: \"FQDN\", \"IPv4\", \"IPv6\""),
        ),
        (
            "IPv4",
            json!({"addresses": ["10.0.0.1"], "hints": {"forNodes": [{"name": "n"}, {"name": "n"}]}}),
            Some("endpoints[0].hints.forNodes[1].name: Duplicate value: \"n\""),
        ),
    ] {
        let found = texts(|out| slice(&of(kind, endpoint), out));
        assert_eq!(found.first().map(String::as_str), want);
    }
    let old = of("IPv4", json!({}));
    let new = of("IPv6", json!({}));
    assert_eq!(texts(|out| slice_update(&old, &old, out)), [""; 0]);
    assert_eq!(
        texts(|out| slice_update(&new, &old, out)),
        ["addressType: Invalid value: \"IPv6\": field is immutable"]
    );
}

use super::*;
use serde_json::json;

fn texts(check: impl FnOnce(&mut Report)) -> Vec<String> {
    let mut out = Report::default();
    check(&mut out);
    out.finish().iter().map(ToString::to_string).collect()
}

#[test]
fn policies() {
    let with = |rule: Value| json!({"spec": {"podSelector": {}, "ingress": [rule]}});
    for (rule, want) in [
        (json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}), &[][..]),
        (json!({"from": [{}]}), &["spec.ingress[0].from[0]: Required value: must specify a peer"]),
        (
            json!({"from": [{"podSelector": {}, "ipBlock": {}}]}),
            &[
                "spec.ingress[0].from[0].ipBlock.cidr: Required value",
                "spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer",
            ],
        ),
        (
            json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16", "10.0.0.0/8"]}}]}),
            &[
                "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of \
                 `cidr`",
                "spec.ingress[0].from[0].ipBlock.except[1]: Invalid value: \"10.0.0.0/8\": must be a strict subset of \
                 `cidr`",
            ],
        ),
        (
            json!({"ports": [{"protocol": ""}, {"port": 80, "endPort": 0}, {"port": "a", "endPort": 1}, {"endPort": 1}]}),
            &[
                "spec.ingress[0].ports[0].protocol: Unsupported value: \"\": supported values: \"TCP\", \"UDP\", \
                 \"SCTP\"",
                "spec.ingress[0].ports[1].endPort: Invalid value: 80: must be greater than or equal to `port`",
                "spec.ingress[0].ports[1].endPort: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ingress[0].ports[2].endPort: Invalid value: 1: may not be specified when `port` is non-numeric",
                "spec.ingress[0].ports[3].endPort: Invalid value: 1: may not be specified when `port` is not specified",
            ],
        ),
    ] {
        assert_eq!(texts(|out| policy(&with(rule.clone()), out)), want, "{rule}");
    }
    let odd = with(json!({"from": [{"ipBlock": {"cidr": "10.0.0.1/8"}}]}));
    assert_eq!(texts(|out| policy(&odd, out)).len(), 1);
    assert_eq!(texts(|out| policy_update(&odd, &odd, out)), [""; 0], "what was there stays");
    let types = json!({"spec": {"policyTypes": ["Ingress", "Egress", "x"]}});
    assert_eq!(
        texts(|out| policy(&types, out)),
        ["spec.policyTypes: Invalid value: [\"Ingress\",\"Egress\",\"x\"]: may not specify more than two policyTypes"]
    );
}

#[test]
fn addresses_have_an_owner() {
    let of = |parent: Value| json!({"spec": {"parentRef": parent}});
    let right = of(json!({"resource": "services", "namespace": "a", "name": "b"}));
    assert_eq!(texts(|out| address(&right, out)), [""; 0]);
    assert_eq!(texts(|out| address(&json!({}), out)), ["spec.parentRef: Required value"]);
    assert_eq!(
        texts(|out| address(&of(json!({"name": "a/b", "namespace": ".."})), out)),
        [
            "spec.parentRef.resource: Required value",
            "spec.parentRef.name: Invalid value: \"a/b\": may not contain '/'",
            "spec.parentRef.namespace: Invalid value: \"..\": may not be '..'",
        ]
    );
    let other = of(json!({"resource": "services", "name": "b"}));
    assert_eq!(
        texts(|out| address_update(&other, &right, out)),
        [
            "spec.parentRef: Invalid value: {\"Group\":\"\",\"Resource\":\"services\",\"Namespace\":\"\",\"Name\":\"b\"}: \
          field is immutable"
        ]
    );
}

#[test]
fn ranges_are_one_of_each_family() {
    let of = |list: Value| json!({"spec": {"cidrs": list}});
    for (list, want) in [
        (json!(["10.0.0.0/16", "fd00::/112"]), None),
        (json!([]), Some("spec.cidrs: Required value: at least one CIDR required")),
        (
            json!(["10.0.0.0/16", "10.1.0.0/16"]),
            Some(
                "spec.cidrs: Invalid value: [\"10.0.0.0/16\",\"10.1.0.0/16\"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
            ),
        ),
        (
            json!(["FD00::/112"]),
            Some("spec.cidrs[0]: Invalid value: \"FD00::/112\": must be in canonical form (\"fd00::/112\")"),
        ),
    ] {
        assert_eq!(texts(|out| ranges(&of(list), out)).first().map(String::as_str), want);
    }
    let one = of(json!(["10.0.0.0/16"]));
    for (list, want) in [
        (json!(["10.0.0.0/16", "fd00::/112"]), None),
        (json!(["10.1.0.0/16"]), Some("spec.cidrs[0]: Invalid value: \"10.1.0.0/16\": field is immutable")),
        (json!([]), Some("spec.cidrs: Invalid value: []: field is immutable")),
    ] {
        assert_eq!(texts(|out| ranges_update(&of(list), &one, out)).first().map(String::as_str), want);
    }
}

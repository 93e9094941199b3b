use super::*;
use serde_json::{Map, json};

fn texts(check: impl FnOnce(&mut Report)) -> Vec<String> {
    let mut out = Report::default();
    check(&mut out);
    out.finish().iter().map(ToString::to_string).collect()
}

/// A service as it is validated: with defaults and addresses.
fn service(spec: Value) -> Value {
    let mut object = json!({"spec": {"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
        "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]}});
    for (key, value) in spec.as_object().unwrap_or(&Map::new()) {
        object["spec"][key] = value.clone();
    }
    object
}

fn created(spec: Value) -> Vec<String> {
    texts(|out| create(&service(spec), out))
}

#[test]
fn types() {
    for (spec, want) in [
        (json!({}), &[][..]),
        (json!({"ports": []}), &["spec.ports: Required value"]),
        (json!({"clusterIP": "None", "clusterIPs": ["None"], "ports": null}), &[]),
        (
            json!({"type": "NodePort", "clusterIP": "None", "clusterIPs": ["None"], "externalTrafficPolicy": "Local"}),
            &["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
        ),
        (
            json!({"type": "ExternalName", "externalName": "a."}),
            &[
                "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
                "spec.ipFamilies: Forbidden: may not be set for ExternalName services",
                "spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services",
            ],
        ),
        (
            json!({"type": "X", "sessionAffinity": "Y", "trafficDistribution": "Z"}),
            &[
                "spec.sessionAffinity: Unsupported value: \"Y\": supported values: \"ClientIP\", \"None\"",
                "spec.type: Unsupported value: \"X\": supported values: \"ClusterIP\", \"ExternalName\", \
                 \"LoadBalancer\", \"NodePort\"",
                "spec.trafficDistribution: Unsupported value: \"Z\": supported values: \"PreferClose\", \
                 \"PreferSameZone\", \"PreferSameNode\"",
            ],
        ),
        (
            json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}}),
            &["spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and \
               less than 86400"],
        ),
        (
            json!({"externalIPs": ["169.254.0.1", "01.2.3.4"], "externalTrafficPolicy": "Cluster"}),
            &[
                "spec.externalIPs[0]: Invalid value: \"169.254.0.1\": may not be in the link-local range \
                 (169.254.0.0/16, fe80::/10)",
                "spec.externalIPs[1]: Invalid value: \"01.2.3.4\": must not have leading 0s",
            ],
        ),
    ] {
        assert_eq!(created(spec.clone()), want, "{spec}");
    }
}

#[test]
fn ports_differ() {
    let tcp = json!({"port": 80, "protocol": "TCP", "targetPort": 80, "nodePort": 30000});
    assert_eq!(
        created(json!({"ports": [tcp, tcp]})),
        [
            "spec.ports[0].name: Required value",
            "spec.ports[1].name: Required value",
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            "spec.ports[1].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            "spec.ports[1].nodePort: Duplicate value: 30000",
            "spec.ports[1]: Duplicate value: {\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":null,\"Port\":80,\
             \"TargetPort\":0,\"NodePort\":0}",
        ]
    );
}

#[test]
fn balancers() {
    let balanced = |more: Value| {
        let mut spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30000,
            "allocateLoadBalancerNodePorts": true, "loadBalancerClass": "x/y"});
        more.as_object().into_iter().flatten().for_each(|(key, value)| spec[key] = value.clone());
        spec
    };
    assert_eq!(created(balanced(json!({"loadBalancerSourceRanges": [" 10.0.0.0/8 "]}))), [""; 0]);
    assert_eq!(created(balanced(json!({"healthCheckNodePort": 0}))), ["spec.healthCheckNodePort: Required value"]);
    assert_eq!(
        created(json!({"loadBalancerClass": "a", "loadBalancerSourceRanges": ["x"], "healthCheckNodePort": 1})),
        [
            "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
            "spec.LoadBalancerSourceRanges[0]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or \
             2001:db8::/64)",
            "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
            "spec.healthCheckNodePort: Invalid value: 1: may only be set when `type` is 'LoadBalancer' and \
             `externalTrafficPolicy` is 'Local'",
        ]
    );
    let (old, new) = (service(balanced(json!({}))), service(balanced(json!({"loadBalancerClass": null}))));
    assert_eq!(
        texts(|out| update(&new, &old, out)),
        ["spec.loadBalancerClass: Invalid value: null: may not change once set"]
    );
    let new = service(balanced(json!({"healthCheckNodePort": 30001})));
    assert_eq!(texts(|out| update(&new, &old, out)), ["spec.healthCheckNodePort: Forbidden: field is immutable"]);
}

#[test]
fn addresses_and_families() {
    for (spec, want) in [
        (
            json!({"clusterIP": "x", "clusterIPs": ["x"]}),
            &[
                "spec.clusterIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ][..],
        ),
        (
            json!({"clusterIP": ""}),
            &["spec.clusterIPs: Invalid value: [\"10.0.0.1\"]: must be empty when `clusterIP` is not specified"],
        ),
        (
            json!({"clusterIPs": ["10.0.0.1", "10.0.0.2"]}),
            &[
                "spec.clusterIPs: Invalid value: [\"10.0.0.1\",\"10.0.0.2\"]: may specify no more than one IP for each IP \
               family",
            ],
        ),
        (
            json!({"ipFamilies": ["IPv6"]}),
            &[
                "spec.clusterIPs[0]: Invalid value: \"10.0.0.1\": expected an IPv6 value as indicated by `ipFamilies[0]`",
            ],
        ),
        (
            json!({"ipFamilies": ["IPv4", "IPv4"], "ipFamilyPolicy": ""}),
            &[
                "spec.ipFamilies[1]: Duplicate value: \"IPv4\"",
                "spec.ipFamilyPolicy: Unsupported value: \"\": supported values: \"PreferDualStack\", \
                 \"RequireDualStack\", \"SingleStack\"",
            ],
        ),
    ] {
        assert_eq!(created(spec.clone()), want, "{spec}");
    }
    let old = service(json!({}));
    let other = service(json!({"clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"]}));
    assert_eq!(
        texts(|out| update(&other, &old, out)),
        ["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"]
    );
    let dual = service(json!({"clusterIPs": ["10.0.0.1", "fd00::1"], "ipFamilies": ["IPv4", "IPv6"],
        "ipFamilyPolicy": "PreferDualStack"}));
    assert_eq!(texts(|out| update(&dual, &old, out)), [""; 0]);
    assert_eq!(texts(|out| update(&old, &dual, out)), [""; 0]);
    let cut = service(json!({"ipFamilyPolicy": "PreferDualStack"}));
    assert_eq!(texts(|out| update(&cut, &dual, out)).len(), 2, "the policy says otherwise");
}

#[test]
fn balancers_say_where_they_are() {
    let status =
        |kind: &str, point: Value| json!({"spec": {"type": kind}, "status": {"loadBalancer": {"ingress": [point]}}});
    for (object, want) in [
        (status("LoadBalancer", json!({"ip": "1.2.3.4", "ipMode": "VIP"})), None),
        (
            status("ClusterIP", json!({})),
            Some("status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"),
        ),
        (
            status("LoadBalancer", json!({"ip": "1.2.3.4"})),
            Some("status.loadBalancer.ingress[0].ipMode: Required value: must be specified when `ip` is set"),
        ),
        (
            status("LoadBalancer", json!({"hostname": "1.2.3.4"})),
            Some(
                "status.loadBalancer.ingress[0].hostname: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address",
            ),
        ),
    ] {
        assert_eq!(texts(|out| super::status(&object, &Value::Null, out)).first().map(String::as_str), want);
    }
}

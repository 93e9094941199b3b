use super::*;
use crate::warnings::testing::said;
use serde_json::json;

/// What is said of a template of this specification, without its place.
fn of_spec(spec: Value) -> Vec<String> {
    let at = At::root("t");
    let texts = said(|warn| template(&at, &json!({"spec": spec}), warn));
    texts.into_iter().map(|text| text.replace("t.spec.", "")).collect()
}

#[test]
fn single_findings() {
    for (spec, want) in [
        (json!({"terminationGracePeriodSeconds": 0}), ""),
        (
            json!({"terminationGracePeriodSeconds": -1}),
            "terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
        ),
        (
            json!({"nodeSelector": {"beta.kubernetes.io/os": "linux"}}),
            r#"nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead"#,
        ),
        (
            json!({"topologySpreadConstraints": [{"topologyKey": "app.kubernetes.io/created-by", "labelSelector": {}}]}),
            "topologySpreadConstraints[0].topologyKey: app.kubernetes.io/created-by is deprecated since v1.9",
        ),
        (
            json!({"topologySpreadConstraints": [{"topologyKey": "a"}]}),
            "topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
        ),
        (
            json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}}),
            "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null labelSelector results in matching no pod",
        ),
        (
            json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}]}}}),
            "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: a null labelSelector results in matching no pod",
        ),
        (
            json!({"volumes": [{"name": "a", "gitRepo": {}}]}),
            "volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+",
        ),
        (
            json!({"volumes": [{"name": "a", "storageos": {}}]}),
            "volumes[0].storageOS: deprecated in v1.22, non-functional in v1.25+",
        ),
        (
            json!({"hostAliases": [{"ip": "1.1.1.1"}, {"ip": "1.1.1.1"}]}),
            r#"hostAliases[1].ip: duplicate ip "1.1.1.1""#,
        ),
        (
            json!({"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}),
            r#"imagePullSecrets[1].name: duplicate name "a""#,
        ),
        (json!({"imagePullSecrets": [{}]}), r#"imagePullSecrets[0].name: invalid empty name """#),
        (
            json!({"overhead": {"memory": "1500m"}}),
            r#"overhead[memory]: fractional byte value "1500m" is invalid, must be an integer"#,
        ),
        (
            json!({"containers": [{"name": "a", "resources": {"limits": {"ephemeral-storage": "1m"}}}]}),
            r#"containers[0].resources.limits[ephemeral-storage]: fractional byte value "1m" is invalid, must be an integer"#,
        ),
        (
            json!({"initContainers": [{"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}]}),
            r#"initContainers[0].env[1]: hides previous definition of "A", which may be dropped when using apply"#,
        ),
        (json!({"containers": [{"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}]}]}), ""),
        (
            json!({"dnsConfig": {"nameservers": ["01.2.3.4"]}}),
            r#"dnsConfig.nameservers[0]: non-standard IP address "01.2.3.4" is invalid: use "1.2.3.4""#,
        ),
    ] {
        let texts = of_spec(spec.clone());
        assert_eq!(texts.first().map_or("", |text| text), want, "{spec}");
        assert!(texts.len() < 2, "{texts:?}");
    }
}

#[test]
fn ports_get_in_each_others_way() {
    let port = |number: i64, host: i64, address: &str, name: &str| json!({"containerPort": number, "hostPort": host, "hostIP": address, "name": name, "protocol": "TCP"});
    for (first, second, want) in [
        (port(80, 0, "", ""), port(81, 0, "", ""), ""),
        (
            port(80, 0, "", ""),
            port(80, 0, "", ""),
            "containers[1].ports[0]: duplicate port definition with containers[0].ports[0]",
        ),
        (
            port(80, 0, "", ""),
            port(80, 8, "", ""),
            "containers[1].ports[0]: overlapping port definition with containers[0].ports[0]",
        ),
        (
            port(80, 8, "", ""),
            port(80, 8, "1.1.1.1", ""),
            "containers[1].ports[0]: dangerously ambiguous port definition with containers[0].ports[0]",
        ),
        (port(80, 8, "", ""), port(80, 9, "", ""), ""),
        (
            port(80, 0, "", "a"),
            port(81, 0, "", "a"),
            r#"containers[1].ports[0]: duplicate port name "a" with containers[0].ports[0], services and probes that select ports by name will use containers[0].ports[0]"#,
        ),
        (
            port(80, 0, "", ""),
            port(81, 0, "1.1.1.1", "b"),
            "containers[1].ports[0]: hostIP set without hostPort: {Name:b HostPort:0 ContainerPort:81 Protocol:TCP HostIP:1.1.1.1}",
        ),
    ] {
        let texts = of_spec(json!({"containers": [{"ports": [first]}, {"ports": [second]}]}));
        assert_eq!(texts.first().map_or("", |text| text), want);
        assert!(texts.len() < 2, "{texts:?}");
    }
}

#[test]
fn files_lie_on_each_other() {
    let items = |paths: &[&str]| paths.iter().map(|path| json!({"key": "k", "path": path})).collect::<Value>();
    for (volume, want) in [
        (json!({"configMap": {"name": "m", "items": items(&["a", "ab", "b/c"])}}), ""),
        (
            json!({"configMap": {"name": "m", "items": items(&["a/b", "a/"])}}),
            r#"volume "v" (ConfigMap "m"): overlapping paths: "a" with "a/b""#,
        ),
        (
            json!({"secret": {"secretName": "s", "items": items(&["a", "a/b"])}}),
            r#"volume "v" (Secret "s"): overlapping paths: "a/b" with "a""#,
        ),
        (
            json!({"downwardAPI": {"items": items(&["a", "a"])}}),
            r#"volume "v" (DownwardAPI): overlapping paths: "a" with "a""#,
        ),
        (
            json!({"projected": {"sources": [{"secret": {"name": "s", "items": items(&["a"])}},
                {"serviceAccountToken": {"path": "a"}}]}}),
            r#"volume "v" (Projected): overlapping paths: "a" (ServiceAccountToken) with "a" (Secret "s")"#,
        ),
        (json!({"projected": {"sources": [{"secret": {"name": "s"}}, {"configMap": {"name": "s"}}]}}), ""),
        (json!({"projected": {"sources": [{}]}}), r#"volume "v" (Projected) has no sources provided"#),
    ] {
        let mut volume = volume;
        volume["name"] = "v".into();
        let texts = of_spec(json!({"volumes": [volume]}));
        assert_eq!(texts.first().map_or("", |text| text), want);
        assert!(texts.len() < 2, "{texts:?}");
    }
}

#[test]
fn annotations_that_are_fields_by_now() {
    let annotated = |key: &str, value: &str, spec: Value| json!({"metadata": {"name": "a", "annotations": {key: value}}, "spec": spec});
    let seccomp = "container.seccomp.security.alpha.kubernetes.io/c";
    let app_armor = "container.apparmor.security.beta.kubernetes.io/c";
    let container = json!({"containers": [{"name": "c"}]});
    let unconfined = json!({"type": "Unconfined"});
    let whole = json!({"containers": [{"name": "c"}], "securityContext": {"appArmorProfile": unconfined}});
    let own = json!({"containers": [{"name": "c", "securityContext": {"appArmorProfile": unconfined}}]});
    for (pod, template_says, pod_says) in [
        (annotated(SECCOMP_POD, "unconfined", json!({})), 1, 1),
        (annotated(SECCOMP_POD, "unconfined", json!({"securityContext": {"seccompProfile": {}}})), 0, 0),
        (annotated(seccomp, "unconfined", container.clone()), 1, 1),
        (annotated(seccomp, "unconfined", json!({"containers": [{"name": "d"}]})), 0, 0),
        (annotated("security.alpha.kubernetes.io/sysctls", "", json!({})), 1, 1),
        (annotated(app_armor, "unconfined", container), 1, 0),
        (annotated(app_armor, "unconfined", whole.clone()), 0, 0),
        (annotated(app_armor, "runtime/default", whole), 1, 0),
        (annotated(app_armor, "runtime/default", own), 0, 0),
    ] {
        assert_eq!(said(|warn| template(&At::root("t"), &pod, warn)).len(), template_says, "{pod}");
        assert_eq!(said(|warn| create(&pod, warn)).len(), pod_says, "{pod}");
    }
}

#[test]
fn pods_are_hosts() {
    assert_eq!(
        said(|warn| create(&json!({"metadata": {"name": "a.b"}}), warn)),
        [
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"
        ]
    );
    let status_of = json!({"status": {"podIPs": [{"ip": "1.2.3.4"}], "hostIPs": [{"ip": "FD00::1"}]}});
    let texts = said(|warn| status(&status_of, warn));
    assert_eq!(texts.len(), 1);
    assert!(texts[0].starts_with("status.hostIPs[0].ip: IPv6 address"), "{texts:?}");
}

use super::super::level::{Level, Standard, Version};
use super::{details, run};
use apimachinery::Value;
use serde_json::json;

fn at(level: Level, minor: u32, pod: &Value) -> String {
    details(&run(Standard { level, version: Version::Minor(minor) }, pod))
}

fn baseline(spec: Value) -> String {
    details(&run(Standard { level: Level::Baseline, version: Version::Latest }, &json!({"spec": spec})))
}

fn restricted(minor: u32, spec: Value) -> String {
    at(Level::Restricted, minor, &json!({"spec": spec}))
}

fn container(security: Value) -> Value {
    json!({"containers": [{"name": "c", "securityContext": security}]})
}

/// A pod that passes, with something else in its specification.
fn good(with: Value) -> Value {
    let mut spec = json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "c", "securityContext": {"allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}}],
    });
    for (key, value) in with.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

#[test]
fn good_pods_pass() {
    for minor in [0, 8, 19, 22, 25, 36] {
        assert_eq!(restricted(minor, good(json!({"volumes": [{"name": "v", "emptyDir": {}}]}))), "", "{minor}");
    }
    assert_eq!(at(Level::Privileged, 36, &json!({"spec": {"hostPID": true}})), "");
}

#[test]
fn the_baseline_names_what_is_wrong() {
    for (spec, want) in [
        (json!({"hostNetwork": true, "hostPID": true}), "host namespaces (hostNetwork=true, hostPID=true)"),
        (json!({"volumes": [{"name": "v", "hostPath": {}}]}), "hostPath volumes (volume \"v\")"),
        (
            json!({"containers": [{"name": "c", "ports": [{"hostPort": 80}]}, {"name": "d", "ports": [{"hostPort": 81}]}]}),
            "hostPort (containers \"c\", \"d\" use hostPorts 80, 81)",
        ),
        (
            json!({"containers": [{"name": "c", "livenessProbe": {"httpGet": {"host": "h"}},
                "lifecycle": {"preStop": {"tcpSocket": {"host": "i"}}}}]}),
            "probe or lifecycle host (container \"c\" uses probe or lifecycle hosts \"h\", \"i\")",
        ),
        (
            container(json!({"privileged": true})),
            "privileged (container \"c\" must not set securityContext.privileged=true)",
        ),
        (
            container(json!({"procMount": "Unmasked"})),
            "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")",
        ),
        (
            container(json!({"capabilities": {"add": ["SYS_ADMIN", "CHOWN", "BPF"]}})),
            "non-default capabilities (container \"c\" must not include \"BPF\", \"SYS_ADMIN\" in \
             securityContext.capabilities.add)",
        ),
        (
            json!({"securityContext": {"seLinuxOptions": {"type": "t", "user": "u"}},
                "containers": [{"name": "c", "securityContext": {"seLinuxOptions": {"role": "r"}}}]}),
            "seLinuxOptions (pod and container \"c\" set forbidden securityContext.seLinuxOptions: type \"t\"; user may not be \
             set; role may not be set)",
        ),
        (
            json!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}),
            "forbidden AppArmor profile (pod must not set AppArmor profile type to \"Unconfined\")",
        ),
        (
            json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
            "seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")",
        ),
        (json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax"}]}}), "forbidden sysctls (kernel.msgmax)"),
        (
            json!({"securityContext": {"windowsOptions": {"hostProcess": true}}}),
            "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
        ),
    ] {
        assert_eq!(baseline(spec), want);
    }
}

#[test]
fn annotations_of_old_are_read() {
    let pod = json!({"metadata": {"annotations": {
        "container.apparmor.security.beta.kubernetes.io/c": "unconfined",
        "container.apparmor.security.beta.kubernetes.io/d": "localhost/x",
        "seccomp.security.alpha.kubernetes.io/pod": "unconfined"}}, "spec": {}});
    let armor = "forbidden AppArmor profile (annotation must not set AppArmor profile type to \
                 \"container.apparmor.security.beta.kubernetes.io/c=\"unconfined\"\")";
    assert_eq!(at(Level::Baseline, 19, &pod), armor);
    let seccomp = "seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod=\"unconfined\")";
    assert_eq!(at(Level::Baseline, 18, &pod), format!("{armor}, {seccomp}"));
}

#[test]
fn versions_differ() {
    let sysctl = |name: &str| json!({"securityContext": {"sysctls": [{"name": name}]}});
    for (minor, spec, is_fine) in [
        (26, sysctl("net.ipv4.ip_local_reserved_ports"), false),
        (27, sysctl("net.ipv4.ip_local_reserved_ports"), true),
        (31, sysctl("net.ipv4.tcp_rmem"), false),
        (32, sysctl("net.ipv4.tcp_rmem"), true),
        (30, container(json!({"seLinuxOptions": {"type": "container_engine_t"}})), false),
        (31, container(json!({"seLinuxOptions": {"type": "container_engine_t"}})), true),
        (33, json!({"containers": [{"name": "c", "livenessProbe": {"httpGet": {"host": "h"}}}]}), true),
        (34, json!({"containers": [{"name": "c", "livenessProbe": {"httpGet": {"host": "h"}}}]}), false),
    ] {
        assert_eq!(at(Level::Baseline, minor, &json!({"spec": spec})).is_empty(), is_fine, "{minor} {spec}");
    }
    let bare = json!({"containers": [{"name": "c"}]});
    let reasons = |minor: u32| restricted(minor, bare.clone());
    assert!(!reasons(7).contains("allowPrivilegeEscalation") && reasons(8).contains("allowPrivilegeEscalation"));
    assert!(!reasons(18).contains("seccompProfile") && reasons(19).contains("seccompProfile"));
    assert!(!reasons(21).contains("capabilities") && reasons(22).contains("unrestricted capabilities"));
    let windows =
        json!({"os": {"name": "windows"}, "securityContext": {"runAsNonRoot": true}, "containers": [{"name": "c"}]});
    assert!(restricted(24, windows.clone()).contains("capabilities"));
    assert_eq!(restricted(25, windows), "");
    let own_users = good(json!({"hostUsers": false, "securityContext": {"runAsUser": 0, "runAsNonRoot": false,
        "seccompProfile": {"type": "Localhost"}}}));
    assert!(restricted(34, own_users.clone()).contains("runAsUser=0 (pod must not set runAsUser=0)"));
    assert_eq!(restricted(35, own_users), "");
}

#[test]
fn the_restricted_level_names_what_is_wrong() {
    for (spec, want) in [
        (
            good(json!({"volumes": [{"name": "v", "hostPath": {}}, {"name": "w", "nfs": {}}, {"name": "x"}]})),
            "restricted volume types (volumes \"v\", \"w\", \"x\" use restricted volume types \"hostPath\", \"nfs\", \"unknown\")",
        ),
        (
            good(json!({"initContainers": [{"name": "i", "securityContext": {"allowPrivilegeEscalation": false,
                "runAsNonRoot": false, "capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}}]})),
            "unrestricted capabilities (container \"i\" must not include \"CHOWN\" in securityContext.capabilities.add), \
             runAsNonRoot != true (container \"i\" must not set securityContext.runAsNonRoot=false)",
        ),
    ] {
        assert_eq!(restricted(36, spec), want);
    }
}

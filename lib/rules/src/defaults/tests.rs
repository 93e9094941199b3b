use super::*;
use apimachinery::resources::find;
use serde_json::json;

fn defaulted(group: &str, version: &str, plural: &str, mut object: Value) -> Value {
    let resource = find(group, version, plural).unwrap_or_else(|| panic!("{plural} are served"));
    apply(resource, &mut object);
    let once = object.clone();
    apply(resource, &mut object);
    assert_eq!(object, once, "{plural}: defaulting twice changes nothing more");
    object
}

#[test]
fn pods() {
    let pod = json!({"spec": {
        "containers": [{
            "name": "a", "image": "nginx", "ports": [{"containerPort": 80}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500u"}},
            "livenessProbe": {"httpGet": {"port": 80}}, "readinessProbe": {"grpc": {"port": 1}, "periodSeconds": 5},
            "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        }],
        "volumes": [
            {"name": "bare"}, {"name": "s", "secret": {"secretName": "s"}}, {"name": "h", "hostPath": {"path": "/"}},
            {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        ],
    }});
    let want = json!({"spec": {
        "containers": [{
            "name": "a", "image": "nginx", "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1m", "memory": "1Gi"}},
            "livenessProbe": {
                "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
            },
            "readinessProbe": {
                "grpc": {"port": 1, "service": ""},
                "timeoutSeconds": 1, "periodSeconds": 5, "successThreshold": 1, "failureThreshold": 3,
            },
            "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}}}],
            "imagePullPolicy": "Always", "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        }],
        "volumes": [
            {"name": "bare", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "s", "defaultMode": 420}},
            {"name": "h", "hostPath": {"path": "/", "type": ""}},
            {"name": "p", "projected": {
                "defaultMode": 420, "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
            }},
        ],
        "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
        "securityContext": {}, "terminationGracePeriodSeconds": 30, "enableServiceLinks": true,
    }});
    assert_eq!(defaulted("", "v1", "pods", pod), want);
}

#[test]
fn templates_of_daemon_sets_have_a_number() {
    for (given, want) in [
        (json!({}), json!({"annotations": {"deprecated.daemonset.template.generation": "0"}})),
        (json!({"annotations": null}), json!({"annotations": {"deprecated.daemonset.template.generation": "0"}})),
        (
            json!({"annotations": {"a": "b", "deprecated.daemonset.template.generation": "+07"}}),
            json!({"annotations": {"a": "b", "deprecated.daemonset.template.generation": "7"}}),
        ),
        (
            json!({"annotations": {"deprecated.daemonset.template.generation": "x"}}),
            json!({"annotations": {"deprecated.daemonset.template.generation": "x"}}),
        ),
    ] {
        let set = defaulted("apps", "v1", "daemonsets", json!({"metadata": given, "spec": {}}));
        assert_eq!(set["metadata"], want);
    }
}

#[test]
fn ports_of_the_host() {
    let pod = json!({"spec": {"hostNetwork": true, "containers": [{"name": "a", "ports": [{"containerPort": 80}]}]}});
    let pod = defaulted("", "v1", "pods", pod);
    assert_eq!(pod["spec"]["containers"][0]["ports"][0]["hostPort"], 80);
}

#[test]
fn resources_of_the_whole_pod() {
    let container = |limits: Value| json!({"name": "a", "resources": {"limits": limits}});
    for (what, resources, containers, want) in [
        (
            "requests from limits",
            json!({"limits": {"cpu": "2"}}),
            json!([{"name": "a"}]),
            json!({"limits": {"cpu": "2"}, "requests": {"cpu": "2"}}),
        ),
        (
            "requests from the containers'",
            json!({"limits": {"cpu": "2"}}),
            json!([container(json!({"cpu": "1"}))]),
            json!({"limits": {"cpu": "2"}, "requests": {"cpu": "1"}}),
        ),
        (
            "limits of huge pages only",
            json!({"requests": {"cpu": "2"}}),
            json!([container(json!({"cpu": "1", "hugepages-2Mi": "2Mi"})), container(json!({"cpu": "1"}))]),
            json!({"limits": {"hugepages-2Mi": "2Mi"}, "requests": {"cpu": "2", "hugepages-2Mi": "2Mi"}}),
        ),
    ] {
        let pod = json!({"spec": {"resources": resources, "containers": containers}});
        assert_eq!(defaulted("", "v1", "pods", pod)["spec"]["resources"], want, "{what}");
    }
}

#[test]
fn services() {
    let port = json!({"port": 80});
    let want_port = json!({"port": 80, "protocol": "TCP", "targetPort": 80});
    for (what, spec, want) in [
        (
            "plain",
            json!({"ports": [port]}),
            json!({"ports": [want_port], "type": "ClusterIP", "sessionAffinity": "None",
                "internalTrafficPolicy": "Cluster"}),
        ),
        (
            "sticky node port",
            json!({"ports": [port], "type": "NodePort", "sessionAffinity": "ClientIP"}),
            json!({"ports": [want_port], "type": "NodePort", "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
                "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Cluster"}),
        ),
        (
            "external name",
            json!({"type": "ExternalName", "externalName": "a.b", "sessionAffinityConfig": {}}),
            json!({"type": "ExternalName", "externalName": "a.b", "sessionAffinity": "None"}),
        ),
        (
            "load balancer",
            json!({"type": "LoadBalancer", "ports": [{"port": 1, "targetPort": "web"}]}),
            json!({"type": "LoadBalancer", "ports": [{"port": 1, "targetPort": "web", "protocol": "TCP"}],
                "sessionAffinity": "None", "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Cluster",
                "allocateLoadBalancerNodePorts": true}),
        ),
    ] {
        assert_eq!(defaulted("", "v1", "services", json!({"spec": spec}))["spec"], want, "{what}");
    }
}

#[test]
fn workloads() {
    let template = json!({"metadata": {"labels": {"a": "b"}}});
    // A template has a specification, be it empty.
    let whole = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always", "schedulerName": "default-scheduler", "securityContext": {},
        "terminationGracePeriodSeconds": 30}});
    for (group, plural, spec, want) in [
        (
            "apps",
            "deployments",
            json!({}),
            json!({"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}}),
        ),
        (
            "apps",
            "deployments",
            json!({"strategy": {"type": "Recreate"}, "replicas": 0}),
            json!({"replicas": 0, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
                "strategy": {"type": "Recreate"}}),
        ),
        ("apps", "replicasets", json!({}), json!({"replicas": 1})),
        (
            "apps",
            "daemonsets",
            json!({}),
            json!({"revisionHistoryLimit": 10,
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}),
        ),
        (
            "apps",
            "statefulsets",
            json!({"volumeClaimTemplates": [{"spec": {}}]}),
            json!({"replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady",
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
                "volumeClaimTemplates": [{"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                    "spec": {"volumeMode": "Filesystem"}, "status": {"phase": "Pending"}}]}),
        ),
        (
            "batch",
            "jobs",
            json!({"template": template, "backoffLimitPerIndex": 1}),
            json!({"template": whole, "backoffLimitPerIndex": 1, "completions": 1, "parallelism": 1,
                "backoffLimit": i32::MAX, "completionMode": "NonIndexed", "suspend": false,
                "podReplacementPolicy": "TerminatingOrFailed", "manualSelector": false}),
        ),
        (
            "batch",
            "cronjobs",
            json!({"schedule": "@daily"}),
            json!({"schedule": "@daily", "concurrencyPolicy": "Allow", "suspend": false,
                "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}),
        ),
        (
            "",
            "replicationcontrollers",
            json!({"template": template}),
            json!({"template": whole, "replicas": 1, "selector": {"a": "b"}}),
        ),
    ] {
        assert_eq!(defaulted(group, "v1", plural, json!({"spec": spec}))["spec"], want, "{plural}");
    }
    // A new job's template is not complete before the apiserver has labelled it.
    for (manual, label) in [(true, json!("b")), (false, json!(null))] {
        let spec = json!({"template": template, "completions": 3, "manualSelector": manual});
        let job = defaulted("batch", "v1", "jobs", json!({"spec": spec}));
        assert_eq!((&job["metadata"]["labels"]["a"], &job["spec"]["completions"]), (&label, &json!(3)));
    }
}

#[test]
fn smaller_kinds() {
    const NET: &str = "networking.k8s.io";
    const HOOKS: &str = "admissionregistration.k8s.io";
    let any = json!({"failurePolicy": "Fail", "matchPolicy": "Equivalent", "namespaceSelector": {},
        "objectSelector": {}, "timeoutSeconds": 10,
        "rules": [{"operations": ["*"], "scope": "*"}],
        "clientConfig": {"service": {"name": "s", "port": 443}}});
    let hook = json!({"rules": [{"operations": ["*"]}], "clientConfig": {"service": {"name": "s"}}});
    let mut mutating = any.clone();
    mutating["reinvocationPolicy"] = "Never".into();
    for (group, plural, object, want) in [
        (
            "",
            "namespaces",
            json!({"metadata": {"name": "a"}}),
            json!({"metadata": {"name": "a", "labels": {"kubernetes.io/metadata.name": "a"}},
                "status": {"phase": "Active"}}),
        ),
        ("", "secrets", json!({}), json!({"type": "Opaque"})),
        (
            "",
            "secrets",
            json!({"data": {"a": "b2xk", "b": "eA=="}, "stringData": {"a": "new"}, "type": "t"}),
            json!({"data": {"a": "bmV3", "b": "eA=="}, "type": "t"}),
        ),
        ("", "configmaps", json!({"data": {"a": "b"}}), json!({"data": {"a": "b"}})),
        (
            "",
            "nodes",
            json!({"status": {"capacity": {"cpu": "2"}}}),
            json!({"status": {"capacity": {"cpu": "2"}, "allocatable": {"cpu": "2"}}}),
        ),
        ("", "nodes", json!({"spec": {"podCIDR": "a"}}), json!({"spec": {"podCIDR": "a", "podCIDRs": ["a"]}})),
        (
            "",
            "nodes",
            json!({"spec": {"podCIDRs": ["a", "b"]}}),
            json!({"spec": {"podCIDR": "a", "podCIDRs": ["a", "b"]}}),
        ),
        (
            "",
            "persistentvolumes",
            json!({"spec": {}}),
            json!({"spec": {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"},
                "status": {"phase": "Pending"}}),
        ),
        (
            "",
            "limitranges",
            json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1"}}]}}),
            json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1"},
                "default": {"cpu": "2"}, "defaultRequest": {"cpu": "2", "memory": "1"}}]}}),
        ),
        (
            "",
            "endpoints",
            json!({"subsets": [{"ports": [{"port": 1}]}]}),
            json!({"subsets": [{"ports": [{"port": 1, "protocol": "TCP"}]}]}),
        ),
        (
            NET,
            "networkpolicies",
            json!({"spec": {"egress": [{"ports": [{"port": 1}]}]}}),
            json!({"spec": {"egress": [{"ports": [{"port": 1, "protocol": "TCP"}]}],
                "policyTypes": ["Ingress", "Egress"]}}),
        ),
        (
            "rbac.authorization.k8s.io",
            "rolebindings",
            json!({"roleRef": {"kind": "Role"}, "subjects": [{"kind": "User"}, {"kind": "ServiceAccount"}]}),
            json!({"roleRef": {"kind": "Role", "apiGroup": "rbac.authorization.k8s.io"},
                "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io"}, {"kind": "ServiceAccount"}]}),
        ),
        (HOOKS, "validatingwebhookconfigurations", json!({"webhooks": [hook]}), json!({"webhooks": [any]})),
        (HOOKS, "mutatingwebhookconfigurations", json!({"webhooks": [hook]}), json!({"webhooks": [mutating]})),
        (
            "discovery.k8s.io",
            "endpointslices",
            json!({"ports": [{"port": 1}]}),
            json!({"ports": [{"port": 1, "name": "", "protocol": "TCP"}]}),
        ),
        ("scheduling.k8s.io", "priorityclasses", json!({}), json!({"preemptionPolicy": "PreemptLowerPriority"})),
        (
            "storage.k8s.io",
            "storageclasses",
            json!({}),
            json!({"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}),
        ),
        (
            "flowcontrol.apiserver.k8s.io",
            "prioritylevelconfigurations",
            json!({"spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": {}}}}}),
            json!({"spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 30, "lendablePercent": 0,
                "limitResponse": {"type": "Queue",
                    "queuing": {"queues": 64, "handSize": 8, "queueLengthLimit": 50}}}}}),
        ),
        (
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            json!({"spec": {"names": {"kind": "Foo"}, "versions": [{"name": "v1", "storage": true}]}}),
            json!({"spec": {"names": {"kind": "Foo", "singular": "foo", "listKind": "FooList"},
                "conversion": {"strategy": "None"}, "versions": [{"name": "v1", "storage": true}]},
                "status": {"storedVersions": ["v1"]}}),
        ),
        (
            "apiregistration.k8s.io",
            "apiservices",
            json!({"spec": {"service": {"name": "a"}}}),
            json!({"spec": {"service": {"name": "a", "port": 443}}}),
        ),
        (
            "resource.k8s.io",
            "resourceclaims",
            json!({"spec": {"devices": {"requests": [{"name": "a", "exactly": {}}]}}}),
            json!({"spec": {"devices": {"requests": [
                {"name": "a", "exactly": {"allocationMode": "ExactCount", "count": 1}}]}}}),
        ),
    ] {
        assert_eq!(defaulted(group, "v1", plural, object), want, "{plural}");
    }
}

#[test]
fn autoscalers() {
    let object = json!({"spec": {"behavior": {"scaleDown": {"policies": []}}}});
    let spec = &defaulted("autoscaling", "v2", "horizontalpodautoscalers", object)["spec"];
    assert_eq!((&spec["minReplicas"], &spec["metrics"][0]["resource"]["name"]), (&json!(1), &json!("cpu")));
    assert_eq!(spec["behavior"]["scaleDown"], json!({"selectPolicy": "Max", "policies": []}));
    assert_eq!(spec["behavior"]["scaleUp"]["policies"][1]["type"], "Percent");
    let cpu = |percent: i64| json!({"minReplicas": 1, "targetCPUUtilizationPercentage": percent});
    let annotated = |metrics: &str| json!({"metadata": {"annotations": {"autoscaling.alpha.kubernetes.io/metrics": metrics}}, "spec": {}});
    for (object, want) in [
        (json!({"spec": {}}), cpu(80)),
        (json!({"spec": {"targetCPUUtilizationPercentage": 50}}), cpu(50)),
        (annotated("[]"), cpu(80)),
        (annotated("[{\"type\": \"Pods\"}]"), json!({"minReplicas": 1})),
    ] {
        assert_eq!(defaulted("autoscaling", "v1", "horizontalpodautoscalers", object)["spec"], want);
    }
}

#[test]
fn nonsense_is_left_alone() {
    for object in [json!(null), json!([1]), json!({"spec": 7}), json!({"spec": {"containers": [3, null]}})] {
        let mut changed = object.clone();
        apply(find("", "v1", "pods").expect("served"), &mut changed);
    }
}

use super::*;
use apimachinery::resources::{builtin, find};
use serde_json::json;

const NOW: &str = "2026-01-01T01:00:00Z";
const MADE: &str = "2026-01-01T00:50:00Z";

fn printed(group: &str, version: &str, plural: &str, mut object: Value) -> Vec<String> {
    let resource = find(group, version, plural).unwrap_or_else(|| panic!("{plural} are served"));
    object.set_meta("creationTimestamp", MADE);
    let row = texts(resource, &object, NOW.parse().expect("a time"));
    assert_eq!(row.len(), columns(resource).len(), "{plural}");
    row
}

/// The columns of upstream's tables, if the list of them is at hand.
#[test]
fn columns_are_upstreams() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/kubernetes-1.36/table-columns.tsv");
    let Ok(list) = std::fs::read_to_string(path) else {
        println!("skipped: no {path}");
        return;
    };
    let mut seen = std::collections::HashMap::new();
    for line in list.lines().skip(1) {
        let words: Vec<&str> = line.split('\t').collect();
        let [group, version, plural, index, name, kind, format, priority] = words[..] else { panic!("{line}") };
        let resource = find(group, version, plural).unwrap_or_else(|| panic!("{plural} are served"));
        let index: usize = index.parse().expect("an index");
        let column = columns(resource)[index];
        assert_eq!((column.name, column.kind, column.format), (name, kind, format), "{line}");
        assert_eq!(column.priority.to_string(), priority, "{line}");
        seen.insert((group, version, plural), index + 1);
    }
    for ((group, version, plural), count) in seen {
        assert_eq!(columns(find(group, version, plural).expect("served")).len(), count, "{plural}");
    }
}

#[test]
fn every_row_fits_its_columns() {
    let now = NOW.parse().expect("a time");
    for resource in builtin() {
        for object in [json!({}), json!({"metadata": {"name": "a"}, "spec": {}, "status": {}}), json!({"spec": 1})] {
            assert_eq!(cells(resource, &object, now).len(), columns(resource).len(), "{}", resource.plural);
        }
    }
}

fn pod(status: Value) -> Value {
    json!({"metadata": {"name": "a"}, "status": status, "spec": {
        "containers": [{"name": "c"}, {"name": "d"}],
        "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}, {"name": "j"}],
    }})
}

#[test]
fn reasons_of_pods() {
    let running = |name: &str| json!({"name": name, "ready": true, "state": {"running": {}}});
    let waiting = |name: &str, why: &str| json!({"name": name, "state": {"waiting": {"reason": why}}});
    let ended = |name: &str, end: Value| json!({"name": name, "state": {"terminated": end}});
    let done = || ended("i", json!({"exitCode": 0, "reason": "Completed"}));
    let sidecar = || json!({"name": "s", "started": true, "ready": true, "state": {"running": {}}});
    for (status, ready, reason) in [
        (json!({"phase": "Pending"}), "0/3", "Pending"),
        (json!({"phase": "Failed", "reason": "Evicted"}), "0/3", "Evicted"),
        (
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}),
            "0/3",
            "SchedulingGated",
        ),
        (json!({"phase": "Pending", "initContainerStatuses": [waiting("i", "PodInitializing")]}), "0/3", "Init:0/3"),
        (json!({"phase": "Pending", "initContainerStatuses": [done(), sidecar(), running("j")]}), "1/3", "Init:2/3"),
        (
            json!({"phase": "Pending", "initContainerStatuses": [waiting("i", "CrashLoopBackOff")]}),
            "0/3",
            "Init:CrashLoopBackOff",
        ),
        (
            json!({"phase": "Pending", "initContainerStatuses": [ended("i", json!({"exitCode": 2}))]}),
            "0/3",
            "Init:ExitCode:2",
        ),
        (
            json!({"phase": "Pending", "initContainerStatuses": [ended("i", json!({"exitCode": 137, "signal": 9}))]}),
            "0/3",
            "Init:Signal:9",
        ),
        (
            json!({"phase": "Pending", "containerStatuses": [waiting("c", "ContainerCreating")]}),
            "0/3",
            "ContainerCreating",
        ),
        (
            json!({"phase": "Running", "initContainerStatuses": [done(), sidecar(), done()],
                "containerStatuses": [running("c"), running("d")]}),
            "3/3",
            "Running",
        ),
        (
            json!({"phase": "Running", "containerStatuses": [waiting("c", "CrashLoopBackOff"), running("d")]}),
            "1/3",
            "CrashLoopBackOff",
        ),
        (
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [
                ended("c", json!({"exitCode": 0, "reason": "Completed"})), running("d")]}),
            "1/3",
            "NotReady",
        ),
        (
            json!({"phase": "Succeeded", "containerStatuses": [ended("c", json!({"reason": "Completed"}))]}),
            "0/3",
            "Completed",
        ),
        (json!({"phase": "Failed", "containerStatuses": [ended("c", json!({"exitCode": 3}))]}), "0/3", "ExitCode:3"),
    ] {
        let row = printed("", "v1", "pods", pod(status.clone()));
        assert_eq!((&*row[1], &*row[2]), (ready, reason), "{status}");
    }
}

#[test]
fn pods_that_are_deleted() {
    for (status, want) in [
        (json!({"phase": "Running"}), "Terminating"),
        (json!({"phase": "Running", "reason": "NodeLost"}), "Unknown"),
        (json!({"phase": "Succeeded"}), "Succeeded"),
    ] {
        let mut pod = pod(status);
        pod.set_meta("deletionTimestamp", NOW);
        assert_eq!(printed("", "v1", "pods", pod)[2], want);
    }
}

#[test]
fn whole_rows_of_pods() {
    let status = json!({
        "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}],
        "conditions": [{"type": "x", "status": "True"}],
        "containerStatuses": [{"name": "c", "ready": true, "restartCount": 2, "state": {"running": {}},
            "lastState": {"terminated": {"finishedAt": "2026-01-01T00:55:00Z"}}}],
    });
    let mut pod = pod(status);
    pod["spec"]["nodeName"] = "n".into();
    pod["spec"]["readinessGates"] = json!([{"conditionType": "x"}, {"conditionType": "y"}]);
    let want = ["a", "1/3", "Running", "2 (5m ago)", "10m", "10.0.0.1", "n", "<none>", "1/2"];
    assert_eq!(printed("", "v1", "pods", pod), want);
    let want = ["", "0/0", "", "0", "10m", "<none>", "<none>", "<none>", "<none>"];
    assert_eq!(printed("", "v1", "pods", json!({})), want);
}

#[test]
fn rows_of_the_core_group() {
    for (plural, object, want) in [
        (
            "nodes",
            json!({"metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": ""}},
                "spec": {"unschedulable": true},
                "status": {"conditions": [{"type": "Ready", "status": "True"}],
                    "addresses": [{"type": "InternalIP", "address": "10.0.0.2"}],
                    "nodeInfo": {"kubeletVersion": "v1.36.2", "osImage": "Debian", "kernelVersion": "6",
                        "containerRuntimeVersion": "containerd://1"}}}),
            "n|Ready,SchedulingDisabled|control-plane|10m|v1.36.2|10.0.0.2|<none>|Debian|6|containerd://1",
        ),
        (
            "nodes",
            json!({"metadata": {"name": "n"}}),
            "n|Unknown|<none>|10m||<none>|<none>|<unknown>|<unknown>|<unknown>",
        ),
        (
            "services",
            json!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "clusterIP": "10.1.0.1",
                "clusterIPs": ["10.1.0.1"], "selector": {"a": "b"}, "ports": [
                    {"port": 80, "nodePort": 30004, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}}),
            "s|NodePort|10.1.0.1|<none>|80:30004/TCP,53/UDP|10m|a=b",
        ),
        (
            "services",
            json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [
                {"hostname": "b"}, {"ip": "9.9.9.9"}]}}}),
            "|LoadBalancer|<none>|9.9.9.9,b|<none>|10m|<none>",
        ),
        ("services", json!({"spec": {"type": "LoadBalancer"}}), "|LoadBalancer|<none>|<pending>|<none>|10m|<none>"),
        (
            "services",
            json!({"spec": {"type": "ExternalName", "externalName": "x.y"}}),
            "|ExternalName|<none>|x.y|<none>|10m|<none>",
        ),
        (
            "endpoints",
            json!({"subsets": [{"addresses": [{"ip": "1.1.1.1"}, {"ip": "::1"}],
                "ports": [{"port": 1}, {"port": 2}]}]}),
            "|1.1.1.1:1,[::1]:1,1.1.1.1:2 + 1 more...|10m",
        ),
        ("configmaps", json!({"data": {"a": ""}, "binaryData": {"b": ""}}), "|2|10m"),
        ("secrets", json!({"type": "Opaque", "data": {"a": ""}}), "|Opaque|1|10m"),
        ("namespaces", json!({"status": {"phase": "Active"}}), "|Active|10m"),
        (
            "resourcequotas",
            json!({"status": {"hard": {"pods": "5", "limits.cpu": "1", "cpu": "2"}, "used": {"pods": "1"}}}),
            "|cpu: 0/2, pods: 1/5|limits.cpu: 0/1|10m",
        ),
        (
            "persistentvolumeclaims",
            json!({"spec": {"volumeName": "v", "storageClassName": "fast", "volumeMode": "Filesystem"},
                "status": {"phase": "Bound", "capacity": {"storage": "1Gi"},
                    "accessModes": ["ReadWriteMany", "ReadWriteOnce"]}}),
            "|Bound|v|1Gi|RWO,RWX|fast|<unset>|10m|Filesystem",
        ),
        (
            "persistentvolumes",
            json!({"spec": {"capacity": {"storage": "1Gi"}, "claimRef": {"namespace": "n", "name": "c"},
                "persistentVolumeReclaimPolicy": "Retain", "accessModes": ["ReadOnlyMany"]},
                "status": {"phase": "Bound"}}),
            "|1Gi|ROX|Retain|Bound|n/c||<unset>||10m|<unset>",
        ),
        (
            "events",
            json!({"metadata": {"name": "e"}, "type": "Normal", "reason": "R", "message": " m\n", "count": 3,
                "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "f"},
                "source": {"component": "kubelet", "host": "n"},
                "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": MADE}),
            "10m|Normal|R|pod/p|f|kubelet, n|m|60m|3|e",
        ),
        (
            "replicationcontrollers",
            json!({"spec": {"replicas": 2, "selector": {"a": "b"}}, "status": {"replicas": 1}}),
            "|2|1|0|10m|||a=b",
        ),
        ("limitranges", json!({}), "|2026-01-01T00:50:00Z"),
    ] {
        assert_eq!(printed("", "v1", plural, object).join("|"), want, "{plural}");
    }
}

#[test]
fn rows_of_workloads() {
    let spec = json!({"replicas": 3, "selector": {"matchLabels": {"a": "b"}},
        "template": {"spec": {"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "j"}]}}});
    let with = |key: &str, value: Value| {
        let mut spec = spec.clone();
        spec[key] = value;
        spec
    };
    let condition = |kind: &str| json!([{"type": kind, "status": "True"}]);
    for (group, plural, object, want) in [
        (
            "apps",
            "deployments",
            json!({"metadata": {"name": "a"}, "spec": spec, "status": {"readyReplicas": 1, "updatedReplicas": 2}}),
            "a|1/3|2|0|10m|c,d|i,j|a=b",
        ),
        ("apps", "replicasets", json!({"spec": spec, "status": {"replicas": 2}}), "|3|2|0|10m|c,d|i,j|a=b"),
        ("apps", "statefulsets", json!({"spec": spec}), "|0/3|10m|c,d|i,j"),
        (
            "apps",
            "daemonsets",
            json!({"spec": spec, "status": {"desiredNumberScheduled": 2, "numberReady": 1}}),
            "|2|0|1|0|0|<none>|10m|c,d|i,j|a=b",
        ),
        (
            "apps",
            "controllerrevisions",
            json!({"revision": 4, "metadata": {"ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "controller": true}]}}),
            "|daemonset.apps/d|4|10m",
        ),
        (
            "batch",
            "jobs",
            json!({"spec": with("completions", 2.into()), "status": {"succeeded": 1, "startTime": MADE}}),
            "|Running|1/2|10m|10m|c,d|i,j|a=b",
        ),
        (
            "batch",
            "jobs",
            json!({"spec": with("parallelism", 2.into()), "status": {"conditions": condition("Complete"),
                "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:07Z"}}),
            "|Complete|0/1 of 2|7s|10m|c,d|i,j|a=b",
        ),
        (
            "batch",
            "cronjobs",
            json!({"spec": {"schedule": "@daily", "suspend": false, "jobTemplate": {"spec": spec}},
                "status": {"active": [{}]}}),
            "|@daily|<none>|False|1|<none>|10m|c,d|i,j|a=b",
        ),
        (
            "policy",
            "poddisruptionbudgets",
            json!({"spec": {"minAvailable": "50%"}, "status": {"disruptionsAllowed": 1}}),
            "|50%|N/A|1|10m",
        ),
    ] {
        assert_eq!(printed(group, "v1", plural, object).join("|"), want, "{plural}");
    }
}

#[test]
fn rows_of_other_groups() {
    for (group, version, plural, object, want) in [
        (
            "autoscaling",
            "v2",
            "horizontalpodautoscalers",
            json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "minReplicas": 1, "maxReplicas": 5,
                "metrics": [
                    {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}},
                    {"type": "Pods", "pods": {"target": {"averageValue": "5"}}},
                    {"type": "External", "external": {"target": {"value": "5"}}}]},
                "status": {"currentReplicas": 2, "currentMetrics": [
                    {"type": "Resource", "resource": {"current": {"averageUtilization": 10}}}]}}),
            "|Deployment/d|cpu: 10%/80%, <unknown>/5 + 1 more...|1|5|2|10m",
        ),
        (
            "autoscaling",
            "v1",
            "horizontalpodautoscalers",
            json!({"spec": {"maxReplicas": 5, "targetCPUUtilizationPercentage": 80}}),
            "||cpu: <unknown>/80%|<unset>|5|0|10m",
        ),
        (
            "networking.k8s.io",
            "v1",
            "ingresses",
            json!({"spec": {"rules": [{"host": "a"}, {}], "tls": [{}]}}),
            "|<none>|a||80, 443|10m",
        ),
        (
            "networking.k8s.io",
            "v1",
            "ipaddresses",
            json!({"metadata": {"name": "10.0.0.1"},
                "spec": {"parentRef": {"resource": "services", "namespace": "n", "name": "s"}}}),
            "10.0.0.1|services/n/s",
        ),
        (
            "discovery.k8s.io",
            "v1",
            "endpointslices",
            json!({"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["1.1.1.1"]}]}),
            "|IPv4|80|1.1.1.1|10m",
        ),
        (
            "rbac.authorization.k8s.io",
            "v1",
            "rolebindings",
            json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [
                {"kind": "User", "name": "u"}, {"kind": "User", "name": "v"},
                {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]}),
            "|Role/r|10m|u, v||n/s",
        ),
        (
            "storage.k8s.io",
            "v1",
            "storageclasses",
            json!({"metadata": {"name": "c", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
                "provisioner": "p"}),
            "c (default)|p|Delete|Immediate|false|10m",
        ),
        (
            "certificates.k8s.io",
            "v1",
            "certificatesigningrequests",
            json!({"spec": {"signerName": "s", "username": "u", "expirationSeconds": 3600},
                "status": {"conditions": [{"type": "Approved", "status": "True"}], "certificate": "x"}}),
            "|10m|s|u|60m|Approved,Issued",
        ),
        (
            "apiregistration.k8s.io",
            "v1",
            "apiservices",
            json!({"spec": {"service": {"namespace": "n", "name": "s"}}, "status": {"conditions": [
                {"type": "Available", "status": "False", "reason": "MissingEndpoints"}]}}),
            "|n/s|False (MissingEndpoints)|10m",
        ),
        ("coordination.k8s.io", "v1", "leases", json!({"spec": {"holderIdentity": "h"}}), "|h|10m"),
        ("scheduling.k8s.io", "v1", "priorityclasses", json!({"value": 7}), "|7|false|10m|<unset>"),
        (
            "flowcontrol.apiserver.k8s.io",
            "v1",
            "prioritylevelconfigurations",
            json!({"spec": {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0}}}),
            "|Exempt|0|<none>|<none>|<none>|10m",
        ),
        ("resource.k8s.io", "v1", "resourceclaims", json!({}), "|pending|10m"),
        (
            "events.k8s.io",
            "v1",
            "events",
            json!({"metadata": {"name": "e"}, "note": "m", "regarding": {"kind": "Node", "name": "n"},
                "reportingController": "c", "reportingInstance": "i", "eventTime": MADE,
                "series": {"count": 4, "lastObservedTime": "2026-01-01T00:59:00Z"}}),
            "60s|||node/n||c, i|m|10m|4|e",
        ),
    ] {
        assert_eq!(printed(group, version, plural, object).join("|"), want, "{plural}");
    }
}

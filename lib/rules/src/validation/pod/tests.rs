use crate::validation::{create, update, update_ephemeral_containers, update_resize, update_status};
use apimachinery::Value;
use apimachinery::resources::find;
use serde_json::json;

fn made(spec: Value) -> Value {
    let mut pod = json!({"metadata": {"name": "p", "namespace": "ns", "resourceVersion": "1"}, "spec": spec});
    crate::defaults::apply(find("", "v1", "pods").expect("served"), &mut pod);
    pod
}

fn created(spec: Value) -> Vec<String> {
    let mut pod = made(spec);
    pod["metadata"]["resourceVersion"] = "".into();
    let errors = create(find("", "v1", "pods").expect("served"), &pod);
    errors.iter().map(ToString::to_string).collect()
}

fn updated(new: Value, old: Value) -> Vec<String> {
    let errors = update(find("", "v1", "pods").expect("served"), &made(new), &made(old));
    errors.iter().map(ToString::to_string).collect()
}

/// A container with these members more.
fn with(more: Value) -> Value {
    let mut container = json!({"name": "c", "image": "i"});
    for (key, value) in more.as_object().expect("an object") {
        container[key] = value.clone();
    }
    container
}

#[test]
fn containers() {
    let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
    for (container, want) in [
        (json!({}), &[][..]),
        (json!({"name": ""}), &["spec.containers[0].name: Required value"]),
        (json!({"image": ""}), &["spec.containers[0].image: Required value"]),
        (
            json!({"image": " i"}),
            &["spec.containers[0].image: Invalid value: \" i\": must not have leading or trailing whitespace"],
        ),
        (
            json!({"ports": [{"containerPort": 70000, "name": "x"}, {"name": "x", "protocol": "X"}]}),
            &[
                "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
                "spec.containers[0].ports[1].name: Duplicate value: \"x\"",
                "spec.containers[0].ports[1].containerPort: Required value",
                "spec.containers[0].ports[1].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \
                 \"UDP\"",
            ],
        ),
        (
            json!({"ports": [{"containerPort": 1, "hostPort": 80}, {"containerPort": 2, "hostPort": 80}]}),
            &["spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//80\""],
        ),
        (
            json!({"env": [{"name": "A=B"}, {"name": "C", "value": "x", "valueFrom": {"fieldRef": {
                "fieldPath": "metadata.name"}}}, {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]}),
            &[
                "spec.containers[0].env[0].name: Invalid value: \"A=B\": a valid environment variable name must consist \
                 only of printable ASCII characters other than '='",
                "spec.containers[0].env[1].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
                "spec.containers[0].env[2].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.x\": error converting \
                 fieldPath: field label not supported: spec.x",
            ],
        ),
        (
            json!({"envFrom": [{}]}),
            &["spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`"],
        ),
        (
            json!({"volumeMounts": [mount("gone", "/a"), mount("v", "/a"), mount("v", "")]}),
            &[
                "spec.containers[0].volumeMounts[0].name: Not found: \"gone\"",
                "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
                "spec.containers[0].volumeMounts[2].mountPath: Required value",
            ],
        ),
        (
            json!({"livenessProbe": {"exec": {"command": ["a"]}, "successThreshold": 2, "periodSeconds": -1}}),
            &[
                "spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
                "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
            ],
        ),
        (
            json!({"readinessProbe": {}, "lifecycle": {"preStop": {"exec": {}, "httpGet": {"port": 1}}}}),
            &[
                "spec.containers[0].lifecycle.preStop.exec.command: Required value",
                "spec.containers[0].lifecycle.preStop.httpGet: Forbidden: may not specify more than 1 handler type",
                "spec.containers[0].readinessProbe: Required value: must specify a handler type",
            ],
        ),
        (
            json!({"resources": {"limits": {"cpu": "1", "pods": "1"}, "requests": {"cpu": "2", "memory": "-1"}}}),
            &[
                "spec.containers[0].resources.limits[pods]: Invalid value: \"pods\": must be a standard resource for \
                 containers",
                "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
                "spec.containers[0].resources.requests[memory]: Invalid value: \"-1\": must be greater than or equal to 0",
                "spec.containers[0].resources.requests[pods]: Invalid value: \"pods\": must be a standard resource for \
                 containers",
            ],
        ),
        (
            json!({"imagePullPolicy": "Sometimes", "restartPolicy": "Always2"}),
            &[
                "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \
                 \"IfNotPresent\", \"Never\"",
                "spec.containers[0].restartPolicy: Unsupported value: \"Always2\": supported values: \"Always\", \
                 \"Never\", \"OnFailure\"",
            ],
        ),
        (
            json!({"securityContext": {"runAsUser": -1}}),
            &["spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, \
               inclusive"],
        ),
    ] {
        let spec = json!({"containers": [with(container.clone())], "volumes": [{"name": "v"}]});
        assert_eq!(created(spec), want, "{container}");
    }
}

#[test]
fn names_are_unique() {
    let two = json!({"containers": [with(json!({})), with(json!({}))], "initContainers": [with(json!({}))]});
    assert_eq!(
        created(two),
        ["spec.containers[1].name: Duplicate value: \"c\"", "spec.initContainers[0].name: Duplicate value: \"c\"",]
    );
    assert_eq!(created(json!({})), ["spec.containers: Required value"]);
    let volumes = json!({"containers": [with(json!({}))], "volumes": [{"name": "v"}, {"name": "v"}]});
    assert_eq!(created(volumes), ["spec.volumes[1].name: Duplicate value: \"v\""]);
}

#[test]
fn init_containers() {
    let init = |more: Value| {
        let mut container = with(more);
        container["name"] = "i".into();
        created(json!({"containers": [with(json!({}))], "initContainers": [container]}))
    };
    let probe = json!({"exec": {"command": ["a"]}});
    assert_eq!(init(json!({"livenessProbe": probe, "restartPolicy": "Always"})), [""; 0]);
    assert_eq!(
        init(json!({"livenessProbe": probe})),
        ["spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without \
          restartPolicy=Always"]
    );
}

#[test]
fn specifications() {
    for (more, want) in [
        (
            json!({"restartPolicy": "X", "dnsPolicy": "Y"}),
            &[
                "spec.restartPolicy: Unsupported value: \"X\": supported values: \"Always\", \"OnFailure\", \"Never\"",
                "spec.dnsPolicy: Unsupported value: \"Y\": supported values: \"ClusterFirstWithHostNet\", \
                 \"ClusterFirst\", \"Default\", \"None\"",
            ][..],
        ),
        (
            json!({"dnsPolicy": "None"}),
            &["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
        ),
        (
            json!({"activeDeadlineSeconds": 0, "hostname": "A.b"}),
            &[
                "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
                "spec.hostname: Invalid value: \"A.b\": a lowercase RFC 1123 label must consist of lower case \
                 alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. \
                 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            ],
        ),
        (
            json!({"tolerations": [{"operator": "Equal"}, {"key": "a", "operator": "Exists", "value": "b"},
                {"key": "a", "operator": "Exists", "tolerationSeconds": 1}]}),
            &[
                "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, \
                 which means \"match all values and all keys\"",
                "spec.tolerations[1].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
                "spec.tolerations[2].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is \
                 set",
            ],
        ),
        (
            json!({"securityContext": {"sysctls": [{"name": "foo-"}, {"name": "kernel.shmmax"}]}}),
            &[
                "spec.securityContext.sysctls[0].name: Invalid value: \"foo-\": must have at most 253 characters and match \
               regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            ],
        ),
        (
            json!({"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "X"}]}),
            &[
                "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
                "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
                "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"X\": supported values: \
                 \"DoNotSchedule\", \"ScheduleAnyway\"",
            ],
        ),
        (
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]}}}}),
            &["spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].\
               matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"],
        ),
        (
            json!({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": ""}}]}),
            &["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
        ),
        (
            json!({"volumes": [{"name": "v", "configMap": {"name": "c", "defaultMode": 512, "items": [
                {"key": "k", "path": "../x"}]}}]}),
            &[
                "spec.volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), \
                 both inclusive",
                "spec.volumes[0].configMap.items[0].path: Invalid value: \"../x\": must not contain '..'",
            ],
        ),
        (
            json!({"schedulingGates": [{"name": "a/b"}, {"name": "a/b"}], "nodeName": "n"}),
            &[
                "spec.schedulingGates[1]: Duplicate value: \"a/b\"",
                "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
            ],
        ),
    ] {
        let mut spec = json!({"containers": [with(json!({}))]});
        for (key, value) in more.as_object().expect("an object") {
            spec[key] = value.clone();
        }
        assert_eq!(created(spec), want, "{more}");
    }
}

#[test]
fn updates() {
    let spec = |more: Value| {
        let mut spec = json!({"containers": [with(json!({}))]});
        for (key, value) in more.as_object().expect("an object") {
            spec[key] = value.clone();
        }
        spec
    };
    let plain = || spec(json!({}));
    let image = json!({"containers": [with(json!({"image": "j", "imagePullPolicy": "Always"}))]});
    let toleration = |seconds: i64| {
        json!({"tolerations": [
            {"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}]})
    };
    for (new, old) in [
        (plain(), plain()),
        (image, plain()),
        (spec(json!({"activeDeadlineSeconds": 5})), plain()),
        (spec(json!({"activeDeadlineSeconds": 5})), spec(json!({"activeDeadlineSeconds": 6}))),
        (spec(toleration(5)), plain()),
        (spec(toleration(5)), spec(toleration(6))),
        (plain(), spec(json!({"schedulingGates": [{"name": "a/b"}]}))),
        (spec(json!({"nodeSelector": {"a": "b"}})), spec(json!({"schedulingGates": [{"name": "a/b"}]}))),
    ] {
        assert_eq!(updated(new.clone(), old), [""; 0], "{new}");
    }
    for (new, old, want) in [
        (
            spec(json!({"nodeName": "n"})),
            plain(),
            "spec: Forbidden: pod updates may not change fields other than \
             `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` \
             (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if \
             it was previously negative)\n@@ -42,7 +42,7 @@\n  \"NodeSelector\": null,\n  \"ServiceAccountName\": \"\",\n  \
             \"AutomountServiceAccountToken\": null,\n- \"NodeName\": \"\",\n+ \"NodeName\": \"n\",\n  \"SecurityContext\": {\n   \
             \"HostNetwork\": false,\n   \"HostPID\": false,\n",
        ),
        (
            json!({"containers": [with(json!({})), with(json!({"name": "d"}))]}),
            plain(),
            "spec.containers: Forbidden: pod updates may not add or remove containers",
        ),
        (
            spec(json!({"activeDeadlineSeconds": 7})),
            spec(json!({"activeDeadlineSeconds": 6})),
            "spec.activeDeadlineSeconds: Invalid value: 7: must be less than or equal to previous value",
        ),
        (
            plain(),
            spec(toleration(6)),
            "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
        ),
    ] {
        assert_eq!(updated(new, old), [want]);
    }
}

#[test]
fn statuses() {
    let pod = |status: Value| {
        let mut pod = made(json!({"containers": [with(json!({}))], "restartPolicy": "Never"}));
        pod["status"] = status;
        pod
    };
    let state = |state: &str| json!({"containerStatuses": [{"name": "c", "state": {state: {}}}]});
    let check = |new: Value, old: Value| {
        let errors = update_status(find("", "v1", "pods").expect("served"), &pod(new), &pod(old));
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(check(state("terminated"), state("running")), [""; 0]);
    assert_eq!(
        check(state("running"), state("terminated")),
        ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"]
    );
    assert_eq!(
        check(
            json!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}], "qosClass": "Burstable"}),
            json!({"qosClass": "BestEffort"})
        ),
        [
            "status.qosClass: Invalid value: \"Burstable\": field is immutable",
            "status.podIPs: Invalid value: [{\"IP\":\"10.0.0.1\"},{\"IP\":\"10.0.0.2\"}]: may specify no more than one IP \
             for each IP family",
        ]
    );
}

#[test]
fn ephemeral_containers() {
    let pod = |list: Value| made(json!({"containers": [with(json!({}))], "ephemeralContainers": list}));
    let debug = |image: &str| json!({"name": "e", "image": image, "targetContainerName": "c"});
    let check = |new: Value, old: Value| {
        let errors = update_ephemeral_containers(find("", "v1", "pods").expect("served"), &pod(new), &pod(old));
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(check(json!([debug("x:1")]), json!([])), [""; 0]);
    assert_eq!(
        check(json!([debug("x:2")]), json!([debug("x:1")])),
        ["spec.ephemeralContainers: Forbidden: existing ephemeral containers \"e\" may not be changed\n@@ -1,6 +1,6 \
          @@\n {\n  \"Name\": \"e\",\n- \"Image\": \"x:1\",\n+ \"Image\": \"x:2\",\n  \"Command\": null,\n  \"Args\": null,\n  \
          \"WorkingDir\": \"\",\n"]
    );
    let wrong = json!([{"name": "e", "image": "x", "targetContainerName": "gone", "ports": [{"containerPort": 1}]}]);
    assert_eq!(
        check(wrong, json!([])),
        [
            "spec.ephemeralContainers[0].targetContainerName: Not found: \"gone\"",
            "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
        ]
    );
    let new = json!({"containers": [with(json!({}))], "ephemeralContainers": [debug("x:1")]});
    assert_eq!(created(new), ["spec.ephemeralContainers: Forbidden: cannot be set on create"]);
}

#[test]
fn resizes() {
    let pod = |requests: Value| made(json!({"containers": [with(json!({"resources": {"requests": requests}}))]}));
    let check = |new: Value, old: Value| {
        let errors = update_resize(find("", "v1", "pods").expect("served"), &pod(new), &pod(old));
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(check(json!({"cpu": "2"}), json!({"cpu": "1"})), [""; 0]);
    assert_eq!(
        check(json!({"cpu": "2"}), json!({})),
        ["spec: Invalid value: \"\": Pod QOS Class may not change as a result of resizing"]
    );
    assert_eq!(
        check(json!({"cpu": "1", "ephemeral-storage": "2"}), json!({"cpu": "1", "ephemeral-storage": "1"})),
        ["spec: Forbidden: only cpu and memory resources are mutable"]
    );
}

#[test]
fn volumes() {
    for (source, want) in [
        (
            json!({"nfs": {"server": "a"}}),
            &[
                "spec.volumes[0].nfs.path: Required value",
                "spec.volumes[0].nfs.path: Invalid value: \"\": must be an absolute path",
            ][..],
        ),
        (
            json!({"downwardAPI": {}, "hostPath": {"path": "/"}}),
            &["spec.volumes[0].downwarAPI: Forbidden: may not specify more than 1 volume type"],
        ),
        (
            json!({"iscsi": {"targetPortal": "p", "iqn": "x", "lun": 256}}),
            &[
                "spec.volumes[0].iscsi.iqn: Invalid value: \"x\": must be valid format starting with iqn, eui, or naa",
                "spec.volumes[0].iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
            ],
        ),
        (json!({"iscsi": {"targetPortal": "p", "iqn": "iqn.2015-06.com.example:t", "lun": 0}}), &[]),
        (
            json!({"azureDisk": {"diskName": "a", "diskURI": "x", "kind": "Managed"}}),
            &[
                "spec.volumes[0].azureDisk.diskURI: Unsupported value: \"x\": supported values: \"/subscriptions/{sub-id}/\
             resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}\"",
            ],
        ),
        (
            json!({"quobyte": {"registry": "a", "volume": "v"}}),
            &[
                "spec.volumes[0].quobyte.registry: Invalid value: \"a\": must be a host:port pair or multiple pairs separated \
             by commas",
            ],
        ),
        (
            json!({"projected": {"sources": [{"secret": {"name": "s", "items": [{"key": "k", "path": "p"}]},
            "configMap": {"name": "c", "items": [{"key": "Any key", "path": "p"}]}}]}}),
            &[
                "spec.volumes[0].projected: Invalid value: \"c\": conflicting duplicate paths",
                "spec.volumes[0].projected.sources[0]: Forbidden: may not specify more than 1 volume type per source",
            ],
        ),
        (
            json!({"csi": {"driver": "d.example.com", "nodePublishSecretRef": {}}}),
            &["spec.volumes[0].csi.nodePublishSecretRef.name: Required value"],
        ),
    ] {
        let mut volume = json!({"name": "v"});
        for (key, value) in source.as_object().expect("an object") {
            volume[key] = value.clone();
        }
        let spec = json!({"containers": [with(json!({}))], "volumes": [volume]});
        assert_eq!(created(spec), want, "{source}");
    }
}

/// Upstream's newer rules do not hold for what was stored before.
#[test]
fn stored_pods_keep_what_they_break() {
    let spec = |images: &str, modes: Value| json!({"containers": [with(json!({"image": images}))], "securityContext": {"seLinuxChangePolicy": modes}});
    assert_eq!(
        created(spec("i", json!("MountOption"))),
        [
            "spec.securityContext.seLinuxChangePolicy: Unsupported value: \"MountOption\": supported values: \"Recursive\""
        ]
    );
    let mut old = spec("i", json!("MountOption"));
    old["containers"][0]["imagePullPolicy"] = "Always".into();
    let mut new = old.clone();
    new["containers"][0]["image"] = "j".into();
    assert_eq!(updated(new, old), [""; 0]);
}

#[test]
fn operating_systems() {
    for (more, want) in [
        (
            json!({"os": {"name": "plan9"}}),
            "spec.os: Unsupported value: \"plan9\": supported values: \"linux\", \"windows\"",
        ),
        (
            json!({"os": {"name": "windows"}, "hostPID": true}),
            "spec.hostPID: Forbidden: cannot be set for a windows pod",
        ),
        (
            json!({"securityContext": {"windowsOptions": {"hostProcess": true}}}),
            "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers",
        ),
        (json!({"hostUsers": false, "hostIPC": true}), "spec.HostIPC: Forbidden: when `hostUsers` is false"),
        (
            json!({"resourceClaims": [{"name": "x"}]}),
            "spec.resourceClaims[0]: Invalid value: {\"Name\":\"x\",\"ResourceClaimName\":null,\
             \"ResourceClaimTemplateName\":null}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
        ),
    ] {
        let mut spec = json!({"containers": [with(json!({}))]});
        for (key, value) in more.as_object().expect("an object") {
            spec[key] = value.clone();
        }
        assert_eq!(created(spec), [want], "{more}");
    }
}

use super::*;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::resources::{find, for_kind};
use serde_json::json;

fn resource(group: &str, plural: &str) -> &'static ResourceInfo {
    let version = if group == "autoscaling" { "v2" } else { "v1" };
    find(group, version, plural).unwrap_or_else(|| panic!("{plural} are served"))
}

/// Gives an object a name and its defaults.
fn made(resource: &ResourceInfo, mut object: Value) -> Value {
    use apimachinery::meta::ObjectMeta;
    if object.name().is_empty() {
        object.set_meta("name", "a");
    }
    if resource.namespaced {
        object.set_meta("namespace", "ns");
    }
    object.set_meta("resourceVersion", "1");
    crate::defaults::apply(resource, &mut object);
    object
}

fn texts(errors: Vec<FieldError>) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn created(group: &str, plural: &str, object: Value) -> Vec<String> {
    let resource = resource(group, plural);
    texts(create(resource, &made(resource, object)))
}

fn updated(group: &str, plural: &str, new: Value, old: Value) -> Vec<String> {
    let resource = resource(group, plural);
    texts(update(resource, &made(resource, new), &made(resource, old)))
}

/// What upstream has accepted is right: all objects of a fresh cluster and of a small workload.
#[test]
fn accepts_upstreams_objects() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/kubernetes-1.36");
    let Ok(fresh) = std::fs::read_to_string(format!("{folder}/fresh-cluster.json")) else {
        println!("skipped: no {folder}");
        return;
    };
    let mut objects = Vec::new();
    collect(&serde_json::from_str(&fresh).expect("JSON"), &mut objects);
    for file in std::fs::read_dir(format!("{folder}/objects")).expect("a folder").flatten() {
        let text = std::fs::read_to_string(file.path()).expect("a file");
        collect(&serde_json::from_str(&text).expect("JSON"), &mut objects);
    }
    assert!(objects.len() > 100, "{} objects", objects.len());
    let mut checked = 0;
    for object in objects {
        let text = |key: &str| object[key].as_str().unwrap_or_default();
        let kind = GroupVersionKind::parse(text("apiVersion"), text("kind")).expect("a kind");
        let Some(resource) = for_kind(&kind) else { continue };
        let mut defaulted = object.clone();
        crate::defaults::apply(resource, &mut defaulted);
        assert_eq!(defaulted, object, "defaults change nothing of what is stored");
        assert_eq!(texts(create(resource, &object)), [""; 0], "{object}");
        assert_eq!(texts(update(resource, &object, &object)), [""; 0], "{object}");
        assert_eq!(texts(update_status(resource, &object, &object)), [""; 0], "{object}");
        checked += 1;
    }
    assert!(checked > 100, "{checked} objects");
}

/// Finds objects at any depth.
fn collect(value: &Value, objects: &mut Vec<Value>) {
    match value {
        Value::Object(map)
            if map.contains_key("kind") && map.contains_key("apiVersion") && map.contains_key("metadata") =>
        {
            match map.get("items").and_then(Value::as_array) {
                Some(items) => items.iter().for_each(|item| collect(item, objects)),
                None => objects.push(value.clone()),
            }
        }
        Value::Object(map) => map.values().for_each(|value| collect(value, objects)),
        Value::Array(list) => list.iter().for_each(|value| collect(value, objects)),
        _ => {}
    }
}

#[test]
fn nonsense_does_not_panic() {
    for resource in apimachinery::resources::builtin() {
        for object in [json!(null), json!({"spec": 3, "metadata": []}), json!({"spec": {"template": [], "ports": 1}})] {
            create(resource, &object);
            update(resource, &object, &object);
            update_status(resource, &object, &json!({}));
        }
    }
}

#[test]
fn metadata() {
    let names = |name: &str| created("", "configmaps", json!({"metadata": {"name": name}}));
    assert_eq!(names("a.b"), [""; 0]);
    assert_eq!(
        names("A_b"),
        ["metadata.name: Invalid value: \"A_b\": a lowercase RFC 1123 subdomain must consist of lower case \
          alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
          'example.com', regex used for validation is \
          '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"]
    );
    assert_eq!(
        texts(create(resource("", "configmaps"), &json!({"metadata": {"namespace": "ns"}}))),
        ["metadata.name: Required value: name or generateName is required"]
    );
    assert_eq!(
        texts(create(resource("", "configmaps"), &json!({"metadata": {"name": "a"}}))),
        ["metadata.namespace: Required value"]
    );
    let large = json!({"metadata": {"name": "a"}, "data": {"a": "x".repeat(1024 * 1024 + 1)}});
    assert_eq!(created("", "configmaps", large), ["[]: Too long: may not be more than 1048576 bytes"]);
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "1", "controller": true});
    let found = created(
        "",
        "configmaps",
        json!({"metadata": {
            "labels": {"a": "-"}, "annotations": {"big": "x".repeat(256 * 1024)},
            "ownerReferences": [owner, owner, {"apiVersion": "v1", "kind": "", "name": "x", "uid": ""}],
            "finalizers": ["a b"],
        }}),
    );
    let starts = [
        "metadata.labels: Invalid value: \"-\": a valid label must be an empty string",
        "metadata.annotations: Too long: may not be more than 262144 bytes",
        "metadata.ownerReferences: Invalid value: [{\"apiVersion\"",
        "metadata.ownerReferences.kind: Invalid value: \"\": must not be empty",
        "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
        "metadata.finalizers: Invalid value: \"a b\": name part",
        "metadata.finalizers[0]: Invalid value: \"a b\": name is neither a standard finalizer name",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found}");
    }
}

/// What upstream's passes over metadata find, a client sees once for each of them.
#[test]
fn passes_over_metadata() {
    let known = "metadata.finalizers[0]: Invalid value: \"x\": name is neither a standard finalizer name nor is it \
                 fully qualified";
    for (group, plural, on_create, on_update) in [
        ("", "configmaps", 1, 2),
        ("", "namespaces", 1, 2),
        ("", "services", 1, 1),
        ("", "limitranges", 1, 1),
        ("policy", "poddisruptionbudgets", 0, 0),
        ("coordination.k8s.io", "leases", 0, 0),
    ] {
        let object = json!({"metadata": {"finalizers": ["x"], "labels": {"kubernetes.io/metadata.name": "a"}}});
        let count = |found: Vec<String>| found.iter().filter(|text| *text == known).count();
        assert_eq!(count(created(group, plural, object.clone())), on_create, "{plural}");
        assert_eq!(count(updated(group, plural, object.clone(), object)), on_update, "{plural}");
    }
    // What is wrong with the new object stands between the two passes.
    let (new, old) = (json!({"metadata": {"finalizers": ["x"]}, "spec": {"finalizers": ["y"]}}), json!({}));
    let found = updated("", "namespaces", new, old);
    let fields: Vec<&str> = found.iter().filter_map(|text| text.split(": ").next()).collect();
    assert_eq!(fields, ["metadata.finalizers[0]", "spec.finalizers", "metadata.finalizers[0]"]);
    let odd = json!({"metadata": {"name": "B d"}});
    assert_eq!(created("policy", "poddisruptionbudgets", odd), [""; 0], "any path segment will do");
    let labelled = json!({"metadata": {"labels": {"a": "-"}, "generation": -1}});
    let found = updated("", "secrets", labelled.clone(), labelled);
    assert_eq!(found.iter().filter(|text| text.starts_with("metadata.labels:")).count(), 4);
    assert_eq!(found[0], "metadata.generation: Invalid value: -1: must be greater than or equal to 0");
    let entry = json!({"operation": "Delete", "fieldsType": "x", "manager": "m".repeat(129)});
    assert_eq!(
        created("", "configmaps", json!({"metadata": {"managedFields": [entry]}})),
        [
            "metadata.managedFields[0].operation: Invalid value: \"Delete\": must be `Apply` or `Update`",
            "metadata.managedFields[0].fieldsType: Invalid value: \"x\": must be `FieldsV1`",
            "metadata.managedFields[0].manager: Too long: may not be more than 128 bytes",
        ]
    );
}

#[test]
fn updates_of_metadata() {
    let old = json!({"metadata": {"uid": "1", "generation": 2, "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    let new = json!({"metadata": {"uid": "2", "generation": 1, "finalizers": ["a/b"],
        "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    assert_eq!(
        updated("", "configmaps", new, old.clone())[..3],
        [
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found \
             new finalizers []string{\"a/b\"}",
            "metadata.generation: Invalid value: 1: must not be decremented",
            "metadata.uid: Invalid value: \"2\": field is immutable",
        ]
    );
}

#[test]
fn parts_of_namespaces() {
    let namespaces = resource("", "namespaces");
    let of = |phase: &str, finalizers: Value| json!({"metadata": {"name": "a"}, "spec": {"finalizers": finalizers}, "status": {"phase": phase}});
    let old = of("Active", json!([]));
    assert_eq!(
        texts(update_status(namespaces, &of("<", json!([])), &old)),
        ["status.Phase: Invalid value: \"\\u003c\": may only be 'Active' if `deletionTimestamp` is empty"]
    );
    assert!(update_status(namespaces, &old, &old).is_empty());
    assert_eq!(
        texts(update_finalize(namespaces, &of("Active", json!(["a/b", "c"])), &old)),
        [
            "spec.finalizers[1]: Invalid value: \"c\": name is neither a standard finalizer name nor is it fully qualified"
        ]
    );
}

#[test]
fn scales_are_objects_with_replicas() {
    let deployments = resource("apps", "deployments");
    let of = |name: &str, replicas: i64| {
        let object = json!({"metadata": {"name": name, "namespace": "n"}, "spec": {"replicas": replicas}});
        scale(deployments, &object).iter().map(|error| error.path.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of("a", 0), [""; 0]);
    assert_eq!(of("A", -1), ["metadata.name", "spec.replicas"]);
}

#[test]
fn workloads_and_their_selectors() {
    let spec = |selector: Value, labels: Value| {
        json!({"spec": {"selector": selector, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
    };
    let good = || spec(json!({"matchLabels": {"app": "a"}}), json!({"app": "a"}));
    let other = || spec(json!({"matchLabels": {"app": "b"}}), json!({"app": "b"}));
    for plural in ["deployments", "replicasets", "statefulsets", "daemonsets"] {
        assert_eq!(created("apps", plural, good()), [""; 0], "{plural}");
        assert_eq!(
            created("apps", plural, spec(json!({"matchLabels": {"app": "a"}}), json!({"app": "b"}))),
            ["spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: `selector` does not match template \
              `labels`"],
            "{plural}"
        );
        let found = updated("apps", plural, other(), good());
        match plural {
            "statefulsets" => {
                assert!(found[0].starts_with("spec: Forbidden: updates to statefulset spec"), "{found:?}")
            }
            _ => assert_eq!(
                found,
                ["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"b\"}}: field is immutable"]
            ),
        }
    }
    let manual = || {
        let mut job = good();
        job["spec"]["manualSelector"] = true.into();
        job
    };
    let mut job = manual();
    job["spec"]["template"]["spec"]["restartPolicy"] = "Never".into();
    assert_eq!(created("batch", "jobs", job.clone()), [""; 0]);
    assert_eq!(
        created("batch", "jobs", manual()),
        ["spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""]
    );
    let mut template = job["spec"].clone();
    for key in ["selector", "manualSelector"] {
        template.as_object_mut().map(|members| members.remove(key));
    }
    let cron = |schedule: &str| {
        created("batch", "cronjobs", json!({"spec": {"schedule": schedule, "jobTemplate": {"spec": template}}}))
    };
    assert_eq!((cron("*/5 * * * *"), cron("")), (vec![], vec!["spec.schedule: Required value".into()]));
    let mut rolling = good();
    rolling["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}});
    rolling["spec"]["replicas"] = (-1).into();
    assert_eq!(
        created("apps", "deployments", rolling),
        [
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ]
    );
}

#[test]
fn small_kinds() {
    for (group, plural, object, want) in [
        (
            "",
            "configmaps",
            json!({"data": {"a/b": ""}}),
            "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' \
             or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        ),
        ("", "secrets", json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}), "data[tls.key]: Required value"),
        (
            "",
            "nodes",
            json!({"spec": {"taints": [{"key": "a", "effect": "X"}]}}),
            "metadata.taints[0].effect: Unsupported value: \"X\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \
             \"NoExecute\"",
        ),
        (
            "",
            "limitranges",
            json!({"spec": {"limits": [{"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]}}),
            "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1",
        ),
        (
            "",
            "persistentvolumeclaims",
            json!({"spec": {"resources": {"requests": {"storage": "1Gi"}}}}),
            "spec.accessModes: Required value: at least 1 access mode is required",
        ),
        (
            "",
            "persistentvolumes",
            json!({"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}}),
            "spec: Required value: must specify a volume type",
        ),
        (
            "rbac.authorization.k8s.io",
            "roles",
            json!({"rules": [{"apiGroups": [""], "resources": ["pods"]}]}),
            "rules[0].verbs: Required value: verbs must contain at least one value",
        ),
        (
            "rbac.authorization.k8s.io",
            "clusterrolebindings",
            json!({"roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": [{"kind": "ServiceAccount", "name": "s"}]}),
            "subjects[0].namespace: Required value",
        ),
        (
            "networking.k8s.io",
            "ingresses",
            json!({"spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 1}}},
                "rules": [{"host": "A"}]}}),
            "spec.rules[0].host: Invalid value: \"A\": a lowercase RFC 1123 subdomain",
        ),
        (
            "networking.k8s.io",
            "networkpolicies",
            json!({"spec": {"podSelector": {}, "ingress": [{"from": [{}]}]}}),
            "spec.ingress[0].from[0]: Required value: must specify a peer",
        ),
        (
            "autoscaling",
            "horizontalpodautoscalers",
            json!({"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}, "minReplicas": 3, "maxReplicas": 2}}),
            "spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`",
        ),
        (
            "policy",
            "poddisruptionbudgets",
            json!({"spec": {"minAvailable": 1, "maxUnavailable": 1}}),
            "spec: Invalid value: {\"MinAvailable\":1,\"Selector\":null,\"MaxUnavailable\":1,\
             \"UnhealthyPodEvictionPolicy\":null}: minAvailable and maxUnavailable cannot be both set",
        ),
        ("storage.k8s.io", "storageclasses", json!({}), "provisioner: Required value"),
        (
            "scheduling.k8s.io",
            "priorityclasses",
            json!({"value": 1_000_000_001}),
            "value: Forbidden: maximum allowed value of a user defined priority is 1000000000",
        ),
        (
            "coordination.k8s.io",
            "leases",
            json!({"spec": {"leaseDurationSeconds": 0}}),
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        ),
        (
            "discovery.k8s.io",
            "endpointslices",
            json!({"addressType": "IPv4", "endpoints": [{"addresses": ["fd00::1"]}]}),
            "endpoints[0].addresses: Invalid value: \"fd00::1\": must be an IPv4 address",
        ),
        (
            "",
            "events",
            json!({"involvedObject": {"namespace": "other"}}),
            "involvedObject.namespace: Invalid value: \"other\": does not match event.namespace",
        ),
        (
            "admissionregistration.k8s.io",
            "validatingwebhookconfigurations",
            json!({"webhooks": [{"name": "a.b.c", "sideEffects": "Some", "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": "https://x"}}]}),
            "webhooks[0].sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
        ),
        (
            "apiregistration.k8s.io",
            "apiservices",
            json!({"metadata": {"name": "v1.g.io"}, "spec": {"group": "g.io", "version": "v1", "versionPriority": 5}}),
            "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
        ),
    ] {
        let found = created(group, plural, object);
        assert!(found.len() == 1 && found[0].starts_with(want), "{plural}: {found:#?}");
    }
}

#[test]
fn device_selectors() {
    let class = |source: &str| json!({"spec": {"selectors": [{"cel": {"expression": source}}]}});
    assert_eq!(created("resource.k8s.io", "deviceclasses", class("device.driver == 'a'")), [""; 0]);
    let loops = "[1,2,3,4,5,6,7,8,9,0].all(x, ".repeat(6) + "true" + &")".repeat(6);
    assert_eq!(
        created("resource.k8s.io", "deviceclasses", class(&loops)),
        ["spec.selectors[0].cel.expression: Forbidden: too complex, exceeds cost limit"]
    );
}

#[test]
fn changes_that_are_not_allowed() {
    let frozen = json!({"immutable": true, "data": {"a": "b"}});
    for (group, plural, new, old, want) in [
        (
            "",
            "configmaps",
            json!({"immutable": true, "data": {"a": "c"}}),
            frozen.clone(),
            "data: Forbidden: field is immutable when `immutable` is set",
        ),
        ("", "secrets", json!({"type": "x"}), json!({}), "type: Invalid value: \"x\": field is immutable"),
        (
            "scheduling.k8s.io",
            "priorityclasses",
            json!({"value": 2}),
            json!({"value": 1}),
            "value: Forbidden: may not be changed in an update.",
        ),
        (
            "storage.k8s.io",
            "storageclasses",
            json!({"provisioner": "b"}),
            json!({"provisioner": "a"}),
            "provisioner: Invalid value: \"b\": field is immutable",
        ),
        (
            "rbac.authorization.k8s.io",
            "clusterrolebindings",
            json!({"roleRef": {"kind": "ClusterRole", "name": "b"}}),
            json!({"roleRef": {"kind": "ClusterRole", "name": "a"}}),
            "roleRef: Invalid value: {\"APIGroup\":\"rbac.authorization.k8s.io\",\"Kind\":\"ClusterRole\",\
             \"Name\":\"b\"}: cannot change roleRef",
        ),
    ] {
        assert_eq!(updated(group, plural, new, old), [want], "{plural}");
    }
}

#[test]
fn changes_of_storage_are_shown() {
    let claim = |mode: &str, size: &str| json!({"spec": {"accessModes": [mode], "storageClassName": "s", "resources": {"requests": {"storage": size}}}});
    let why = "spec: Forbidden: spec is immutable after creation except resources.requests and \
               volumeAttributesClassName for bound claims\n";
    assert_eq!(
        updated("", "persistentvolumeclaims", claim("ReadOnlyMany", "1Gi"), claim("ReadWriteOnce", "1Gi")),
        [format!(
            "{why}@@ -1,6 +1,6 @@\n {{\n  \"AccessModes\": [\n-  \"ReadWriteOnce\"\n+  \"ReadOnlyMany\"\n  ],\n  \"Selector\": null,\n  \
             \"Resources\": {{\n"
        )]
    );
    let volume = |path: &str| json!({"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": path}}});
    assert_eq!(
        updated("", "persistentvolumes", volume("/y"), volume("/x")),
        [
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n@@ -2,7 +2,7 @@\n  \
          \"GCEPersistentDisk\": null,\n  \"AWSElasticBlockStore\": null,\n  \"HostPath\": {\n-  \"Path\": \"/x\",\n+  \"Path\": \"/y\",\n   \
          \"Type\": \"\"\n  },\n  \"Glusterfs\": null,\n"
        ]
    );
}

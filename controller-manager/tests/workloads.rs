//! The controllers of workloads over a real apiserver, with the rights of their service accounts.

mod support;

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod, ReplicationController};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use support::{Cluster, NAMESPACE};

const CONTROLLERS: &str = "replicationcontroller-controller,job-controller,cronjob-controller,daemonset-controller,\
    statefulset-controller,ttl-after-finished-controller,garbage-collector-controller";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workloads() {
    if !support::is_possible() {
        return;
    }
    let cluster = Cluster::start(CONTROLLERS).await;
    tokio::join!(
        replication_controllers(&cluster),
        jobs(&cluster),
        indexed_jobs(&cluster),
        suspended_jobs(&cluster),
        expiring_jobs(&cluster),
        cron_jobs(&cluster),
        daemon_sets(&cluster),
        stateful_sets(&cluster),
    );
}

/// A template whose pods have this label and end so.
fn template(app: &str, outcome: &str, restart: &str) -> Value {
    json!({"metadata": {"labels": {"app": app}, "annotations": {"outcome": outcome}},
        "spec": {"restartPolicy": restart, "containers": [{"name": "c", "image": "i"}]}})
}

async fn pods_of(cluster: &Cluster, app: &str) -> Vec<Pod> {
    let with = ListParams::default().labels(&format!("app={app}"));
    cluster.api::<Pod>().list(&with).await.expect("a list").items
}

async fn merge<K>(cluster: &Cluster, name: &str, patch: Value)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    cluster.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.expect("a patch");
}

async fn replication_controllers(cluster: &Cluster) {
    let spec = json!({"replicas": 2, "selector": {"app": "rc"}, "template": template("rc", "run", "Always")});
    cluster.create::<ReplicationController>(json!({"metadata": {"name": "rc"}, "spec": spec})).await;
    let ready = |rc: Option<&ReplicationController>, count: i32| {
        rc.and_then(|rc| rc.status.as_ref()).is_some_and(|s| s.replicas == count && s.ready_replicas == Some(count))
    };
    cluster.wait("rc", |rc| ready(rc, 2)).await;
    let pod = &pods_of(cluster, "rc").await[0];
    let owner = &pod.metadata.owner_references.as_ref().expect("an owner")[0];
    assert_eq!((owner.kind.as_str(), owner.api_version.as_str()), ("ReplicationController", "v1"));
    // One that is no longer selected is released, and another takes its place.
    let released = pod.metadata.name.clone().expect("a name");
    merge::<Pod>(cluster, &released, json!({"metadata": {"labels": {"app": "free"}}})).await;
    cluster.wait::<Pod>(&released, |pod| pod.is_some_and(|pod| pod.metadata.owner_references.is_none())).await;
    merge::<ReplicationController>(cluster, "rc", json!({"spec": {"replicas": 1}})).await;
    cluster.wait("rc", |rc| ready(rc, 1)).await;
}

fn conditions(job: &Job) -> Vec<(String, String)> {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.map(|c| (c.type_.clone(), c.reason.clone().unwrap_or_default())).collect()
}

fn has(job: Option<&Job>, condition: &str) -> bool {
    job.is_some_and(|job| conditions(job).iter().any(|(kind, _)| kind == condition))
}

fn pairs(all: &[(String, String)]) -> Vec<(&str, &str)> {
    all.iter().map(|(kind, reason)| (kind.as_str(), reason.as_str())).collect()
}

async fn no_pod_is_tracked(cluster: &Cluster, app: &str) {
    let pods = pods_of(cluster, app).await;
    assert!(pods.iter().all(|pod| pod.metadata.finalizers.is_none()), "{pods:#?}");
}

async fn jobs(cluster: &Cluster) {
    let spec = json!({"completions": 3, "parallelism": 2, "template": template("good", "succeed", "Never")});
    cluster.create::<Job>(json!({"metadata": {"name": "good"}, "spec": spec})).await;
    let job = cluster.wait::<Job>("good", |job| has(job, "Complete")).await.expect("a job");
    let status = job.status.clone().expect("a status");
    assert_eq!((status.succeeded, status.failed, status.active), (Some(3), None, None));
    assert_eq!((status.ready, status.terminating), (Some(0), Some(0)));
    assert!(status.completion_time.is_some() && status.start_time.is_some());
    let reason = "CompletionsReached";
    assert_eq!(pairs(&conditions(&job)), [("SuccessCriteriaMet", reason), ("Complete", reason)]);
    no_pod_is_tracked(cluster, "good").await;

    let spec = json!({"backoffLimit": 0, "template": template("bad", "fail", "Never")});
    cluster.create::<Job>(json!({"metadata": {"name": "bad"}, "spec": spec})).await;
    let job = cluster.wait::<Job>("bad", |job| has(job, "Failed")).await.expect("a job");
    let reason = "BackoffLimitExceeded";
    assert_eq!(pairs(&conditions(&job)), [("FailureTarget", reason), ("Failed", reason)]);
    assert_eq!(job.status.as_ref().and_then(|status| status.failed), Some(1));

    let rule = json!({"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3]}});
    let spec = json!({"podFailurePolicy": {"rules": [rule]}, "template": template("policy", "fail", "Never")});
    cluster.create::<Job>(json!({"metadata": {"name": "policy"}, "spec": spec})).await;
    let job = cluster.wait::<Job>("policy", |job| has(job, "Failed")).await.expect("a job");
    assert_eq!(conditions(&job)[1].1, "PodFailurePolicy");
}

async fn indexed_jobs(cluster: &Cluster) {
    let spec = json!({"completions": 4, "parallelism": 4, "completionMode": "Indexed",
        "template": template("indexed", "succeed", "Never")});
    cluster.create::<Job>(json!({"metadata": {"name": "indexed"}, "spec": spec})).await;
    let job = cluster.wait::<Job>("indexed", |job| has(job, "Complete")).await.expect("a job");
    assert_eq!(job.status.as_ref().and_then(|status| status.completed_indexes.as_deref()), Some("0-3"));
    let mut names: Vec<_> =
        pods_of(cluster, "indexed").await.into_iter().filter_map(|pod| pod.spec?.hostname).collect();
    names.sort_unstable();
    assert_eq!(names, ["indexed-0", "indexed-1", "indexed-2", "indexed-3"]);

    let spec = json!({"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 0,
        "template": template("per-index", "fail", "Never")});
    cluster.create::<Job>(json!({"metadata": {"name": "per-index"}, "spec": spec})).await;
    let job = cluster.wait::<Job>("per-index", |job| has(job, "Failed")).await.expect("a job");
    assert_eq!(job.status.as_ref().and_then(|status| status.failed_indexes.as_deref()), Some("0,1"));
    assert_eq!(conditions(&job)[1].1, "FailedIndexes");
}

async fn suspended_jobs(cluster: &Cluster) {
    let spec = json!({"suspend": true, "template": template("later", "succeed", "Never")});
    cluster.create::<Job>(json!({"metadata": {"name": "later"}, "spec": spec})).await;
    let job = cluster.wait::<Job>("later", |job| has(job, "Suspended")).await.expect("a job");
    assert!(job.status.is_some_and(|status| status.start_time.is_none()));
    assert!(pods_of(cluster, "later").await.is_empty());
    merge::<Job>(cluster, "later", json!({"spec": {"suspend": false}})).await;
    cluster.wait::<Job>("later", |job| has(job, "Complete")).await;
}

async fn expiring_jobs(cluster: &Cluster) {
    let spec = json!({"ttlSecondsAfterFinished": 0, "template": template("brief", "succeed", "Never")});
    cluster.create::<Job>(json!({"metadata": {"name": "brief"}, "spec": spec})).await;
    cluster.wait::<Job>("brief", |job| job.is_none()).await;
    assert!(pods_of(cluster, "brief").await.is_empty());
}

async fn cron_jobs(cluster: &Cluster) {
    let job = json!({"spec": {"template": template("tick", "succeed", "Never")}});
    let spec = json!({"schedule": "@every 1s", "timeZone": "Europe/Berlin", "jobTemplate": job});
    cluster.create::<CronJob>(json!({"metadata": {"name": "tick"}, "spec": spec})).await;
    let succeeded = |cron_job: Option<&CronJob>| {
        let status = cron_job.and_then(|cron_job| cron_job.status.as_ref());
        status.is_some_and(|status| status.last_successful_time.is_some() && status.active.is_none())
    };
    let cron_job = cluster.wait::<CronJob>("tick", succeeded).await.expect("a cron job");
    assert!(cron_job.status.is_some_and(|status| status.last_schedule_time.is_some()));
    let jobs = cluster.api::<Job>().list(&ListParams::default()).await.expect("a list").items;
    let of_tick = |job: &&Job| job.metadata.name.as_deref().is_some_and(|name| name.starts_with("tick-"));
    let job = jobs.iter().find(of_tick).expect("a job");
    let at =
        &job.metadata.annotations.as_ref().expect("annotations")["batch.kubernetes.io/cronjob-scheduled-timestamp"];
    assert!(at.ends_with("+01:00") || at.ends_with("+02:00"), "{at}");
    merge::<CronJob>(cluster, "tick", json!({"spec": {"suspend": true}})).await;
}

async fn daemon_sets(cluster: &Cluster) {
    let nodes = Api::<Node>::all(cluster.client.clone());
    for name in ["n1", "n2"] {
        let node = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}});
        nodes.create(&PostParams::default(), &serde_json::from_value(node).expect("a node")).await.expect("a node");
    }
    // A new node is tainted as not ready, which a daemon does not tolerate when it comes.
    for name in ["n1", "n2"] {
        let patch = Patch::Merge(json!({"spec": {"taints": null}}));
        nodes.patch(name, &PatchParams::default(), &patch).await.expect("a patch");
    }
    let mut daemon = template("daemon", "run", "Always");
    daemon["metadata"]["annotations"] = json!({"text": "a < b & c"});
    let selector = json!({"matchLabels": {"app": "daemon"}});
    cluster
        .create::<DaemonSet>(
            json!({"metadata": {"name": "daemon"}, "spec": {"selector": selector, "template": daemon}}),
        )
        .await;
    let updated = |set: Option<&DaemonSet>, generation: i64| {
        let status = set.and_then(|set| set.status.as_ref());
        status.is_some_and(|status| {
            status.updated_number_scheduled == Some(2)
                && status.number_available == Some(2)
                && status.observed_generation == Some(generation)
        })
    };
    cluster.wait::<DaemonSet>("daemon", |set| updated(set, 1)).await;
    // The bytes of the history are those that upstream would have written.
    let request = http::Request::get(format!("/apis/apps/v1/namespaces/{NAMESPACE}/controllerrevisions"));
    let text = cluster.client.request_text(request.body(Vec::new()).expect("a request")).await.expect("an answer");
    let expected = r#"{"spec":{"template":{"$patch":"replace","metadata":{"annotations":{"text":"a < b & c"},"labels":{"app":"daemon"}},"spec":{"containers":[{"image":"i","imagePullPolicy":"Always","name":"c","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}}}"#;
    assert!(text.contains(expected), "{text}");
    let image = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "j"}]);
    let patch = Patch::Json::<()>(serde_json::from_value(image).expect("a patch"));
    cluster.api::<DaemonSet>().patch("daemon", &PatchParams::default(), &patch).await.expect("a patch");
    cluster.wait::<DaemonSet>("daemon", |set| updated(set, 2)).await;
    let revisions = cluster.api::<ControllerRevision>().list(&ListParams::default().labels("app=daemon")).await;
    let mut numbers: Vec<_> = revisions.expect("a list").items.iter().map(|one| one.revision).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    let pods = pods_of(cluster, "daemon").await;
    assert!(
        pods.iter().all(|pod| pod.spec.as_ref().is_some_and(|spec| spec.containers[0].image.as_deref() == Some("j")))
    );
}

async fn stateful_sets(cluster: &Cluster) {
    let claim = json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Mi"}}}});
    let spec = json!({"replicas": 2, "serviceName": "web", "selector": {"matchLabels": {"app": "web"}},
        "ordinals": {"start": 5}, "template": template("web", "run", "Always"), "volumeClaimTemplates": [claim],
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Delete"}});
    cluster.create::<StatefulSet>(json!({"metadata": {"name": "web"}, "spec": spec})).await;
    let settled = |set: Option<&StatefulSet>, generation: i64, count: i32| {
        let status = set.and_then(|set| set.status.as_ref());
        status.is_some_and(|status| {
            status.observed_generation == Some(generation)
                && status.replicas == count
                && status.available_replicas == Some(count)
                && status.updated_replicas == Some(count)
                && status.current_revision == status.update_revision
        })
    };
    let before = cluster.wait::<StatefulSet>("web", |set| settled(set, 1, 2)).await;
    for name in ["web-5", "web-6"] {
        let pod = cluster.api::<Pod>().get(name).await.expect("a pod");
        let labels = pod.metadata.labels.expect("labels");
        assert_eq!(labels["statefulset.kubernetes.io/pod-name"], name);
        assert_eq!(labels["apps.kubernetes.io/pod-index"], name[4..]);
        cluster.api::<PersistentVolumeClaim>().get(&format!("data-{name}")).await.expect("a claim");
    }
    let image = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "j"}]);
    let patch = Patch::Json::<()>(serde_json::from_value(image).expect("a patch"));
    cluster.api::<StatefulSet>().patch("web", &PatchParams::default(), &patch).await.expect("a patch");
    let after = cluster.wait::<StatefulSet>("web", |set| settled(set, 2, 2)).await;
    let revision = |set: Option<StatefulSet>| set.and_then(|set| set.status?.current_revision);
    assert_ne!(revision(before), revision(after));
    merge::<StatefulSet>(cluster, "web", json!({"spec": {"replicas": 1}})).await;
    cluster.wait::<StatefulSet>("web", |set| settled(set, 3, 1)).await;
    // The claim goes with the pod that is not needed any more.
    let going = |claim: Option<&PersistentVolumeClaim>| claim.is_none_or(|c| c.metadata.deletion_timestamp.is_some());
    cluster.wait::<PersistentVolumeClaim>("data-web-6", going).await;
    cluster.api::<PersistentVolumeClaim>().get("data-web-5").await.expect("a claim that stays");
}

//! The controllers of CSI volumes and of resource claims over a real apiserver, with the rights of
//! their service accounts.

mod support;

use k8s_openapi::api::core::v1::{Event, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimTemplate, ResourceSlice};
use k8s_openapi::api::storage::v1::{VolumeAttachment, VolumeAttributesClass};
use k8s_openapi::{ClusterResourceScope, Metadata};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Resource};
use serde_json::{Value, json};
use support::{Cluster, NAMESPACE};

const CONTROLLERS: &str = "persistentvolume-attach-detach-controller,persistentvolume-expander-controller,\
    volumeattributesclass-protection-controller,resourceclaim-controller,device-taint-eviction-controller";
const MANAGED: &str = "volumes.kubernetes.io/controller-managed-attach-detach";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volumes_and_devices() {
    if !support::is_possible() {
        return;
    }
    let cluster = Cluster::start(CONTROLLERS).await;
    tokio::join!(attachments(&cluster), expansion(&cluster), classes(&cluster), resource_claims(&cluster));
}

fn all<K: Resource<DynamicType = (), Scope = ClusterResourceScope>>(cluster: &Cluster) -> Api<K> {
    Api::all(cluster.client.clone())
}

async fn make<K>(cluster: &Cluster, object: Value) -> K
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned,
{
    let object = serde_json::from_value(object).expect("an object");
    all::<K>(cluster).create(&PostParams::default(), &object).await.expect("a creation")
}

async fn status<K>(api: &Api<K>, name: &str, status: Value)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &patch).await.expect("a status");
}

async fn until<K>(api: Api<K>, name: &str, fulfils: impl Fn(Option<&K>) -> bool) -> Option<K>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let waiting = kube::runtime::wait::await_condition(api.clone(), name, |object: Option<&K>| fulfils(object));
    match tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await {
        Ok(object) => object.expect("a watch"),
        Err(_) => panic!("not in time: {name} is {:#?}", api.get_opt(name).await),
    }
}

/// Waits for an event about an object.
async fn said(cluster: &Cluster, about: &str, reason: &str, message: &str) {
    let with = ListParams::default().fields(&format!("involvedObject.name={about},reason={reason}"));
    let asking = async {
        while !cluster
            .api::<Event>()
            .list(&with)
            .await
            .expect("a list")
            .items
            .iter()
            .any(|event| event.message.as_deref() == Some(message))
        {
            tokio::task::yield_now().await;
        }
    };
    let asked = tokio::time::timeout(std::time::Duration::from_secs(60), asking).await;
    assert!(asked.is_ok(), "{about}: {:#?}", cluster.api::<Event>().list(&ListParams::default()).await);
}

async fn node(cluster: &Cluster, name: &str) {
    make::<Node>(cluster, json!({"metadata": {"name": name, "annotations": {MANAGED: "true"}}})).await;
    status(&all::<Node>(cluster), name, json!({"conditions": [{"type": "Ready", "status": "True"}]})).await;
}

/// A claim and its volume, bound to each other.
async fn bound(cluster: &Cluster, claim: &str, volume: &str, requested: &str, more: Value) {
    let asks = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": requested}},
        "storageClassName": "", "volumeName": volume});
    let made = cluster.create::<PersistentVolumeClaim>(json!({"metadata": {"name": claim}, "spec": asks})).await;
    let mut spec = json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
        "csi": {"driver": "d.example", "volumeHandle": format!("handle-{volume}")},
        "claimRef": {"kind": "PersistentVolumeClaim", "namespace": NAMESPACE, "name": claim, "uid": made.metadata.uid}});
    spec.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
    make::<PersistentVolume>(cluster, json!({"metadata": {"name": volume}, "spec": spec})).await;
    let phase = json!({"phase": "Bound", "capacity": {"storage": "1Gi"}});
    status(&cluster.api::<PersistentVolumeClaim>(), claim, phase).await;
}

async fn pod(cluster: &Cluster, name: &str, node: &str, more: Value) -> Pod {
    let mut spec = json!({"nodeName": node, "containers": [{"name": "c", "image": "i"}]});
    spec.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
    cluster.create(json!({"metadata": {"name": name}, "spec": spec})).await
}

async fn attachment_to(cluster: &Cluster, node: &str, volume: &str) -> VolumeAttachment {
    let asking = async {
        loop {
            let all = all::<VolumeAttachment>(cluster).list(&ListParams::default()).await.expect("a list");
            let mut found = all.items.into_iter().filter(|attachment| {
                attachment.spec.node_name == node
                    && attachment.spec.source.persistent_volume_name.as_deref() == Some(volume)
            });
            if let Some(found) = found.next() {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), asking).await.expect("an attachment")
}

fn reports(node: Option<&Node>, volume: &str) -> bool {
    let volumes = node.and_then(|node| node.status.as_ref()).and_then(|status| status.volumes_attached.as_ref());
    volumes.into_iter().flatten().any(|attached| attached.name == volume)
}

fn name<K: Metadata<Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>>(object: &K) -> String {
    object.metadata().name.clone().expect("a name")
}

async fn attachments(cluster: &Cluster) {
    node(cluster, "att-a").await;
    node(cluster, "att-b").await;
    bound(cluster, "att", "att-pv", "1Gi", json!({})).await;
    let uses = json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "att"}}]});
    pod(cluster, "att-1", "att-a", uses.clone()).await;

    // The driver's attacher first fails, then does it.
    let first = attachment_to(cluster, "att-a", "att-pv").await;
    assert_eq!(first.spec.attacher, "d.example");
    let attached = all::<VolumeAttachment>(cluster);
    status(&attached, &name(&first), json!({"attached": false, "attachError": {"message": "no luck"}})).await;
    said(cluster, "att-1", "FailedAttachVolume", "AttachVolume.Attach failed for volume \"att-pv\" : no luck").await;
    status(&attached, &name(&first), json!({"attached": true, "attachError": null})).await;
    let unique = "kubernetes.io/csi/d.example^handle-att-pv";
    until(all::<Node>(cluster), "att-a", |node| reports(node, unique)).await;
    said(cluster, "att-1", "SuccessfulAttachVolume", "AttachVolume.Attach succeeded for volume \"att-pv\" ").await;

    // Another node has to wait, and says for whom.
    pod(cluster, "att-2", "att-b", uses).await;
    let waits = "Multi-Attach error for volume \"att-pv\" Volume is already used by pod(s) att-1";
    said(cluster, "att-2", "FailedAttachVolume", waits).await;

    // It is not detached while the kubelet has it in use, then it moves.
    status(&all::<Node>(cluster), "att-a", json!({"volumesInUse": [unique]})).await;
    cluster.api::<Pod>().delete("att-1", &DeleteParams::default().grace_period(0)).await.expect("a deletion");
    cluster.wait::<Pod>("att-1", |pod| pod.is_none()).await;
    assert!(attached.get_opt(&name(&first)).await.expect("an answer").is_some());
    status(&all::<Node>(cluster), "att-a", json!({"volumesInUse": null})).await;
    until(attached.clone(), &name(&first), |attachment| attachment.is_none()).await;
    until(all::<Node>(cluster), "att-a", |node| !reports(node, unique)).await;
    let second = attachment_to(cluster, "att-b", "att-pv").await;
    status(&attached, &name(&second), json!({"attached": true})).await;
    until(all::<Node>(cluster), "att-b", |node| reports(node, unique)).await;

    // A node out of service loses its volumes though they may be mounted.
    status(&all::<Node>(cluster), "att-b", json!({"volumesInUse": [unique]})).await;
    let out = json!({"spec": {"taints": [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]}});
    all::<Node>(cluster).patch("att-b", &PatchParams::default(), &Patch::Merge(out)).await.expect("a patch");
    cluster.api::<Pod>().delete("att-2", &DeleteParams::default().grace_period(0)).await.expect("a deletion");
    until(attached, &name(&second), |attachment| attachment.is_none()).await;
}

async fn expansion(cluster: &Cluster) {
    bound(cluster, "exp", "exp-pv", "2Gi", json!({})).await;
    said(cluster, "exp", "ExternalExpanding", "waiting for an external controller to expand this PVC").await;
}

async fn classes(cluster: &Cluster) {
    let class = json!({"metadata": {"name": "gold"}, "driverName": "d.example", "parameters": {"iops": "9"}});
    make::<VolumeAttributesClass>(cluster, class).await;
    let api = all::<VolumeAttributesClass>(cluster);
    let has = |class: Option<&VolumeAttributesClass>| {
        class.is_some_and(|class| {
            class.metadata.finalizers.iter().flatten().any(|f| f == "kubernetes.io/vac-protection")
        })
    };
    until(api.clone(), "gold", has).await;
    api.delete("gold", &DeleteParams::default()).await.expect("a deletion");
    until(api, "gold", |class| class.is_none()).await;
}

async fn resource_claims(cluster: &Cluster) {
    let spec = json!({"metadata": {"labels": {"of": "template"}},
        "spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "c.example"}}]}}});
    let needs = json!({"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "dev-t"}]});
    pod(cluster, "dev", "", needs).await;
    let lacks = "PodResourceClaim gpu: resource claim template \"dev-t\": \
        resourceclaimtemplate.resource.k8s.io \"dev-t\" not found";
    said(cluster, "dev", "FailedResourceClaimCreation", lacks).await;
    cluster.create::<ResourceClaimTemplate>(json!({"metadata": {"name": "dev-t"}, "spec": spec})).await;
    let named = |pod: Option<&Pod>| pod.is_some_and(|pod| claim_of(pod).is_some());
    let pod = cluster.wait::<Pod>("dev", named).await.expect("the pod");
    let claim = claim_of(&pod).expect("a claim");
    let claims: Api<ResourceClaim> = cluster.api();
    let made = claims.get(&claim).await.expect("the claim");
    assert!(claim.starts_with("dev-gpu-"), "{claim}");
    assert_eq!(made.metadata.labels.as_ref().expect("labels")["of"], "template");

    // As the scheduler would do it; then the device is tainted, and the pod has to leave.
    let finalizer = json!({"metadata": {"finalizers": ["resource.kubernetes.io/delete-protection"]}});
    claims.patch(&claim, &PatchParams::default(), &Patch::Merge(finalizer)).await.expect("a patch");
    let result = json!({"request": "r", "driver": "d.example", "pool": "p", "device": "d0"});
    let consumer = json!({"resource": "pods", "name": "dev", "uid": pod.metadata.uid});
    let allocated = json!({"allocation": {"devices": {"results": [result]}}, "reservedFor": [consumer]});
    status(&claims, &claim, allocated).await;
    let bind = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "dev"}, "target": {"kind": "Node", "name": "dev-n"}});
    let bind = http::Request::post(format!("/api/v1/namespaces/{NAMESPACE}/pods/dev/binding"))
        .header("content-type", "application/json")
        .body(bind.to_string().into_bytes())
        .expect("a request");
    cluster.client.request_text(bind).await.expect("a binding");
    let taint = json!({"key": "k", "effect": "NoExecute"});
    let slice = json!({"metadata": {"name": "slice"}, "spec": {"driver": "d.example", "nodeName": "dev-n",
        "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}, "devices": [{"name": "d0", "taints": [taint]}]}});
    make::<ResourceSlice>(cluster, slice).await;
    said(cluster, "dev", "DeviceTaintManagerEviction", "Marking for deletion").await;
    cluster.wait::<Pod>("dev", |pod| pod.is_none()).await;
    // With its last consumer the claim is deallocated and unprotected; deleting it is the garbage collector's.
    let is_free = |claim: Option<&ResourceClaim>| {
        claim.is_some_and(|claim| {
            let status = claim.status.clone().unwrap_or_default();
            status.allocation.is_none() && status.reserved_for.is_none() && claim.metadata.finalizers.is_none()
        })
    };
    until(claims, &claim, is_free).await;
}

fn claim_of(pod: &Pod) -> Option<String> {
    let statuses = pod.status.as_ref()?.resource_claim_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == "gpu")?.resource_claim_name.clone()
}

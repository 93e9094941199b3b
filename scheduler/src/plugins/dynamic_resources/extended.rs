//! Extended resources that devices stand for: where no device plugin offers them, the pod gets a claim.
//!
//! Upstream: `pkg/scheduler/framework/plugins/dynamicresources/extendeddynamicresources.go`.

use crate::cluster::Cluster;
use crate::model::device_claims::{Asking, Runs, is_extended};
use crate::model::volumes::ClaimKey;
use crate::model::{NodeId, Pod};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::resource::v1 as resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// On a claim: that it is for extended resources.
pub(crate) const ANNOTATION: &str = "resource.kubernetes.io/extended-resource-claim";

/// A claim to be made, and who uses which of its requests.
#[derive(Clone, Debug)]
pub struct Extended {
    /// By what its devices are kept until it is made; no claim can be called so.
    pub key: ClaimKey,
    /// The claim.
    pub claim: resource::ResourceClaim,
    /// Which containers use which requests.
    pub mappings: Vec<core::ContainerExtendedResourceRequest>,
    /// What it gets.
    pub allocation: Option<Arc<resource::AllocationResult>>,
}

/// Whether the pod asks for a resource for which there is a class.
pub(crate) fn is_asked_for(cluster: &Cluster, pod: &Pod) -> bool {
    asked(pod).any(|(name, _)| cluster.devices.class_of_resource(name).is_some())
}

fn asked(pod: &Pod) -> impl Iterator<Item = (&str, i64)> {
    let asked = pod.requests.scalars.iter().map(|(name, amount)| (&**name, *amount));
    asked.filter(|(name, amount)| *amount > 0 && is_extended(name))
}

/// Whether devices stand for the resource on the node: no device plugin offers it there.
pub(crate) fn is_by_devices(cluster: &Cluster, node: NodeId, name: &str) -> bool {
    cluster.nodes.rare[node as usize].allocatable.scalar(name) == 0
        && is_extended(name)
        && cluster.devices.class_of_resource(name).is_some()
}

/// A claim that was made for the pod in an earlier attempt.
pub(crate) fn leftover<'c>(cluster: &'c Cluster, pod: &Pod) -> Option<&'c Arc<resource::ResourceClaim>> {
    cluster.devices.claims.in_namespace(&pod.namespace).find(|claim| {
        let annotations = claim.metadata.annotations.as_ref();
        let is_extended = annotations.and_then(|all| all.get(ANNOTATION)).is_some_and(|value| value == "true");
        let mut owners = claim.metadata.owner_references.iter().flatten();
        is_extended && owners.any(|owner| owner.controller == Some(true) && owner.uid == pod.uid)
    })
}

/// The claim that the pod needs on the node, if it needs one; why it cannot go there otherwise.
pub(crate) fn claim(cluster: &Cluster, pod: &Pod, node: NodeId) -> Result<Option<Extended>, &'static str> {
    if pod.asking.is_empty() || !is_asked_for(cluster, pod) {
        return Ok(None);
    }
    let mut classes = BTreeMap::new();
    for (name, _) in asked(pod) {
        let is_offered =
            cluster.nodes.rare[node as usize].allocatable.scalars.iter().any(|(known, _)| &**known == name);
        match cluster.devices.class_of_resource(name) {
            Some(class) if is_by_devices(cluster, node, name) => drop(classes.insert(name, class.name.as_str())),
            _ if !is_offered => return Err("cannot fit resource"),
            _ => {}
        }
    }
    if classes.is_empty() {
        return Ok(None);
    }
    let (requests, mappings) = requests(&pod.asking, &classes);
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: pod.name.to_string(),
        uid: pod.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    let claim = resource::ResourceClaim {
        metadata: ObjectMeta {
            namespace: Some(pod.namespace.to_string()),
            generate_name: Some(format!("{}-extended-resources-", pod.name)),
            owner_references: Some(vec![owner]),
            annotations: Some(BTreeMap::from([(ANNOTATION.to_owned(), "true".to_owned())])),
            ..ObjectMeta::default()
        },
        spec: resource::ResourceClaimSpec {
            devices: Some(resource::DeviceClaim { requests: Some(requests), ..resource::DeviceClaim::default() }),
        },
        status: None,
    };
    let name = Arc::from(format!("<extended-resources>/{}", pod.name));
    let key = ClaimKey { namespace: Arc::clone(&pod.namespace), name };
    Ok(Some(Extended { key, claim, mappings, allocation: None }))
}

/// A request for devices, before it has the API's form.
struct Request {
    name: String,
    class: String,
    count: i64,
}

/// The requests of all containers: init containers use what later containers have, and among
/// themselves what the greediest of them has.
fn requests(
    containers: &[Asking],
    classes: &BTreeMap<&str, &str>,
) -> (Vec<resource::DeviceRequest>, Vec<core::ContainerExtendedResourceRequest>) {
    let (mut all, mut mappings) = (Vec::new(), Vec::new());
    for (name, class) in classes {
        let mut throughout: Vec<Option<Request>> = Vec::new();
        for (index, container) in containers.iter().enumerate() {
            let own = match container.runs {
                Runs::Throughout => request(index, container, name, class, &[], &mut mappings),
                Runs::Before => None,
            };
            throughout.push(own);
        }
        let (mut before, mut replaced, mut late) = (None::<Request>, BTreeSet::new(), Vec::new());
        for (index, container) in containers.iter().enumerate().filter(|(_, c)| c.runs == Runs::Before) {
            let Some(own) = request(index, container, name, class, &throughout[index..], &mut late) else { continue };
            replaced.insert(own.name.clone());
            if before.as_ref().is_none_or(|most| most.count < own.count) {
                before = Some(own);
            }
        }
        if let Some(most) = &before {
            for mapping in late.iter_mut().filter(|mapping| replaced.contains(&mapping.request_name)) {
                mapping.request_name.clone_from(&most.name);
            }
        }
        mappings.append(&mut late);
        all.extend(before.into_iter().chain(throughout.into_iter().flatten()));
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let all = all.into_iter().map(|request| resource::DeviceRequest {
        exactly: Some(resource::ExactDeviceRequest {
            allocation_mode: Some("ExactCount".to_owned()),
            count: Some(request.count),
            device_class_name: request.class,
            ..resource::ExactDeviceRequest::default()
        }),
        first_available: None,
        name: request.name,
    });
    (all.collect(), mappings)
}

/// What a container needs besides what it can use of others, if it needs anything.
fn request(
    index: usize,
    container: &Asking,
    name: &str,
    class: &str,
    others: &[Option<Request>],
    mappings: &mut Vec<core::ContainerExtendedResourceRequest>,
) -> Option<Request> {
    let place = container.requests.iter().position(|(known, _)| known == name)?;
    let asked = container.requests[place].1;
    if asked == 0 {
        return None;
    }
    let mut map = |request: &str| {
        mappings.push(core::ContainerExtendedResourceRequest {
            container_name: container.name.clone(),
            request_name: request.to_owned(),
            resource_name: name.to_owned(),
        });
    };
    let mut shared = 0;
    for other in others.iter().flatten() {
        shared += other.count;
        map(&other.name);
        if shared >= asked {
            return None;
        }
    }
    let own =
        Request { name: format!("container-{index}-request-{place}"), class: class.to_owned(), count: asked - shared };
    map(&own.name);
    Some(own)
}

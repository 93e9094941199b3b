//! Objects as people read them: the built-in kinds in a form of their own, the others field by field.
//!
//! A file has one kind or a small family of kinds; each is a pure function of the object and of what belongs to it,
//! which [`Source`] gets.
//!
//! Upstream: `kubectl/pkg/describe/describe.go`.

mod addresses;
mod autoscaler;
mod classes;
mod containers;
mod csi_node;
mod data;
mod deployment;
mod disruption;
mod endpoints;
mod events;
mod fields;
mod ingress;
mod jobs;
mod limits;
mod namespace;
mod network_policy;
mod node;
mod pod;
mod probes;
mod quota;
mod roles;
mod sections;
mod selector;
mod service;
mod signing_request;
mod source;
mod template;
mod times;
mod volume;
mod volume_claims;
mod volumes;
mod workloads;

pub use source::Source;
pub use template::text as pod_template;

use crate::discovery::Resource;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;
use sections::Sections;
use source::Subject;
use workloads::Pods;

/// Text that describes an object, with its events where they are asked for.
pub async fn text(source: &Source<'_>, resource: &Resource, object: &Value) -> anyhow::Result<String> {
    let mut out = Sections::new(jiff::Timestamp::now());
    let events = write(&mut out, source, resource, object).await?;
    if source.events
        && let Some(events) = events
    {
        events::write(&mut out, events);
    }
    Ok(out.aligned())
}

/// Writes all but the events and says which those are; none for kinds that have none.
async fn write(
    out: &mut Sections,
    source: &Source<'_>,
    resource: &Resource,
    object: &Value,
) -> anyhow::Result<Option<Vec<Value>>> {
    let kind = (resource.group.as_str(), resource.kind.as_str());
    if write_alone(out, kind, object)? {
        return Ok(None);
    }
    match kind {
        ("", "Pod") => {
            pod::write(out, object);
            return events(source, Events::Pod, object).await;
        }
        ("", "Node") => {
            node::write(out, object, &node::Related::of(source, object).await?);
            return events(source, Events::Node, object).await;
        }
        ("", "Namespace") => {
            let quotas = namespace::members(source, object.name(), "resourcequotas").await?;
            let ranges = namespace::members(source, object.name(), "limitranges").await?;
            namespace::write(out, object, quotas, ranges.as_deref());
            return Ok(None);
        }
        ("", "PersistentVolumeClaim") => {
            volume_claims::write(out, object, &volume_claims::users(source, object).await?);
        }
        ("", "Service") => {
            let slices = service::slices(source, object.namespace(), object.name()).await.unwrap_or_default();
            service::write(out, object, &slices);
        }
        ("", "ReplicationController") => {
            let selector: Vec<String> = sections::equations(object["spec"].object("selector")).collect();
            let pods = Pods::of(source, object, &selector.join(",")).await?;
            workloads::replication_controller(out, object, pods);
        }
        ("apps", "Deployment") => deployment::write(out, object, &deployment::replica_sets(source, object).await),
        ("apps", _) if object["spec"].has("template") => {
            let pods = Pods::of(source, object, &selector::text(object["spec"].at("selector"))).await;
            match kind.1 {
                "ReplicaSet" => workloads::replica_set(out, object, pods),
                "DaemonSet" => workloads::daemon_set(out, object, pods?),
                _ => workloads::stateful_set(out, object, pods?),
            }
        }
        ("networking.k8s.io", "Ingress") => ingress::Described::of(source, object).await.write(out),
        _ => write_simple(out, kind, object)?,
    }
    events(source, Events::Object, object).await
}

/// Kinds that have no events; says whether it is one.
fn write_alone(out: &mut Sections, kind: (&str, &str), object: &Value) -> anyhow::Result<bool> {
    match kind {
        ("", "Secret") => data::secret(out, object),
        ("", "LimitRange") => limits::write(out, object),
        ("", "ResourceQuota") => quota::write(out, object),
        ("networking.k8s.io", "NetworkPolicy") => network_policy::write(out, object),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => roles::role(out, object),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => roles::binding(out, object),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Kinds that need nothing but the object.
fn write_simple(out: &mut Sections, kind: (&str, &str), object: &Value) -> anyhow::Result<()> {
    match kind {
        ("", "ConfigMap") => data::config_map(out, object),
        ("", "ServiceAccount") => data::service_account(out, object),
        ("", "Endpoints") => endpoints::endpoints(out, object),
        ("", "PersistentVolume") => volume::write(out, object),
        ("batch", "Job") => jobs::job(out, object),
        ("batch", "CronJob") => jobs::cron_job(out, object),
        ("discovery.k8s.io", "EndpointSlice") => endpoints::slice(out, object),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler::write(out, object),
        ("networking.k8s.io", "IngressClass") => classes::ingress(out, object),
        ("networking.k8s.io", "ServiceCIDR") => addresses::service_cidr(out, object),
        ("networking.k8s.io", "IPAddress") => addresses::ip_address(out, object),
        ("storage.k8s.io", "StorageClass") => classes::storage(out, object),
        ("storage.k8s.io", "VolumeAttributesClass") => classes::volume_attributes(out, object),
        ("storage.k8s.io", "CSINode") => csi_node::write(out, object),
        ("scheduling.k8s.io", "PriorityClass") => classes::priority(out, object),
        ("policy", "PodDisruptionBudget") => disruption::write(out, object),
        ("certificates.k8s.io", "CertificateSigningRequest") => return signing_request::write(out, object),
        _ => fields::write(out, object),
    }
    Ok(())
}

/// The version in which a kind is described, whatever version it was found in.
pub fn described_version(resource: &Resource) -> Option<&'static str> {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("autoscaling", "HorizontalPodAutoscaler") => Some("v2"),
        _ => None,
    }
}

/// Whose events.
enum Events {
    Object,
    Pod,
    Node,
}

/// The events of an object; those that may not be seen are none.
async fn events(source: &Source<'_>, whose: Events, object: &Value) -> anyhow::Result<Option<Vec<Value>>> {
    if !source.events {
        return Ok(None);
    }
    Ok(Some(match whose {
        Events::Object => source.events_about(Subject::of(object)).await.unwrap_or_default(),
        Events::Pod => pod::events(source, object).await,
        Events::Node => node::events(source, object).await,
    }))
}

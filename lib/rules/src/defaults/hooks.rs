//! Which function fills in which type.

use super::{admission, autoscaling, core, pod, policy, service, workloads};
use crate::tree::Fill;
use apimachinery::Value;

/// Fills in the members of one type; the value is an object.
pub(super) type Hook = fn(&mut Value);

/// The hook of the type with this OpenAPI name.
pub(super) fn hook(name: &str) -> Option<Hook> {
    let name = name.strip_prefix("io.k8s.").unwrap_or(name);
    if name.ends_with(".v1.ServiceReference") {
        return Some(|reference| reference.fill("port", 443));
    }
    if name == CRD {
        return Some(policy::custom_resource_definition);
    }
    let (group, kind) = name.strip_prefix("api.")?.split_once('.')?;
    match group {
        "core" => core_hook(kind),
        "apps" | "batch" => workload_hook(kind),
        "autoscaling" => autoscaling_hook(kind),
        "admissionregistration" => admission_hook(kind),
        "resource" => resource_hook(kind.split_once('.')?.1),
        _ => other_hook(group, kind),
    }
}

const CRD: &str = "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition";

fn core_hook(kind: &str) -> Option<Hook> {
    Some(match kind {
        "v1.Pod" => pod::pod,
        "v1.PodTemplateSpec" => pod::template,
        "v1.PodSpec" => pod::spec,
        "v1.Container" | "v1.EphemeralContainerCommon" => pod::container,
        "v1.Probe" => pod::probe,
        "v1.Volume" => pod::volume,
        "v1.HTTPGetAction" => pod::http_get,
        "v1.GRPCAction" => |action| action.fill("service", ""),
        "v1.HostPathVolumeSource" => |source| source.fill("type", ""),
        "v1.ObjectFieldSelector" => |selector| selector.fill_zero("apiVersion", "v1"),
        "v1.ServiceAccountTokenProjection" => |projection| projection.fill("expirationSeconds", 3600),
        "v1.SecretVolumeSource"
        | "v1.ConfigMapVolumeSource"
        | "v1.DownwardAPIVolumeSource"
        | "v1.ProjectedVolumeSource" => |source| source.fill("defaultMode", 0o644),
        "v1.Service" => service::service,
        "v1.EndpointPort" => |port| port.fill_zero("protocol", "TCP"),
        "v1.Secret" => core::secret,
        "v1.ReplicationController" => core::replication_controller,
        "v1.PersistentVolume" => core::persistent_volume,
        "v1.PersistentVolumeClaim" => |claim| core::phase(claim, "Pending"),
        "v1.PersistentVolumeClaimSpec" => |spec| spec.fill("volumeMode", "Filesystem"),
        "v1.Namespace" => core::namespace,
        "v1.NodeSpec" => core::node_spec,
        "v1.NodeStatus" => core::node_status,
        "v1.LimitRangeItem" => core::limit_range_item,
        _ => return None,
    })
}

fn workload_hook(kind: &str) -> Option<Hook> {
    Some(match kind {
        "v1.Deployment" => workloads::deployment,
        "v1.ReplicaSet" => workloads::replica_set,
        "v1.StatefulSet" => workloads::stateful_set,
        "v1.DaemonSet" => workloads::daemon_set,
        "v1.Job" => workloads::job,
        "v1.CronJob" => workloads::cron_job,
        "v1.PodFailurePolicyOnPodConditionsPattern" => |pattern| pattern.fill_zero("status", "True"),
        _ => return None,
    })
}

fn autoscaling_hook(kind: &str) -> Option<Hook> {
    Some(match kind {
        "v1.HorizontalPodAutoscalerSpec" => |spec| spec.fill("minReplicas", 1),
        "v1.HorizontalPodAutoscaler" => autoscaling::autoscaler_v1,
        "v2.HorizontalPodAutoscaler" => autoscaling::autoscaler,
        _ => return None,
    })
}

fn admission_hook(kind: &str) -> Option<Hook> {
    Some(match kind {
        "v1.ValidatingWebhook" => admission::webhook,
        "v1.MutatingWebhook" => admission::mutating_webhook,
        "v1.Rule" => |rule| rule.fill("scope", "*"),
        "v1.ValidatingAdmissionPolicySpec" | "v1.MutatingAdmissionPolicySpec" => {
            |spec| spec.fill("failurePolicy", "Fail")
        }
        "v1.MatchResources" => admission::match_resources,
        _ => return None,
    })
}

fn resource_hook(kind: &str) -> Option<Hook> {
    Some(match kind {
        "ExactDeviceRequest" | "DeviceSubRequest" => policy::device_request,
        "DeviceTaint" => |taint| taint.fill("timeAdded", apimachinery::time::now()),
        _ => return None,
    })
}

fn other_hook(group: &str, kind: &str) -> Option<Hook> {
    Some(match (group, kind) {
        ("networking", "v1.NetworkPolicy") => policy::network_policy,
        ("networking", "v1.NetworkPolicyPort") => |port| port.fill("protocol", "TCP"),
        ("networking", "v1.IngressClassParametersReference") => |parameters| parameters.fill("scope", "Cluster"),
        ("discovery", "v1.EndpointPort") => policy::endpoint_port,
        ("rbac", "v1.RoleRef") => |role| role.fill_zero("apiGroup", policy::RBAC),
        ("rbac", "v1.Subject") => policy::subject,
        ("scheduling", "v1.PriorityClass") => |class| class.fill("preemptionPolicy", "PreemptLowerPriority"),
        ("storage", "v1.StorageClass") => policy::storage_class,
        ("storage", "v1.CSIDriver") => policy::csi_driver,
        ("flowcontrol", "v1.FlowSchemaSpec") => |spec| spec.fill_zero("matchingPrecedence", 1000),
        ("flowcontrol", "v1.ExemptPriorityLevelConfiguration") => |level| policy::shares(level, 0),
        ("flowcontrol", "v1.LimitedPriorityLevelConfiguration") => |level| policy::shares(level, 30),
        ("flowcontrol", "v1.QueuingConfiguration") => policy::queuing,
        ("authentication", "v1.TokenRequestSpec") => |spec| spec.fill("expirationSeconds", 3600),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::schema::Schema;

    /// A hook under a name that no type has would silently never run.
    #[test]
    fn types_of_hooks_exist() {
        let found = Schema::builtin().types.iter().filter(|def| hook(&def.name).is_some()).count();
        let source = include_str!("hooks.rs").split("#[cfg(test)]").next().expect("a source");
        let named = source.matches("\"v1.").count() + source.matches("\"v2.").count();
        // ServiceReference of three groups, the CRD, and three device types per version.
        assert!(found > named, "{found} types have hooks, {named} are named");
        assert!(hook(&format!("io.k8s.{CRD}")).is_some());
    }
}

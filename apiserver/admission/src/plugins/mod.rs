//! The plugins, one file each.

mod always;
mod anti_affinity;
mod certificates;
mod default_classes;
mod default_toleration_seconds;
mod event_rate_limit;
mod extended_resource_toleration;
mod image_policy;
mod limit_ranger;
mod namespace_auto_provision;
mod namespace_lifecycle;
mod node_restriction;
mod owner_references;
mod pod_node_selector;
pub(crate) mod pod_security;
mod pod_toleration_restriction;
mod pod_topology_labels;
mod policies;
mod priority;
mod resource_quota;
mod runtime_class;
mod service_account;
mod storage;
mod taint_nodes;
mod webhooks;

use crate::Means;
use crate::builder::Boxed;
use apimachinery::Value;

/// Plugins that read a configuration.
pub(crate) const CONFIGURABLE: &[&str] = &[
    "EventRateLimit",
    "ImagePolicyWebhook",
    "MutatingAdmissionWebhook",
    "PodNodeSelector",
    "PodSecurity",
    "PodTolerationRestriction",
    "ResourceQuota",
    "ValidatingAdmissionWebhook",
];

/// The plugin of this name, if it is built.
///
/// # Errors
/// What is wrong with its configuration.
pub(crate) fn build(name: &str, configuration: Option<&Value>, means: &Means) -> Result<Option<Boxed>, String> {
    let store = || means.store.clone();
    Ok(Some(match name {
        "EventRateLimit" => Box::new(event_rate_limit::EventRateLimit::new(configuration)?),
        "LimitPodHardAntiAffinityTopology" => Box::new(anti_affinity::LimitPodHardAntiAffinityTopology),
        "NamespaceAutoProvision" => Box::new(namespace_auto_provision::NamespaceAutoProvision::new(store())),
        "OwnerReferencesPermissionEnforcement" => Box::new(owner_references::OwnerReferences::new(means)),
        "PodTolerationRestriction" => {
            Box::new(pod_toleration_restriction::PodTolerationRestriction::new(store(), configuration)?)
        }
        "PodNodeSelector" => Box::new(pod_node_selector::PodNodeSelector::new(store(), configuration)?),
        "AlwaysAdmit" => Box::new(always::Admit),
        "AlwaysDeny" => Box::new(always::Deny),
        "AlwaysPullImages" => Box::new(always::PullImages),
        "DenyServiceExternalIPs" => Box::new(always::DenyExternalIps),
        "NamespaceLifecycle" => Box::new(namespace_lifecycle::NamespaceLifecycle::new(store())),
        "NamespaceExists" => Box::new(namespace_lifecycle::NamespaceExists::new(store())),
        "LimitRanger" => Box::new(limit_ranger::LimitRanger::new(store())),
        "ServiceAccount" => Box::new(service_account::ServiceAccount::new(store())),
        "NodeRestriction" => Box::new(node_restriction::NodeRestriction::new(store())),
        "TaintNodesByCondition" => Box::new(taint_nodes::TaintNodesByCondition),
        "PodSecurity" => {
            let configuration = configuration.map(pod_security::Configuration::parse).transpose()?;
            let counted = means.metrics.pod_security.clone();
            Box::new(pod_security::PodSecurity::new(store(), configuration.unwrap_or_default(), counted))
        }
        "Priority" => Box::new(priority::Priority::new(store())),
        "DefaultTolerationSeconds" => Box::new(default_toleration_seconds::DefaultTolerationSeconds),
        "ExtendedResourceToleration" => Box::new(extended_resource_toleration::ExtendedResourceToleration),
        "DefaultStorageClass" => Box::new(default_classes::DefaultStorageClass::new(store())),
        "DefaultIngressClass" => Box::new(default_classes::DefaultIngressClass::new(store())),
        "StorageObjectInUseProtection" => Box::new(storage::InUseProtection),
        "PersistentVolumeClaimResize" => Box::new(storage::ClaimResize::new(store())),
        "RuntimeClass" => Box::new(runtime_class::RuntimeClass::new(store())),
        "CertificateApproval" => Box::new(certificates::Approval::new(means)),
        "CertificateSigning" => Box::new(certificates::Signing::new(means)),
        "CertificateSubjectRestriction" => Box::new(certificates::SubjectRestriction),
        "ClusterTrustBundleAttest" => Box::new(certificates::TrustBundleAttest::new(means)),
        "PodTopologyLabels" => Box::new(pod_topology_labels::PodTopologyLabels::new(store())),
        "MutatingAdmissionPolicy" => Box::new(policies::Mutating::new(means)),
        "MutatingAdmissionWebhook" => Box::new(webhooks::Mutating::new(means, configuration)?),
        "ValidatingAdmissionPolicy" => Box::new(policies::Validating::new(means)),
        "ValidatingAdmissionWebhook" => Box::new(webhooks::Validating::new(means, configuration)?),
        "ImagePolicyWebhook" => Box::new(image_policy::ImagePolicyWebhook::new(means, configuration)?),
        "ResourceQuota" => Box::new(resource_quota::ResourceQuota::new(store(), configuration)?),
        _ => return Ok(None),
    }))
}

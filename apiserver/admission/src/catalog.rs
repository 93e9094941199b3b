//! The plugins that upstream knows, in the order in which they run.
//!
//! Upstream: `pkg/kubeapiserver/options/plugins.go` (`AllOrderedPlugins`,
//! `DefaultOffAdmissionPlugins`).

use apiserver_registry::admission::Part;

/// Whether a plugin runs unless the command line says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// It runs.
    On,
    /// It does not.
    Off,
}

use Switch::{Off, On};

use Part::{Admit, Both, Validate};

/// Name, default and steps of every plugin.
pub const ORDER: &[(&str, Switch, Part)] = &[
    ("AlwaysAdmit", Off, Both),
    ("NamespaceAutoProvision", Off, Admit),
    ("NamespaceLifecycle", On, Admit),
    ("NamespaceExists", Off, Validate),
    ("LimitPodHardAntiAffinityTopology", Off, Validate),
    ("LimitRanger", On, Both),
    ("ServiceAccount", On, Both),
    ("NodeRestriction", Off, Admit),
    ("TaintNodesByCondition", On, Admit),
    ("AlwaysPullImages", Off, Both),
    ("ImagePolicyWebhook", Off, Validate),
    ("PodSecurity", On, Validate),
    ("PodNodeSelector", Off, Both),
    ("Priority", On, Both),
    ("DefaultTolerationSeconds", On, Admit),
    ("PodTolerationRestriction", Off, Both),
    ("EventRateLimit", Off, Validate),
    ("ExtendedResourceToleration", Off, Admit),
    ("DefaultStorageClass", On, Admit),
    ("StorageObjectInUseProtection", On, Admit),
    ("OwnerReferencesPermissionEnforcement", Off, Validate),
    ("PersistentVolumeClaimResize", On, Validate),
    ("RuntimeClass", On, Both),
    ("CertificateApproval", On, Validate),
    ("CertificateSigning", On, Validate),
    ("ClusterTrustBundleAttest", On, Validate),
    ("CertificateSubjectRestriction", On, Validate),
    ("PodTopologyLabels", On, Admit),
    ("DefaultIngressClass", On, Admit),
    ("DenyServiceExternalIPs", Off, Validate),
    ("MutatingAdmissionPolicy", On, Admit),
    ("MutatingAdmissionWebhook", On, Admit),
    ("ValidatingAdmissionPolicy", On, Validate),
    ("ValidatingAdmissionWebhook", On, Validate),
    ("ResourceQuota", On, Validate),
    ("AlwaysDeny", Off, Both),
];

/// The names of all plugins but these.
pub fn all_but(these: &[String]) -> Vec<String> {
    let others = ORDER.iter().map(|(name, ..)| *name).filter(|name| these.iter().all(|this| this != name));
    others.map(str::to_owned).collect()
}

/// Whether upstream has a plugin of this name.
pub fn is_known(name: &str) -> bool {
    ORDER.iter().any(|(known, ..)| *known == name)
}

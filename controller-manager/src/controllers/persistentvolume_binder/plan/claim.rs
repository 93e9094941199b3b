//! What to do about a claim.

use super::matching::{best, is_bound_to, mismatch};
use super::{BETA_DEFAULT_CLASS, BIND_COMPLETED, DEFAULT_CLASS, SELECTED_NODE, has};
use crate::objects::claims::{class_of_claim, says_class};
use crate::objects::selector::{BadOperator, Selector};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use std::sync::Arc;

/// What is known when deciding.
#[derive(Debug)]
pub(in super::super) struct Facts<'a> {
    /// All volumes.
    pub(in super::super) volumes: &'a [Arc<PersistentVolume>],
    /// All classes.
    pub(in super::super) classes: &'a [Arc<StorageClass>],
    /// Names of the pods that use the claim and have no node.
    pub(in super::super) unscheduled: Vec<String>,
}

/// Why a bound claim has no volume any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Lost {
    /// It does not name one.
    Reference,
    /// The one that it names is gone.
    Volume,
    /// The one that it names is another's.
    Misbound,
}

impl Lost {
    /// Reason and message of the event.
    pub(in super::super) fn event(self) -> (&'static str, &'static str) {
        match self {
            Self::Reference => {
                ("ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
            }
            Self::Volume => ("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!"),
            Self::Misbound => {
                ("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
            }
        }
    }
}

/// What to do about a claim.
#[derive(Debug, PartialEq)]
pub(in super::super) enum ClaimStep {
    /// Bind the two, or finish what was begun.
    Bind(Arc<PersistentVolume>),
    /// It wants the default class, which is this.
    AssignClass(String),
    /// Ask for a volume of its class.
    Provision(Option<Arc<StorageClass>>),
    /// Nothing can be done now; why, if that is news: type, reason and message of an event.
    Wait(Option<(&'static str, &'static str, String)>),
    /// It had a volume and has none.
    Lost(Lost),
}

/// Decides about a claim.
pub(in super::super) fn claim_step(claim: &PersistentVolumeClaim, facts: &Facts<'_>) -> Result<ClaimStep, BadOperator> {
    let name = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).filter(|name| !name.is_empty());
    let named = name.map(|name| {
        let found = facts.volumes.iter().find(|volume| volume.metadata.name.as_deref() == Some(name));
        (name, found.cloned())
    });
    match (has(&claim.metadata, BIND_COMPLETED), named) {
        (true, named) => Ok(bound(claim, named.map(|(_, volume)| volume))),
        (false, Some((name, volume))) => Ok(reserved(claim, name, volume)),
        (false, None) => unbound(claim, facts),
    }
}

fn bound(claim: &PersistentVolumeClaim, named: Option<Option<Arc<PersistentVolume>>>) -> ClaimStep {
    match named {
        None => ClaimStep::Lost(Lost::Reference),
        Some(None) => ClaimStep::Lost(Lost::Volume),
        Some(Some(volume)) => {
            let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
            match reference.is_none_or(|reference| reference.uid == claim.metadata.uid) {
                true => ClaimStep::Bind(volume),
                false => ClaimStep::Lost(Lost::Misbound),
            }
        }
    }
}

/// The claim names the volume it wants.
fn reserved(claim: &PersistentVolumeClaim, name: &str, volume: Option<Arc<PersistentVolume>>) -> ClaimStep {
    let Some(volume) = volume else { return ClaimStep::Wait(None) };
    let is_claimed = volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_some());
    if !is_claimed {
        return match mismatch(claim, &volume) {
            Some(why) => {
                let message = format!("Cannot bind to requested volume {name:?}: {why}");
                ClaimStep::Wait(Some(("Warning", "VolumeMismatch", message)))
            }
            None => ClaimStep::Bind(volume),
        };
    }
    if is_bound_to(&volume, claim) {
        return ClaimStep::Bind(volume);
    }
    let message = format!("volume {name:?} already bound to a different claim.");
    ClaimStep::Wait(Some(("Warning", "FailedBinding", message)))
}

/// The claim takes what fits.
fn unbound(claim: &PersistentVolumeClaim, facts: &Facts<'_>) -> Result<ClaimStep, BadOperator> {
    let selector = claim.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let selector = selector.map(Selector::new).transpose()?;
    let name = class_of_claim(claim);
    let class = facts.classes.iter().find(|class| class.metadata.name.as_deref() == Some(name));
    let waits = class.is_some_and(|class| class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"));
    if let Some(volume) = best(claim, selector.as_ref(), facts.volumes, waits) {
        return Ok(ClaimStep::Bind(volume));
    }
    if !says_class(claim)
        && let Some(class) = default_class(facts.classes)
    {
        return Ok(ClaimStep::AssignClass(class));
    }
    if waits && !has(&claim.metadata, SELECTED_NODE) {
        return Ok(ClaimStep::Wait(Some(awaited(&facts.unscheduled))));
    }
    if !name.is_empty() {
        return Ok(ClaimStep::Provision(class.cloned()));
    }
    let message = "no persistent volumes available for this claim and no storage class is set".to_owned();
    Ok(ClaimStep::Wait(Some(("Normal", "FailedBinding", message))))
}

fn awaited(unscheduled: &[String]) -> (&'static str, &'static str, String) {
    match unscheduled {
        [] => {
            let message = "waiting for first consumer to be created before binding".to_owned();
            ("Normal", "WaitForFirstConsumer", message)
        }
        [pod] => ("Normal", "WaitForPodScheduled", format!("waiting for pod {pod} to be scheduled")),
        pods => ("Normal", "WaitForPodScheduled", format!("waiting for pods {} to be scheduled", pods.join(","))),
    }
}

/// The newest of the default classes.
fn default_class(classes: &[Arc<StorageClass>]) -> Option<String> {
    let is_default = |class: &&Arc<StorageClass>| {
        let annotations = class.metadata.annotations.as_ref();
        let says = |key: &str| annotations.and_then(|a| a.get(key)).is_some_and(|value| value == "true");
        says(DEFAULT_CLASS) || says(BETA_DEFAULT_CLASS)
    };
    let order = |class: &Arc<StorageClass>| {
        let at = class.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (std::cmp::Reverse(at), class.metadata.name.clone())
    };
    classes.iter().filter(is_default).min_by_key(|class| order(class))?.metadata.name.clone()
}

/// Who is to make a volume of a class: the driver that took over, if the class names a plugin of
/// Kubernetes' own. An error says that nobody is.
pub(in super::super) fn provisioner(class: &StorageClass) -> Result<&str, String> {
    let name = class.provisioner.as_str();
    if !name.starts_with("kubernetes.io/") {
        return Ok(name);
    }
    migrated(name).ok_or_else(|| format!("no volume plugin matched name: {name}"))
}

/// The driver that has taken over from a plugin.
fn migrated(plugin: &str) -> Option<&'static str> {
    Some(match plugin {
        "kubernetes.io/aws-ebs" => "ebs.csi.aws.com",
        "kubernetes.io/gce-pd" => "pd.csi.storage.gke.io",
        "kubernetes.io/azure-disk" => "disk.csi.azure.com",
        "kubernetes.io/azure-file" => "file.csi.azure.com",
        "kubernetes.io/cinder" => "cinder.csi.openstack.org",
        "kubernetes.io/vsphere-volume" => "csi.vsphere.vmware.com",
        "kubernetes.io/portworx-volume" => "pxd.portworx.com",
        _ => return None,
    })
}

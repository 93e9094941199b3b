//! Looks at one node: takes away what no pod uses, says what is attached, attaches what lacks.

use super::ledger::{Failure, Ledger};
use super::metrics;
use super::plan::{self, Leave, Stand, Volume};
use crate::manager::flags::AttachFlags;
use crate::objects::{claims, pods};
use crate::scaffold::error::message;
use crate::scaffold::informers::trims::{BY_CLAIM, BY_NODE, BY_VOLUME};
use crate::scaffold::patch::{self, Guard, Part};
use crate::scaffold::pod_control::same;
use crate::scaffold::{At, Controller, Next, ReconcileError, Writes, is_exists, is_not_found};
use client::{Informer, ObjectKey, Recorder, events};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{CSIDriver, VolumeAttachment, VolumeAttachmentSource, VolumeAttachmentSpec};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct AttachDetach {
    pub(super) client: kube::Client,
    pub(super) recorder: Recorder,
    pub(super) pods: Informer<Pod>,
    pub(super) claims: Informer<PersistentVolumeClaim>,
    pub(super) volumes: Informer<PersistentVolume>,
    pub(super) attachments: Informer<VolumeAttachment>,
    pub(super) nodes: Informer<Node>,
    pub(super) drivers: Informer<CSIDriver>,
    pub(super) writes: Writes,
    pub(super) ledger: Ledger,
    pub(super) options: AttachFlags,
}

/// A volume that pods of the node need.
struct Wanted {
    volume: Volume,
    pods: Vec<Arc<Pod>>,
}

/// A volume that the node has, or that its status says it has.
struct Found {
    volume: Volume,
    attachment: Option<Arc<VolumeAttachment>>,
}

/// One node, by the names of attachments.
struct Scene {
    key: ObjectKey,
    node: Option<Arc<Node>>,
    wanted: BTreeMap<String, Wanted>,
    found: BTreeMap<String, Found>,
    now: Instant,
}

impl Controller for AttachDetach {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let scene = self.look(key);
        self.ledger.begin(&key.name, |name| scene.wanted.contains_key(name) || scene.found.contains_key(name));
        metrics::count(
            &key.name,
            scene.wanted.values().map(|wanted| wanted.volume.driver.as_str()),
            scene.attached().map(|(_, found)| found.volume.driver.as_str()),
        );
        let mut due = self.resync(&scene);
        let leaving = self.leaving(&scene, &mut due);
        self.report(&scene, &leaving).await?;
        let left = self.detach(&scene, &leaving).await;
        let attached = self.attach(&scene, &mut due).await;
        left.and(attached)?;
        Ok(due.map_or(Next::OnChange, Next::After))
    }
}

impl Scene {
    /// What the drivers have attached and are not asked to detach.
    fn attached(&self) -> impl Iterator<Item = (&String, &Found)> {
        self.found.iter().filter(|(_, found)| plan::stand(found.attachment.as_deref()) == Stand::Attached)
    }
}

fn sooner(due: &mut Option<Duration>, delay: Duration) {
    *due = Some(due.map_or(delay, |due| due.min(delay)));
}

impl AttachDetach {
    fn look(&self, key: &ObjectKey) -> Scene {
        let node = self.nodes.get("", &key.name);
        let wanted = self.wanted(&key.name);
        let mut found = self.found(&key.name, node.as_deref());
        for (name, Wanted { volume, .. }) in &wanted {
            // One whose volume was replaced by another of its name is known by the pods only.
            if let Some(attachment) = self.attachments.get("", name) {
                found.insert(name.clone(), Found { volume: volume.clone(), attachment: Some(attachment) });
            }
        }
        Scene { key: key.clone(), node, wanted, found, now: Instant::now() }
    }

    /// The volumes that pods of the node need.
    fn wanted(&self, node: &str) -> BTreeMap<String, Wanted> {
        let mut wanted = BTreeMap::new();
        for pod in self.pods.by_index(BY_NODE, node).into_iter().filter(|pod| !plan::is_over(pod)) {
            for volume in self.volumes_of(&pod) {
                let entry =
                    wanted.entry(volume.attachment(node)).or_insert_with(|| Wanted { volume, pods: Vec::new() });
                if !entry.pods.iter().any(|have| have.metadata.uid == pod.metadata.uid) {
                    entry.pods.push(Arc::clone(&pod));
                }
            }
        }
        wanted
    }

    /// The volumes behind a pod's bound claims that have to be attached.
    fn volumes_of(&self, pod: &Pod) -> Vec<Volume> {
        let bound = claims::of_pod(pod).into_iter().filter_map(|of_pod| {
            let claim = self.claims.get(&of_pod.key.namespace, &of_pod.key.name)?;
            let is_bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
            let is_ours = !of_pod.ephemeral || claims::is_made_for(pod, &claim);
            let volume = self.volumes.get("", claim.spec.as_ref()?.volume_name.as_deref()?)?;
            let back = volume.spec.as_ref()?.claim_ref.as_ref()?.uid == claim.metadata.uid;
            (is_bound && is_ours && back).then(|| Volume::of(&volume)).flatten()
        });
        bound.filter(|volume| plan::must_attach(self.drivers.get("", &volume.driver).as_deref())).collect()
    }

    /// What was attached to the node by this controller: its names tell. Others' attachments are theirs.
    fn found(&self, name: &str, node: Option<&Node>) -> BTreeMap<String, Found> {
        let reported = node.map(plan::reported).unwrap_or_default();
        let mut found: BTreeMap<_, _> = reported
            .iter()
            .filter_map(|unique| Volume::reported(unique))
            .map(|volume| {
                let name = volume.attachment(name);
                let attachment = self.attachments.get("", &name);
                (name, Found { volume, attachment })
            })
            .collect();
        for attachment in self.attachments.by_index(BY_NODE, name) {
            let volume = attachment.spec.source.persistent_volume_name.as_deref();
            let volume = volume.and_then(|volume| self.volumes.get("", volume)).and_then(|volume| Volume::of(&volume));
            let own = attachment.metadata.name.clone().unwrap_or_default();
            if let Some(volume) = volume.filter(|volume| volume.attachment(name) == own) {
                found.insert(own, Found { volume, attachment: Some(attachment) });
            }
        }
        found
    }

    /// When a node with volumes is looked at again, whatever happens.
    fn resync(&self, scene: &Scene) -> Option<Duration> {
        let period = self.options.attach_detach_reconcile_sync_period.0;
        // Upstream: less than a second is never.
        let is_on = !self.options.disable_attach_detach_reconcile_sync && period >= Duration::from_secs(1);
        (is_on && !scene.found.is_empty()).then_some(period)
    }

    /// What is to be detached now, and how.
    fn leaving(&self, scene: &Scene, due: &mut Option<Duration>) -> BTreeMap<String, Leave> {
        let mut leaving = BTreeMap::new();
        for (name, found) in &scene.found {
            if scene.wanted.contains_key(name) {
                self.ledger.used(&scene.key.name, name);
                continue;
            }
            let waited = self.ledger.unused_for(&scene.key.name, name, scene.now);
            let may_force = !self.options.disable_force_detach_on_timeout;
            match plan::leave(scene.node.as_deref(), &found.volume.unique(), waited, may_force) {
                Leave::Stay => {}
                Leave::Wait(left) => sooner(due, left + Duration::from_millis(1)),
                go => drop(leaving.insert(name.clone(), go)),
            }
        }
        leaving
    }

    /// Says in the node's status what it may use, before anything of it is taken away.
    async fn report(&self, scene: &Scene, leaving: &BTreeMap<String, Leave>) -> Result<(), ReconcileError> {
        let Some(node) = &scene.node else { return Ok(()) };
        let staying = scene.attached().filter(|(name, _)| !leaving.contains_key(*name));
        let volumes: Vec<_> = staying.map(|(_, found)| found.volume.unique()).collect();
        if let Some(after) = plan::with_attached(node, &volumes) {
            let api = Api::<Node>::all(self.client.clone());
            // Nobody else writes this list; the kubelet writes all the rest of the status all the time.
            match patch::write(&api, Part::Status, Guard::Uid, &**node, &after).await {
                Ok(Some(written)) => self.writes.wrote(&scene.key, &self.nodes, &written),
                Ok(None) => {}
                Err(error) if is_not_found(&error) => {}
                Err(error) => return Err(error).at(|| format!("report the volumes of node {}", scene.key)),
            }
        }
        let before = plan::reported(node);
        for (name, wanted) in scene.wanted.iter().filter(|(name, _)| scene.attached().any(|(have, _)| have == *name)) {
            self.ledger.attached(&scene.key.name, name);
            if !before.contains(&wanted.volume.unique()) {
                let text = plan::message("AttachVolume.Attach succeeded", &wanted.volume.name, "");
                for pod in &wanted.pods {
                    self.recorder.normal(&events::reference(&**pod), "SuccessfulAttachVolume", text.clone());
                }
            }
        }
        Ok(())
    }

    /// Deletes the attachments without use; one that fails does not keep the others.
    async fn detach(&self, scene: &Scene, leaving: &BTreeMap<String, Leave>) -> Result<(), ReconcileError> {
        let mut outcome = Ok(());
        for (name, leave) in leaving {
            let Some(Found { volume, attachment: Some(attachment) }) = scene.found.get(name) else { continue };
            // One that is being deleted is its driver's.
            if attachment.metadata.deletion_timestamp.is_none() {
                outcome = outcome.and(self.detach_one(scene, attachment, &volume.unique(), *leave).await);
            }
        }
        outcome
    }

    async fn detach_one(
        &self,
        scene: &Scene,
        attachment: &VolumeAttachment,
        unique: &str,
        leave: Leave,
    ) -> Result<(), ReconcileError> {
        let name = attachment.metadata.name.clone().unwrap_or_default();
        if leave == Leave::Safely && self.is_in_use(&scene.key, unique).await? {
            let left = format!("volume {unique} is still in use by node {}, according to Node status", scene.key);
            return Err(ReconcileError::Unfinished { left });
        }
        if let Leave::Forced(force) = leave {
            tracing::info!(node = %scene.key, volume = unique, ?force, "detaching a volume that may be mounted");
            metrics::forced(force);
        }
        let api = Api::<VolumeAttachment>::all(self.client.clone());
        match api.delete(&name, &same(attachment)).await {
            Err(error) if !is_not_found(&error) => return Err(error).at(|| format!("delete attachment {name}")),
            _ => self.writes.deleted(&scene.key, &self.attachments, attachment),
        }
        Ok(())
    }

    /// Whether the node, asked and not remembered, uses the volume.
    async fn is_in_use(&self, node: &ObjectKey, unique: &str) -> Result<bool, ReconcileError> {
        let node =
            Api::<Node>::all(self.client.clone()).get_opt(&node.name).await.at(|| format!("read node {node}"))?;
        Ok(node.is_some_and(|node| plan::is_mounted(Some(&node), unique)))
    }

    /// Brings every wanted volume on its way; one that fails does not keep the others.
    async fn attach(&self, scene: &Scene, due: &mut Option<Duration>) -> Result<(), ReconcileError> {
        let mut outcome = Ok(());
        for (name, wanted) in &scene.wanted {
            match plan::stand(scene.found.get(name).and_then(|found| found.attachment.as_deref())) {
                Stand::Attached => {}
                Stand::Missing if !scene.node.as_deref().is_some_and(plan::is_managed) => {}
                Stand::Missing => outcome = outcome.and(self.create(scene, name, wanted).await),
                Stand::Attaching => match self.ledger.attaching(&scene.key.name, name, scene.now) {
                    Some(left) => sooner(due, left),
                    None => {
                        let Volume { driver, handle, .. } = &wanted.volume;
                        let why = format!(
                            "timed out waiting for external-attacher of {driver} CSI driver to attach volume {handle}"
                        );
                        sooner(due, self.failed(scene, name, wanted, &why));
                    }
                },
                Stand::Failed(why) => sooner(due, self.failed(scene, name, wanted, &why)),
            }
        }
        outcome
    }

    /// Says that it did not work, now and then; gives when to look again.
    fn failed(&self, scene: &Scene, name: &str, wanted: &Wanted, why: &str) -> Duration {
        match self.ledger.failed(&scene.key.name, name, scene.now) {
            Failure::Known(left) => left,
            Failure::New(delay) => {
                self.warn(wanted, why);
                delay
            }
        }
    }

    fn warn(&self, wanted: &Wanted, why: &str) {
        let text = plan::message("AttachVolume.Attach failed", &wanted.volume.name, &format!(": {why}"));
        for pod in &wanted.pods {
            self.recorder.warning(&events::reference(&**pod), "FailedAttachVolume", text.clone());
        }
    }

    async fn create(&self, scene: &Scene, name: &str, wanted: &Wanted) -> Result<(), ReconcileError> {
        let Wanted { volume, .. } = wanted;
        if !volume.shared {
            let has_other = || !self.others(volume, &scene.key.name).is_empty();
            if !self.ledger.claim(&volume.unique(), &scene.key.name, has_other) {
                self.refuse(scene, name, wanted);
                return Ok(());
            }
        }
        let attachment = attachment(name, volume, &scene.key.name);
        match Api::<VolumeAttachment>::all(self.client.clone()).create(&PostParams::default(), &attachment).await {
            Ok(created) => self.writes.wrote(&scene.key, &self.attachments, &created),
            // One that the cache does not have yet is looked at when it does.
            Err(error) if is_exists(&error) => {
                return Err(ReconcileError::Unfinished { left: format!("attachment {name} is not in the cache yet") });
            }
            Err(error) => {
                self.ledger.unclaim(&volume.unique());
                self.warn(wanted, &format!("kubernetes.io/csi: attacher.Attach failed: {}", message(&error)));
                return Err(error).at(|| format!("create attachment {name} to node {}", scene.key));
            }
        }
        Ok(())
    }

    /// The attachments of the volume to other nodes.
    fn others(&self, volume: &Volume, node: &str) -> Vec<Arc<VolumeAttachment>> {
        let all = self.attachments.by_index(BY_VOLUME, &volume.name).into_iter();
        all.filter(|attachment| attachment.spec.node_name != node && attachment.spec.attacher == volume.driver)
            .collect()
    }

    /// Tells the pods who has their volume, once it is certain that somebody has it.
    fn refuse(&self, scene: &Scene, name: &str, wanted: &Wanted) {
        let others = self.others(&wanted.volume, &scene.key.name);
        let holders: Vec<_> = others.iter().filter(|other| plan::stand(Some(other)) == Stand::Attached).collect();
        if holders.is_empty() || !self.ledger.refuse(&scene.key.name, name) {
            return;
        }
        let claim = self.volumes.get("", &wanted.volume.name).and_then(|volume| plan::claim_of(&volume));
        let users = claim.map(|claim| self.pods.by_index(BY_CLAIM, &claim.to_string())).unwrap_or_default();
        let is_holder = |pod: &Pod| holders.iter().any(|other| other.spec.node_name == pods::node(pod));
        let users: Vec<_> = users.into_iter().filter(|pod| is_holder(pod) && !plan::is_over(pod)).collect();
        for pod in &wanted.pods {
            let text = plan::taken(pod, &wanted.volume.name, &users);
            self.recorder.warning(&events::reference(&**pod), "FailedAttachVolume", text);
        }
    }
}

fn attachment(name: &str, volume: &Volume, node: &str) -> VolumeAttachment {
    VolumeAttachment {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        spec: VolumeAttachmentSpec {
            attacher: volume.driver.clone(),
            node_name: node.to_owned(),
            source: VolumeAttachmentSource {
                persistent_volume_name: Some(volume.name.clone()),
                inline_volume_spec: None,
            },
        },
        status: None,
    }
}

//! Looks at one object: asks the apiserver about it and its owners, then deletes, lets go, or
//! finishes its own foreground deletion or orphaning.

use super::graph::{Deletion, FOREGROUND, Graph, Identity, Node, ORPHAN, Presence, Uid};
use super::monitors::Monitors;
use super::plan::{self, OwnerState, Verdict};
use crate::scaffold::discovery::Kind;
use crate::scaffold::{At, ReconcileError, is_not_found};
use client::queue::Outcome;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How soon an object of a kind that is not known yet is looked at again.
const UNKNOWN_KIND: Duration = Duration::from_secs(30);

pub(super) struct Collector {
    client: kube::Client,
    graph: Arc<Mutex<Graph>>,
    monitors: Arc<Monitors>,
}

/// What the apiserver says of an object.
enum Live {
    Found(Box<ObjectMeta>),
    /// It is gone, or another one has its name.
    Gone,
    /// Nobody knows its kind (any more).
    UnknownKind,
}

impl Collector {
    pub(super) fn new(client: kube::Client, graph: Arc<Mutex<Graph>>, monitors: Arc<Monitors>) -> Self {
        Self { client, graph, monitors }
    }

    /// Looks at one object.
    pub(super) async fn collect(&self, uid: Uid) -> Outcome {
        match self.look(&uid).await {
            Ok(outcome) => outcome,
            Err(error) => {
                let cause = error.cause();
                match error.is_conflict() {
                    true => tracing::debug!(uid, %error, cause, "object changed meanwhile"),
                    false => tracing::warn!(uid, %error, cause, "collecting failed"),
                }
                Outcome::Failed
            }
        }
    }

    async fn look(&self, uid: &str) -> Result<Outcome, ReconcileError> {
        let Some(node) = self.graph.lock().get(uid).cloned() else { return Ok(Outcome::Done) };
        if node.presence == Presence::Observed && !plan::needs_care(node.deletion) {
            return Ok(Outcome::Done);
        }
        if node.presence == Presence::Observed && node.deletion == Deletion::None && node.owners.is_empty() {
            return Ok(Outcome::Done);
        }
        match self.live(&node.identity, uid).await? {
            Live::UnknownKind => Ok(Outcome::After(UNKNOWN_KIND)),
            Live::Gone => {
                self.gone(uid);
                Ok(Outcome::Done)
            }
            // Its watch will show it.
            Live::Found(_) if node.presence == Presence::Virtual => Ok(Outcome::Done),
            Live::Found(live) => self.act(uid, &node, &live).await,
        }
    }

    fn gone(&self, uid: &str) {
        let affected = self.graph.lock().forget(uid);
        affected.into_iter().for_each(|uid| self.monitors.look_at(uid));
    }

    async fn act(&self, uid: &str, node: &Node, live: &ObjectMeta) -> Result<Outcome, ReconcileError> {
        match (node.deletion, live.deletion_timestamp.is_some()) {
            (Deletion::Orphan, _) => self.orphan_dependents(uid, node, live).await?,
            (Deletion::Foreground, _) => self.finish_foreground(uid, node, live).await?,
            (Deletion::None, false) => return self.judge(uid, node, live).await,
            _ => {}
        }
        Ok(Outcome::Done)
    }

    async fn judge(&self, uid: &str, node: &Node, live: &ObjectMeta) -> Result<Outcome, ReconcileError> {
        let mut owners = Vec::new();
        for owner in live.owner_references.iter().flatten() {
            let Some(state) = self.owner_state(owner, &node.identity.namespace).await? else {
                return Ok(Outcome::After(UNKNOWN_KIND));
            };
            owners.push((owner.clone(), state));
        }
        let circular = self.graph.lock().has_waiting_dependent(uid);
        match plan::decide(live, &owners, !node.dependents.is_empty(), circular) {
            Verdict::Keep => {}
            Verdict::DropOwners(kept) => self.write_owners(&node.identity, live, kept).await?,
            Verdict::Delete(policy) => self.delete(node, live, policy, true).await?,
            Verdict::UnblockAndDelete(owners) => {
                self.write_owners(&node.identity, live, owners).await?;
                self.delete(node, live, PropagationPolicy::Foreground, false).await?;
            }
        }
        Ok(Outcome::Done)
    }

    /// `None` if nobody knows the owner's kind.
    async fn owner_state(&self, owner: &OwnerReference, namespace: &str) -> Result<Option<OwnerState>, ReconcileError> {
        let identity = Identity {
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            namespace: namespace.to_owned(),
            name: owner.name.clone(),
        };
        if namespace.is_empty() && self.kind(&identity).is_some_and(|kind| kind.namespaced) {
            // Nobody can say which namespace is meant: such a reference binds nothing, and is
            // never a reason to delete.
            return Ok(Some(OwnerState::Solid));
        }
        Ok(match self.live(&identity, &owner.uid).await? {
            Live::Found(live) => Some(plan::owner_state(owner, Some(&live))),
            Live::Gone => Some(OwnerState::Dangling),
            Live::UnknownKind => None,
        })
    }

    /// Dependents that block the deletion are looked at; if there are none, the deletion goes on.
    async fn finish_foreground(&self, uid: &str, node: &Node, live: &ObjectMeta) -> Result<(), ReconcileError> {
        let blockers = self.graph.lock().blockers(uid);
        if blockers.is_empty() {
            return self.remove_finalizer(&node.identity, live, FOREGROUND).await;
        }
        let graph = self.graph.lock();
        let looks = |uid: &Uid| graph.get(uid).is_some_and(|node| node.deletion == Deletion::None);
        blockers.into_iter().filter(looks).for_each(|uid| self.monitors.look_at(uid));
        Ok(())
    }

    /// Lets all dependents go, then the object itself.
    async fn orphan_dependents(&self, uid: &str, node: &Node, live: &ObjectMeta) -> Result<(), ReconcileError> {
        for dependent in &node.dependents {
            let Some(identity) = self.graph.lock().get(dependent).map(|node| node.identity.clone()) else { continue };
            let Live::Found(meta) = self.live(&identity, dependent).await? else { continue };
            let kept = meta.owner_references.iter().flatten().filter(|owner| owner.uid != uid).cloned().collect();
            self.write_owners(&identity, &meta, kept).await?;
        }
        self.remove_finalizer(&node.identity, live, ORPHAN).await
    }

    fn kind(&self, identity: &Identity) -> Option<Kind> {
        self.monitors.kind(&identity.api_version, &identity.kind)
    }

    async fn live(&self, identity: &Identity, uid: &str) -> Result<Live, ReconcileError> {
        let Some(kind) = self.kind(identity).filter(|kind| !kind.namespaced || !identity.namespace.is_empty()) else {
            return Ok(Live::UnknownKind);
        };
        let api = kind.api(&self.client, &identity.namespace);
        let found = api.get_metadata_opt(&identity.name).await.at(|| format!("read {}", show(identity)))?;
        Ok(match found.filter(|found| found.metadata.uid.as_deref() == Some(uid)) {
            Some(found) => Live::Found(Box::new(found.metadata)),
            None => Live::Gone,
        })
    }

    /// With `unchanged`, only if the object is still as it was judged.
    async fn delete(
        &self,
        node: &Node,
        live: &ObjectMeta,
        policy: PropagationPolicy,
        unchanged: bool,
    ) -> Result<(), ReconcileError> {
        let Some(kind) = self.kind(&node.identity) else { return Ok(()) };
        let params = DeleteParams {
            propagation_policy: Some(policy),
            preconditions: Some(Preconditions {
                uid: live.uid.clone(),
                resource_version: live.resource_version.clone().filter(|_| unchanged),
            }),
            ..DeleteParams::default()
        };
        tracing::info!(object = show(&node.identity), "deleting: its owners are gone");
        match kind.api(&self.client, &node.identity.namespace).delete(&node.identity.name, &params).await {
            Err(error) if is_not_found(&error) => Ok(()),
            deleted => deleted.map(drop).at(|| format!("delete {}", show(&node.identity))),
        }
    }

    async fn write_owners(
        &self,
        identity: &Identity,
        live: &ObjectMeta,
        owners: Vec<OwnerReference>,
    ) -> Result<(), ReconcileError> {
        let owners = (!owners.is_empty()).then_some(owners);
        self.patch(identity, live, json!({"ownerReferences": owners})).await
    }

    async fn remove_finalizer(
        &self,
        identity: &Identity,
        live: &ObjectMeta,
        finalizer: &str,
    ) -> Result<(), ReconcileError> {
        let finalizers = live.finalizers.clone().unwrap_or_default();
        if !finalizers.iter().any(|present| present == finalizer) {
            return Ok(());
        }
        let kept: Vec<_> = finalizers.into_iter().filter(|present| present != finalizer).collect();
        self.patch(identity, live, json!({"finalizers": kept})).await
    }

    /// Patches metadata of exactly the version that was read.
    async fn patch(
        &self,
        identity: &Identity,
        live: &ObjectMeta,
        mut metadata: serde_json::Value,
    ) -> Result<(), ReconcileError> {
        let Some(kind) = self.kind(identity) else { return Ok(()) };
        metadata["uid"] = json!(live.uid);
        metadata["resourceVersion"] = json!(live.resource_version);
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let api = kind.api(&self.client, &identity.namespace);
        match api.patch_metadata(&identity.name, &PatchParams::default(), &patch).await {
            Err(error) if is_not_found(&error) => Ok(()),
            patched => patched.map(drop).at(|| format!("patch {}", show(identity))),
        }
    }
}

fn show(identity: &Identity) -> String {
    format!("{} {}/{}", identity.kind, identity.namespace, identity.name)
}

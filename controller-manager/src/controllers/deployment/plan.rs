//! What a deployment's next step is: one file per question.
//!
//! A step changes replica sets, which report back through their status; the deployment is then
//! looked at again. So a plan is never more than one wave of changes.

mod limits;
mod recreate;
mod revision;
mod rolling;
mod scaling;
mod sets;
mod status;

pub(super) use limits::Limits;
pub(super) use sets::Sets;
pub(super) use status::{FAILED_CREATE, NEW_SET_CREATED, NEW_SET_FOUND, progressing};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

/// What is known when planning.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) deployment: Arc<Deployment>,
    /// Its replica sets.
    pub(super) sets: Vec<Arc<ReplicaSet>>,
    /// The pods of these sets.
    pub(super) pods: Vec<Arc<Pod>>,
    pub(super) now: Timestamp,
}

/// A change of one replica set.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// The template has no replica set yet.
    Create(Box<ReplicaSet>),
    /// Another size, or other annotations.
    Update { before: Arc<ReplicaSet>, after: Box<ReplicaSet> },
    /// Older than the history limit.
    Delete(Arc<ReplicaSet>),
}

/// One wave of changes, and the status after it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) changes: Vec<Change>,
    /// `deployment.kubernetes.io/revision`, if it is known.
    pub(super) revision: Option<String>,
    pub(super) status: DeploymentStatus,
    /// When the progress deadline has to be looked at again.
    pub(super) again: Option<SignedDuration>,
}

/// Decides the next step.
pub(super) fn plan(observed: &Observed) -> Plan {
    let deployment = &*observed.deployment;
    let mut sets = Sets::new(deployment, &observed.sets);
    if deployment.metadata.deletion_timestamp.is_some() {
        return conclude(observed, sets, Vec::new(), status::Kind::Standing);
    }
    let limits = Limits::of(deployment);
    if limits.paused || scaling::is_scaling(&limits, &sets) {
        sets.renumber(deployment, &limits);
        scaling::scale(&limits, &mut sets);
        let doomed = if limits.paused { sets.history_surplus(&limits) } else { Vec::new() };
        return conclude(observed, sets, doomed, status::Kind::Standing);
    }
    match limits.recreate {
        true => recreate::step(observed, &limits, &mut sets),
        false => rolling::step(deployment, &limits, &mut sets),
    }
    let complete = status::is_complete(deployment, &status::count(deployment, &sets));
    let doomed = if complete { sets.history_surplus(&limits) } else { Vec::new() };
    conclude(observed, sets, doomed, status::Kind::Rollout)
}

fn conclude(observed: &Observed, sets: Sets, doomed: Vec<Arc<ReplicaSet>>, kind: status::Kind) -> Plan {
    let deployment = &*observed.deployment;
    let (status, again) = status::status(deployment, &sets, kind, observed.now);
    let revision = sets.new_set().and_then(revision::of).map(|revision| revision.to_string());
    let mut changes = sets.into_changes();
    changes.extend(doomed.into_iter().map(Change::Delete));
    Plan { changes, revision, status, again }
}

#[cfg(test)]
mod tests;

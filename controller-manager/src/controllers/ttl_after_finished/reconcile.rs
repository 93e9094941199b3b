//! Looks at a finished job: waits, or deletes it with its pods.

use super::plan::{Verdict, judge};
use crate::scaffold::context::namespaced;
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found};
use client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, Preconditions};

pub(super) struct FinishedJobs {
    pub(super) client: kube::Client,
    pub(super) jobs: Informer<Job>,
}

impl Controller for FinishedJobs {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(job) = self.jobs.get(&key.namespace, &key.name) else { return Ok(Next::OnChange) };
        match judge(&job, Timestamp::now()) {
            Verdict::Stays => Ok(Next::OnChange),
            Verdict::GoesIn(left) => Ok(Next::After(left.try_into().unwrap_or_default())),
            Verdict::Goes => self.delete(key).await,
        }
    }
}

impl FinishedJobs {
    /// The cache may be behind: what counts is the job as it is now.
    async fn delete(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let api = namespaced::<Job>(&self.client, &key.namespace);
        let Some(fresh) = api.get_opt(&key.name).await.at(|| format!("read job {key}"))? else {
            return Ok(Next::OnChange);
        };
        match judge(&fresh, Timestamp::now()) {
            Verdict::Stays => return Ok(Next::OnChange),
            Verdict::GoesIn(left) => return Ok(Next::After(left.try_into().unwrap_or_default())),
            Verdict::Goes => {}
        }
        let preconditions = Preconditions { uid: fresh.metadata.uid, resource_version: None };
        let how = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::foreground() };
        match api.delete(&key.name, &how).await {
            Err(error) if !is_not_found(&error) => Err(error).at(|| format!("delete job {key}")),
            _ => Ok(Next::OnChange),
        }
    }
}

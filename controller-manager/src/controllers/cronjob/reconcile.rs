//! Reads a cron job with its jobs; deletes old ones, starts the next, writes the status.

use super::plan::{self, Note, Step, forget, missing, observe, surplus};
use crate::objects::owner;
use crate::scaffold::context::namespaced;
use crate::scaffold::error::{is_namespace_terminating, message};
use crate::scaffold::informers::trims::BY_OWNER;
use crate::scaffold::pod_control::same;
use crate::scaffold::{At, Controller, Next, ReconcileError, Writes, is_exists, is_not_found, patch};
use client::{Informer, ObjectKey, Recorder, events};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PostParams;
use std::sync::Arc;

pub(super) struct CronJobs {
    pub(super) client: kube::Client,
    pub(super) recorder: Recorder,
    pub(super) cron_jobs: Informer<CronJob>,
    pub(super) jobs: Informer<Job>,
    pub(super) writes: Writes,
}

impl Controller for CronJobs {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(cron_job) = self.cron_jobs.get(&key.namespace, &key.name) else {
            self.writes.forget(key);
            return Ok(Next::OnChange);
        };
        let jobs = self.jobs.by_index(BY_OWNER, cron_job.metadata.uid.as_deref().unwrap_or_default());
        let about = events::reference(&*cron_job);
        let mut status = cron_job.status.clone().unwrap_or_default();
        self.clean_up(key, &about, &cron_job, &jobs, &mut status).await;
        observe(&mut status, &jobs).iter().for_each(|note| self.say(&about, note));
        self.drop_missing(key, &about, &jobs, &mut status).await?;
        let plan = plan::plan(&cron_job, &status, Timestamp::now());
        plan.notes.iter().for_each(|note| self.say(&about, note));
        let next = match plan.step {
            Step::Idle => Ok(Next::OnChange),
            Step::Wait(left) => Ok(Next::After(left.try_into().unwrap_or_default())),
            Step::Start { at, replace, next } => {
                let started = self.start(key, &about, &cron_job, at, replace, &mut status).await;
                started.map(|()| next.map_or(Next::OnChange, |next| Next::After(next.try_into().unwrap_or_default())))
            }
        };
        self.write_status(key, &cron_job, status).await?;
        next
    }
}

impl CronJobs {
    fn say(&self, about: &ObjectReference, note: &Note) {
        match note.is_warning {
            true => self.recorder.warning(about, note.reason, note.text.clone()),
            false => self.recorder.normal(about, note.reason, note.text.clone()),
        }
    }

    /// Deletes what is beyond the limits of the history; what fails is tried again another time.
    async fn clean_up(
        &self,
        key: &ObjectKey,
        about: &ObjectReference,
        cron_job: &CronJob,
        jobs: &[Arc<Job>],
        status: &mut CronJobStatus,
    ) {
        for job in surplus(&cron_job.spec, jobs) {
            if let Err(error) = self.delete(key, about, &job, status).await {
                tracing::debug!(%key, %error, "an old job stays for now");
            }
        }
    }

    async fn delete(
        &self,
        key: &ObjectKey,
        about: &ObjectReference,
        job: &Job,
        status: &mut CronJobStatus,
    ) -> Result<(), ReconcileError> {
        let api = namespaced::<Job>(&self.client, &key.namespace);
        let name = job.metadata.name.as_deref().unwrap_or_default();
        match api.delete(name, &same(job)).await {
            Ok(_) => self.writes.deleted(key, &self.jobs, job),
            Err(error) if is_not_found(&error) => {}
            Err(error) => {
                self.recorder.warning(about, "FailedDelete", format!("Deleted job: {}", message(&error)));
                return Err(error).at(|| format!("delete job {name} of {key}"));
            }
        }
        forget(status, job.metadata.uid.as_deref().unwrap_or_default());
        self.recorder.normal(about, "SuccessfulDelete", format!("Deleted job {name}"));
        Ok(())
    }

    /// Active jobs that the cache does not show, and the apiserver neither.
    async fn drop_missing(
        &self,
        key: &ObjectKey,
        about: &ObjectReference,
        jobs: &[Arc<Job>],
        status: &mut CronJobStatus,
    ) -> Result<(), ReconcileError> {
        let api = namespaced::<Job>(&self.client, &key.namespace);
        for (name, uid) in missing(status, jobs) {
            if api.get_opt(&name).await.at(|| format!("read job {name} of {key}"))?.is_none() {
                self.recorder.normal(about, "MissingJob", format!("Active job went missing: {name}"));
                forget(status, &uid);
            }
        }
        Ok(())
    }

    async fn start(
        &self,
        key: &ObjectKey,
        about: &ObjectReference,
        cron_job: &CronJob,
        at: Timestamp,
        replace: bool,
        status: &mut CronJobStatus,
    ) -> Result<(), ReconcileError> {
        if replace {
            self.delete_active(key, about, status).await?;
        }
        let Some(job) = self.create(key, about, cron_job, at).await? else { return Ok(()) };
        let is_listed = status.active.iter().flatten().any(|active| active.uid == job.metadata.uid);
        if !is_listed {
            status.active.get_or_insert_default().push(events::reference(&job));
            status.last_schedule_time = Some(Time(at));
        }
        Ok(())
    }

    async fn delete_active(
        &self,
        key: &ObjectKey,
        about: &ObjectReference,
        status: &mut CronJobStatus,
    ) -> Result<(), ReconcileError> {
        let api = namespaced::<Job>(&self.client, &key.namespace);
        for active in status.active.clone().into_iter().flatten() {
            let name = active.name.unwrap_or_default();
            match api.get(&name).await {
                Ok(job) => self.delete(key, about, &job, status).await?,
                Err(error) => {
                    self.recorder.warning(about, "FailedGet", format!("Get job: {}", message(&error)));
                    return Err(error).at(|| format!("read job {name} of {key}"));
                }
            }
        }
        Ok(())
    }

    /// The job of this time: a new one, or the one that was made before the status could say so.
    /// `None` if somebody else's has its name.
    async fn create(
        &self,
        key: &ObjectKey,
        about: &ObjectReference,
        cron_job: &CronJob,
        at: Timestamp,
    ) -> Result<Option<Job>, ReconcileError> {
        let api = namespaced::<Job>(&self.client, &key.namespace);
        let job = plan::job(cron_job, at);
        let name = job.metadata.name.clone().unwrap_or_default();
        match api.create(&PostParams::default(), &job).await {
            Ok(created) => {
                self.recorder.normal(about, "SuccessfulCreate", format!("Created job {name}"));
                self.writes.wrote(key, &self.jobs, &created);
                Ok(Some(created))
            }
            Err(error) if is_exists(&error) => {
                let other = api.get(&name).await.at(|| format!("read job {name} of {key}"))?;
                let owner = owner::controller_of(&other.metadata).map(|owner| &owner.uid);
                let is_own = owner == cron_job.metadata.uid.as_ref();
                Ok(is_own.then_some(other))
            }
            Err(error) => {
                if !is_namespace_terminating(&error) {
                    let text = format!("Error creating job: {}", message(&error));
                    self.recorder.warning(about, "FailedCreate", text);
                }
                Err(error).at(|| format!("create job {name} of {key}"))
            }
        }
    }

    async fn write_status(
        &self,
        key: &ObjectKey,
        before: &CronJob,
        status: CronJobStatus,
    ) -> Result<(), ReconcileError> {
        let after = CronJob { status: Some(status), ..before.clone() };
        let api = namespaced::<CronJob>(&self.client, &key.namespace);
        let written = patch::write_status(&api, before, &after).await;
        if let Some(written) = written.at(|| format!("write the status of {key}"))? {
            self.writes.wrote(key, &self.cron_jobs, &written);
        }
        Ok(())
    }
}

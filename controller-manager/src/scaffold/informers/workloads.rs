//! How the caches of workloads and their histories are kept.

use super::SharedKind;
use super::trims::{BY_OWNER, owner_uid, trim_meta};
use client::informer::Builder;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};

impl SharedKind for Job {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder.trim(|job| trim_meta(&mut job.metadata)).index(BY_OWNER, |job| owner_uid(&job.metadata))
    }
}

impl SharedKind for CronJob {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder.trim(|cron_job| trim_meta(&mut cron_job.metadata))
    }
}

impl SharedKind for DaemonSet {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder.trim(|set| trim_meta(&mut set.metadata))
    }
}

impl SharedKind for StatefulSet {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder.trim(|set| trim_meta(&mut set.metadata))
    }
}

impl SharedKind for ControllerRevision {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder
            .trim(|revision| trim_meta(&mut revision.metadata))
            .index(BY_OWNER, |revision| owner_uid(&revision.metadata))
    }
}

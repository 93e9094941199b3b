//! Looks at all tokens once a day.

use super::plan::{self, INVALID_SINCE, Step};
use crate::objects::secrets::{ACCOUNT_NAME, annotation};
use crate::scaffold::context::namespaced;
use crate::scaffold::{At, Controller, Next, ReconcileError, is_conflict, is_not_found};
use client::{Informer, ObjectKey};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, ServiceAccount};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(24 * 3600);
/// Where the apiserver writes since when it tracks uses.
const TRACKING: &str = "kube-apiserver-legacy-service-account-token-tracking";

pub(super) struct Cleaner {
    pub(super) client: kube::Client,
    /// May list pods: the caches do not keep which Secrets they name.
    pub(super) lister: kube::Client,
    pub(super) secrets: Informer<Secret>,
    pub(super) accounts: Informer<ServiceAccount>,
    pub(super) period: Duration,
}

impl Controller for Cleaner {
    async fn reconcile(&self, _key: &ObjectKey) -> Result<Next, ReconcileError> {
        let period = SignedDuration::try_from(self.period).unwrap_or(SignedDuration::MAX);
        let now = Timestamp::now();
        if !self.is_tracked(period, now).await? {
            return Ok(Next::After(EVERY));
        }
        let mut mounted: HashMap<String, HashSet<String>> = HashMap::new();
        for secret in self.secrets.list() {
            let key = ObjectKey::of(&*secret);
            let account = self.accounts.get(&key.namespace, annotation(&secret, ACCOUNT_NAME));
            if !plan::is_candidate(&secret, account.as_deref(), period, now) {
                continue;
            }
            if !mounted.contains_key(&key.namespace) {
                mounted.insert(key.namespace.clone(), self.mounted(&key.namespace).await?);
            }
            if !mounted.get(&key.namespace).is_some_and(|names| names.contains(&key.name)) {
                self.apply(&key, &secret, plan::step(&secret, period, now)).await?;
            }
        }
        Ok(Next::After(EVERY))
    }
}

impl Cleaner {
    async fn is_tracked(&self, period: SignedDuration, now: Timestamp) -> Result<bool, ReconcileError> {
        let api = namespaced::<ConfigMap>(&self.client, "kube-system");
        let map = api.get_opt(TRACKING).await.at(|| "read since when uses of tokens are tracked".to_owned())?;
        let Some(map) = map else {
            tracing::debug!("the apiserver does not track uses of tokens: none is cleaned up");
            return Ok(false);
        };
        let since = map.data.as_ref().and_then(|data| data.get("since")).map(String::as_str).unwrap_or_default();
        plan::is_tracked(since, period, now).ok_or_else(|| ReconcileError::Unusable {
            object: TRACKING.to_owned(),
            why: format!("{since:?} is no day"),
        })
    }

    async fn mounted(&self, namespace: &str) -> Result<HashSet<String>, ReconcileError> {
        let pods = namespaced::<Pod>(&self.lister, namespace).list(&ListParams::default()).await;
        let pods = pods.at(|| format!("list the pods of {namespace}"))?;
        Ok(pods.items.iter().flat_map(plan::mounted).collect())
    }

    async fn apply(&self, key: &ObjectKey, secret: &Secret, step: Step) -> Result<(), ReconcileError> {
        let api = namespaced::<Secret>(&self.client, &key.namespace);
        let done = match step {
            Step::Keep => return Ok(()),
            Step::Invalidate(day) => {
                let patch = json!({"metadata": {"uid": secret.metadata.uid, "labels": {INVALID_SINCE: day}}});
                api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
            }
            Step::Delete => {
                let version = secret.metadata.resource_version.clone();
                let preconditions = Some(Preconditions { uid: secret.metadata.uid.clone(), resource_version: version });
                api.delete(&key.name, &DeleteParams { preconditions, ..DeleteParams::default() }).await.map(drop)
            }
        };
        match done {
            Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(()),
            done => done.at(|| format!("clean up token {key}")),
        }
    }
}

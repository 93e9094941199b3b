//! Looks at all requests every hour.

use super::plan;
use crate::scaffold::pod_control::same;
use crate::scaffold::{At, Controller, Next, ReconcileError, is_conflict, is_not_found};
use client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::Api;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(3600);

pub(super) struct Cleaner {
    pub(super) client: kube::Client,
    pub(super) requests: Informer<CertificateSigningRequest>,
}

impl Controller for Cleaner {
    async fn reconcile(&self, _key: &ObjectKey) -> Result<Next, ReconcileError> {
        let api = Api::<CertificateSigningRequest>::all(self.client.clone());
        let (now, mut failed) = (Timestamp::now(), None);
        for request in self.requests.list().iter().filter(|request| plan::is_over(request, now)) {
            let name = request.metadata.name.as_deref().unwrap_or_default();
            match api.delete(name, &same(&**request)).await {
                Err(error) if !is_not_found(&error) && !is_conflict(&error) => {
                    failed = Some(Err(error).at(|| format!("delete request {name}")));
                }
                _ => tracing::info!(request = name, "deleted: it has served"),
            }
        }
        failed.unwrap_or(Ok(Next::After(PERIOD)))
    }
}

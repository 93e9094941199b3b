//! Asks for the requester's rights and approves.

use super::plan;
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found};
use client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::Api;
use kube::api::PostParams;

pub(super) struct Approver {
    pub(super) client: kube::Client,
    pub(super) requests: Informer<CertificateSigningRequest>,
}

impl Controller for Approver {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(request) = self.requests.get("", &key.name) else { return Ok(Next::OnChange) };
        let rights = plan::rights(&request)
            .map_err(|error| ReconcileError::Unusable { object: key.to_string(), why: error.to_string() })?;
        let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
        for right in &rights {
            let answer = reviews.create(&PostParams::default(), &plan::question(&request, *right)).await;
            let answer = answer.at(|| format!("ask whether request {key} may be approved"))?;
            if !answer.status.is_some_and(|status| status.allowed) {
                continue;
            }
            let api = Api::<CertificateSigningRequest>::all(self.client.clone());
            let approved = plan::approved(&request, *right, Timestamp::now());
            return match api.replace_subresource("approval", &key.name, &PostParams::default(), &approved).await {
                Err(error) if is_not_found(&error) => Ok(Next::OnChange),
                written => written.map(|_| Next::OnChange).at(|| format!("approve request {key}")),
            };
        }
        if let Some(last) = rights.last() {
            // A right may be granted later: the key comes again, more and more slowly.
            let left = format!("recognized as {} but subject access review was not approved", last.subresource());
            return Err(ReconcileError::Unfinished { left });
        }
        Ok(Next::OnChange)
    }
}

//! Signs one request.

use super::plan::{self, Verdict};
use crate::manager::options::CaFiles;
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found};
use client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::Api;
use kube::api::PostParams;
use pki::{Authority, Grant, Request, Validity};
use std::time::Duration;

pub(super) struct Signer {
    pub(super) client: kube::Client,
    pub(super) requests: Informer<CertificateSigningRequest>,
    pub(super) signer: &'static str,
    pub(super) files: CaFiles,
    pub(super) longest: Duration,
}

impl Controller for Signer {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(request) = self.requests.get("", &key.name) else { return Ok(Next::OnChange) };
        let unusable = |why: String| ReconcileError::Unusable { object: key.to_string(), why };
        let after = match plan::judge(&request, self.signer).map_err(|error| unusable(error.to_string()))? {
            Verdict::Nothing => return Ok(Next::OnChange),
            Verdict::Fail(why) => plan::failed(&request, why, Timestamp::now()),
            Verdict::Sign => {
                let certificate = self.sign(&request).map_err(|why| ReconcileError::Unfinished { left: why })?;
                let mut after = (*request).clone();
                after.status.get_or_insert_default().certificate = Some(ByteString(certificate.into_bytes()));
                after
            }
        };
        let api = Api::<CertificateSigningRequest>::all(self.client.clone());
        match api.replace_status(&key.name, &PostParams::default(), &after).await {
            Err(error) if is_not_found(&error) => Ok(Next::OnChange),
            written => written.map(|_| Next::OnChange).at(|| format!("write the certificate of request {key}")),
        }
    }
}

impl Signer {
    /// A certificate in PEM. The authority is read each time: it may have been renewed.
    fn sign(&self, request: &CertificateSigningRequest) -> Result<String, String> {
        let text = |error: pki::PkiError| error.to_string();
        let authority = Authority::load(&self.files.cert, &self.files.key).map_err(text)?;
        let ends = Validity::of_pem(authority.certificate_pem().as_bytes(), "signer").map_err(text)?.not_after;
        let lifetime = plan::lifetime(request, self.longest);
        let (from, until) = plan::validity(Timestamp::now(), lifetime, ends)?;
        let usages = request.spec.usages.as_deref().unwrap_or_default();
        let grant = Grant::new(usages, from, until).map_err(|error| error.to_string())?;
        let parsed = Request::parse(&request.spec.request.0, "spec.request").map_err(text)?;
        authority.grant(&parsed, &grant).map_err(text)
    }
}

//! `CertificateApproval`, `CertificateSigning`, `ClusterTrustBundleAttest` and
//! `CertificateSubjectRestriction`: who may make a signer's certificates, and for whom.
//!
//! Upstream: `plugin/pkg/admission/certificates`.

use crate::Means;
use crate::builder::Authorize;
use crate::denial::forbidden;
use crate::lookup::text;
use apimachinery::Value;
use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use async_trait::async_trait;
use base64::Engine;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509CertificationRequest};

const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";
const MASTERS: &str = "system:masters";

/// Asks whether the user has a verb on a signer, or on all of its domain.
struct Signers(Option<Arc<dyn Authorize>>);

impl Signers {
    async fn check(&self, attributes: &Attributes<'_>, verb: &str, signer: &str, to_do: &str) -> Result<(), Status> {
        let resource = GroupResource::new("certificates.k8s.io", "signers");
        let domain = format!("{}/*", signer.split('/').next().unwrap_or_default());
        let user = &attributes.context.user;
        if let Some(authorizer) = &self.0
            && (authorizer.is_allowed(user, verb, &resource, signer).await
                || authorizer.is_allowed(user, verb, &resource, &domain).await)
        {
            return Ok(());
        }
        Err(forbidden(attributes, &format!("user not permitted to {to_do} {signer:?}")))
    }
}

fn is_request(context: &Context, subresource: &str) -> bool {
    let resource = &context.resource;
    resource.group == "certificates.k8s.io"
        && resource.plural == "certificatesigningrequests"
        && context.subresource_name() == subresource
}

/// `CertificateApproval`.
pub(crate) struct Approval(Signers);

impl Approval {
    pub(crate) fn new(means: &Means) -> Self {
        Self(Signers(means.authorizer.clone()))
    }
}

#[async_trait]
impl Plugin for Approval {
    fn name(&self) -> &'static str {
        "CertificateApproval"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        operation == Operation::Update && is_request(context, "approval")
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let signer = text(attributes.old_object, "/spec/signerName");
        self.0.check(attributes, "approve", signer, "approve requests with signerName").await
    }
}

/// `CertificateSigning`.
pub(crate) struct Signing(Signers);

impl Signing {
    pub(crate) fn new(means: &Means) -> Self {
        Self(Signers(means.authorizer.clone()))
    }
}

#[async_trait]
impl Plugin for Signing {
    fn name(&self) -> &'static str {
        "CertificateSigning"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        operation == Operation::Update && is_request(context, "status")
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let same = |pointer: &str| attributes.object.pointer(pointer) == attributes.old_object.pointer(pointer);
        // Neither the certificate nor a verdict of the signer: nothing is signed.
        if same("/status/certificate") && same("/status/conditions") {
            return Ok(());
        }
        let signer = text(attributes.old_object, "/spec/signerName");
        self.0.check(attributes, "sign", signer, "sign requests with signerName").await
    }
}

/// `ClusterTrustBundleAttest`.
pub(crate) struct TrustBundleAttest(Signers);

impl TrustBundleAttest {
    pub(crate) fn new(means: &Means) -> Self {
        Self(Signers(means.authorizer.clone()))
    }
}

#[async_trait]
impl Plugin for TrustBundleAttest {
    fn name(&self) -> &'static str {
        "ClusterTrustBundleAttest"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        let writes = matches!(operation, Operation::Create | Operation::Update);
        writes && context.resource.group == "certificates.k8s.io" && context.resource.plural == "clustertrustbundles"
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        match text(attributes.object, "/spec/signerName") {
            "" => Ok(()),
            signer => self.0.check(attributes, "attest", signer, "attest for signerName").await,
        }
    }
}

/// `CertificateSubjectRestriction`.
pub(crate) struct SubjectRestriction;

#[async_trait]
impl Plugin for SubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        operation == Operation::Create && is_request(context, "")
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        if text(attributes.object, "/spec/signerName") != CLIENT_SIGNER {
            return Ok(());
        }
        match organizations(attributes.object) {
            None => Err(forbidden(attributes, "unable to parse CSR: the request is not a PEM certificate request")),
            Some(groups) if groups.iter().any(|g| g == MASTERS) => {
                let why = format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed");
                Err(forbidden(attributes, &why))
            }
            Some(_) => Ok(()),
        }
    }
}

/// The organizations in the subject of a request; they become groups.
fn organizations(object: &Value) -> Option<Vec<String>> {
    let pem = base64::engine::general_purpose::STANDARD.decode(text(object, "/spec/request")).ok()?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).ok()?;
    let (_, request) = X509CertificationRequest::from_der(&pem.contents).ok()?;
    let subject = &request.certification_request_info.subject;
    Some(subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, context, create, run};
    use apiserver_registry::UserInfo;
    use serde_json::json;

    struct OnlyDomain;

    #[async_trait]
    impl Authorize for OnlyDomain {
        async fn is_allowed(&self, _: &UserInfo, verb: &str, _: &GroupResource, name: &str) -> bool {
            verb == "approve" && name == "example.com/*"
        }

        fn authorize(&self, _: &UserInfo, _: &cel::Check) -> cel::Verdict {
            cel::Verdict { allowed: false, reason: String::new(), error: None }
        }
    }

    #[tokio::test]
    async fn approving_needs_the_signer() {
        let cluster = Cluster::start().await;
        let plugin = Approval::new(&Means { authorizer: Some(Arc::new(OnlyDomain)), ..cluster.means() });
        let cx = context("certificates.k8s.io/certificatesigningrequests", "approval", "u");
        for (signer, allowed) in [("example.com/a", true), ("other.com/a", false)] {
            let request = json!({"metadata": {"name": "r"}, "spec": {"signerName": signer}});
            let result = run(&plugin, &cx, Operation::Update, request.clone(), request).await;
            assert_eq!(result.is_ok(), allowed, "{signer}");
        }
    }

    #[tokio::test]
    async fn signing_is_what_changes_the_certificate() {
        let cluster = Cluster::start().await;
        let plugin = Signing::new(&cluster.means());
        let cx = context("certificates.k8s.io/certificatesigningrequests", "status", "u");
        let request = |certificate: &str| {
            json!({"metadata": {"name": "r"}, "spec": {"signerName": "a/b"},
            "status": {"certificate": certificate}})
        };
        assert!(run(&plugin, &cx, Operation::Update, request("x"), request("x")).await.is_ok());
        let refused = run(&plugin, &cx, Operation::Update, request("y"), request("x")).await.expect_err("refused");
        assert!(refused.message.ends_with("user not permitted to sign requests with signerName \"a/b\""), "{refused}");
    }

    #[tokio::test]
    async fn nonsense_is_no_client_certificate() {
        let request =
            |signer: &str| json!({"metadata": {"name": "r"}, "spec": {"signerName": signer, "request": "AAAA"}});
        let resource = "certificates.k8s.io/certificatesigningrequests";
        assert!(create(&SubjectRestriction, resource, request(CLIENT_SIGNER)).await.is_err());
        assert!(create(&SubjectRestriction, resource, request("example.com/a")).await.is_ok());
    }
}

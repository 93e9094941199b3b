//! Which requests could be approved, and on what condition.

use crate::objects::requests::{self, KUBELET_CLIENT, certificate, check_kubelet_client, has_condition};
use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use pki::RequestText;

/// A right that lets a requester have a certificate without anybody's look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// A kubelet's own.
    SelfNodeClient,
    /// Any kubelet's: what a bootstrap token is for.
    NodeClient,
}

impl Right {
    /// The subresource that the requester must be allowed to create.
    pub(super) fn subresource(self) -> &'static str {
        match self {
            Self::SelfNodeClient => "selfnodeclient",
            Self::NodeClient => "nodeclient",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::SelfNodeClient => "Auto approving self kubelet client certificate after SubjectAccessReview.",
            Self::NodeClient => "Auto approving kubelet client certificate after SubjectAccessReview.",
        }
    }
}

/// The rights of which one is enough, in the order of asking; none for what is somebody else's.
pub(super) fn rights(request: &CertificateSigningRequest) -> Result<Vec<Right>, pki::PkiError> {
    let is_decided = has_condition(request, "Approved") || has_condition(request, "Denied");
    if is_decided || !certificate(request).is_empty() || request.spec.signer_name != KUBELET_CLIENT {
        return Ok(Vec::new());
    }
    let text = RequestText::read(&request.spec.request.0)?;
    let usages = request.spec.usages.as_deref().unwrap_or_default();
    if check_kubelet_client(&text, usages).is_err() {
        return Ok(Vec::new());
    }
    let is_own = request.spec.username.as_deref() == Some(text.common_name.as_str());
    Ok(if is_own { vec![Right::SelfNodeClient, Right::NodeClient] } else { vec![Right::NodeClient] })
}

/// The question whether the requester has a right.
pub(super) fn question(request: &CertificateSigningRequest, right: Right) -> SubjectAccessReview {
    let attributes = ResourceAttributes {
        group: Some("certificates.k8s.io".to_owned()),
        resource: Some("certificatesigningrequests".to_owned()),
        subresource: Some(right.subresource().to_owned()),
        verb: Some("create".to_owned()),
        version: Some("*".to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: request.spec.username.clone(),
        uid: request.spec.uid.clone(),
        groups: request.spec.groups.clone(),
        extra: request.spec.extra.clone(),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    SubjectAccessReview { spec, ..SubjectAccessReview::default() }
}

/// The request, approved.
pub(super) fn approved(request: &CertificateSigningRequest, right: Right, now: Timestamp) -> CertificateSigningRequest {
    requests::with_condition(request, "Approved", "AutoApproved", right.message().to_owned(), now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use pki::{Algorithm, Key, Profile, Request};
    use serde_json::json;
    use std::time::Duration;

    fn request(user: &str, signer: &str, name: &str) -> CertificateSigningRequest {
        let key = Key::generate(Algorithm::EcdsaP256).unwrap();
        let profile = Profile::client(name, Some("system:nodes"), Duration::from_secs(60));
        let text = Request::create(&profile, &key).unwrap();
        let mut request: CertificateSigningRequest = serde_json::from_value(json!({"metadata": {"name": "r"},
            "spec": {"request": "", "signerName": signer, "username": user, "groups": ["g"],
                "usages": ["digital signature", "client auth"]}}))
        .unwrap();
        request.spec.request = ByteString(text.into_bytes());
        request
    }

    #[test]
    fn kubelets_are_recognized() {
        use Right::{NodeClient, SelfNodeClient};
        let (node, other) = ("system:node:n1", "system:bootstrap:abcdef");
        let mut denied = request(node, KUBELET_CLIENT, node);
        denied.status = serde_json::from_value(json!({"conditions": [{"type": "Denied", "status": "True"}]})).ok();
        let table = [
            (request(node, KUBELET_CLIENT, node), vec![SelfNodeClient, NodeClient]),
            (request(other, KUBELET_CLIENT, node), vec![NodeClient]),
            (request(other, KUBELET_CLIENT, "jane"), vec![]),
            (request(node, "example.com/signer", node), vec![]),
            (denied, vec![]),
        ];
        for (request, expected) in table {
            assert_eq!(rights(&request).unwrap(), expected, "{:?}", request.spec.username);
        }
    }

    #[test]
    fn the_requester_is_asked_about() {
        let request = request("system:node:n1", KUBELET_CLIENT, "system:node:n1");
        let question = question(&request, Right::SelfNodeClient);
        assert_eq!(question.spec.user.as_deref(), Some("system:node:n1"));
        assert_eq!(question.spec.resource_attributes.unwrap().subresource.as_deref(), Some("selfnodeclient"));
        let after = approved(&request, Right::NodeClient, Timestamp::UNIX_EPOCH);
        assert_eq!(after.status.unwrap().conditions.unwrap()[0].reason.as_deref(), Some("AutoApproved"));
    }
}

//! Asking the cluster for a certificate, and waiting for it.
//!
//! Upstream: `client-go/util/certificate/csr/csr.go`, `digestedName` of `pkg/kubelet/certificate/bootstrap`.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::PostParams;
use kube::runtime::wait::{Condition, await_condition};
use pki::{Key, PkiError, Profile, Request};
use sha2::{Digest as _, Sha512_256};
use std::time::Duration;

/// How long somebody may take to approve and to sign.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// The group of all nodes.
const NODES: &str = "system:nodes";

/// Who signs the certificates by which kubelets are known.
pub const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const USAGES: [&str; 2] = ["digital signature", "client auth"];
/// Who signs the certificates by which kubelets serve.
pub const SERVING_SIGNER: &str = "kubernetes.io/kubelet-serving";
const SERVING_USAGES: [&str; 2] = ["digital signature", "server auth"];

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error("cannot create certificate signing request: {0}")]
    Create(kube::Error),
    #[error("cannot wait for certificate signing request {name}: {source}")]
    Wait { name: String, source: kube::runtime::wait::Error },
    #[error("certificate signing request {0} is not approved, reason: {1}, message: {2}")]
    Denied(String, String, String),
    #[error("certificate signing request {0} failed, reason: {1}, message: {2}")]
    Failed(String, String, String),
    #[error("timed out waiting for certificate signing request {0}")]
    Late(String),
    #[error("certificate signing request {0} is gone")]
    Gone(String),
    #[error(transparent)]
    Pki(#[from] PkiError),
}

/// A certificate for the key that says that the client is this node. Whoever asks twice with one key has one request.
pub async fn node_certificate(client: &kube::Client, node: &str, key: &Key) -> Result<String, OrderError> {
    let user = format!("system:node:{node}");
    let request = Request::create(&Profile::client(&user, Some(NODES), Duration::ZERO), key)?;
    let name = name(&key.public_der(), &user);
    let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
    let requests: Api<CertificateSigningRequest> = Api::all(client.clone());
    match requests.create(&PostParams::default(), &object(metadata, request, SIGNER, USAGES)).await {
        Ok(_) => tracing::info!(name, "asked for a certificate"),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            tracing::info!(name, "the certificate was asked for before");
        }
        Err(error) => return Err(OrderError::Create(error)),
    }
    wait(requests, name).await
}

/// A certificate for the key by which this node serves under these names and addresses.
pub async fn serving_certificate(
    client: &kube::Client,
    node: &str,
    names: &[String],
    key: &Key,
) -> Result<String, OrderError> {
    let request = Request::create(&serving_profile(node, names), key)?;
    let metadata = ObjectMeta { generate_name: Some("csr-".to_owned()), ..ObjectMeta::default() };
    let requests: Api<CertificateSigningRequest> = Api::all(client.clone());
    let object = object(metadata, request, SERVING_SIGNER, SERVING_USAGES);
    let created = requests.create(&PostParams::default(), &object).await.map_err(OrderError::Create)?;
    let name = created.metadata.name.unwrap_or_default();
    tracing::info!(name, "asked for a certificate to serve with");
    wait(requests, name).await
}

fn serving_profile(node: &str, names: &[String]) -> Profile {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let profile = Profile::server(&format!("system:node:{node}"), &names, Duration::ZERO);
    Profile { organization: Some(NODES.to_owned()), ..profile }
}

fn object(metadata: ObjectMeta, request: String, signer: &str, usages: [&str; 2]) -> CertificateSigningRequest {
    CertificateSigningRequest {
        metadata,
        spec: CertificateSigningRequestSpec {
            request: ByteString(request.into_bytes()),
            signer_name: signer.to_owned(),
            usages: Some(usages.map(str::to_owned).into()),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    }
}

/// Waits until somebody has decided.
async fn wait(requests: Api<CertificateSigningRequest>, name: String) -> Result<String, OrderError> {
    let waiting = await_condition(requests, &name, is_decided());
    let decided = match tokio::time::timeout(PATIENCE, waiting).await {
        Err(_) => return Err(OrderError::Late(name)),
        Ok(decided) => decided.map_err(|source| OrderError::Wait { name: name.clone(), source })?,
    };
    let decided = decided.ok_or_else(|| OrderError::Gone(name.clone()))?;
    match decision(&decided) {
        Some(decision) => decision,
        None => Err(OrderError::Gone(name)),
    }
}

fn is_decided() -> impl Condition<CertificateSigningRequest> {
    |request: Option<&CertificateSigningRequest>| request.is_none_or(|request| decision(request).is_some())
}

/// The certificate, or why there will be none; `None` as long as nobody has decided.
fn decision(request: &CertificateSigningRequest) -> Option<Result<String, OrderError>> {
    let status = request.status.as_ref()?;
    let condition = |kind: &str| status.conditions.iter().flatten().find(|condition| condition.type_ == kind);
    let words = |kind: &str| {
        let condition = condition(kind)?;
        let name = request.metadata.name.clone().unwrap_or_default();
        Some((name, condition.reason.clone().unwrap_or_default(), condition.message.clone().unwrap_or_default()))
    };
    if let Some((name, reason, message)) = words("Denied") {
        return Some(Err(OrderError::Denied(name, reason, message)));
    }
    if let Some((name, reason, message)) = words("Failed") {
        return Some(Err(OrderError::Failed(name, reason, message)));
    }
    condition("Approved")?;
    let certificate = status.certificate.as_ref().filter(|certificate| !certificate.0.is_empty())?;
    Some(Ok(String::from_utf8_lossy(&certificate.0).into_owned()))
}

/// The request's name, which follows from its key.
fn name(public_key: &[u8], user: &str) -> String {
    let mut hash = Sha512_256::new();
    for part in [public_key, user.as_bytes(), NODES.as_bytes()].into_iter().chain(USAGES.map(str::as_bytes)) {
        // What stands between the parts is in none of them.
        hash.update(BASE64_URL_SAFE_NO_PAD.encode(part));
        hash.update("|");
    }
    format!("node-csr-{}", BASE64_URL_SAFE_NO_PAD.encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_an_approved_request_has_a_certificate() {
        let request = |conditions: serde_json::Value, certificate: &str| {
            let certificate = base64::prelude::BASE64_STANDARD.encode(certificate);
            let status = json!({"conditions": conditions, "certificate": certificate});
            let spec = json!({"request": "", "signerName": SIGNER});
            let request = json!({"metadata": {"name": "r"}, "spec": spec, "status": status});
            serde_json::from_value::<CertificateSigningRequest>(request).unwrap()
        };
        let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": "R", "message": "m"});
        assert!(decision(&request(json!([]), "c")).is_none());
        assert!(decision(&request(json!([condition("Approved")]), "")).is_none());
        let approved = request(json!([condition("Approved")]), "c");
        assert_eq!(decision(&approved).unwrap().unwrap(), "c");
        for (kind, words) in [
            ("Denied", "certificate signing request r is not approved, reason: R, message: m"),
            ("Failed", "certificate signing request r failed, reason: R, message: m"),
        ] {
            let refused = request(json!([condition("Approved"), condition(kind)]), "c");
            assert_eq!(decision(&refused).unwrap().unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn one_key_has_one_request() {
        assert_eq!(name(b"k", "u"), name(b"k", "u"));
        assert_ne!(name(b"k", "u"), name(b"l", "u"));
        assert_eq!(name(b"k", "u").len(), "node-csr-".len() + 43);
    }
}

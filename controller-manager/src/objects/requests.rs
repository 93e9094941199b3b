//! Certificate signing requests as the certificate controllers look at them.
//!
//! Upstream: `pkg/controller/certificates/certificate_controller_utils.go`,
//! `pkg/apis/certificates/helpers.go`.

use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use pki::RequestText;
use std::collections::BTreeSet;

/// Signs clients of the apiserver that are kubelets.
pub const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Signs serving certificates of kubelets.
pub const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
/// Signs clients of the apiserver.
pub const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
/// Signs what was signed before there were signers.
pub const LEGACY_UNKNOWN: &str = "kubernetes.io/legacy-unknown";

/// The conditions of a request.
pub fn conditions(request: &CertificateSigningRequest) -> &[CertificateSigningRequestCondition] {
    request.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default()
}

/// Whether it has a condition of this type. Approval and denial are never taken back.
pub fn has_condition(request: &CertificateSigningRequest, kind: &str) -> bool {
    conditions(request).iter().any(|condition| condition.type_ == kind)
}

/// The request with one more condition, which holds from `now` on.
pub fn with_condition(
    request: &CertificateSigningRequest,
    kind: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) -> CertificateSigningRequest {
    let mut after = request.clone();
    let condition = CertificateSigningRequestCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        ..CertificateSigningRequestCondition::default()
    };
    after.status.get_or_insert_default().conditions.get_or_insert_default().push(condition);
    after
}

/// Whether it was approved and not denied.
pub fn is_approved(request: &CertificateSigningRequest) -> bool {
    has_condition(request, "Approved") && !has_condition(request, "Denied")
}

/// The certificate that was issued; empty if none was.
pub fn certificate(request: &CertificateSigningRequest) -> &[u8] {
    request.status.as_ref().and_then(|status| status.certificate.as_ref()).map_or(&[], |certificate| &certificate.0)
}

/// Whether a request is one that a kubelet makes for itself as a client; why not, in upstream's words.
pub fn check_kubelet_client(text: &RequestText, usages: &[String]) -> Result<(), String> {
    check_organization(text)?;
    if !text.dns_names.is_empty() {
        return Err("DNS subjectAltNames are not allowed".to_owned());
    }
    if !text.emails.is_empty() {
        return Err("Email subjectAltNames are not allowed".to_owned());
    }
    if !text.addresses.is_empty() {
        return Err("IP subjectAltNames are not allowed".to_owned());
    }
    if !text.uris.is_empty() {
        return Err("URI subjectAltNames are not allowed".to_owned());
    }
    check_name(text)?;
    check_usages(usages, "client auth")
}

/// The same for its serving certificate.
pub fn check_kubelet_serving(text: &RequestText, usages: &[String]) -> Result<(), String> {
    check_organization(text)?;
    if text.dns_names.is_empty() && text.addresses.is_empty() {
        return Err("DNS or IP subjectAltName is required".to_owned());
    }
    if !text.emails.is_empty() {
        return Err("Email subjectAltNames are not allowed".to_owned());
    }
    if !text.uris.is_empty() {
        return Err("URI subjectAltNames are not allowed".to_owned());
    }
    check_usages(usages, "server auth")?;
    check_name(text)
}

/// Whether these are usages of a client.
pub fn check_client(usages: &[String]) -> Result<(), String> {
    let of_clients = ["digital signature", "key encipherment", "client auth"];
    if let Some(other) = usages.iter().find(|usage| !of_clients.contains(&usage.as_str())) {
        return Err(format!("invalid usage for client certificate: {other}"));
    }
    match usages.iter().any(|usage| usage == "client auth") {
        true => Ok(()),
        false => Err("missing required usage for client certificate: client auth".to_owned()),
    }
}

fn check_organization(text: &RequestText) -> Result<(), String> {
    match text.organizations == ["system:nodes"] {
        true => Ok(()),
        false => Err("subject organization is not system:nodes".to_owned()),
    }
}

fn check_name(text: &RequestText) -> Result<(), String> {
    match text.common_name.starts_with("system:node:") {
        true => Ok(()),
        false => Err("subject common name does not begin with system:node:".to_owned()),
    }
}

/// With or without key encipherment, which only RSA keys have a use for.
fn check_usages(usages: &[String], purpose: &str) -> Result<(), String> {
    let usages: BTreeSet<&str> = usages.iter().map(String::as_str).collect();
    let without: BTreeSet<&str> = ["digital signature", purpose].into();
    let with: BTreeSet<&str> = ["digital signature", "key encipherment", purpose].into();
    match usages == with || usages == without {
        true => Ok(()),
        false => Err(format!("usages did not match [{}]", with.into_iter().collect::<Vec<_>>().join(" "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubelet(change: impl Fn(&mut RequestText)) -> RequestText {
        let mut text = RequestText {
            common_name: "system:node:n1".into(),
            organizations: vec!["system:nodes".into()],
            ..RequestText::default()
        };
        change(&mut text);
        text
    }

    fn usages(usages: &[&str]) -> Vec<String> {
        usages.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn kubelets_as_clients() {
        let client = usages(&["digital signature", "client auth"]);
        let table = [
            (kubelet(|_| {}), client.clone(), ""),
            (kubelet(|_| {}), usages(&["client auth", "digital signature", "key encipherment"]), ""),
            (
                kubelet(|_| {}),
                usages(&["client auth"]),
                "usages did not match [client auth digital signature key encipherment]",
            ),
            (kubelet(|t| t.organizations.push("x".into())), client.clone(), "subject organization is not system:nodes"),
            (
                kubelet(|t| t.common_name = "n1".into()),
                client.clone(),
                "subject common name does not begin with system:node:",
            ),
            (kubelet(|t| t.dns_names.push("n1".into())), client.clone(), "DNS subjectAltNames are not allowed"),
            (kubelet(|t| t.uris.push("x:y".into())), client, "URI subjectAltNames are not allowed"),
        ];
        for (text, usages, why) in table {
            assert_eq!(check_kubelet_client(&text, &usages).err().unwrap_or_default(), why, "{text:?}");
        }
    }

    #[test]
    fn kubelets_as_servers() {
        let server = usages(&["digital signature", "server auth"]);
        let named = kubelet(|t| t.addresses.push("10.0.0.1".into()));
        assert_eq!(check_kubelet_serving(&named, &server), Ok(()));
        assert!(check_kubelet_serving(&kubelet(|_| {}), &server).is_err());
        assert!(check_kubelet_serving(&named, &usages(&["server auth"])).is_err());
    }

    #[test]
    fn clients() {
        assert_eq!(check_client(&usages(&["client auth", "key encipherment"])), Ok(()));
        let foreign = check_client(&usages(&["client auth", "server auth"])).unwrap_err();
        assert_eq!(foreign, "invalid usage for client certificate: server auth");
        assert!(check_client(&usages(&["digital signature"])).unwrap_err().starts_with("missing required usage"));
    }
}

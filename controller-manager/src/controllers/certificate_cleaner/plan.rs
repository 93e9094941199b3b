//! Which requests go.

use crate::objects::requests::{certificate, conditions};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use pki::Validity;

/// How long a decision stays for all to see.
const DECIDED: SignedDuration = SignedDuration::from_hours(1);
/// How long a request waits for a decision, and an approved one for its certificate.
const PENDING: SignedDuration = SignedDuration::from_hours(24);

/// Whether the request has served.
pub(super) fn is_over(request: &CertificateSigningRequest, now: Timestamp) -> bool {
    let conditions = conditions(request);
    let created = request.metadata.creation_timestamp.as_ref().map(|time| time.0);
    if conditions.is_empty() {
        return is_older(created, PENDING, now);
    }
    let issued = certificate(request);
    conditions.iter().any(|condition| {
        let at = condition.last_update_time.as_ref().map(|time| time.0);
        match condition.type_.as_str() {
            "Approved" if issued.is_empty() => is_older(at, PENDING, now),
            "Approved" => is_older(at, DECIDED, now) || is_expired(issued, now),
            "Denied" | "Failed" => is_older(at, DECIDED, now),
            _ => false,
        }
    })
}

fn is_older(at: Option<Timestamp>, than: SignedDuration, now: Timestamp) -> bool {
    at.is_some_and(|at| now.duration_since(at) > than)
}

fn is_expired(certificate: &[u8], now: Timestamp) -> bool {
    Validity::of_pem(certificate, "certificate").is_ok_and(|validity| validity.is_expired(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn request(conditions: Value, certificate: &str) -> CertificateSigningRequest {
        serde_json::from_value(json!({"metadata": {"name": "r", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"request": "", "signerName": "a/b"},
            "status": {"conditions": conditions, "certificate": certificate}}))
        .unwrap()
    }

    #[test]
    fn requests_go_in_time() {
        let with = |kind: &str| json!([{"type": kind, "status": "True", "lastUpdateTime": "2026-01-01T00:00:00Z"}]);
        // "x" in base64: issued, but no certificate that could be read.
        let table = [
            (request(json!([]), ""), 24),
            (request(with("Approved"), ""), 24),
            (request(with("Approved"), "eA=="), 1),
            (request(with("Denied"), ""), 1),
            (request(with("Failed"), ""), 1),
        ];
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (request, hours) in table {
            let end = start + SignedDuration::from_hours(hours);
            assert!(!is_over(&request, end), "{request:?}");
            assert!(is_over(&request, end + SignedDuration::from_secs(1)), "{request:?}");
        }
    }

    #[test]
    fn an_expired_certificate_goes_at_once() {
        let authority = pki::Authority::create("a", std::time::Duration::from_secs(60)).unwrap();
        let mut request = request(json!([{"type": "Approved", "status": "True"}]), "");
        let pem = k8s_openapi::ByteString(authority.certificate_pem().as_bytes().to_vec());
        request.status.as_mut().unwrap().certificate = Some(pem);
        let now = Timestamp::now();
        assert!(!is_over(&request, now));
        assert!(is_over(&request, now + SignedDuration::from_hours(1)));
    }
}

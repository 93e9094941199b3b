//! Whether a request is signed, and for how long.

use crate::objects::requests::{self, CLIENT, KUBELET_CLIENT, KUBELET_SERVING};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use pki::RequestText;
use std::time::Duration;

/// Clocks of a cluster may differ by this much.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);
/// Shorter lives than this are given in full; of longer ones the backdating is a part.
const SHORT: SignedDuration = SignedDuration::from_hours(8);
/// Nobody gets less.
const LEAST: Duration = Duration::from_secs(600);

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is another signer's, not approved, or done.
    Nothing,
    /// Sign it.
    Sign,
    /// It asks for what the signer never signs; why.
    Fail(String),
}

/// Judges a request; an error says that it cannot be read.
pub(super) fn judge(request: &CertificateSigningRequest, signer: &str) -> Result<Verdict, pki::PkiError> {
    let is_done = requests::has_condition(request, "Failed") || !requests::certificate(request).is_empty();
    if request.spec.signer_name != signer || is_done || !requests::is_approved(request) {
        return Ok(Verdict::Nothing);
    }
    let text = RequestText::read(&request.spec.request.0)?;
    let usages = request.spec.usages.as_deref().unwrap_or_default();
    let checked = match signer {
        KUBELET_SERVING => requests::check_kubelet_serving(&text, usages),
        KUBELET_CLIENT => requests::check_kubelet_client(&text, usages),
        CLIENT => requests::check_client(usages),
        _ => Ok(()),
    };
    Ok(checked.map_or_else(Verdict::Fail, |()| Verdict::Sign))
}

/// How long the certificate lives: what is asked for, within bounds.
pub(super) fn lifetime(request: &CertificateSigningRequest, longest: Duration) -> Duration {
    let asked = request.spec.expiration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    match asked.map(Duration::from_secs) {
        Some(asked) if asked <= longest => asked.max(LEAST),
        _ => longest,
    }
}

/// From when until when, given when the authority ends; an error says that it has ended.
pub(super) fn validity(
    now: Timestamp,
    lifetime: Duration,
    authority_ends: Timestamp,
) -> Result<(Timestamp, Timestamp), String> {
    let lifetime = SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::MAX);
    let from = now.saturating_sub(BACKDATE).unwrap_or(now);
    let life = if lifetime < SHORT { lifetime } else { lifetime - BACKDATE };
    let until = now.saturating_add(life).unwrap_or(authority_ends).min(authority_ends);
    if from >= authority_ends {
        return Err(format!("the signer has expired: NotAfter={authority_ends}"));
    }
    if now >= authority_ends {
        return Err(format!("refusing to sign a certificate that expired in the past: NotAfter={authority_ends}"));
    }
    Ok((from, until))
}

/// The request with the failure in its status.
pub(super) fn failed(request: &CertificateSigningRequest, why: String, now: Timestamp) -> CertificateSigningRequest {
    requests::with_condition(request, "Failed", "SignerValidationFailure", why, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use pki::{Algorithm, Key, Profile, Request};
    use serde_json::{Value, json};

    fn request(signer: &str, usages: Value, conditions: Value, seconds: Option<i32>) -> CertificateSigningRequest {
        let key = Key::generate(Algorithm::EcdsaP256).unwrap();
        let text = Request::create(&Profile::client("jane", None, Duration::from_secs(60)), &key).unwrap();
        let mut request: CertificateSigningRequest = serde_json::from_value(json!({"metadata": {"name": "r"},
            "spec": {"request": "", "signerName": signer, "usages": usages, "expirationSeconds": seconds},
            "status": {"conditions": conditions}}))
        .unwrap();
        request.spec.request = ByteString(text.into_bytes());
        request
    }

    #[test]
    fn only_approved_requests_of_the_signer_are_signed() {
        let approved = json!([{"type": "Approved", "status": "True"}]);
        let client = json!(["client auth"]);
        let cases = [
            (request(CLIENT, client.clone(), json!([]), None), Verdict::Nothing),
            (request(CLIENT, client.clone(), approved.clone(), None), Verdict::Sign),
            (request("other.io/x", client.clone(), approved.clone(), None), Verdict::Nothing),
            (
                request(CLIENT, json!(["server auth"]), approved.clone(), None),
                Verdict::Fail("invalid usage for client certificate: server auth".into()),
            ),
            (
                request(
                    CLIENT,
                    client,
                    json!([{"type": "Approved", "status": "True"}, {"type": "Denied", "status": "True"}]),
                    None,
                ),
                Verdict::Nothing,
            ),
        ];
        for (request, expected) in cases {
            assert_eq!(judge(&request, CLIENT).unwrap(), expected);
        }
        let kubelet = request(KUBELET_CLIENT, json!(["client auth"]), approved, None);
        let why = "subject organization is not system:nodes".to_owned();
        assert_eq!(judge(&kubelet, KUBELET_CLIENT).unwrap(), Verdict::Fail(why));
    }

    #[test]
    fn lives_are_bounded() {
        let longest = Duration::from_secs(3600);
        for (asked, seconds) in [(None, 3600), (Some(60), 600), (Some(1200), 1200), (Some(7200), 3600)] {
            let request = request(CLIENT, json!([]), json!([]), asked);
            assert_eq!(lifetime(&request, longest).as_secs(), seconds, "{asked:?}");
        }
    }

    #[test]
    fn no_certificate_outlives_its_authority() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let now = at(1_000_000);
        let hour = Duration::from_secs(3600);
        let day = Duration::from_secs(86400);
        let far = at(10_000_000);
        assert_eq!(validity(now, hour, far), Ok((at(999_700), at(1_003_600))));
        assert_eq!(validity(now, day, far), Ok((at(999_700), at(1_086_100))));
        assert_eq!(validity(now, day, at(1_000_060)), Ok((at(999_700), at(1_000_060))));
        assert!(validity(now, day, at(999_999)).unwrap_err().starts_with("refusing to sign"));
        assert!(validity(now, day, at(999_000)).unwrap_err().starts_with("the signer has expired"));
    }
}

//! Signing what a request asks for, with any of the usages that the certificates API knows.
//!
//! Upstream: `pkg/controller/certificates/authority`.

use crate::{Authority, PkiError, Request};
use jiff::Timestamp;
use rcgen::{ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SigningKey as _};
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

/// Usages that a certificate cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unrecognized usage values: {usages:?}")]
pub struct UnknownUsages {
    /// Which.
    pub usages: Vec<String>,
}

/// What a certificate is given, besides what its request says.
#[derive(Clone, Debug)]
pub struct Grant {
    usages: Vec<KeyUsagePurpose>,
    purposes: Vec<ExtendedKeyUsagePurpose>,
    /// Valid from.
    pub from: Timestamp,
    /// Valid until.
    pub until: Timestamp,
}

impl Grant {
    /// A grant of these usages, as the certificates API names them, for this time.
    ///
    /// # Errors
    /// If a usage is none.
    pub fn new(usages: &[String], from: Timestamp, until: Timestamp) -> Result<Self, UnknownUsages> {
        let mut grant = Self { usages: Vec::new(), purposes: Vec::new(), from, until };
        let mut unknown = Vec::new();
        for name in usages {
            match (usage(name), purpose(name)) {
                (Some(usage), _) if !grant.usages.contains(&usage) => grant.usages.push(usage),
                (_, Some(purpose)) if !grant.purposes.contains(&purpose) => grant.purposes.push(purpose),
                (None, None) => unknown.push(name.clone()),
                _ => {}
            }
        }
        if unknown.is_empty() { Ok(grant) } else { Err(UnknownUsages { usages: unknown }) }
    }
}

impl Authority {
    /// A certificate for a request, as PEM: its subject and names, what is granted, and never an
    /// authority. Whether the request may be granted is the caller's decision.
    ///
    /// # Errors
    /// If the request has extensions that cannot be carried over, or signing fails.
    pub fn grant(&self, request: &Request, grant: &Grant) -> Result<String, PkiError> {
        let mut parsed = request.parse_for_signing()?;
        parsed.params.is_ca = IsCa::ExplicitNoCa;
        parsed.params.key_usages.clone_from(&grant.usages);
        parsed.params.extended_key_usages.clone_from(&grant.purposes);
        parsed.params.use_authority_key_identifier_extension = true;
        // Without naming the `time` crate, which only rcgen uses.
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let since = |at: Timestamp| std::time::Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
        parsed.params.not_before = epoch + since(grant.from);
        parsed.params.not_after = epoch + since(grant.until);
        let signed = parsed.signed_by(&self.issuer()?);
        let signed = signed.map_err(PkiError::crypto("cannot sign the request"))?;
        let der = self.with_subject_of(request, signed.der())?;
        Ok(crate::pem::certificate_text(&[der.into()]))
    }

    /// The same certificate with the request's subject as it stands there, signed anew: rcgen keeps
    /// one attribute of each kind, and groups are many organizations.
    fn with_subject_of(&self, request: &Request, certificate: &[u8]) -> Result<Vec<u8>, PkiError> {
        let malformed = |what: &'static str, why: String| PkiError::Malformed { place: "signer".to_owned(), what, why };
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|error| malformed("certificate", error.to_string()))?;
        let (_, asked) = X509CertificationRequest::from_der(request.der())
            .map_err(|error| malformed("certificate request", error.to_string()))?;
        let tbs = parsed.tbs_certificate.as_ref();
        let (old, new) = (parsed.tbs_certificate.subject.as_raw(), asked.certification_request_info.subject.as_raw());
        if old == new {
            return Ok(certificate.to_vec());
        }
        let at = old.as_ptr().addr().checked_sub(tbs.as_ptr().addr()).filter(|at| at + old.len() <= tbs.len());
        let header = header_length(tbs);
        let (Some(at), Some(header)) = (at, header) else {
            return Err(malformed("certificate", "its subject is not where it should be".to_owned()));
        };
        let body = [&tbs[header..at], new, &tbs[at + old.len()..]].concat();
        let tbs = sequence(&body);
        let signature = self.signing_key().sign(&tbs).map_err(PkiError::crypto("cannot sign the request"))?;
        let algorithm = algorithm(certificate, header_length(certificate).unwrap_or(0))
            .ok_or_else(|| malformed("certificate", "it has no algorithm".to_owned()))?;
        // A bit string of whole bytes: no bit of the last one is unused.
        let signature = element(0x03, &[&[0], &signature[..]].concat());
        Ok(sequence(&[&tbs[..], algorithm, &signature].concat()))
    }
}

/// The algorithm of a certificate: the element after the first.
fn algorithm(certificate: &[u8], header: usize) -> Option<&[u8]> {
    let rest = certificate.get(header..)?;
    let rest = rest.get(element_length(rest)?..)?;
    rest.get(..element_length(rest)?)
}

/// How long tag and length of an element are.
fn header_length(der: &[u8]) -> Option<usize> {
    match *der.get(1)? {
        short if short < 0x80 => Some(2),
        long => Some(2 + usize::from(long & 0x7f)),
    }
}

/// How long a whole element is.
fn element_length(der: &[u8]) -> Option<usize> {
    let header = header_length(der)?;
    let length = match header {
        2 => usize::from(der[1]),
        _ => der
            .get(2..header)?
            .iter()
            .try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add((*byte).into()))?,
    };
    header.checked_add(length).filter(|end| *end <= der.len())
}

fn sequence(body: &[u8]) -> Vec<u8> {
    element(0x30, body)
}

fn element(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    match u8::try_from(body.len()) {
        Ok(short) if short < 0x80 => der.push(short),
        _ => {
            let length: Vec<u8> = body.len().to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            der.push(0x80 | u8::try_from(length.len()).unwrap_or(8));
            der.extend(length);
        }
    }
    der.extend_from_slice(body);
    der
}

fn usage(name: &str) -> Option<KeyUsagePurpose> {
    Some(match name {
        "signing" | "digital signature" => KeyUsagePurpose::DigitalSignature,
        "content commitment" => KeyUsagePurpose::ContentCommitment,
        "key encipherment" => KeyUsagePurpose::KeyEncipherment,
        "key agreement" => KeyUsagePurpose::KeyAgreement,
        "data encipherment" => KeyUsagePurpose::DataEncipherment,
        "cert sign" => KeyUsagePurpose::KeyCertSign,
        "crl sign" => KeyUsagePurpose::CrlSign,
        "encipher only" => KeyUsagePurpose::EncipherOnly,
        "decipher only" => KeyUsagePurpose::DecipherOnly,
        _ => return None,
    })
}

fn purpose(name: &str) -> Option<ExtendedKeyUsagePurpose> {
    let other = |oid: &[u64]| ExtendedKeyUsagePurpose::Other(oid.to_vec());
    Some(match name {
        "any" => ExtendedKeyUsagePurpose::Any,
        "server auth" => ExtendedKeyUsagePurpose::ServerAuth,
        "client auth" => ExtendedKeyUsagePurpose::ClientAuth,
        "code signing" => ExtendedKeyUsagePurpose::CodeSigning,
        "email protection" | "s/mime" => ExtendedKeyUsagePurpose::EmailProtection,
        "ipsec end system" => other(&[1, 3, 6, 1, 5, 5, 7, 3, 5]),
        "ipsec tunnel" => other(&[1, 3, 6, 1, 5, 5, 7, 3, 6]),
        "ipsec user" => other(&[1, 3, 6, 1, 5, 5, 7, 3, 7]),
        "timestamping" => ExtendedKeyUsagePurpose::TimeStamping,
        "ocsp signing" => ExtendedKeyUsagePurpose::OcspSigning,
        "microsoft sgc" => other(&[1, 3, 6, 1, 4, 1, 311, 10, 3, 3]),
        "netscape sgc" => other(&[2, 16, 840, 1, 113_730, 4, 1]),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, Key, Profile, pem};
    use rcgen::{CertificateParams, DistinguishedName, DnType};
    use std::time::Duration;

    fn grant(usages: &[&str]) -> Result<Grant, UnknownUsages> {
        let usages: Vec<_> = usages.iter().map(ToString::to_string).collect();
        Grant::new(
            &usages,
            Timestamp::from_second(1_000_000_000).unwrap(),
            Timestamp::from_second(2_000_000_000).unwrap(),
        )
    }

    #[test]
    fn the_certificate_says_what_was_granted() {
        let authority = Authority::create("ca", Duration::from_secs(600)).unwrap();
        let key = Key::generate(Algorithm::EcdsaP256).unwrap();
        let mut profile = Profile::server("system:node:n1", &["n1", "10.0.0.1"], Duration::from_secs(60));
        profile.organization = Some("system:nodes".into());
        let request = Request::parse(Request::create(&profile, &key).unwrap().as_bytes(), "csr").unwrap();
        let text = authority.grant(&request, &grant(&["digital signature", "server auth"]).unwrap()).unwrap();
        let der = &pem::parse_certificates(text.as_bytes(), "test").unwrap()[0];
        let (_, parsed) = X509Certificate::from_der(der).unwrap();
        assert_eq!(parsed.validity().not_after.timestamp(), 2_000_000_000);
        assert!(parsed.extended_key_usage().unwrap().unwrap().value.server_auth);
        assert!(!parsed.key_usage().unwrap().unwrap().value.key_encipherment());
        assert!(!parsed.is_ca());
        assert_eq!(parsed.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 2);
        let authority = &pem::parse_certificates(authority.certificate_pem().as_bytes(), "test").unwrap()[0];
        let (_, authority) = X509Certificate::from_der(authority).unwrap();
        parsed.verify_signature(Some(authority.public_key())).unwrap();
    }

    #[test]
    fn all_groups_of_a_subject_stay() {
        for algorithm in [Algorithm::EcdsaP256, Algorithm::Rsa2048] {
            let authority = Authority::create("ca", Duration::from_secs(600)).unwrap();
            let key = Key::generate(algorithm).unwrap();
            // As rcgen cannot write such a request either, two attributes of one kind are made of
            // two of different kinds of the same length.
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::OrganizationName, "a");
            params.distinguished_name.push(DnType::OrganizationalUnitName, "b");
            params.distinguished_name.push(DnType::CommonName, "jane");
            let der = params.serialize_request(&key.pair).unwrap().der().to_vec();
            let (_, parsed) = X509CertificationRequest::from_der(&der).unwrap();
            let info = &der[header_length(&der).unwrap()..];
            let info = &info[..element_length(info).unwrap()];
            let mut info = info.to_vec();
            let unit = info.windows(3).position(|w| w == [0x55, 0x04, 0x0b]).unwrap();
            info[unit + 2] = 0x0a;
            drop(parsed);
            let signature = element(0x03, &[&[0], &key.pair.sign(&info).unwrap()[..]].concat());
            let algorithm = super::algorithm(&der, header_length(&der).unwrap()).unwrap();
            let der = sequence(&[&info[..], algorithm, &signature].concat());
            let text = ["-----BEGIN CERTIFICATE REQUEST-----", &base64(&der), "-----END CERTIFICATE REQUEST-----\n"]
                .join("\n");
            let request = Request::parse(text.as_bytes(), "csr").unwrap();
            assert_eq!(request.organizations, ["a", "b"]);
            let text = authority.grant(&request, &grant(&["client auth"]).unwrap()).unwrap();
            let der = &pem::parse_certificates(text.as_bytes(), "test").unwrap()[0];
            let (_, parsed) = X509Certificate::from_der(der).unwrap();
            let groups: Vec<_> = parsed.subject().iter_organization().map(|o| o.as_str().unwrap()).collect();
            assert_eq!(groups, ["a", "b"]);
            let signer = &pem::parse_certificates(authority.certificate_pem().as_bytes(), "test").unwrap()[0];
            let (_, signer) = X509Certificate::from_der(signer).unwrap();
            parsed.verify_signature(Some(signer.public_key())).unwrap();
        }
    }

    fn base64(der: &[u8]) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(der)
    }

    #[test]
    fn unknown_usages_are_named() {
        let error = grant(&["client auth", "x", "y"]).unwrap_err();
        assert_eq!(error.to_string(), "unrecognized usage values: [\"x\", \"y\"]");
        assert!(grant(&["signing", "digital signature", "s/mime", "netscape sgc"]).is_ok());
    }
}

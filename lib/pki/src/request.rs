//! Certificate signing requests: making, reading, checking the signature.

mod refusal;

pub use refusal::Refusal;

use crate::{Key, PkiError, Profile, pem};
use rcgen::CertificateSigningRequestParams;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;

/// Whether a text holds a request that can be read, and whose signature holds as far as that can be told: keys
/// and hashes that nobody here can verify are left to the signer.
///
/// # Errors
/// In the words of Go.
pub fn check(text: &[u8]) -> Result<(), Refusal> {
    let der = pem::parse_request(text, "request").map_err(|error| match error {
        PkiError::Missing { .. } => Refusal::Missing,
        error => Refusal::Text(error.to_string()),
    })?;
    refusal::check(&der)
}

/// A certificate signing request whose signature holds.
#[derive(Clone, Debug)]
pub struct Request {
    der: Vec<u8>,
    place: String,
    /// The subject's common name.
    pub common_name: String,
    /// The subject's organizations.
    pub organizations: Vec<String>,
    /// DNS names asked for.
    pub dns_names: Vec<String>,
    /// IP addresses asked for.
    pub addresses: Vec<std::net::IpAddr>,
    /// Whether other kinds of names (mail, URI, …) are asked for.
    pub has_other_names: bool,
}

impl Request {
    /// A request for what `profile` says (its lifetime is the signer's business), as PEM.
    pub fn create(profile: &Profile, key: &Key) -> Result<String, PkiError> {
        let mut params = profile.params()?;
        // A request carries no key identifier and no lifetime.
        params.use_authority_key_identifier_extension = false;
        params.is_ca = rcgen::IsCa::NoCa;
        let request = params.serialize_request(&key.pair).map_err(PkiError::crypto("cannot sign the request"))?;
        request.pem().map_err(PkiError::crypto("cannot encode the request"))
    }

    /// Reads a request and checks its signature; `place` names it in errors.
    pub fn parse(text: &[u8], place: &str) -> Result<Self, PkiError> {
        let der = pem::parse_request(text, place)?;
        let malformed = |why: String| PkiError::Malformed { place: place.to_owned(), what: "certificate request", why };
        let (_, parsed) = X509CertificationRequest::from_der(&der).map_err(|error| malformed(error.to_string()))?;
        parsed.verify_signature().map_err(|error| malformed(format!("signature: {error}")))?;
        let subject = &parsed.certification_request_info.subject;
        let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().unwrap_or("").to_owned();
        let mut request = Self {
            common_name: subject.iter_common_name().next().map(text).unwrap_or_default(),
            organizations: subject.iter_organization().map(text).collect(),
            dns_names: Vec::new(),
            addresses: Vec::new(),
            has_other_names: false,
            place: place.to_owned(),
            der: Vec::new(),
        };
        for extension in parsed.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                names.general_names.iter().for_each(|name| request.take_name(name));
            }
        }
        request.der = der;
        Ok(request)
    }

    fn take_name(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match address(bytes) {
                Some(address) => self.addresses.push(address),
                None => self.has_other_names = true,
            },
            _ => self.has_other_names = true,
        }
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn parse_for_signing(&self) -> Result<CertificateSigningRequestParams, PkiError> {
        CertificateSigningRequestParams::from_der(&self.der.as_slice().into()).map_err(|error| PkiError::Malformed {
            place: self.place.clone(),
            what: "certificate request",
            why: error.to_string(),
        })
    }
}

pub(crate) fn address(bytes: &[u8]) -> Option<std::net::IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;
    use std::time::Duration;

    #[test]
    fn what_is_asked_for_is_read_back() {
        let key = Key::generate(Algorithm::EcdsaP256).unwrap();
        let mut profile = Profile::server("system:node:n1", &["n1", "10.0.0.1"], Duration::from_secs(60));
        profile.organization = Some("system:nodes".into());
        let request = Request::parse(Request::create(&profile, &key).unwrap().as_bytes(), "csr").unwrap();
        assert_eq!(request.common_name, "system:node:n1");
        assert_eq!(request.organizations, ["system:nodes"]);
        assert_eq!(request.dns_names, ["n1"]);
        assert_eq!(request.addresses, ["10.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
        assert!(!request.has_other_names);
    }

    #[test]
    fn a_tampered_request_is_refused() {
        use base64::Engine as _;
        let key = Key::generate(Algorithm::EcdsaP256).unwrap();
        let profile = Profile::client("jane", None, Duration::from_secs(60));
        let request = Request::create(&profile, &key).unwrap();
        let mut der = pem::parse_request(request.as_bytes(), "csr").unwrap();
        let at = der.windows(4).position(|w| w == b"jane").unwrap();
        der[at] = b'J';
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        let forged = format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n");
        assert!(matches!(Request::parse(forged.as_bytes(), "csr"), Err(PkiError::Malformed { .. })));
        assert!(matches!(Request::parse(b"", "csr"), Err(PkiError::Missing { .. })));
    }
}

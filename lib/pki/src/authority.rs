//! Certificate authorities: making them, and signing with them.

use crate::leaf::{set_lifetime, subject};
use crate::{Key, PkiError, Profile, Request, Usage, files, pem};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyUsagePurpose};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A certificate authority with its key.
#[derive(Debug)]
pub struct Authority {
    certificate_pem: String,
    key: Key,
}

impl Authority {
    /// A new self-signed authority.
    pub fn create(common_name: &str, lifetime: Duration) -> Result<Self, PkiError> {
        let key = Key::generate(crate::Algorithm::EcdsaP256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(common_name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::KeyCertSign];
        set_lifetime(&mut params, SystemTime::now(), lifetime);
        let certificate = params.self_signed(&key.pair).map_err(PkiError::crypto("cannot sign the authority"))?;
        Ok(Self { certificate_pem: certificate.pem(), key })
    }

    /// An authority from PEM; `place` names it in errors.
    pub fn from_pem(certificate: &[u8], key: &[u8], place: &str) -> Result<Self, PkiError> {
        pem::parse_certificates(certificate, place)?;
        let malformed = |why: String| PkiError::Malformed { place: place.to_owned(), what: "certificate", why };
        let certificate_pem = String::from_utf8(certificate.to_vec()).map_err(|error| malformed(error.to_string()))?;
        let authority = Self { certificate_pem, key: Key::from_pem(key, place)? };
        authority.issuer()?;
        Ok(authority)
    }

    /// An authority from its two files.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, PkiError> {
        Self::from_pem(&pem::read(certificate)?, &pem::read(key)?, &certificate.display().to_string())
    }

    /// The authority in these files; made and written if the certificate file is absent.
    pub fn load_or_create(
        certificate: &Path,
        key: &Path,
        common_name: &str,
        lifetime: Duration,
    ) -> Result<Self, PkiError> {
        if certificate.exists() {
            return Self::load(certificate, key);
        }
        let authority = Self::create(common_name, lifetime)?;
        files::write_private(key, authority.key.to_pem().as_bytes())?;
        files::write_public(certificate, authority.certificate_pem.as_bytes())?;
        Ok(authority)
    }

    /// Its certificate.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Its private key, for writing it to a file of mode 0600.
    pub fn key_pem(&self) -> String {
        self.key.to_pem()
    }

    /// A certificate for `key`, as PEM.
    pub fn issue(&self, profile: &Profile, key: &Key) -> Result<String, PkiError> {
        let certificate = profile.params()?.signed_by(&key.pair, &self.issuer()?);
        Ok(certificate.map_err(PkiError::crypto("cannot sign the certificate"))?.pem())
    }

    /// A certificate for a request: its subject and names, but only the given usages and lifetime,
    /// never an authority. Whether the request may be granted is the caller's decision.
    pub fn sign(&self, request: &Request, usages: &[Usage], lifetime: Duration) -> Result<String, PkiError> {
        let mut parsed = request.parse_for_signing()?;
        parsed.params.is_ca = IsCa::ExplicitNoCa;
        parsed.params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        parsed.params.extended_key_usages = usages.iter().map(|usage| usage.purpose()).collect();
        parsed.params.use_authority_key_identifier_extension = true;
        set_lifetime(&mut parsed.params, SystemTime::now(), lifetime);
        let certificate = parsed.signed_by(&self.issuer()?);
        Ok(certificate.map_err(PkiError::crypto("cannot sign the request"))?.pem())
    }

    pub(crate) fn signing_key(&self) -> &rcgen::KeyPair {
        &self.key.pair
    }

    pub(crate) fn issuer(&self) -> Result<Issuer<'static, &rcgen::KeyPair>, PkiError> {
        Issuer::from_ca_cert_pem(&self.certificate_pem, &self.key.pair)
            .map_err(PkiError::crypto("cannot use the authority's certificate"))
    }
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;

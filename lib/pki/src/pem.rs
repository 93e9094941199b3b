//! Reading PEM: the one place that knows `rustls-pemfile`, and the reader of `x509-parser` for blocks of any kind.

use crate::PkiError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;

/// No PEM file that a component reads is larger; a mistaken path must not fill the memory.
const FILE_AT_MOST: u64 = 4 << 20;

/// All certificates of a file, in order; at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    parse_certificates(&read(path)?, &place(path))
}

/// The first private key of a file (PKCS#8, SEC1 or PKCS#1).
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PkiError> {
    parse_private_key(&read(path)?, &place(path))
}

/// All certificates of a PEM text; `place` names it in errors.
pub fn parse_certificates(pem: &[u8], place: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let parsed: Result<Vec<_>, _> = rustls_pemfile::certs(&mut &*pem).collect();
    let certificates = parsed.map_err(|error| malformed(place, "certificate", error))?;
    if certificates.is_empty() {
        return Err(PkiError::Missing { place: place.to_owned(), wanted: "certificate" });
    }
    Ok(certificates)
}

/// The first private key of a PEM text; `place` names it in errors.
pub fn parse_private_key(pem: &[u8], place: &str) -> Result<PrivateKeyDer<'static>, PkiError> {
    let key = rustls_pemfile::private_key(&mut &*pem).map_err(|error| malformed(place, "private key", error))?;
    key.ok_or_else(|| PkiError::Missing { place: place.to_owned(), wanted: "private key" })
}

/// Certificates as a PEM text.
pub fn certificate_text(certificates: &[CertificateDer<'_>]) -> String {
    let mut text = String::new();
    for certificate in certificates {
        let body = STANDARD.encode(certificate);
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in body.as_bytes().chunks(64) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

/// The first certificate request of a PEM text, as DER.
pub(crate) fn parse_request(pem: &[u8], place: &str) -> Result<Vec<u8>, PkiError> {
    let what = "certificate request";
    let request = rustls_pemfile::csr(&mut &*pem).map_err(|error| malformed(place, what, error))?;
    let request = request.ok_or_else(|| PkiError::Missing { place: place.to_owned(), wanted: what })?;
    Ok(request.as_ref().to_vec())
}

/// A block of a PEM text.
pub struct Block {
    /// `CERTIFICATE`, `PRIVATE KEY`, ….
    pub label: String,
    /// What stands in it.
    pub der: Vec<u8>,
}

/// All blocks of a PEM text, of whatever kind. What is none is skipped.
pub fn blocks(text: &[u8]) -> Vec<Block> {
    let blocks = x509_parser::pem::Pem::iter_from_buffer(text).filter_map(Result::ok);
    blocks.map(|block| Block { label: block.label, der: block.contents }).collect()
}

/// A PEM file's bytes.
pub fn read(path: &Path) -> Result<Vec<u8>, PkiError> {
    use std::io::Read as _;
    let fail = |source| PkiError::File { path: place(path), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    file.take(FILE_AT_MOST).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

fn place(path: &Path) -> String {
    path.display().to_string()
}

fn malformed(place: &str, what: &'static str, error: std::io::Error) -> PkiError {
    PkiError::Malformed { place: place.to_owned(), what, why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, Key};

    #[test]
    fn every_key_form_is_read() {
        for algorithm in [Algorithm::EcdsaP256, Algorithm::Rsa2048] {
            let pem = Key::generate(algorithm).unwrap().to_pem();
            assert!(parse_private_key(pem.as_bytes(), "test").is_ok());
        }
    }

    #[test]
    fn certificates_are_written_as_they_are_read() {
        let authority = crate::Authority::create("ca", std::time::Duration::from_secs(60)).unwrap();
        let certificates = parse_certificates(authority.certificate_pem().as_bytes(), "test").unwrap();
        let text = certificate_text(&[certificates[0].clone(), certificates[0].clone()]);
        assert_eq!(parse_certificates(text.as_bytes(), "test").unwrap(), [&certificates[..], &certificates].concat());
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = parse_certificates(b"nothing", "a.crt").unwrap_err();
        assert_eq!(error.to_string(), "a.crt: no certificate found");
        let error = private_key(Path::new("/nonexistent.key")).unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent.key: "), "{error}");
        let broken = b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        assert!(matches!(parse_certificates(broken, "a.crt"), Err(PkiError::Malformed { .. })));
    }
}

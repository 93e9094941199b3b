//! Whether a certificate and a private key belong together, in the words of Go's TLS library.
//!
//! Upstream: Go's `crypto/tls` (`X509KeyPair`), which `pkg/registry/core/secret/strategy.go` asks about secrets.

use crate::pem::{self, Block};
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::PrivateKeyDer;
use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::der_parser::oid;
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo, X509Certificate};
use x509_parser::public_key::PublicKey;

/// What can be wrong with a pair.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// There is no PEM in the certificate's text.
    #[error("tls: failed to find any PEM data in certificate input")]
    NoCertificate,
    /// The certificate's text is a key.
    #[error(
        "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched"
    )]
    Switched,
    /// The certificate's text has blocks of these types only.
    #[error(
        "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: [{}]",
        .0.join(" ")
    )]
    OtherThanCertificate(Vec<String>),
    /// There is no PEM in the key's text.
    #[error("tls: failed to find any PEM data in key input")]
    NoKey,
    /// The key's text is a certificate.
    #[error("tls: found a certificate rather than a key in the PEM for the private key")]
    CertificateForKey,
    /// The key's text has blocks of these types only.
    #[error(
        "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of the following types: [{}]",
        .0.join(" ")
    )]
    OtherThanKey(Vec<String>),
    /// The certificate's block holds none. Go names what it stumbled over, too.
    #[error("x509: malformed certificate")]
    MalformedCertificate,
    /// The key's block holds none.
    #[error("tls: failed to parse private key")]
    MalformedKey,
    /// The certificate's key is of a kind that TLS does not know.
    #[error("tls: unknown public key algorithm")]
    UnknownAlgorithm,
    /// One is RSA, say, and the other is not.
    #[error("tls: private key type does not match public key type")]
    OtherType,
    /// They are two keys.
    #[error("tls: private key does not match public key")]
    OtherKey,
}

/// Checks the first certificate of a PEM text against the first private key of another one.
pub fn check(certificate: &[u8], key: &[u8]) -> Result<(), PairError> {
    let certificate = certificate_block(pem::blocks(certificate))?;
    let key = key_block(pem::blocks(key))?;
    let (_, certificate) = X509Certificate::from_der(&certificate).map_err(|_| PairError::MalformedCertificate)?;
    let key = Private::parse(&key).ok_or(PairError::MalformedKey)?;
    compare(certificate.public_key(), &key)
}

fn certificate_block(blocks: Vec<Block>) -> Result<Vec<u8>, PairError> {
    let labels: Vec<String> = blocks.iter().map(|block| block.label.clone()).collect();
    if let Some(found) = blocks.into_iter().find(|block| block.label == "CERTIFICATE") {
        return Ok(found.der);
    }
    Err(match &*labels {
        [] => PairError::NoCertificate,
        [only] if only.ends_with("PRIVATE KEY") => PairError::Switched,
        _ => PairError::OtherThanCertificate(labels),
    })
}

fn key_block(blocks: Vec<Block>) -> Result<Vec<u8>, PairError> {
    let labels: Vec<String> = blocks.iter().map(|block| block.label.clone()).collect();
    let is_key = |label: &str| label == "PRIVATE KEY" || label.ends_with(" PRIVATE KEY");
    if let Some(found) = blocks.into_iter().find(|block| is_key(&block.label)) {
        return Ok(found.der);
    }
    Err(match &*labels {
        [] => PairError::NoKey,
        [only] if only == "CERTIFICATE" => PairError::CertificateForKey,
        _ => PairError::OtherThanKey(labels),
    })
}

/// Kinds of keys that TLS knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    Ec,
    Ed25519,
}

/// A private key: its kind, and its public half.
struct Private {
    kind: Kind,
    public: Vec<u8>,
}

impl Private {
    fn parse(der: &[u8]) -> Option<Self> {
        let key = PrivateKeyDer::try_from(der).ok()?;
        let Ok(pair) = KeyPair::try_from(&key) else {
            return Some(Self { kind: Kind::Rsa, public: rsa(&key)? });
        };
        let public = pair.subject_public_key_info();
        let (_, info) = SubjectPublicKeyInfo::from_der(&public).ok()?;
        Some(Self { kind: kind(&info)?, public: public_half(&info) })
    }
}

/// The public half of an RSA key that is too short to sign with, which does not matter here.
fn rsa(key: &PrivateKeyDer<'_>) -> Option<Vec<u8>> {
    let pkcs1 = match key {
        PrivateKeyDer::Pkcs1(key) => key.secret_pkcs1_der(),
        // Version, algorithm, and the key of the other form.
        PrivateKeyDer::Pkcs8(key) => elements(key.secret_pkcs8_der())?.get(2).copied()?,
        _ => return None,
    };
    match &*elements(pkcs1)? {
        // Version, modulus, public exponent, and what is private.
        [_, modulus, exponent, _, ..] => Some(joined(modulus, exponent)),
        _ => None,
    }
}

/// The contents of the elements of a sequence.
fn elements(der: &[u8]) -> Option<Vec<&[u8]>> {
    let (_, sequence) = Any::from_der(der).ok().filter(|(_, any)| any.header.tag() == Tag::Sequence)?;
    let (mut rest, mut all) = (sequence.data, Vec::new());
    while !rest.is_empty() {
        let (after, element) = Any::from_der(rest).ok()?;
        all.push(element.data);
        rest = after;
    }
    Some(all)
}

/// A modulus and an exponent without the zeros that tell them from negative numbers.
fn joined(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let plain = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
    [plain(modulus), vec![0], plain(exponent)].concat()
}

fn public_half(info: &SubjectPublicKeyInfo<'_>) -> Vec<u8> {
    match info.parsed() {
        Ok(PublicKey::RSA(key)) => joined(key.modulus, key.exponent),
        _ => info.raw.to_vec(),
    }
}

fn kind(info: &SubjectPublicKeyInfo<'_>) -> Option<Kind> {
    match info.parsed() {
        Ok(PublicKey::RSA(_)) => Some(Kind::Rsa),
        Ok(PublicKey::EC(_)) => Some(Kind::Ec),
        _ if info.algorithm.algorithm == oid!(1.3.101.112) => Some(Kind::Ed25519),
        _ => None,
    }
}

fn compare(public: &SubjectPublicKeyInfo<'_>, private: &Private) -> Result<(), PairError> {
    match kind(public) {
        None => Err(PairError::UnknownAlgorithm),
        Some(kind) if kind != private.kind => Err(PairError::OtherType),
        Some(_) if public_half(public) != private.public => Err(PairError::OtherKey),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, Authority, Key};
    use std::time::Duration;

    #[test]
    fn pairs() {
        let authority = Authority::create("ca", Duration::from_secs(60)).unwrap();
        let (certificate, key) = (authority.certificate_pem().to_owned(), authority.key_pem());
        let other = Key::generate(Algorithm::EcdsaP256).unwrap().to_pem();
        let rsa = Key::generate(Algorithm::Rsa2048).unwrap().to_pem();
        let broken = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        let labelled = |label: &str| vec![label.to_owned()];
        for (certificate, key, want) in [
            (&*certificate, &*key, Ok(())),
            ("", &key, Err(PairError::NoCertificate)),
            (&key, &key, Err(PairError::Switched)),
            (&broken("X"), &key, Err(PairError::OtherThanCertificate(labelled("X")))),
            (&certificate, "nothing", Err(PairError::NoKey)),
            (&certificate, &certificate, Err(PairError::CertificateForKey)),
            (&certificate, &broken("X"), Err(PairError::OtherThanKey(labelled("X")))),
            (&broken("CERTIFICATE"), &key, Err(PairError::MalformedCertificate)),
            (&certificate, &broken("EC PRIVATE KEY"), Err(PairError::MalformedKey)),
            (&certificate, &other, Err(PairError::OtherKey)),
            (&certificate, &rsa, Err(PairError::OtherType)),
        ] {
            assert_eq!(check(certificate.as_bytes(), key.as_bytes()), want);
        }
    }

    #[test]
    fn skipped_blocks_are_listed_as_go_does() {
        let error = PairError::OtherThanKey(vec!["A B".into(), "C".into()]);
        assert!(error.to_string().ends_with("of the following types: [A B C]"), "{error}");
    }
}

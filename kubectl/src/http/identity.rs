//! A client certificate with its key as Go reads them, and what becomes of a pair that is none.
//!
//! Upstream: Go's `crypto/tls` (`X509KeyPair`), `client-go/transport` (`cachingCertificateLoader`).

use pki::pem::{Block, blocks};
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, SignatureScheme};
use std::sync::atomic::{AtomicBool, Ordering};

const CERTIFICATE: &str = "CERTIFICATE";

/// Why two texts are no pair, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoPair {
    #[error("tls: failed to find any PEM data in {0} input")]
    NoPem(&'static str),
    #[error(
        "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched"
    )]
    Switched,
    #[error("tls: found a certificate rather than a key in the PEM for the private key")]
    TwoCertificates,
    #[error(
        "tls: failed to find {wanted} in {input} input after skipping PEM blocks of the following types: [{}]",
        .found.join(" ")
    )]
    OtherBlocks { wanted: &'static str, input: &'static str, found: Vec<String> },
    #[error("x509: malformed certificate")]
    BadCertificate,
    #[error("tls: failed to parse private key")]
    BadKey,
    #[error("tls: private key does not match public key")]
    Mismatch,
}

/// The pair that two texts are.
pub(super) fn pair(certificate: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<CertifiedKey, NoPair> {
    let chain = chain(blocks(certificate))?;
    let key = private_key(blocks(key))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        Error::InconsistentKeys(_) => NoPair::Mismatch,
        Error::InvalidCertificate(_) => NoPair::BadCertificate,
        _ => NoPair::BadKey,
    })
}

fn chain(blocks: Vec<Block>) -> Result<Vec<CertificateDer<'static>>, NoPair> {
    let (chain, other): (Vec<Block>, Vec<Block>) = blocks.into_iter().partition(|block| block.label == CERTIFICATE);
    match other.as_slice() {
        _ if !chain.is_empty() => Ok(chain.into_iter().map(|block| block.der.into()).collect()),
        [] => Err(NoPair::NoPem("certificate")),
        [one] if one.label.ends_with("PRIVATE KEY") => Err(NoPair::Switched),
        _ => {
            Err(NoPair::OtherBlocks { wanted: "\"CERTIFICATE\" PEM block", input: "certificate", found: labels(other) })
        }
    }
}

fn private_key(blocks: Vec<Block>) -> Result<PrivateKeyDer<'static>, NoPair> {
    let is_key = |block: &Block| block.label == "PRIVATE KEY" || block.label.ends_with(" PRIVATE KEY");
    let (keys, other): (Vec<Block>, Vec<Block>) = blocks.into_iter().partition(is_key);
    match (keys.into_iter().next(), other.as_slice()) {
        (Some(key), _) => PrivateKeyDer::try_from(key.der).map_err(|_| NoPair::BadKey),
        (None, []) => Err(NoPair::NoPem("key")),
        (None, [one]) if one.label == CERTIFICATE => Err(NoPair::TwoCertificates),
        (None, _) => Err(NoPair::OtherBlocks {
            wanted: "PEM block with type ending in \"PRIVATE KEY\"",
            input: "key",
            found: labels(other),
        }),
    }
}

fn labels(blocks: Vec<Block>) -> Vec<String> {
    blocks.into_iter().map(|block| block.label).collect()
}

/// Files that are no pair: nobody minds before a server asks for a certificate.
#[derive(Debug)]
pub(super) struct Unfit {
    pub(super) why: NoPair,
    asked: AtomicBool,
}

impl Unfit {
    pub(super) fn new(why: NoPair) -> Self {
        Self { why, asked: AtomicBool::new(false) }
    }

    /// Whether a server has asked for a certificate.
    pub(super) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Unfit {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<std::sync::Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pair_is_told_as_go_does() {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let authority = pki::Authority::create("ca", std::time::Duration::from_secs(60)).expect("an authority");
        let certificate = authority.certificate_pem().to_owned();
        let other = pki::Key::generate(pki::Algorithm::EcdsaP256).expect("a key").to_pem().to_string();
        let junk = |label: &str| format!("-----BEGIN {label}-----\nYWJj\n-----END {label}-----\n");
        let two = format!("{}{}", junk("A"), junk("B"));
        for (certificate, key, want) in [
            ("", "", NoPair::NoPem("certificate")),
            (&*certificate, "abc", NoPair::NoPem("key")),
            (&other, &other, NoPair::Switched),
            (&certificate, &certificate, NoPair::TwoCertificates),
            (&certificate, &other, NoPair::Mismatch),
            (&junk(CERTIFICATE), &other, NoPair::BadCertificate),
            (&certificate, &junk("PRIVATE KEY"), NoPair::BadKey),
            (
                &two,
                &other,
                NoPair::OtherBlocks {
                    wanted: "\"CERTIFICATE\" PEM block",
                    input: "certificate",
                    found: vec!["A".into(), "B".into()],
                },
            ),
        ] {
            let told = pair(certificate.as_bytes(), key.as_bytes(), &provider).map(drop);
            assert_eq!(told, Err(want));
        }
        let skipped = NoPair::OtherBlocks { wanted: "w", input: "key", found: vec!["A".into(), "B".into()] };
        let want = "tls: failed to find w in key input after skipping PEM blocks of the following types: [A B]";
        assert_eq!(skipped.to_string(), want);
    }
}

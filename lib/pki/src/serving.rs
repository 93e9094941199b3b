//! A self-signed serving certificate for a daemon that was given none.
//!
//! Upstream: `client-go/util/cert.GenerateSelfSignedCertKey`.

use crate::{Algorithm, Authority, Key, PkiError, Profile};
use std::time::Duration;

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A serving certificate with its key, PEM; the certificate file holds the chain.
#[derive(Clone)]
pub struct Serving {
    /// Leaf first, then its authority.
    pub certificate_pem: String,
    /// The leaf's key.
    pub key_pem: String,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

/// A certificate for `host` and the other names, valid for a year, under an authority of its own.
pub fn self_signed(host: &str, names: &[&str]) -> Result<Serving, PkiError> {
    let authority = Authority::create(&format!("{host}-ca"), YEAR)?;
    let key = Key::generate(Algorithm::EcdsaP256)?;
    let mut all = vec![host];
    all.extend(names.iter().filter(|&&name| name != host));
    let leaf = authority.issue(&Profile::server(host, &all, YEAR), &key)?;
    Ok(Serving { certificate_pem: leaf + authority.certificate_pem(), key_pem: key.to_pem() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_is_leaf_and_authority() {
        let serving = self_signed("localhost", &["127.0.0.1", "localhost"]).unwrap();
        let chain = crate::pem::parse_certificates(serving.certificate_pem.as_bytes(), "test").unwrap();
        assert_eq!(chain.len(), 2);
        let (_, leaf) = x509_parser::parse_x509_certificate(&chain[0]).unwrap();
        assert_eq!(leaf.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 2);
    }
}

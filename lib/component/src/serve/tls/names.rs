//! Which certificate a client is shown: by the name it asks for, or the address it came to.
//!
//! Upstream: `apiserver/pkg/server/dynamiccertificates/{named_certificates,tlsconfig}.go`,
//! `component-base/cli/flag/namedcertkey_flag.go`.

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// `--tls-sni-cert-key`: a pair of files, and the names it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPair {
    /// The certificate with its chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Host names, possibly with `*` as their first label, and addresses. Empty stands for the
    /// names in the certificate.
    pub names: Vec<String>,
}

/// A text that is no pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// A colon and nothing behind it.
    #[error("empty names list is not allowed")]
    NoNames,
    /// Not two files.
    #[error("expected comma separated certificate and key file paths")]
    NoPair,
}

impl FromStr for NamedPair {
    type Err = PairError;

    /// `CERT,KEY` or `CERT,KEY:NAME,NAME`.
    fn from_str(text: &str) -> Result<Self, PairError> {
        let (files, names) = match text.split_once(':') {
            Some((_, names)) if names.trim().is_empty() => return Err(PairError::NoNames),
            Some((files, names)) => (files, names.split(',').map(|name| name.trim().to_owned()).collect()),
            None => (text, Vec::new()),
        };
        match files.split(',').map(str::trim).collect::<Vec<_>>()[..] {
            [certificate, key] => Ok(Self { certificate: certificate.into(), key: key.into(), names }),
            _ => Err(PairError::NoPair),
        }
    }
}

/// Certificates by name, and one for all other names.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    /// `None` as long as there is none.
    pub(super) default: Option<Arc<CertifiedKey>>,
    pub(super) by_name: Arc<HashMap<String, Arc<CertifiedKey>>>,
}

/// The names of each certificate, the flag's first. Names that were given win over names that were
/// found, and earlier pairs over later ones.
pub(super) fn by_name(pairs: Vec<(Arc<CertifiedKey>, &[String])>) -> HashMap<String, Arc<CertifiedKey>> {
    let mut names = HashMap::new();
    for given in [true, false] {
        for (certificate, explicit) in &pairs {
            if explicit.is_empty() == given {
                continue;
            }
            let found = if given { explicit.to_vec() } else { names_in(certificate) };
            for name in found {
                names.entry(name.to_ascii_lowercase()).or_insert_with(|| Arc::clone(certificate));
            }
        }
    }
    names
}

/// Addresses are left out: clients cannot ask for them by name.
fn names_in(certificate: &CertifiedKey) -> Vec<String> {
    certificate.cert.first().and_then(|leaf| pki::host_names(leaf).ok()).unwrap_or_default()
}

impl Resolver {
    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let wildcard = || self.by_name.get(&format!("*.{}", name.split_once('.')?.1));
        self.by_name.get(&name).or_else(wildcard).or(self.default.as_ref())
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        hello.server_name().map_or(self.default.as_ref(), |name| self.find(name)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn pairs_are_read_as_upstream_does() {
        let pair = |names: &[&str]| {
            let names = names.iter().map(|&name| name.to_owned()).collect();
            Ok(NamedPair { certificate: "a.crt".into(), key: "a.key".into(), names })
        };
        for (text, want) in [
            ("a.crt,a.key", pair(&[])),
            (" a.crt , a.key : *.foo.com, foo.com", pair(&["*.foo.com", "foo.com"])),
            ("a.crt,a.key:", Err(PairError::NoNames)),
            ("a.crt", Err(PairError::NoPair)),
            ("a.crt,a.key,b.key:foo", Err(PairError::NoPair)),
        ] {
            assert_eq!(text.parse::<NamedPair>(), want, "{text}");
        }
    }

    fn certificate(names: &[&str]) -> Arc<CertifiedKey> {
        let authority = pki::Authority::create("ca", Duration::from_secs(3600)).unwrap();
        let key = pki::Key::generate(pki::Algorithm::EcdsaP256).unwrap();
        let profile = pki::Profile::server("common name", names, Duration::from_secs(3600));
        let leaf = authority.issue(&profile, &key).unwrap();
        let chain = pki::pem::parse_certificates(leaf.as_bytes(), "leaf").unwrap();
        let key = pki::pem::parse_private_key(key.to_pem().as_bytes(), "key").unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Arc::new(CertifiedKey::from_der(chain, key, &provider).unwrap())
    }

    #[test]
    fn exact_names_win_over_patterns_and_given_ones_over_found_ones() {
        let certificates = [certificate(&["a.test", "b.test", "10.0.0.1"]), certificate(&["x.test"])];
        let given = ["b.test".to_owned(), "*.test".to_owned(), "10.0.0.2".to_owned()];
        let pairs = vec![(Arc::clone(&certificates[0]), &[][..]), (Arc::clone(&certificates[1]), &given[..])];
        let resolver = Resolver { default: Some(certificate(&["d.test"])), by_name: Arc::new(by_name(pairs)) };
        let which = |name: &str| certificates.iter().position(|c| Arc::ptr_eq(c, resolver.find(name).unwrap()));
        for (name, want) in [
            ("a.test", Some(0)),
            ("A.Test.", Some(0)),
            ("b.test", Some(1)),
            ("other.test", Some(1)),
            ("deep.other.test", None),
            ("x.test", Some(1)),
            ("10.0.0.2", Some(1)),
            ("10.0.0.1", None),
            ("", None),
        ] {
            assert_eq!(which(name), want, "{name}");
        }
    }
}

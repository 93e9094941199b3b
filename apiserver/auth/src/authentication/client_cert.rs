//! Client certificates: the common name is the user, organisations are its groups.
//!
//! Upstream: `apiserver/pkg/authentication/request/x509`.

use super::{AUTHENTICATED, Verdict};
use apiserver_registry::UserInfo;
use arc_swap::ArcSwap;
use parking_lot::RwLock;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Certificates whose verification is remembered; past it the memory starts anew.
const REMEMBERED: usize = 4096;

/// Verifies certificates against one CA bundle and remembers the outcome.
pub struct ClientCertificates {
    verifier: ArcSwap<Arc<dyn ClientCertVerifier>>,
    remembered: RwLock<HashMap<[u8; 32], Known>>,
}

#[derive(Clone)]
struct Known {
    user: Arc<UserInfo>,
    /// Seconds since the epoch after which the certificate is no longer valid.
    not_after: u64,
}

impl std::fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientCertificates")
    }
}

impl ClientCertificates {
    /// Trusts these CA certificates.
    pub fn new(roots: RootCertStore) -> Result<Self, rustls::server::VerifierBuilderError> {
        Ok(Self { verifier: ArcSwap::from_pointee(verifier(roots)?), remembered: RwLock::default() })
    }

    /// Trusts these instead from now on.
    pub fn replace(&self, roots: RootCertStore) -> Result<(), rustls::server::VerifierBuilderError> {
        self.verifier.store(Arc::new(verifier(roots)?));
        self.remembered.write().clear();
        Ok(())
    }

    /// The user of a certificate chain, its own certificate first.
    pub fn authenticate(&self, chain: &[CertificateDer<'_>]) -> Verdict {
        match self.verify(chain) {
            Some(user) => Verdict::User(user),
            None => Verdict::Invalid(
                "x509: the client certificate is not signed by a known authority, or not valid now".into(),
            ),
        }
    }

    /// The certificate's user if the chain leads to a trusted CA now.
    pub fn verify(&self, chain: &[CertificateDer<'_>]) -> Option<Arc<UserInfo>> {
        let (own, intermediates) = chain.split_first()?;
        let now = UnixTime::now();
        let key: [u8; 32] = Sha256::digest(own.as_ref()).into();
        if let Some(known) = self.remembered.read().get(&key)
            && now.as_secs() <= known.not_after
        {
            return Some(known.user.clone());
        }
        self.verifier.load().verify_client_cert(own, intermediates, now).ok()?;
        let known = identity(own)?;
        let user = known.user.clone();
        let mut remembered = self.remembered.write();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key, known);
        Some(user)
    }
}

fn verifier(roots: RootCertStore) -> Result<Arc<dyn ClientCertVerifier>, rustls::server::VerifierBuilderError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()
}

/// User, groups and expiry of a certificate; `None` without a common name.
fn identity(certificate: &CertificateDer<'_>) -> Option<Known> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = parsed.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    if name.is_empty() {
        return None;
    }
    let mut groups: Vec<String> =
        subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_owned).collect();
    groups.push(AUTHENTICATED.into());
    let fingerprint: String = Sha256::digest(certificate.as_ref()).iter().map(|b| format!("{b:02x}")).collect();
    let extra = BTreeMap::from([(
        "authentication.kubernetes.io/credential-id".to_owned(),
        vec![format!("X509SHA256={fingerprint}")],
    )]);
    let not_after = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
    Some(Known { user: Arc::new(UserInfo { name, uid: String::new(), groups, extra }), not_after })
}

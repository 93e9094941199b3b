//! TLS towards a webhook.

use crate::ConfigError;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::sync::{Arc, OnceLock};
use tokio_rustls::TlsConnector;

/// A certificate that this server shows to webhooks that ask for one.
#[derive(Debug)]
pub struct Identity {
    /// The certificate and those between it and its authority.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

pub(crate) fn connector(authorities: &[u8], identity: Option<Identity>) -> Result<TlsConnector, ConfigError> {
    let wrong = |error: &dyn std::fmt::Display| ConfigError::Authorities(error.to_string());
    let roots = match authorities.is_empty() {
        true => system(),
        false => Arc::new(roots(authorities)?),
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| wrong(&e))?.with_root_certificates(roots);
    let config = match identity {
        Some(identity) => builder.with_client_auth_cert(identity.certificates, identity.key).map_err(|e| wrong(&e))?,
        None => builder.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, ConfigError> {
    let wrong = |error: &dyn std::fmt::Display| ConfigError::Authorities(error.to_string());
    let mut store = RootCertStore::empty();
    for certificate in pki::pem::parse_certificates(pem, "caBundle").map_err(|e| wrong(&e))? {
        store.add(certificate).map_err(|e| wrong(&e))?;
    }
    Ok(store)
}

/// The authorities that the machine trusts, read once, when first needed.
fn system() -> Arc<RootCertStore> {
    static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    SYSTEM
        .get_or_init(|| {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            Arc::new(store)
        })
        .clone()
}

//! The server's certificate and the authorities of its clients, read again when they change.

use super::ServeError;
use arc_swap::ArcSwap;
use k8s_openapi::api::core::v1::ConfigMap;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often files and cluster are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What the server proves its identity with.
#[derive(Clone, Debug)]
pub enum ServerIdentity {
    /// A certificate and key in files.
    Files {
        /// The certificate with its chain.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// A certificate made at start.
    SelfSigned {
        /// Its host name.
        host: String,
    },
}

/// Whose client certificates are believed.
#[derive(Clone)]
pub enum ClientAuthority {
    /// Nobody's; none are asked for.
    None,
    /// Those of a file.
    File(PathBuf),
    /// Those that the apiserver publishes in `kube-system/extension-apiserver-authentication`.
    Cluster(kube::Client),
}

impl std::fmt::Debug for ClientAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Cluster(_) => f.write_str("Cluster"),
        }
    }
}

/// The TLS side of a server.
pub struct Tls {
    identity: Identity,
    authority: ClientAuthority,
    current: ArcSwap<Current>,
}

enum Identity {
    Files { certificate: PathBuf, key: PathBuf },
    Made(pki::serving::Serving),
}

struct Current {
    config: Arc<ServerConfig>,
    /// Of all that it was made from.
    digest: [u8; 32],
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// Everything a configuration is made from.
struct Material {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

impl Tls {
    /// Reads everything once. Authorities that the cluster does not give yet are tolerated.
    pub async fn new(identity: ServerIdentity, authority: ClientAuthority) -> Result<Arc<Self>, ServeError> {
        let identity = match identity {
            ServerIdentity::Files { certificate, key } => Identity::Files { certificate, key },
            ServerIdentity::SelfSigned { host } => {
                Identity::Made(pki::serving::self_signed(&host, &["localhost", "127.0.0.1", "::1"])?)
            }
        };
        let material = gather(&identity, &authority).await?;
        let current = ArcSwap::from_pointee(Current { digest: material.digest(), config: material.config()? });
        Ok(Arc::new(Self { identity, authority, current }))
    }

    /// The configuration for the next connection.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// Reads everything again from time to time; what is unusable leaves the old in force.
    pub async fn keep_current(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "cannot take the new certificates; keeping the old ones");
            }
        }
    }

    /// Reads everything again now.
    pub async fn refresh(&self) -> Result<(), ServeError> {
        let material = gather(&self.identity, &self.authority).await?;
        let digest = material.digest();
        if digest != self.current.load().digest {
            self.current.store(Arc::new(Current { config: material.config()?, digest }));
            tracing::info!("took new certificates");
        }
        Ok(())
    }
}

async fn gather(identity: &Identity, authority: &ClientAuthority) -> Result<Material, ServeError> {
    let (certificate, key) = match identity {
        Identity::Files { certificate, key } => (pki::pem::read(certificate)?, pki::pem::read(key)?),
        Identity::Made(made) => (made.certificate_pem.clone().into_bytes(), made.key_pem.clone().into_bytes()),
    };
    let authorities = match authority {
        ClientAuthority::None => None,
        ClientAuthority::File(file) => Some(pki::pem::read(file)?),
        ClientAuthority::Cluster(client) => published(client).await,
    };
    Ok(Material { certificate, key, authorities })
}

async fn published(client: &kube::Client) -> Option<Vec<u8>> {
    let maps: kube::Api<ConfigMap> = kube::Api::namespaced(client.clone(), "kube-system");
    let lookup = maps.get("extension-apiserver-authentication");
    match tokio::time::timeout(Duration::from_secs(10), lookup).await {
        Ok(Ok(mut map)) => map.data.as_mut()?.remove("client-ca-file").map(String::into_bytes),
        Ok(Err(error)) => {
            tracing::warn!(%error, "cannot look up the authorities of client certificates; looking again later");
            None
        }
        Err(_) => None,
    }
}

impl Material {
    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [&self.certificate, &self.key, self.authorities.as_ref().unwrap_or(&Vec::new())] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    fn config(&self) -> Result<Arc<ServerConfig>, ServeError> {
        let chain: Vec<CertificateDer<'static>> =
            pki::pem::parse_certificates(&self.certificate, "serving certificate")?;
        let key: PrivateKeyDer<'static> = pki::pem::parse_private_key(&self.key, "serving key")?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = match &self.authorities {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                for root in pki::pem::parse_certificates(authorities, "client authorities")? {
                    roots.add(root)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                // Others come with a token, or anonymously.
                builder.with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
            }
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

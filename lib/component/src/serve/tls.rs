//! The server's certificates and the authorities of its clients, read again when they change.
//!
//! Upstream: `apiserver/pkg/server/dynamiccertificates`.

mod flags;
mod names;
mod offer;
mod possession;

pub use flags::TlsFlags;
pub use names::{NamedPair, PairError};
pub use offer::{Offer, OfferError};

use super::ServeError;
use crate::files::Watch;
use arc_swap::ArcSwap;
use k8s_openapi::api::core::v1::ConfigMap;
use names::Resolver;
use possession::Possession;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often the cluster is asked again, and files whose last change could not be used are read.
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
    /// A certificate made before.
    Made(pki::serving::Serving),
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
    /// Anybody's: the handshake proves possession of the key, and what the certificate is worth is
    /// decided later. Clients are told the authorities of these files.
    Later(Vec<PathBuf>),
}

impl std::fmt::Debug for ClientAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Cluster(_) => f.write_str("Cluster"),
            Self::Later(paths) => f.debug_tuple("Later").field(paths).finish(),
        }
    }
}

/// Everything that a [`Tls`] is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Shown to clients that ask for no name, or for one that nobody else has.
    pub identity: ServerIdentity,
    /// Certificates for certain names.
    pub named: Vec<NamedPair>,
    /// Whose client certificates are believed.
    pub authority: ClientAuthority,
    /// Versions, suites and key exchanges.
    pub offer: Offer,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

/// The TLS side of a server.
pub struct Tls {
    settings: Settings,
    current: ArcSwap<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    /// For clients that ask for no name and came to an address that has a certificate.
    by_address: HashMap<IpAddr, Arc<ServerConfig>>,
    /// Of all that it was made from.
    digest: [u8; 32],
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A certificate and its key, PEM.
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// The bytes that a configuration is made from.
struct Material {
    identity: Pair,
    named: Vec<Pair>,
    authorities: Option<Vec<u8>>,
}

impl Tls {
    /// With the default offer and no certificates for certain names.
    pub async fn new(identity: ServerIdentity, authority: ClientAuthority) -> Result<Arc<Self>, ServeError> {
        let offer = Offer::default();
        Self::open(Settings { identity, named: Vec::new(), authority, offer, http2: true }).await
    }

    /// Reads everything once. Authorities that the cluster does not give yet are tolerated.
    pub async fn open(mut settings: Settings) -> Result<Arc<Self>, ServeError> {
        if let ServerIdentity::SelfSigned { host } = &settings.identity {
            let made = pki::serving::self_signed(host, &["localhost", "127.0.0.1", "::1"])?;
            settings.identity = ServerIdentity::Made(made);
        }
        let material = settings.gather().await?;
        let current = ArcSwap::from_pointee(settings.build(&material)?);
        Ok(Arc::new(Self { settings, current }))
    }

    /// The configuration for the next connection.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// The configuration for a connection that came to this address.
    pub fn config_at(&self, local: IpAddr) -> Arc<ServerConfig> {
        let current = self.current.load();
        Arc::clone(current.by_address.get(&local.to_canonical()).unwrap_or(&current.config))
    }

    /// Reads everything again when files change, and what is in the cluster from time to time; what
    /// is unusable leaves the old in force.
    pub async fn keep_current(self: Arc<Self>) {
        let mut files = Watch::new(self.settings.files());
        // They may have changed since they were read.
        self.try_refresh().await;
        loop {
            tokio::select! {
                () = files.changed() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            self.try_refresh().await;
        }
    }

    async fn try_refresh(&self) {
        if let Err(error) = self.refresh().await {
            tracing::error!(%error, "cannot take the new certificates; keeping the old ones");
        }
    }

    /// Reads everything again now.
    pub async fn refresh(&self) -> Result<(), ServeError> {
        let material = self.settings.gather().await?;
        if material.digest() != self.current.load().digest {
            self.current.store(Arc::new(self.settings.build(&material)?));
            tracing::info!("took new certificates");
        }
        Ok(())
    }
}

impl Settings {
    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        if let ServerIdentity::Files { certificate, key } = &self.identity {
            files.extend([certificate.clone(), key.clone()]);
        }
        files.extend(self.named.iter().flat_map(|pair| [pair.certificate.clone(), pair.key.clone()]));
        match &self.authority {
            ClientAuthority::File(file) => files.push(file.clone()),
            ClientAuthority::Later(more) => files.extend(more.iter().cloned()),
            ClientAuthority::None | ClientAuthority::Cluster(_) => {}
        }
        files
    }

    async fn gather(&self) -> Result<Material, ServeError> {
        let identity = match &self.identity {
            ServerIdentity::Files { certificate, key } => Pair::read(certificate, key)?,
            ServerIdentity::Made(made) => Pair::made(made),
            ServerIdentity::SelfSigned { host } => Pair::made(&pki::serving::self_signed(host, &[])?),
        };
        let named = self.named.iter().map(|pair| Pair::read(&pair.certificate, &pair.key)).collect::<Result<_, _>>()?;
        let authorities = match &self.authority {
            ClientAuthority::None => None,
            ClientAuthority::File(file) => Some(pki::pem::read(file)?),
            ClientAuthority::Cluster(client) => published(client).await,
            ClientAuthority::Later(files) => {
                Some(files.iter().map(|f| pki::pem::read(f)).collect::<Result<Vec<_>, _>>()?.join(&b'\n'))
            }
        };
        Ok(Material { identity, named, authorities })
    }

    fn build(&self, material: &Material) -> Result<Current, ServeError> {
        let default = self.certified(&material.identity, "serving certificate")?;
        let named = material.named.iter().map(|pair| self.certified(pair, "SNI certificate"));
        let named = named.collect::<Result<Vec<_>, _>>()?;
        let pairs = named.into_iter().zip(self.named.iter().map(|pair| &pair.names[..])).collect();
        let by_name = Arc::new(names::by_name(pairs));
        let verifier = self.verifier(material)?;
        let config = |default| self.config(Resolver { default, by_name: Arc::clone(&by_name) }, verifier.clone());
        let mut by_address = HashMap::new();
        for (name, certificate) in by_name.iter() {
            if let Ok(address) = name.parse() {
                by_address.insert(address, config(Arc::clone(certificate))?);
            }
        }
        Ok(Current { config: config(default)?, by_address, digest: material.digest() })
    }

    fn certified(&self, pair: &Pair, what: &str) -> Result<Arc<CertifiedKey>, ServeError> {
        let chain = pki::pem::parse_certificates(&pair.certificate, what)?;
        let key = pki::pem::parse_private_key(&pair.key, what)?;
        Ok(Arc::new(CertifiedKey::from_der(chain, key, &self.offer.provider)?))
    }

    fn verifier(&self, material: &Material) -> Result<Option<Arc<dyn ClientCertVerifier>>, ServeError> {
        let Some(authorities) = &material.authorities else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        let is_hint = matches!(self.authority, ClientAuthority::Later(_));
        if !is_hint || !authorities.is_empty() {
            for root in pki::pem::parse_certificates(authorities, "client authorities")? {
                roots.add(root)?;
            }
        }
        let provider = &self.offer.provider;
        if is_hint {
            return Ok(Some(Arc::new(Possession::new(provider, &roots))));
        }
        // Others come with a token, or anonymously.
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        Ok(Some(verifier.allow_unauthenticated().build()?))
    }

    fn config(
        &self,
        resolver: Resolver,
        verifier: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Result<Arc<ServerConfig>, ServeError> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.offer.provider))
            .with_protocol_versions(self.offer.versions)?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = match self.http2 {
            true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            false => vec![b"http/1.1".to_vec()],
        };
        // Resumed sessions do not carry the client's certificates through every client library.
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
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

impl Pair {
    fn read(certificate: &std::path::Path, key: &std::path::Path) -> Result<Self, ServeError> {
        Ok(Self { certificate: pki::pem::read(certificate)?, key: pki::pem::read(key)? })
    }

    fn made(made: &pki::serving::Serving) -> Self {
        Self { certificate: made.certificate_pem.clone().into_bytes(), key: made.key_pem.clone().into_bytes() }
    }
}

impl Material {
    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let pairs = std::iter::once(&self.identity).chain(&self.named).flat_map(|pair| [&pair.certificate, &pair.key]);
        for part in pairs.chain(&self.authorities) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

//! The server's certificates and the authorities of its clients, read again when they change.
//!
//! Upstream: `apiserver/pkg/server/dynamiccertificates`.

mod flags;
mod front;
mod names;
mod offer;
mod possession;

pub use flags::TlsFlags;
pub use front::{Front, FrontAuthority, Presented};
pub use names::{NamedPair, PairError};
pub use offer::{Offer, OfferError};

use super::ServeError;
use crate::files::Watch;
use arc_swap::ArcSwap;
use names::Resolver;
use possession::Possession;
use rustls::pki_types::CertificateDer;
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
    /// A certificate that somebody else signs and that may not be there yet; without one no handshake succeeds.
    Later {
        /// The certificate with its chain, and its key.
        file: PathBuf,
        /// Files of another certificate and its key that count until then.
        until: Option<(PathBuf, PathBuf)>,
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
    /// Whose client certificates let headers name the user.
    pub front: FrontAuthority,
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
    /// Who is who among those whose certificates the handshake took.
    judge: front::Judge,
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
    /// `None` as long as there is none.
    identity: Option<Pair>,
    named: Vec<Pair>,
    authorities: Option<Vec<u8>>,
    front: Option<Front>,
}

impl Tls {
    /// With the default offer and no certificates for certain names.
    pub async fn new(identity: ServerIdentity, authority: ClientAuthority) -> Result<Arc<Self>, ServeError> {
        let offer = Offer::default();
        let front = FrontAuthority::None;
        Self::open(Settings { identity, named: Vec::new(), authority, front, offer, http2: true }).await
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

    /// What a client's certificates say of it, which the handshake took.
    pub fn presented(&self, chain: Option<&[CertificateDer<'_>]>) -> Presented {
        chain.map(|chain| self.current.load().judge.presented(chain)).unwrap_or_default()
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
        if let ServerIdentity::Later { file, until } = &self.identity {
            files.push(file.clone());
            files.extend(until.iter().flat_map(|(certificate, key)| [certificate.clone(), key.clone()]));
        }
        files.extend(self.named.iter().flat_map(|pair| [pair.certificate.clone(), pair.key.clone()]));
        match &self.authority {
            ClientAuthority::File(file) => files.push(file.clone()),
            ClientAuthority::Later(more) => files.extend(more.iter().cloned()),
            ClientAuthority::None | ClientAuthority::Cluster(_) => {}
        }
        files.extend(self.front.file().cloned());
        files
    }

    async fn gather(&self) -> Result<Material, ServeError> {
        let identity = match &self.identity {
            ServerIdentity::Files { certificate, key } => Some(Pair::read(certificate, key)?),
            ServerIdentity::Made(made) => Some(Pair::made(made)),
            ServerIdentity::SelfSigned { host } => Some(Pair::made(&pki::serving::self_signed(host, &[])?)),
            ServerIdentity::Later { file, .. } if file.exists() => Some(Pair::read(file, file)?),
            ServerIdentity::Later { until, .. } => {
                until.as_ref().map(|(certificate, key)| Pair::read(certificate, key)).transpose()?
            }
        };
        let named = self.named.iter().map(|pair| Pair::read(&pair.certificate, &pair.key)).collect::<Result<_, _>>()?;
        let authorities = match &self.authority {
            ClientAuthority::None => None,
            ClientAuthority::File(file) => Some(pki::pem::read(file)?),
            ClientAuthority::Cluster(client) => front::published(client).await.and_then(|found| found.clients),
            ClientAuthority::Later(files) => {
                Some(files.iter().map(|f| pki::pem::read(f)).collect::<Result<Vec<_>, _>>()?.join(&b'\n'))
            }
        };
        Ok(Material { identity, named, authorities, front: self.front.gather().await? })
    }

    fn build(&self, material: &Material) -> Result<Current, ServeError> {
        let default = material.identity.as_ref().map(|pair| self.certified(pair, "serving certificate")).transpose()?;
        let named = material.named.iter().map(|pair| self.certified(pair, "SNI certificate"));
        let named = named.collect::<Result<Vec<_>, _>>()?;
        let pairs = named.into_iter().zip(self.named.iter().map(|pair| &pair.names[..])).collect();
        let by_name = Arc::new(names::by_name(pairs));
        let verifier = self.verifier(material)?;
        let config = |default| self.config(Resolver { default, by_name: Arc::clone(&by_name) }, verifier.clone());
        let mut by_address = HashMap::new();
        for (name, certificate) in by_name.iter() {
            if let Ok(address) = name.parse() {
                by_address.insert(address, config(Some(Arc::clone(certificate)))?);
            }
        }
        let judge = self.judge(material)?;
        Ok(Current { config: config(default)?, by_address, judge, digest: material.digest() })
    }

    fn certified(&self, pair: &Pair, what: &str) -> Result<Arc<CertifiedKey>, ServeError> {
        let chain = pki::pem::parse_certificates(&pair.certificate, what)?;
        let key = pki::pem::parse_private_key(&pair.key, what)?;
        Ok(Arc::new(CertifiedKey::from_der(chain, key, &self.offer.provider)?))
    }

    fn verifier(&self, material: &Material) -> Result<Option<Arc<dyn ClientCertVerifier>>, ServeError> {
        let mut roots = RootCertStore::empty();
        let fronts = material.front.iter().map(|front| &front.authorities);
        // With hints alone there may be no authority at all.
        for authorities in material.authorities.iter().chain(fronts).filter(|text| !text.is_empty() || !self.is_hint())
        {
            for root in pki::pem::parse_certificates(authorities, "client authorities")? {
                roots.add(root)?;
            }
        }
        match (&material.authorities, self.is_hint()) {
            (Some(_), true) => Ok(Some(Arc::new(Possession::new(&self.offer.provider, &roots)))),
            _ if roots.is_empty() => Ok(None),
            // Others come with a token, or anonymously.
            _ => Ok(Some(self.verifier_of(roots)?)),
        }
    }

    fn is_hint(&self) -> bool {
        matches!(self.authority, ClientAuthority::Later(_))
    }

    fn verifier_of(&self, roots: RootCertStore) -> Result<Arc<dyn ClientCertVerifier>, ServeError> {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.offer.provider));
        Ok(verifier.allow_unauthenticated().build()?)
    }

    fn judge(&self, material: &Material) -> Result<front::Judge, ServeError> {
        let Some(front) = &material.front else { return Ok(front::Judge::Simple) };
        let of = |authorities: &[u8]| {
            let mut roots = RootCertStore::empty();
            for root in pki::pem::parse_certificates(authorities, "client authorities")? {
                roots.add(root)?;
            }
            self.verifier_of(roots)
        };
        let clients = material.authorities.as_deref().map(of).transpose()?;
        Ok(front::Judge::Fronted { clients, proxies: of(&front.authorities)?, front: front.clone() })
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
        let pairs = self.identity.iter().chain(&self.named).flat_map(|pair| [&pair.certificate, &pair.key]);
        let fronts = self.front.iter().map(|front| &front.authorities);
        for part in pairs.chain(&self.authorities).chain(fronts) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let rest = self.front.as_ref().map(|front| (&front.allowed_names, &front.headers));
        hash.update(format!("{rest:?}"));
        hash.finalize().into()
    }
}

//! The endpoint that every daemon serves: HTTPS with health, metrics and configuration, guarded by
//! delegated authentication and authorization; or the same plainly.
//!
//! Upstream: `apiserver/pkg/server`, `component-base/zpages`.

pub mod access;
pub mod endpoints;
pub mod front_proxy;
pub mod health;
mod listener;
mod peer;
pub mod plain;
pub mod router;
pub mod tls;

pub use access::{Access, Attributes, Delegated, Policy, User};
pub use endpoints::Endpoints;
pub use health::Health;
pub use listener::{Protocol, Server};
pub use peer::watch as watch_peer;
pub use router::{Observation, Request, Response, Router};
pub use tls::{ClientAuthority, FrontAuthority, Presented, ServerIdentity, Tls, TlsFlags};

use crate::Supervisor;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// The flags of a daemon's secure endpoint.
#[derive(Clone, Debug, clap::Args)]
pub struct SecureServing {
    /// The IP address on which to listen for the --secure-port port.
    #[arg(long, default_value = "0.0.0.0")]
    pub bind_address: IpAddr,
    /// The port on which to serve HTTPS; 0 serves none.
    #[arg(long)]
    pub secure_port: Option<u16>,
    /// The directory where the TLS certificates are located.
    #[arg(long, default_value = "")]
    pub cert_dir: String,
    /// File containing the default x509 certificate for HTTPS.
    #[arg(long)]
    pub tls_cert_file: Option<PathBuf>,
    /// File containing the private key matching --tls-cert-file.
    #[arg(long)]
    pub tls_private_key_file: Option<PathBuf>,
    /// What the handshake offers.
    #[command(flatten)]
    pub tls: TlsFlags,
    /// File with the authorities of client certificates.
    #[arg(long)]
    pub client_ca_file: Option<PathBuf>,
    /// Proxies that may name users.
    #[command(flatten)]
    pub front: FrontFlags,
    /// Kubeconfig that may create tokenreviews.
    #[arg(long)]
    pub authentication_kubeconfig: Option<PathBuf>,
    /// Do not look missing authentication configuration up in the cluster.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    pub authentication_skip_lookup: bool,
    /// Kubeconfig that may create subjectaccessreviews.
    #[arg(long)]
    pub authorization_kubeconfig: Option<PathBuf>,
    /// Paths that need no authorization.
    #[arg(long, value_delimiter = ',', default_value = "/healthz,/readyz,/livez")]
    pub authorization_always_allow_paths: Vec<String>,
}

/// How a daemon guards its paths where its flags say nothing.
#[derive(Default)]
pub struct Guard {
    /// What requests ask for. Paths that are always allowed are the flag's.
    pub policy: Policy,
    /// Who reviews tokens and access, unless kubeconfigs are given; nobody by default.
    pub reviews: Option<kube::Client>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// The flags about proxies in front.
#[derive(Clone, Debug, clap::Args)]
pub struct FrontFlags {
    /// File with the authorities of the proxies' client certificates.
    #[arg(long)]
    pub requestheader_client_ca_file: Option<PathBuf>,
    /// Common names of the proxies' certificates; empty is any.
    #[arg(long, value_delimiter = ',')]
    pub requestheader_allowed_names: Vec<String>,
    /// Headers with a user's name.
    #[arg(long, value_delimiter = ',', default_value = "x-remote-user")]
    pub requestheader_username_headers: Vec<String>,
    /// Headers with a user's UID.
    #[arg(long, value_delimiter = ',')]
    pub requestheader_uid_headers: Vec<String>,
    /// Headers with a user's groups.
    #[arg(long, value_delimiter = ',', default_value = "x-remote-group")]
    pub requestheader_group_headers: Vec<String>,
    /// How headers begin that say what else is known of a user.
    #[arg(long, value_delimiter = ',', default_value = "x-remote-extra-")]
    pub requestheader_extra_headers_prefix: Vec<String>,
}

/// Why a daemon cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken or not ours.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate or key is unusable.
    #[error(transparent)]
    Pki(#[from] pki::PkiError),
    /// Certificate and key do not go together, or the like.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The authorities for client certificates are unusable.
    #[error("client certificate authorities: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// Flags ask for what cannot be offered.
    #[error(transparent)]
    Offer(#[from] tls::OfferError),
    /// A kubeconfig is unusable.
    #[error(transparent)]
    Connect(#[from] client::ConnectError),
    /// Only one of two flags that go together.
    #[error("tls-cert-file and tls-private-key-file must be given together")]
    HalfIdentity,
}

impl SecureServing {
    /// Serves `router` until the supervisor stops; gives the address, or `None` if the port is 0.
    pub async fn start(
        &self,
        component: &str,
        default_port: u16,
        router: Router,
        supervisor: &Supervisor,
    ) -> Result<Option<SocketAddr>, ServeError> {
        self.start_guarded(component, default_port, router, Guard::default(), supervisor).await
    }

    /// As [`Self::start`], guarded in a way of its own.
    pub async fn start_guarded(
        &self,
        component: &str,
        default_port: u16,
        router: Router,
        guard: Guard,
        supervisor: &Supervisor,
    ) -> Result<Option<SocketAddr>, ServeError> {
        let port = self.secure_port.unwrap_or(default_port);
        if port == 0 {
            return Ok(None);
        }
        let agent = crate::version::user_agent(component);
        let authentication = self.reviewer(self.authentication_kubeconfig.as_ref(), &agent).await?;
        let authentication = authentication.or_else(|| guard.reviews.clone());
        let authorization = self.reviewer(self.authorization_kubeconfig.as_ref(), &agent).await?.or(guard.reviews);
        let settings = tls::Settings {
            identity: self.identity()?,
            named: self.tls.tls_sni_cert_key.clone(),
            authority: self.client_authority(authentication.clone()),
            front: self.front_authority(authentication.clone()),
            offer: self.tls.offer()?,
            http2: !self.tls.disable_http2_serving,
        };
        let tls = Tls::open(settings).await?;
        let policy = Policy { always_allow: self.authorization_always_allow_paths.clone(), ..guard.policy };
        let access = Access::Delegated(Arc::new(Delegated::new(authentication, authorization, policy)));
        let server = Server::bind((self.bind_address, port).into()).await?.with_streams(self.tls.max_streams());
        let address = server.address();
        supervisor.spawn_until_stop("certificate reload", Arc::clone(&tls).keep_current());
        let serve = server.run(Protocol::Tls(tls), router, access, supervisor.clone());
        supervisor.spawn("secure endpoint", serve);
        tracing::info!(%address, "serving securely");
        Ok(Some(address))
    }

    async fn reviewer(&self, kubeconfig: Option<&PathBuf>, agent: &str) -> Result<Option<kube::Client>, ServeError> {
        match kubeconfig {
            Some(path) => Ok(Some(client::connect(Some(path), agent).await?)),
            None => Ok(None),
        }
    }

    fn identity(&self) -> Result<ServerIdentity, ServeError> {
        match (&self.tls_cert_file, &self.tls_private_key_file) {
            (Some(certificate), Some(key)) => {
                Ok(ServerIdentity::Files { certificate: certificate.clone(), key: key.clone() })
            }
            (None, None) => Ok(ServerIdentity::SelfSigned { host: "localhost".to_owned() }),
            _ => Err(ServeError::HalfIdentity),
        }
    }

    fn client_authority(&self, cluster: Option<kube::Client>) -> ClientAuthority {
        match (&self.client_ca_file, cluster) {
            (Some(file), _) => ClientAuthority::File(file.clone()),
            (None, Some(client)) if !self.authentication_skip_lookup => ClientAuthority::Cluster(client),
            (None, _) => ClientAuthority::None,
        }
    }
}

impl SecureServing {
    fn front_authority(&self, cluster: Option<kube::Client>) -> FrontAuthority {
        let flags = &self.front;
        match (&flags.requestheader_client_ca_file, cluster) {
            (Some(file), _) => FrontAuthority::File {
                file: file.clone(),
                front: tls::Front {
                    authorities: Vec::new(),
                    allowed_names: flags.requestheader_allowed_names.clone(),
                    headers: front_proxy::ProxyHeaders {
                        username: flags.requestheader_username_headers.clone(),
                        uid: flags.requestheader_uid_headers.clone(),
                        group: flags.requestheader_group_headers.clone(),
                        extra_prefixes: flags.requestheader_extra_headers_prefix.clone(),
                    },
                },
            },
            (None, Some(client)) if !self.authentication_skip_lookup => FrontAuthority::Cluster(client),
            (None, _) => FrontAuthority::None,
        }
    }
}

#[cfg(test)]
#[path = "serve/tests.rs"]
mod tests;

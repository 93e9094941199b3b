//! The apiserver: where it is, whose certificate it shows, and how a viewer's requests get there.

use crate::credential::Credential;
use crate::options::Options;
use crate::session::{Session, Sessions};
use anyhow::Context as _;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response};
use kube::client::ConfigExt as _;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long a connection for a terminal may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// The apiserver, without anybody's rights.
#[derive(Clone)]
pub struct Upstream {
    config: kube::Config,
    agent: String,
    /// For all who have a token.
    shared: kube::Client,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("server", &self.config.cluster_url).finish_non_exhaustive()
    }
}

/// Why the apiserver was not asked, or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The viewer's certificate is of no use.
    #[error("the client certificate cannot be used: {0}")]
    Certificate(String),
    /// The credential cannot be sent.
    #[error("the token cannot be sent")]
    Token,
    /// The connection failed, or no answer came.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
}

/// A connection to the apiserver.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Upstream {
    /// The apiserver that the options name.
    pub async fn new(options: &Options) -> anyhow::Result<Self> {
        let config = match (&options.apiserver_host, &options.kubeconfig) {
            (Some(host), _) => named(host, options)?,
            (None, Some(kubeconfig)) => client::config::server(kubeconfig).await?,
            (None, None) => named(&of_pod()?, options)?,
        };
        let agent = component::version::user_agent("kube-dashboard");
        let shared = client::connect_to(config.clone(), &agent)?;
        Ok(Self { config, agent, shared })
    }

    /// Sends a request with a credential that is no session's yet.
    pub async fn send_as(
        &self,
        credential: &Credential,
        request: Request<Bytes>,
    ) -> Result<Response<kube::client::Body>, UpstreamError> {
        let client = self.client(credential)?;
        self.send_over(&client, credential, request).await
    }

    /// Sends a session's request.
    pub async fn send(
        &self,
        session: &Session,
        sessions: &Sessions,
        request: Request<Bytes>,
    ) -> Result<Response<kube::client::Body>, UpstreamError> {
        let client = match &session.client {
            Some(client) => client.clone(),
            None => self.client(&session.credential)?,
        };
        if session.client.is_none() && matches!(session.credential, Credential::Certificate { .. }) {
            sessions.keep_client(&session.id, &client);
        }
        self.send_over(&client, &session.credential, request).await
    }

    async fn send_over(
        &self,
        client: &kube::Client,
        credential: &Credential,
        mut request: Request<Bytes>,
    ) -> Result<Response<kube::client::Body>, UpstreamError> {
        authorize(&mut request, credential)?;
        let answer = client.send(request.map(kube::client::Body::from)).await;
        answer.map_err(|error| UpstreamError::Unreachable(innermost(&error)))
    }

    /// Tokens go with requests, certificates with connections.
    fn client(&self, credential: &Credential) -> Result<kube::Client, UpstreamError> {
        match credential {
            Credential::Token(_) => Ok(self.shared.clone()),
            Credential::Certificate { .. } => client::connect_to(self.config_of(credential), &self.agent)
                .map_err(|error| UpstreamError::Certificate(error.to_string())),
        }
    }

    fn config_of(&self, credential: &Credential) -> kube::Config {
        use base64::Engine as _;
        let mut config = self.config.clone();
        if let Credential::Certificate { chain, key } = credential {
            let encode = |text: &str| base64::prelude::BASE64_STANDARD.encode(text);
            config.auth_info.client_certificate_data = Some(encode(chain));
            config.auth_info.client_key_data = Some(encode(key).into());
        }
        config
    }

    /// Makes `request` (of the viewer, in origin form) one that goes over [`Self::dial`].
    pub fn address<B>(&self, request: &mut Request<B>, credential: &Credential) -> Result<(), UpstreamError> {
        let unfit = |error: &dyn std::fmt::Display| UpstreamError::Unreachable(error.to_string());
        let server = &self.config.cluster_url;
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let path = format!("{}{path}", server.path().trim_end_matches('/'));
        *request.uri_mut() = path.parse().map_err(|error: http::uri::InvalidUri| unfit(&error))?;
        let host = server.authority().map_or("", |authority| authority.as_str());
        let host = HeaderValue::from_str(host).map_err(|error| unfit(&error))?;
        request.headers_mut().insert(header::HOST, host);
        authorize(request, credential)
    }

    /// A connection of its own, for a request that is upgraded.
    pub async fn dial(&self, credential: &Credential) -> Result<Box<dyn Io>, UpstreamError> {
        let dial = tokio::time::timeout(CONNECT, self.connect(credential)).await;
        dial.map_err(|_| UpstreamError::Unreachable("the connection took too long".to_owned()))?
    }

    async fn connect(&self, credential: &Credential) -> Result<Box<dyn Io>, UpstreamError> {
        let unreachable = |error: std::io::Error| UpstreamError::Unreachable(error.to_string());
        let config = self.config_of(credential);
        let server = &config.cluster_url;
        let is_tls = server.scheme_str() == Some("https");
        let host = server.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = server.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        if !is_tls {
            return Ok(Box::new(stream));
        }
        let tls = config.rustls_client_config().map_err(|error| UpstreamError::Certificate(innermost(&error)))?;
        let name = config.tls_server_name.clone().unwrap_or(host);
        let name = ServerName::try_from(name).map_err(|error| UpstreamError::Unreachable(error.to_string()))?;
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await.map_err(unreachable)?;
        Ok(Box::new(stream))
    }
}

fn authorize<B>(request: &mut Request<B>, credential: &Credential) -> Result<(), UpstreamError> {
    if let Credential::Token(token) = credential {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", token.as_str())).map_err(|_| UpstreamError::Token)?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    Ok(())
}

fn named(host: &str, options: &Options) -> anyhow::Result<kube::Config> {
    let mut config = kube::Config::new(host.parse().with_context(|| format!("apiserver-host {host:?}"))?);
    if config.cluster_url.scheme_str() == Some("https") {
        let file = &options.certificate_authority;
        let roots = pki::pem::certificates(file).with_context(|| format!("reading {}", file.display()))?;
        config.root_cert = Some(roots.into_iter().map(|root| root.to_vec()).collect());
    }
    Ok(config)
}

/// The address that every pod is told.
fn of_pod() -> anyhow::Result<String> {
    let variable =
        |name: &str| std::env::var(name).with_context(|| format!("{name}, as this is no pod: give --kubeconfig"));
    let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Ok(format!("https://{host}:{port}"))
}

/// What went wrong at the bottom; what is above only says that something did.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

//! From a kubeconfig to a `kube::Client`.
//!
//! Upstream: `client-go/tools/clientcmd`, `client-go/rest`.

use crate::lanes::Lanes;
use crate::rate::Limit;
pub use crate::rate::Rate;
use crate::transport;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::path::{Path, PathBuf};

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be read or is malformed.
    #[error("kubeconfig {path}: {why}")]
    Kubeconfig {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The client cannot be built from it.
    #[error("cannot build a client from kubeconfig {path}: {why}")]
    Client {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
}

/// What is said of a client beside its kubeconfig.
#[derive(Clone, Debug, Default)]
pub struct Tuning {
    /// The server's address, if it is another one than the kubeconfig's.
    pub server: Option<String>,
    /// How many requests may be sent; `None` is no limit.
    pub rate: Option<Rate>,
}

/// As [`connect`], tuned.
pub async fn connect_tuned(
    kubeconfig: Option<&Path>,
    user_agent: &str,
    tuning: &Tuning,
) -> Result<kube::Client, ConnectError> {
    let path = kubeconfig.map_or_else(|| "(in-cluster)".to_owned(), |p| p.display().to_string());
    let mut config = match (kubeconfig, &tuning.server) {
        // An address alone is enough for a server that asks for no identity.
        (None, Some(_)) => kube::Config::new(http::Uri::from_static("http://localhost")),
        _ => load(kubeconfig, &path).await?,
    };
    if let Some(server) = &tuning.server {
        let wrong = |why: String| ConnectError::Client { path: path.clone(), why: format!("server {server:?}: {why}") };
        config.cluster_url = server.parse().map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
    }
    Ok(client(config, path, user_agent, tuning.rate)?.0)
}

/// A client whose certificate may change, and what makes it use the new one.
pub async fn connect_renewable(
    kubeconfig: &Path,
    user_agent: &str,
    rate: Option<Rate>,
) -> Result<(kube::Client, Renewal), ConnectError> {
    let path = kubeconfig.display().to_string();
    let (client, lanes) = client(load(Some(kubeconfig), &path).await?, path, user_agent, rate)?;
    Ok((client, Renewal { lanes, kubeconfig: kubeconfig.to_owned() }))
}

/// The same client, with a limit of its own besides those that it has; requests wait for their turn.
pub fn limited(client: &kube::Client, rate: Option<Rate>) -> kube::Client {
    let namespace = client.default_namespace().to_owned();
    let client = client.clone();
    let send = tower::service_fn(move |request| {
        let client = client.clone();
        async move { client.send(request).await }
    });
    kube::Client::new(tower::Layer::layer(&Limit::to(rate), send), namespace)
}

/// Lets a client go on with the certificate that its kubeconfig names.
#[derive(Clone)]
pub struct Renewal {
    lanes: Lanes,
    kubeconfig: PathBuf,
}

impl std::fmt::Debug for Renewal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewal").field("kubeconfig", &self.kubeconfig).finish_non_exhaustive()
    }
}

impl Renewal {
    /// Reads the kubeconfig again. New requests come with the certificate that it names by now; those under way, watches
    /// among them, end as they began.
    ///
    /// # Errors
    /// The kubeconfig or what it names cannot be read; the client goes on as before.
    pub async fn renew(&self) -> Result<(), ConnectError> {
        let path = self.kubeconfig.display().to_string();
        let config = load(Some(&self.kubeconfig), &path).await?;
        let replaced = self.lanes.replace(&config, transport::tcp());
        replaced.map_err(|error| ConnectError::Client { path, why: chain(&error) })
    }
}

/// A client for this kubeconfig (in-cluster configuration if `None`), with `user_agent`
/// (`component/version`), no hidden retries and few connections, over HTTP/2, that notice a dead
/// peer within 45 s. Every request that is no watch has to be answered in time.
pub async fn connect(kubeconfig: Option<&Path>, user_agent: &str) -> Result<kube::Client, ConnectError> {
    let path = kubeconfig.map_or_else(|| "(in-cluster)".to_owned(), |p| p.display().to_string());
    Ok(client(load(kubeconfig, &path).await?, path, user_agent, None)?.0)
}

/// As [`connect`], to the same server without the kubeconfig's credentials: whoever sends requests adds their own.
pub async fn connect_without_identity(kubeconfig: &Path, user_agent: &str) -> Result<kube::Client, ConnectError> {
    connect_to(server(kubeconfig).await?, user_agent)
}

/// The server of a kubeconfig, without its credentials.
pub async fn server(kubeconfig: &Path) -> Result<kube::Config, ConnectError> {
    let mut config = load(Some(kubeconfig), &kubeconfig.display().to_string()).await?;
    config.auth_info = kube::config::AuthInfo::default();
    Ok(config)
}

/// The server of a kubeconfig (in-cluster configuration if `None`), with its credentials.
pub async fn configuration(kubeconfig: Option<&Path>) -> Result<kube::Config, ConnectError> {
    let path = kubeconfig.map_or_else(|| "(in-cluster)".to_owned(), |p| p.display().to_string());
    load(kubeconfig, &path).await
}

/// As [`connect`], for a configuration that comes from elsewhere.
pub fn connect_to(config: kube::Config, user_agent: &str) -> Result<kube::Client, ConnectError> {
    let server = config.cluster_url.to_string();
    Ok(client(config, server, user_agent, None)?.0)
}

fn client(
    mut config: kube::Config,
    path: String,
    user_agent: &str,
    rate: Option<Rate>,
) -> Result<(kube::Client, Lanes), ConnectError> {
    let agent = http::HeaderValue::from_str(user_agent)
        .map_err(|error| ConnectError::Client { path: path.clone(), why: format!("user agent: {error}") })?;
    config.headers.push((http::header::USER_AGENT, agent));
    if let Some(proxy) = &config.proxy_url {
        return Err(ConnectError::Client { path, why: format!("proxy-url {proxy}: daemons connect directly") });
    }
    transport::client(&config, rate).map_err(|error| ConnectError::Client { path, why: chain(&error) })
}

async fn load(kubeconfig: Option<&Path>, path: &str) -> Result<kube::Config, ConnectError> {
    let fail = |why: String| ConnectError::Kubeconfig { path: path.to_owned(), why };
    let Some(file) = kubeconfig else {
        return kube::Config::incluster().map_err(|error| fail(chain(&error)));
    };
    let parsed = Kubeconfig::read_from(file).map_err(|error| fail(chain(&error)))?;
    kube::Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .await
        .map_err(|error| fail(chain(&error)))
}

/// An error with its sources in one line; a source already spelled out is not repeated.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn kubeconfig(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[tokio::test]
    async fn a_missing_file_is_named() {
        let error = connect(Some(Path::new("/nonexistent/kubeconfig")), "test/1").await.err().unwrap();
        let text = error.to_string();
        assert!(text.starts_with("kubeconfig /nonexistent/kubeconfig: "), "{text}");
        assert!(text.contains("No such file"), "{text}");
    }

    #[tokio::test]
    async fn a_malformed_file_gives_one_line() {
        let file = kubeconfig("clusters: [}");
        let text = connect(Some(file.path()), "test/1").await.err().unwrap().to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    #[tokio::test]
    async fn a_token_kubeconfig_gives_a_client() {
        let file = kubeconfig(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{name: k, cluster: {server: 'http://127.0.0.1:1'}}]\n\
             users: [{name: u, user: {token: t}}]\n\
             contexts: [{name: c, context: {cluster: k, user: u, namespace: n}}]\n",
        );
        let client = connect(Some(file.path()), "test/1").await.unwrap();
        assert_eq!(client.default_namespace(), "n");
    }
}

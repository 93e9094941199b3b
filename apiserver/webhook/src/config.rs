//! `clientConfig`, read.
//!
//! Upstream: `apiserver/pkg/util/webhook/client.go`.

use apimachinery::Value;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use url::Url;

/// Where a webhook is, and what certifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where.
    pub target: Target,
    /// PEM of the authorities; empty means the system's.
    pub authorities: Vec<u8>,
}

/// Where a webhook is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// At a URL.
    Url(Url),
    /// Behind a Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The path, with its slash, or empty.
        path: String,
        /// The Service's port.
        port: u16,
    },
}

/// A `clientConfig` that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The URL is none.
    #[error("Unparsable URL: {0}")]
    Url(#[from] url::ParseError),
    /// Only TLS is spoken.
    #[error("webhook URL {0:?} must use https")]
    Insecure(String),
    /// Neither a URL nor a Service, or both.
    #[error("webhook configuration must have either service or URL")]
    Ambiguous,
    /// The bundle is no certificates.
    #[error("invalid caBundle: {0}")]
    Authorities(String),
    /// This server cannot prove who it is.
    #[error("{0}")]
    Credentials(String),
}

/// The port of a Service when none is named.
const DEFAULT_PORT: u16 = 443;

impl Config {
    /// Reads a `clientConfig` of admission, conversion or an APIService's kind.
    pub fn parse(value: &Value) -> Result<Self, ConfigError> {
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let bundle = BASE64.decode(text(value, "caBundle"));
        let authorities = bundle.map_err(|error| ConfigError::Authorities(error.to_string()))?;
        let service = value.get("service").filter(|service| !service.is_null());
        let target = match (text(value, "url").as_str(), service) {
            ("", Some(service)) => Target::Service {
                namespace: text(service, "namespace"),
                name: text(service, "name"),
                path: slashed(&text(service, "path")),
                port: service.get("port").and_then(Value::as_u64).map_or(DEFAULT_PORT, |p| p as u16),
            },
            ("", None) | (_, Some(_)) => return Err(ConfigError::Ambiguous),
            (url, None) => Target::Url(secure(url)?),
        };
        Ok(Self { target, authorities })
    }

    /// The name in the server's certificate.
    pub fn server_name(&self) -> String {
        match &self.target {
            Target::Url(url) => url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
            Target::Service { namespace, name, .. } => format!("{name}.{namespace}.svc"),
        }
    }

    /// The port that the webhook listens on, or its Service.
    pub fn port(&self) -> u16 {
        match &self.target {
            Target::Url(url) => url.port_or_known_default().unwrap_or(DEFAULT_PORT),
            Target::Service { port, .. } => *port,
        }
    }

    /// Host and port, as URLs and `Host` headers have them.
    pub fn authority(&self) -> String {
        match &self.target {
            Target::Url(url) => match url.port() {
                Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
                None => url.host_str().unwrap_or_default().to_owned(),
            },
            Target::Service { port, .. } => format!("{}:{port}", self.server_name()),
        }
    }

    /// Path and query, the timeout in it.
    pub fn path(&self, timeout: std::time::Duration) -> String {
        let timeout = apimachinery::time::format_go_duration(i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX));
        match &self.target {
            Target::Url(url) => match url.query() {
                Some(query) => format!("{}?{query}&timeout={timeout}", url.path()),
                None => format!("{}?timeout={timeout}", url.path()),
            },
            Target::Service { path, .. } if path.is_empty() => format!("/?timeout={timeout}"),
            Target::Service { path, .. } => format!("{path}?timeout={timeout}"),
        }
    }
}

fn slashed(path: &str) -> String {
    match path {
        "" => String::new(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    }
}

fn secure(text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text)?;
    if url.scheme() != "https" || url.host_str().is_none() {
        return Err(ConfigError::Insecure(text.to_owned()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn targets() {
        for (value, name, authority, path) in [
            (
                json!({"service": {"namespace": "n", "name": "s", "path": "hook"}}),
                "s.n.svc",
                "s.n.svc:443",
                "/hook?timeout=1s",
            ),
            (
                json!({"service": {"namespace": "n", "name": "s", "port": 8443}}),
                "s.n.svc",
                "s.n.svc:8443",
                "/?timeout=1s",
            ),
            (json!({"url": "https://a.b:1234/x?y=z"}), "a.b", "a.b:1234", "/x?y=z&timeout=1s"),
            (json!({"url": "https://[::1]/x"}), "::1", "[::1]", "/x?timeout=1s"),
        ] {
            let config = Config::parse(&value).expect("a target");
            let got = (config.server_name(), config.authority(), config.path(Duration::from_secs(1)));
            assert_eq!(got, (name.into(), authority.into(), path.into()), "{value}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for value in [
            json!({}),
            json!({"url": "http://a"}),
            json!({"url": "nonsense"}),
            json!({"url": "https://a", "service": {"name": "s"}}),
            json!({"url": "https://a", "caBundle": "!"}),
        ] {
            assert!(Config::parse(&value).is_err(), "{value}");
        }
    }
}

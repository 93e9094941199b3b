//! Requests to the apiserver: one connection, kept open, HTTP/1.1 over TLS.

mod proxy;
mod watch;

pub use watch::Watch;

use crate::config::Connection;
use anyhow::{Context, bail};
use apimachinery::Value;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use url::Url;

/// Warnings of the server so far.
static WARNINGS: AtomicUsize = AtomicUsize::new(0);

/// Longest answer, unpacked.
const MAX_ANSWER: u64 = 4 << 30;

/// A stream to the server, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An answer of the server that says no: its `Status`.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// HTTP status.
    pub code: u16,
    /// `Status.reason`.
    pub reason: String,
    /// `Status.message`, or the body's beginning.
    pub message: String,
    /// `Status.details`.
    pub details: Value,
}

/// A client of one apiserver.
pub struct Client {
    connection: Connection,
    url: Url,
    tls: Option<TlsConnector>,
    idle: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Client {
    /// Prepares a client; nothing is sent yet.
    pub fn new(connection: Connection) -> anyhow::Result<Self> {
        let text = if connection.server.contains("://") {
            connection.server.clone()
        } else {
            format!("http://{}", connection.server)
        };
        let url = Url::parse(&text).with_context(|| format!("server {text}"))?;
        let tls = match url.scheme() {
            "https" => Some(TlsConnector::from(Arc::new(tls_config(&connection)?))),
            "http" => None,
            other => bail!("server {text}: unsupported protocol scheme {other:?}"),
        };
        Ok(Self { connection, url, tls, idle: Mutex::new(None) })
    }

    /// The namespace of the chosen context.
    pub fn namespace(&self) -> &str {
        &self.connection.namespace
    }

    /// What it connects to and how.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The path below which the server has the API, empty if it is the root.
    pub fn base_path(&self) -> String {
        self.url.path().trim_end_matches('/').to_owned()
    }

    /// The base URL.
    pub fn server(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// The folder of cached discovery, if there is one.
    pub fn cache(&self) -> Option<&std::path::Path> {
        self.connection.cache.as_deref()
    }

    /// GETs an object.
    pub async fn get(&self, path: &str, accept: &str) -> anyhow::Result<Value> {
        let body = self.get_bytes(path, accept).await?;
        serde_json::from_slice(&body).context("the server's answer is not JSON")
    }

    /// GETs an answer as it is.
    pub async fn get_bytes(&self, path: &str, accept: &str) -> anyhow::Result<Bytes> {
        let mut headers = vec![(header::ACCEPT, accept)];
        if self.connection.compression {
            headers.push((header::ACCEPT_ENCODING, "gzip"));
        }
        let response = self.send(Method::GET, path, &headers, Bytes::new()).await?;
        self.read_bytes(response).await
    }

    /// Sends an object.
    pub async fn write(&self, method: Method, path: &str, content_type: &str, body: &Value) -> anyhow::Result<Value> {
        let headers = [(header::ACCEPT, "application/json"), (header::CONTENT_TYPE, content_type)];
        let response = self.send(method, path, &headers, Bytes::from(serde_json::to_vec(body)?)).await?;
        let body = self.read_bytes(response).await?;
        serde_json::from_slice(&body).context("the server's answer is not JSON")
    }

    /// GETs a stream: logs, watches. A refusal is an error already here.
    pub async fn stream(&self, path: &str, accept: &str) -> anyhow::Result<Flow> {
        let deadline = self.connection.timeout.map(|limit| tokio::time::Instant::now() + limit);
        let response = self.send(Method::GET, path, &[(header::ACCEPT, accept)], Bytes::new()).await?;
        Ok(Flow { body: accepted(response).await?.into_body(), deadline })
    }

    /// Opens a stream of its own and the request line's parts for an upgrade.
    pub async fn dial(&self) -> anyhow::Result<Box<dyn Stream>> {
        let host = self.url.host_str().context("the server has no host")?;
        let port = self.url.port_or_known_default().unwrap_or(443);
        let host_name = host.trim_matches(['[', ']']);
        let stream = match &self.connection.proxy {
            Some(proxy) => proxy::connect(proxy, host_name, port).await?,
            None => {
                let stream = TcpStream::connect((host_name, port)).await;
                stream.map_err(|error| unreachable_server(&self.url, &error))?
            }
        };
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some(tls) => {
                let name = self.connection.server_name.as_deref().unwrap_or(host.trim_matches(['[', ']'])).to_owned();
                let stream = tls.connect(ServerName::try_from(name)?, stream).await;
                Ok(Box::new(
                    stream.map_err(|e| anyhow::anyhow!("Unable to connect to the server: tls: {}", tls_words(&e)))?,
                ))
            }
        }
    }

    /// Headers that every request carries.
    pub fn headers(&self) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        let host = self.url.host_str().unwrap_or_default();
        let host = self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        headers.insert(header::HOST, host.parse()?);
        headers.insert(header::USER_AGENT, concat!("kubectl-rs/v", env!("CARGO_PKG_VERSION")).parse()?);
        if let Some(authorization) = &self.connection.authorization {
            headers.insert(header::AUTHORIZATION, authorization.parse()?);
        }
        for (name, value) in &self.connection.impersonation {
            headers.append(header::HeaderName::from_bytes(name.as_bytes())?, value.parse()?);
        }
        Ok(headers)
    }

    /// Sends a request of any kind.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        extra: &[(header::HeaderName, &str)],
        body: Bytes,
    ) -> anyhow::Result<Response<Incoming>> {
        let build = || -> anyhow::Result<http::Request<Full<Bytes>>> {
            let mut request = http::Request::builder()
                .method(method.clone())
                .uri(format!("{}{path}", self.url.path().trim_end_matches('/')));
            if let Some(headers) = request.headers_mut() {
                *headers = self.headers()?;
                for (name, value) in extra {
                    headers.insert(name.clone(), value.parse()?);
                }
            }
            Ok(request.body(Full::new(body.clone()))?)
        };
        let idle = self.idle.lock().await.take();
        let begin = std::time::Instant::now();
        let (sender, response) = match idle {
            None => self.exchange(self.connect().await?, build()?).await?,
            // The server may have closed a connection that was not used for a while.
            Some(sender) => match self.exchange(sender, build()?).await {
                Err(error) if unheard(&error, &method) => self.exchange(self.connect().await?, build()?).await?,
                outcome => outcome?,
            },
        };
        self.log(&method, path, extra, &response, begin.elapsed());
        *self.idle.lock().await = Some(sender);
        Ok(response)
    }

    async fn exchange(
        &self,
        mut sender: SendRequest<Full<Bytes>>,
        request: http::Request<Full<Bytes>>,
    ) -> anyhow::Result<(SendRequest<Full<Bytes>>, Response<Incoming>)> {
        sender.ready().await?;
        let answer = sender.send_request(request);
        let response = match self.connection.timeout {
            None => answer.await?,
            Some(limit) => tokio::time::timeout(limit, answer).await.map_err(|_| too_late())??,
        };
        Ok((sender, response))
    }

    /// `-v=6` and above: what was asked, and what came of it.
    fn log(
        &self,
        method: &Method,
        path: &str,
        headers: &[(header::HeaderName, &str)],
        response: &Response<Incoming>,
        took: std::time::Duration,
    ) {
        if self.connection.verbosity < 6 {
            return;
        }
        let (status, milliseconds) = (response.status(), took.as_millis());
        let url = format!("{}{path}", self.server());
        eprintln!("\"Response\" verb=\"{method}\" url=\"{url}\" status=\"{status}\" milliseconds={milliseconds}");
        if self.connection.verbosity >= 7 {
            // What the caller asks for; who it is stays out of the log.
            for (name, value) in headers {
                eprintln!("  > {name}: {value}");
            }
            for (name, value) in response.headers() {
                eprintln!("  {name}: {}", crate::print::harmless(&String::from_utf8_lossy(value.as_bytes())));
            }
        }
    }

    /// The whole answer, unpacked; or the refusal.
    async fn read_bytes(&self, response: Response<Incoming>) -> anyhow::Result<Bytes> {
        let response = accepted(response).await?;
        let packed = response.headers().get(header::CONTENT_ENCODING).is_some_and(|e| e == "gzip");
        let body = response.into_body().collect();
        let body = match self.connection.timeout {
            None => body.await?,
            Some(limit) => tokio::time::timeout(limit, body).await.map_err(|_| too_late())??,
        };
        let body = body.to_bytes();
        if !packed {
            return Ok(body);
        }
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).take(MAX_ANSWER).read_to_end(&mut text)?;
        Ok(text.into())
    }

    /// How many warnings the server gave, when they count as errors.
    pub fn warnings_that_count(&self) -> usize {
        if self.connection.warnings_as_errors { WARNINGS.load(Ordering::Relaxed) } else { 0 }
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = self.dial().await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // A command-line tool is its own supervisor: the task ends with the process.
        #[expect(clippy::disallowed_methods, reason = "one connection, owned by the process")]
        tokio::spawn(async move {
            // With what an upgrade leaves of it.
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }
}

/// Whether the server did not get a request, or may get it twice.
fn unheard(error: &anyhow::Error, method: &Method) -> bool {
    let cut = |error: &hyper::Error| {
        error.is_canceled() || error.is_closed() || method.is_safe() && error.is_incomplete_message()
    };
    error.downcast_ref::<hyper::Error>().is_some_and(cut)
}

fn unreachable_server(url: &Url, error: &std::io::Error) -> anyhow::Error {
    let place = format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443));
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => {
            anyhow::anyhow!(
                "The connection to the server {place} was refused - did you specify the right host or port?"
            )
        }
        _ if error.to_string().contains("failed to lookup") => {
            let host = url.host_str().unwrap_or_default();
            anyhow::anyhow!("Unable to connect to the server: dial tcp: lookup {host}: no such host")
        }
        _ => anyhow::anyhow!("Unable to connect to the server: dial tcp {place}: {error}"),
    }
}

fn tls_config(connection: &Connection) -> anyhow::Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = if connection.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(insecure::AnyServer(provider)))
    } else {
        let mut roots = rustls::RootCertStore::empty();
        let system = || std::fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
        let authority = connection.authority.clone().unwrap_or_else(system);
        for certificate in pki::pem::parse_certificates(&authority, "certificate-authority")? {
            roots.add(certificate)?;
        }
        builder.with_root_certificates(roots)
    };
    Ok(match &connection.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder.with_client_auth_cert(
            pki::pem::parse_certificates(certificate, "client-certificate")?,
            pki::pem::parse_private_key(key, "client-key")?,
        )?,
    })
}

/// The answer, or the refusal that it is; warnings go to standard error.
pub async fn accepted(response: Response<Incoming>) -> anyhow::Result<Response<Incoming>> {
    for warning in response.headers().get_all(header::WARNING) {
        if let Some(text) = warning.to_str().ok().and_then(|w| w.split('"').nth(1)) {
            WARNINGS.fetch_add(usize::from(warn(text)), Ordering::Relaxed);
        }
    }
    let code = response.status().as_u16();
    if response.status().is_success() {
        return Ok(response);
    }
    let packed = response.headers().get(header::CONTENT_ENCODING).is_some_and(|e| e == "gzip");
    let mut body = response.into_body().collect().await?.to_bytes();
    if packed {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).take(MAX_ANSWER).read_to_end(&mut text)?;
        body = text.into();
    }
    Err(refused(code, &body).into())
}

/// A body that comes bit by bit, at the longest until the request's time is up.
#[derive(Debug)]
pub struct Flow {
    body: Incoming,
    deadline: Option<tokio::time::Instant>,
}

impl Flow {
    /// The next bytes; nothing at the end.
    pub async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        while let Some(frame) = self.frame().await? {
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    async fn frame(&mut self) -> anyhow::Result<Option<Frame<Bytes>>> {
        let frame = self.body.frame();
        let frame = match self.deadline {
            None => frame.await,
            Some(deadline) => tokio::time::timeout_at(deadline, frame).await.map_err(|_| OutOfTime)?,
        };
        Ok(frame.transpose()?)
    }
}

/// `--request-timeout` ended an answer that was still coming.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("context deadline exceeded (Client.Timeout or context cancellation while reading body)")]
pub struct OutOfTime;

/// A body, line by line: watches and logs.
#[derive(Debug)]
pub struct Lines {
    body: Flow,
    seen: Vec<u8>,
    /// The last line had no break.
    cut: bool,
}

impl Lines {
    /// Longest line; an object in etcd is far smaller.
    const MAX: usize = 64 << 20;

    /// The lines of a body.
    pub fn new(body: Flow) -> Self {
        Self { body, seen: Vec::new(), cut: false }
    }

    /// Whether the last line ended the body without a break.
    pub fn at_end(&self) -> bool {
        self.cut
    }

    /// The next line without its break; nothing at the end.
    pub async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.seen[searched..].iter().position(|b| *b == b'\n') {
                let rest = self.seen.split_off(searched + at + 1);
                let mut line = std::mem::replace(&mut self.seen, rest);
                line.pop();
                return Ok(Some(line));
            }
            searched = self.seen.len();
            if searched > Self::MAX {
                bail!("a line of the answer is too long");
            }
            match self.body.next().await? {
                Some(data) => self.seen.extend_from_slice(&data),
                None if self.seen.is_empty() => return Ok(None),
                None => {
                    self.cut = true;
                    return Ok(Some(std::mem::take(&mut self.seen)));
                }
            }
        }
    }
}

/// GETs a text from anywhere, as `-f URL` does.
pub async fn download(url: &str, limit: u64) -> anyhow::Result<String> {
    let parsed = Url::parse(url)?;
    let mut origin = parsed.clone();
    origin.set_path("");
    origin.set_query(None);
    let client = Client::new(Connection { server: origin.to_string(), ..Connection::default() })?;
    let path = match parsed.query() {
        Some(query) => format!("{}?{query}", parsed.path()),
        None => parsed.path().to_owned(),
    };
    let response = client.send(Method::GET, &path, &[(header::ACCEPT, "*/*")], Bytes::new()).await?;
    if !response.status().is_success() {
        let status = response.status();
        bail!(
            "unable to read URL \"{url}\", server reported {} {}, status code={}",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default(),
            status.as_u16()
        );
    }
    let body = http_body_util::Limited::new(response.into_body(), usize::try_from(limit)?);
    let bytes = body.collect().await.map_err(|error| anyhow::anyhow!("reading {url}: {error}"))?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec())?)
}

/// `Warning:` in the colour of warnings, where a terminal has colours; each text once. Answers whether it was
/// said now.
///
/// Upstream: `client-go/rest/warnings.go` (`NewWarningWriter` with `Deduplicate`).
pub(crate) fn warn(text: &str) -> bool {
    use std::io::IsTerminal;
    static SAID: std::sync::Mutex<BTreeSet<String>> = std::sync::Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !said.insert(text.to_owned()) {
        return false;
    }
    let text = crate::print::harmless(text);
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match colour && std::env::var("TERM").is_ok_and(|t| t != "dumb") {
        true => eprintln!("\u{1b}[33;1mWarning:\u{1b}[0m {text}"),
        false => eprintln!("Warning: {text}"),
    }
    true
}

fn too_late() -> anyhow::Error {
    anyhow::anyhow!(
        "Unable to connect to the server: net/http: request canceled (Client.Timeout exceeded while awaiting headers)"
    )
}

/// Go's words for a handshake that failed.
fn tls_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.as_str() {
        t if t.contains("UnknownIssuer") => {
            "failed to verify certificate: x509: certificate signed by unknown authority".into()
        }
        t if t.contains("Expired") || t.contains("expired") => {
            "failed to verify certificate: x509: certificate has expired or is not yet valid".into()
        }
        _ => text,
    }
}

/// Reads a `Status`.
pub fn refused(code: u16, body: &[u8]) -> Refused {
    let status: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    if status["kind"] != "Status" {
        return unexplained(code, body);
    }
    Refused {
        code,
        reason: text("reason"),
        message: text("message"),
        details: status.get("details").cloned().unwrap_or_default(),
    }
}

/// A refusal by something that does not know `Status`: upstream's words for the code.
fn unexplained(code: u16, body: &[u8]) -> Refused {
    let body: String = String::from_utf8_lossy(body).trim().chars().take(300).collect();
    let (reason, message) = match code {
        400 => ("BadRequest", "the server rejected our request for an unknown reason".to_owned()),
        401 => ("Unauthorized", "the server has asked for the client to provide credentials".to_owned()),
        403 => ("Forbidden", body),
        404 => ("NotFound", "the server could not find the requested resource".to_owned()),
        405 => ("MethodNotAllowed", "the server does not allow this method on the requested resource".to_owned()),
        406 => ("NotAcceptable", body),
        409 => ("Conflict", "the server reported a conflict".to_owned()),
        415 => ("UnsupportedMediaType", body),
        429 => (
            "TooManyRequests",
            "the server has received too many requests and has asked us to try again later".to_owned(),
        ),
        500 => {
            ("InternalError", format!("an error on the server ({body:?}) has prevented the request from succeeding"))
        }
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request".to_owned()),
        504 => (
            "Timeout",
            "the server was unable to return a response in the time allotted, but may still be processing the request"
                .to_owned(),
        ),
        _ if code > 500 => {
            ("InternalError", format!("an error on the server ({body:?}) has prevented the request from succeeding"))
        }
        _ => ("", format!("the server responded with the status code {code} but did not return more details")),
    };
    Refused { code, reason: reason.to_owned(), message, details: Value::Null }
}

/// `--insecure-skip-tls-verify`.
mod insecure {
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};
    use std::sync::Arc;

    /// Takes any certificate, but still makes the server prove that it has the key.
    #[derive(Debug)]
    pub(super) struct AnyServer(pub(super) Arc<CryptoProvider>);

    impl ServerCertVerifier for AnyServer {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_refusals() {
        let status = br#"{"kind":"Status","reason":"NotFound","message":"pods \"x\" not found","code":404}"#;
        let refused = super::refused(404, status);
        assert_eq!((refused.reason.as_str(), refused.message.as_str()), ("NotFound", "pods \"x\" not found"));
        let unexplained = super::refused(404, b"404 page not found\n");
        assert_eq!(
            (unexplained.reason.as_str(), unexplained.message.as_str()),
            ("NotFound", "the server could not find the requested resource")
        );
        assert!(super::refused(502, b" bad gateway\n").message.contains("(\"bad gateway\")"));
    }

    #[test]
    fn refuses_odd_servers() {
        let with = |server: &str| Client::new(Connection { server: server.into(), ..Connection::default() }).map(drop);
        assert!(with("ftp://x").is_err());
        assert!(with("localhost:8080").is_ok());
    }
}

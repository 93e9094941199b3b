//! The small HTTP client of probes and hooks: one GET on a fresh connection, no certificate check unless somebody says
//! whom to trust.

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::io;
use std::sync::{Arc, LazyLock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get {
    pub tls: bool,
    pub host: String,
    pub port: u16,
    pub path: String,
    pub headers: Vec<(String, String)>,
}

/// No answer.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    #[error("{0}")]
    Dial(String),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("{0}")]
    Request(#[from] ::http::Error),
    #[error("{0} is not a server name")]
    Name(String),
    #[error("http: server gave HTTP response to HTTPS client")]
    NotTls,
}

impl Get {
    /// The request for a URL; `None` if that is no address of the web.
    pub fn of_url(url: &str, headers: Vec<(String, String)>) -> Option<Self> {
        let whole = url.contains("://").then_some(url)?;
        let nowhere = Self { tls: false, host: String::new(), port: 0, path: String::new(), headers };
        nowhere.redirected(whole).filter(|get| !get.host.is_empty())
    }

    /// As messages print it.
    pub fn url(&self) -> String {
        format!("{}://{}{}", if self.tls { "https" } else { "http" }, self.authority(), self.path)
    }

    /// The server, as the request names it.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// What a server answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Where it sends the client instead.
    pub location: Option<String>,
    /// What it says, as far as anybody reads it.
    pub body: String,
}

impl Get {
    /// The request that an answer sends the client to; `None` if that is no address of the web.
    pub fn redirected(&self, location: &str) -> Option<Self> {
        let scheme = if self.tls { "https" } else { "http" };
        let folder =
            self.path.split('?').next().and_then(|path| path.rsplit_once('/')).map_or("", |(folder, _)| folder);
        let address = match location {
            whole if whole.contains("://") => whole.to_owned(),
            other if other.starts_with("//") => format!("{scheme}:{other}"),
            path if path.starts_with('/') => format!("{scheme}://{}{path}", self.authority()),
            relative => format!("{scheme}://{}{folder}/{relative}", self.authority()),
        };
        let address: ::http::Uri = address.split('#').next()?.parse().ok()?;
        let tls = match address.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return None,
        };
        let host = address.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let path = address.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let port = address.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Some(Self { tls, host, port, path, headers: self.headers.clone() })
    }
}

/// The longest body that is read, in bytes.
const MAX_BODY: usize = 10 * 1024;

/// Sends the request; the status code of the answer.
pub async fn get(request: &Get) -> Result<u16, GetError> {
    fetch(request).await.map(|answer| answer.status)
}

/// Sends the request to whoever answers, and reads the beginning of the answer.
pub async fn fetch(request: &Get) -> Result<Answer, GetError> {
    fetch_trusted(request, TLS.clone(), MAX_BODY).await
}

/// Sends the request to a server that is trusted, and reads so many bytes of the answer at most.
pub async fn fetch_trusted(
    request: &Get,
    trust: Arc<rustls::ClientConfig>,
    longest: usize,
) -> Result<Answer, GetError> {
    let dial = |e: io::Error| GetError::Dial(dial_error(&request.host, request.port, &e));
    let stream = TcpStream::connect((request.host.as_str(), request.port)).await.map_err(dial)?;
    if !request.tls {
        return exchange(stream, request, longest).await;
    }
    let name = ServerName::try_from(request.host.clone()).map_err(|_| GetError::Name(request.host.clone()))?;
    let refused = |e: io::Error| if is_plain(&e) { GetError::NotTls } else { dial(e) };
    let stream = tokio_rustls::TlsConnector::from(trust).connect(name, stream).await.map_err(refused)?;
    exchange(stream, request, longest).await
}

/// Whether a handshake failed because the other side answered with something that is no TLS, such as HTTP.
fn is_plain(error: &io::Error) -> bool {
    use rustls::{Error, InvalidMessage};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    matches!(inner, Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)))
}

/// The words of Go's dialer, which people search their logs for.
pub fn dial_error(host: &str, port: u16, e: &io::Error) -> String {
    let why = match e.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        io::ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
        _ => e.to_string(),
    };
    format!("dial tcp {host}:{port}: {why}")
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: &Get,
    longest: usize,
) -> Result<Answer, GetError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut builder = ::http::Request::get(&request.path);
    let given = |name: &str| request.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    for (name, default) in
        [("Host", request.authority()), ("User-Agent", "kube-probe/1.36".into()), ("Accept", "*/*".into())]
    {
        if !given(name) {
            builder = builder.header(name, default);
        }
    }
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let request = builder.header("Connection", "close").body(Empty::<bytes::Bytes>::new())?;
    let answer = async move { read(sender.send_request(request).await?, longest).await };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The server closed at once; its answer has been read all the same.
        ended = connection => { ended?; answer.await }
    }
}

async fn read(answer: ::http::Response<hyper::body::Incoming>, longest: usize) -> Result<Answer, GetError> {
    let location = answer.headers().get(::http::header::LOCATION).and_then(|value| value.to_str().ok());
    let (status, location) = (answer.status().as_u16(), location.map(str::to_owned));
    let (mut body, mut text) = (answer.into_body(), Vec::new());
    while text.len() < longest
        && let Some(frame) = body.frame().await
    {
        if let Ok(data) = frame?.into_data() {
            text.extend_from_slice(&data[..data.len().min(longest - text.len())]);
        }
    }
    Ok(Answer { status, location, body: String::from_utf8_lossy(&text).into_owned() })
}

static TLS: LazyLock<Arc<rustls::ClientConfig>> = LazyLock::new(|| {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms.supported_schemes();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|b| b.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(algorithms))).with_no_client_auth());
    // The provider supports the versions it is shipped with.
    Arc::new(config.expect("default protocol versions"))
});

/// A probe asks whether the container answers, not who it is.
#[derive(Debug)]
struct Anyone(Vec<rustls::SignatureScheme>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn redirects_lead_elsewhere() {
        let get = Get { tls: false, host: "10.0.0.1".into(), port: 8080, path: "/a/b?c".into(), headers: Vec::new() };
        for (location, want) in [
            ("/x?y", Some("http://10.0.0.1:8080/x?y")),
            ("x", Some("http://10.0.0.1:8080/a/x")),
            ("//other/x", Some("http://other:80/x")),
            ("https://[::1]:1/#part", Some("https://[::1]:1/")),
            ("http://0.0.0.0/", Some("http://0.0.0.0:80/")),
            ("ftp://host/", None),
        ] {
            assert_eq!(get.redirected(location).map(|get| get.url()).as_deref(), want, "{location}");
        }
    }

    #[tokio::test]
    async fn a_server_without_tls_is_told_apart() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 64]).await.unwrap();
            stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").await.unwrap();
        };
        let request = Get { tls: true, host: "127.0.0.1".into(), port, path: "/".into(), headers: Vec::new() };
        let (answer, ()) = tokio::join!(get(&request), server);
        assert!(matches!(answer, Err(GetError::NotTls)), "{answer:?}");
    }

    #[tokio::test]
    async fn the_status_of_an_answer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            let n = stream.read(&mut buffer).await.unwrap();
            stream.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            String::from_utf8_lossy(&buffer[..n]).into_owned()
        };
        let headers = vec![("Host".to_owned(), "own".to_owned())];
        let request = Get { tls: false, host: "127.0.0.1".into(), port, path: "/x".into(), headers };
        let (status, seen) = tokio::join!(get(&request), server);
        assert_eq!(status.unwrap(), 503);
        assert!(seen.starts_with("GET /x HTTP/1.1\r\n") && seen.contains("kube-probe/1.36"), "{seen}");
        assert_eq!(seen.to_lowercase().matches("host:").count(), 1);
    }
}

//! Requests to the apiserver: one connection, kept open, HTTP/1.1 over TLS.

mod address;
mod chain;
mod dial;
mod download;
mod elsewhere;
mod exchange;
mod flow;
mod heard;
mod identity;
mod patience;
mod proxy;
mod reading;
mod refusal;
mod tls;
mod unanswered;
mod warning;
mod watch;
mod who;

pub use download::download;
pub use flow::{Flow, Lines, OutOfTime, Torn};
pub use patience::Patience;
pub(crate) use reading::{parsed, unstructured};
pub use refusal::{Refused, Subject, refused, structured};
use unanswered::Again;
pub use unanswered::{CutShort, Unanswered, Why};
pub(crate) use unanswered::{io_words, is_unanswered};
pub(crate) use warning::warn;
pub(crate) use watch::Pauses;
pub use watch::Watch;

use crate::config::Connection;
use address::Address;
use anyhow::bail;
use apimachinery::Value;
use bytes::Bytes;
use elsewhere::Elsewhere;
use heard::Heard;
use http::{HeaderMap, Method, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use proxy::InCgi;
use reading::{NoSerializer, foreign_media, is_of_resource, read_object, whole};
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tls::Tls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;
use who::Who;

/// Longest answer, unpacked.
const MAX_ANSWER: u64 = 4 << 30;

/// How long what is asked of the server itself, not of its objects, may take unless `--request-timeout` says so.
const DISCOVERY_TIME: Duration = Duration::from_secs(32);

/// A stream to the server, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream with its two ends.
struct Opened {
    stream: Box<dyn Stream>,
    route: String,
}

impl Opened {
    fn of(stream: TcpStream) -> Result<Self, Why> {
        let broken = |error: std::io::Error| Why::Broken(unanswered::io_words(&error));
        stream.set_nodelay(true).map_err(broken)?;
        let route = format!("{}->{}", stream.local_addr().map_err(broken)?, stream.peer_addr().map_err(broken)?);
        Ok(Self { stream: Box::new(stream), route })
    }
}

/// A connection that requests go through.
struct Wire {
    sender: SendRequest<Full<Bytes>>,
    /// Its two ends.
    route: String,
    heard: Heard,
}

/// When a request's time is up.
#[derive(Clone, Copy, Debug)]
struct Deadline(Instant);

/// The two ends of the connection that an answer comes through.
#[derive(Clone, Debug)]
struct Route(String);

impl Route {
    fn of<B>(response: &Response<B>) -> String {
        response.extensions().get().map(|Route(route)| route.clone()).unwrap_or_default()
    }
}

/// A client of one apiserver.
pub struct Client {
    connection: Connection,
    address: Address,
    who: std::sync::Mutex<Who>,
    /// Held while somebody is asked who we are.
    renewing: Mutex<()>,
    /// What it is reached through; where the environment must not be trusted, nothing is sent.
    proxy: Result<Option<Url>, InCgi>,
    idle: Mutex<Option<Wire>>,
}

impl Client {
    /// Prepares a client; nothing is sent yet.
    pub fn new(connection: Connection) -> anyhow::Result<Self> {
        let address = address::read(&connection.server).map_err(|error| error.told(&connection.server))?;
        let who = std::sync::Mutex::new(Who::of(&connection, address.url.scheme() == "https")?);
        let proxy = proxy::chosen(connection.proxy.as_deref(), &address.url)?;
        Ok(Self { connection, address, who, renewing: Mutex::new(()), proxy, idle: Mutex::new(None) })
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
        self.address.base_path().to_owned()
    }

    /// A URL that the server names without its host, as a path of requests. What is rooted at `/openapi/v3` is
    /// below the base path, as all that is asked; anything else has that path already.
    pub fn below<'a>(&self, url: &'a str) -> &'a str {
        if url.starts_with("/openapi/v3") { url } else { url.strip_prefix(&self.base_path()).unwrap_or(url) }
    }

    /// The base URL.
    pub fn server(&self) -> &str {
        &self.address.shown
    }

    /// The folder of cached discovery, if there is one.
    pub fn cache(&self) -> Option<&std::path::Path> {
        self.connection.cache.as_deref()
    }

    /// GETs an object.
    pub async fn get(&self, path: &str, accept: &str) -> anyhow::Result<Value> {
        let body = self.get_bytes(path, accept).await?;
        read_object(path, &body)
    }

    /// GETs an object that is to be shown or changed as it is.
    pub async fn get_object(&self, path: &str) -> anyhow::Result<Value> {
        unstructured(&self.get_bytes(path, "application/json").await?)
    }

    /// GETs an answer as it is.
    pub async fn get_bytes(&self, path: &str, accept: &str) -> anyhow::Result<Bytes> {
        let mut headers = vec![(header::ACCEPT, accept)];
        if self.connection.compression {
            headers.push((header::ACCEPT_ENCODING, "gzip"));
        }
        let response = self.send(Method::GET, path, &headers, Bytes::new()).await?;
        let media = is_of_resource(path).then(|| foreign_media(response.headers(), accept)).flatten();
        let body = self.read_bytes(response).await?;
        media.map_or(Ok(body), |media| Err(NoSerializer(media).into()))
    }

    /// Sends an object.
    pub async fn write(&self, method: Method, path: &str, content_type: &str, body: &Value) -> anyhow::Result<Value> {
        read_object(path, &self.written(method, path, content_type, body).await?)
    }

    async fn written(&self, method: Method, path: &str, content_type: &str, body: &Value) -> anyhow::Result<Bytes> {
        let headers = [(header::ACCEPT, "application/json"), (header::CONTENT_TYPE, content_type)];
        self.send_as_it_is(method, path, &headers, Bytes::from(serde_json::to_vec(body)?)).await
    }

    /// Sends bytes for an object, whatever they say.
    pub async fn send_as_it_is(
        &self,
        method: Method,
        path: &str,
        headers: &[(header::HeaderName, &str)],
        body: Bytes,
    ) -> anyhow::Result<Bytes> {
        let response = self.send(method, path, headers, body).await?;
        let media = foreign_media(response.headers(), "application/json");
        let body = self.read_bytes(response).await?;
        match media {
            Some(media) => Err(NoSerializer(media).into()),
            None => Ok(body),
        }
    }

    /// Sends an object for one that is to be shown as it is.
    pub async fn write_object(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        unstructured(&self.written(method, path, content_type, body).await?)
    }

    /// GETs a stream: logs, watches. A refusal is an error already here.
    pub async fn stream(&self, path: &str, accept: &str, patience: Patience) -> anyhow::Result<Flow> {
        let response = self.ask(patience, Method::GET, path, &[(header::ACCEPT, accept)], Bytes::new()).await?;
        let response = accepted(response).await?;
        match foreign_media(response.headers(), accept) {
            Some(media) => bail!("no stream serializers registered for {media}"),
            None => Ok(Flow::of(response)),
        }
    }

    /// GETs whatever a path has, as it comes. Nothing is known of what it is.
    pub async fn raw(&self, path: &str) -> anyhow::Result<Flow> {
        let headers = [(header::ACCEPT, "*/*")];
        let mut response = self.ask(Patience::Answers, Method::GET, path, &headers, Bytes::new()).await?;
        response.extensions_mut().insert(Subject::unknown(&Method::GET));
        Ok(Flow::of(accepted(response).await?))
    }

    /// Sends whatever to a path, of which nothing is known, for all of its answer.
    pub async fn send_raw(
        &self,
        method: Method,
        path: &str,
        extra: &[(header::HeaderName, &str)],
        body: Bytes,
    ) -> anyhow::Result<Bytes> {
        let mut response = self.ask(Patience::Answers, method.clone(), path, extra, body).await?;
        response.extensions_mut().insert(Subject::unknown(&method));
        self.read_bytes(response).await.map_err(|error| match error.downcast() {
            Ok(CutShort(why)) => anyhow::anyhow!(why),
            Err(error) => error,
        })
    }

    /// Opens a stream of its own.
    pub async fn dial(&self) -> anyhow::Result<Box<dyn Stream>> {
        let opened = self.open().await;
        let unanswered = |why| Unanswered { method: "Get".into(), url: self.server().to_owned(), why };
        Ok(opened.map_err(unanswered)?.stream)
    }

    async fn open(&self) -> Result<Opened, Why> {
        if let Some(why) = &self.address.leads_nowhere {
            return Err(Why::Broken(why.clone()));
        }
        let (host, port) = (self.address.host.as_str(), self.address.port);
        let opened = match self.proxy()? {
            Some(proxy) => proxy::connect(proxy, &self.tls_of_proxy()?, host, port).await?,
            None => Opened::of(dial::reach(host, port).await?)?,
        };
        let tls = self.who().tls.clone();
        match tls {
            Some(tls) => dial::encrypt(&tls, self.connection.server_name.as_deref().unwrap_or(host), opened).await,
            None => Ok(opened),
        }
    }

    fn proxy(&self) -> Result<Option<&Url>, Why> {
        let proxy = self.proxy.as_ref().map(Option::as_ref);
        proxy.map_err(|error| Why::Broken(error.to_string()))
    }

    /// The proxy that passes requests on without a tunnel, as nothing is encrypted anyway.
    fn forwarder(&self) -> Option<&Url> {
        self.proxy
            .as_ref()
            .ok()?
            .as_ref()
            .filter(|proxy| self.address.url.scheme() != "https" && proxy::forwards(proxy))
    }

    /// A proxy with TLS is trusted as the server is.
    fn tls_of_proxy(&self) -> Result<Tls, Why> {
        self.who()
            .tls
            .clone()
            .map_or_else(|| Tls::of(&self.connection), Ok)
            .map_err(|error| Why::Broken(format!("{error:#}")))
    }

    /// Headers that every request carries.
    pub fn headers(&self) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, self.address.authority.parse()?);
        headers.insert(header::USER_AGENT, concat!("kubectl-rs/v", env!("CARGO_PKG_VERSION")).parse()?);
        if let Some(authorization) = &self.who().authorization {
            let value = http::HeaderValue::from_str(authorization);
            let value =
                value.map_err(|_| anyhow::anyhow!("net/http: invalid header field value for \"Authorization\""));
            headers.insert(header::AUTHORIZATION, value?);
        }
        for (name, value) in &self.connection.impersonation {
            headers.append(header::HeaderName::from_bytes(name.as_bytes())?, value.parse()?);
        }
        Ok(headers)
    }

    /// Sends a request of any kind, again if the server wants that.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        extra: &[(header::HeaderName, &str)],
        body: Bytes,
    ) -> anyhow::Result<Response<Incoming>> {
        self.ask(Patience::Reads, method, path, extra, body).await
    }

    /// Sends a request, again as long as there is patience.
    pub async fn ask(
        &self,
        patience: Patience,
        method: Method,
        path: &str,
        extra: &[(header::HeaderName, &str)],
        body: Bytes,
    ) -> anyhow::Result<Response<Incoming>> {
        let subject = Subject::of(&method, path);
        // Whatever names come to, a request never leads to other objects than those that are meant.
        if patience.is_for_objects() && !subject.resource.is_empty() {
            refusal::check_names(path)?;
        }
        let limit = match patience {
            Patience::None => None,
            Patience::Reads if subject.resource.is_empty() => self.connection.timeout.or(Some(DISCOVERY_TIME)),
            _ => self.connection.timeout,
        };
        let path = limit.map_or_else(|| path.to_owned(), |limit| patience::with_limit(path, limit));
        let unanswered = |why| {
            let (first, rest) = method.as_str().split_at(1);
            let url = format!("{}{path}", self.server());
            Unanswered { method: format!("{first}{}", rest.to_ascii_lowercase()), url, why }
        };
        let (mut attempt, mut before) = (0, None);
        loop {
            let limit = limit.or(self.connection.timeout);
            let outcome = self.once(limit, &method, &path, extra, &body).await;
            attempt += 1;
            let Some(pause) = patience.pause(attempt, &method, &outcome) else {
                let mut response = match (outcome, before) {
                    (Ok(response), _) => response,
                    (Err(why), Some(before)) if why != before => bail!(Again { now: unanswered(why), before }),
                    (Err(why), _) => bail!(unanswered(why)),
                };
                if let Some(elsewhere) = Elsewhere::of(&method, &response, self.server(), &path) {
                    response = elsewhere.follow(self, limit, extra, body).await?;
                }
                response.extensions_mut().insert(subject);
                return Ok(response);
            };
            match outcome {
                Ok(response) => patience::finish(response).await,
                Err(why) => before = Some(why),
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn once(
        &self,
        limit: Option<Duration>,
        method: &Method,
        path: &str,
        extra: &[(header::HeaderName, &str)],
        body: &Bytes,
    ) -> Result<Response<Incoming>, Why> {
        self.renew_if_over().await?;
        let renewals = self.who().renewals;
        let deadline = limit.map(|limit| Instant::now() + limit);
        let begin = std::time::Instant::now();
        let reached = AtomicBool::new(false);
        let exchange = self.exchange(method, path, extra, body, &reached);
        let mut response = match deadline {
            None => exchange.await?,
            Some(deadline) => match tokio::time::timeout_at(deadline, exchange).await {
                Err(_) if !reached.load(Ordering::Relaxed) => return Err(Why::NotReached),
                outcome => outcome.map_err(|_| Why::Late)??,
            },
        };
        if let Some(deadline) = deadline {
            response.extensions_mut().insert(Deadline(deadline));
        }
        if let Some(encoding) = response.headers().get(header::TRANSFER_ENCODING).filter(|value| *value != "chunked") {
            let encoding = crate::print::quote(&String::from_utf8_lossy(encoding.as_bytes()));
            let why = "net/http: HTTP/1.x transport connection broken: unsupported transfer encoding";
            return Err(Why::Broken(format!("{why}: {encoding}")));
        }
        self.log(method, path, extra, &response, begin.elapsed());
        if response.status() == http::StatusCode::UNAUTHORIZED {
            self.refused(renewals).await;
        }
        Ok(response)
    }

    /// The whole answer, unpacked; or the refusal.
    async fn read_bytes(&self, response: Response<Incoming>) -> anyhow::Result<Bytes> {
        let response = accepted(response).await?;
        let packed = response.headers().get(header::CONTENT_ENCODING).is_some_and(|e| e == "gzip");
        let body = whole(response).await?;
        if !packed {
            return Ok(body);
        }
        let mut text = Vec::new();
        let unpacked = flate2::read::GzDecoder::new(&body[..]).take(MAX_ANSWER).read_to_end(&mut text);
        unpacked.map_err(|error| CutShort(unanswered::unpacking(&error).into()))?;
        Ok(text.into())
    }

    /// How many warnings the server gave, when they count as errors.
    pub fn warnings_that_count(&self) -> usize {
        if self.connection.warnings_as_errors { warning::count() } else { 0 }
    }
}

/// The answer, or the refusal that it is; warnings go to standard error.
pub async fn accepted(response: Response<Incoming>) -> anyhow::Result<Response<Incoming>> {
    warning::tell(response.headers());
    let code = response.status().as_u16();
    let headers = response.headers();
    if let Some(why) = refusal::bad_media(headers) {
        let message = format!("Internal error occurred: {why}");
        bail!(Refused { code: 500, reason: "InternalError".into(), message, details: Value::Null });
    }
    if is_success(code) {
        return Ok(response);
    }
    let headers = headers.clone();
    let subject = response.extensions().get().cloned().unwrap_or_else(|| Subject::unknown(&Method::GET));
    let mut body = whole(response).await?;
    if headers.get(header::CONTENT_ENCODING).is_some_and(|e| e == "gzip") {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).take(MAX_ANSWER).read_to_end(&mut text)?;
        body = text.into();
    }
    Err(refused(code, &headers, &body, &subject).into())
}

/// Whether an answer is what was asked for. Upstream takes one that switches protocols for it, too.
fn is_success(code: u16) -> bool {
    matches!(code, 101 | 200..=206)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_odd_servers() {
        let with = |server: &str| Client::new(Connection { server: server.into(), ..Connection::default() }).map(drop);
        assert!(with("http://").is_err());
        assert!(with("localhost:8080").is_ok());
    }
}

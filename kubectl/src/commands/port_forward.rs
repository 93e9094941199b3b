//! `port-forward`: a connection to us becomes one to a port of a pod.
//!
//! All share one connection to the server: each has a stream of it for its data, and one for what
//! goes wrong.
//!
//! Upstream: `kubectl/pkg/cmd/portforward`, `client-go/tools/portforward`.

use super::Session;
use crate::cli::streams::PortForward;
use crate::http::{Client, Stream};
use crate::pods;
use crate::spdy::{self, Connection, Reader, StreamError, Writer};
use crate::upgrade::{self, Gate, NoWebSocket};
use crate::writing::{log_unhandled, usage};
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use bytes::BytesMut;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::future::pending;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

const PROTOCOL: &str = "portforward.k8s.io";
/// Bytes that go on their way together.
const PORTION: usize = 32 * 1024;

/// `LOCAL:REMOTE` with numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    /// 0 to take a free one.
    local: u16,
    remote: u16,
}

pub(super) async fn run(session: &Session, flags: &PortForward) -> anyhow::Result<()> {
    let Some((target, ports)) = flags.words.split_first().filter(|(_, ports)| !ports.is_empty()) else {
        return Err(usage("port-forward", "TYPE/NAME and list of ports are required for port-forward"));
    };
    super::exec::check_timeout("port-forward", &flags.pod_running_timeout)?;
    let pod = pods::first_of(session, target, &flags.pod_running_timeout).await?;
    let service = service(session, target).await?;
    let pairs: Vec<Pair> =
        ports.iter().map(|text| pair(text, service.as_ref(), &pod)).collect::<anyhow::Result<_>>()?;
    match pod.pointer("/status/phase").and_then(Value::as_str) {
        Some("Running") => {}
        phase => {
            bail!("unable to forward port because pod is not running. Current status={}", phase.unwrap_or_default())
        }
    }
    let path = format!("/api/v1/namespaces/{}/pods/{}/portforward", pod.namespace(), pod.name());
    let io = connect(&session.client, &path).await?;
    let mut listeners = Vec::new();
    for pair in pairs {
        listeners.extend(listen(flags, pair).await?);
    }
    serve(io, listeners).await
}

/// One connection for all that is forwarded.
async fn connect(client: &Client, path: &str) -> anyhow::Result<Box<dyn Stream>> {
    if Gate::PortForward.allows_websockets() {
        match upgrade::tunnel(client, path, PROTOCOL).await {
            Ok(io) => return Ok(io),
            Err(NoWebSocket::Failed(error)) => return Err(error),
            Err(NoWebSocket::Refused(_)) => {}
        }
    }
    upgrade::spdy(client, path, PROTOCOL).await.context("error upgrading connection")
}

/// The service of `svc/NAME`: its ports stand for the pods'.
async fn service(session: &Session, target: &str) -> anyhow::Result<Option<Value>> {
    let Some((kind, name)) = target.split_once('/') else { return Ok(None) };
    if !matches!(kind.to_ascii_lowercase().as_str(), "service" | "services" | "svc") {
        return Ok(None);
    }
    let path = format!("/api/v1/namespaces/{}/services/{name}", session.namespace);
    Ok(Some(session.client.get(&path, "application/json").await?))
}

/// `80`, `8080:80`, `:80`, `8080:http`.
fn pair(text: &str, service: Option<&Value>, pod: &Value) -> anyhow::Result<Pair> {
    let (local, remote) = match text.split(':').collect::<Vec<_>>()[..] {
        [port] => (port, port),
        [local, remote] => (if local.is_empty() { "0" } else { local }, remote),
        _ => bail!("invalid port format '{text}'"),
    };
    let remote_port = match service {
        Some(service) => service_port(service, remote, pod)?,
        None => named_port(remote, pod)?,
    };
    let local = match local.parse::<u16>() {
        Ok(local) => local,
        Err(_) if local == remote => remote_port,
        Err(_) => bail!("error parsing local port '{local}': strconv.ParseUint: parsing {local:?}: invalid syntax"),
    };
    if remote_port == 0 {
        bail!("remote port must be > 0");
    }
    Ok(Pair { local, remote: remote_port })
}

/// A number, or the name of a container's port.
fn named_port(text: &str, pod: &Value) -> anyhow::Result<u16> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut ports = containers.flat_map(|c| c["ports"].as_array().into_iter().flatten());
    let found = ports.find(|p| p["name"] == text).and_then(|p| p["containerPort"].as_u64());
    match found.and_then(|port| u16::try_from(port).ok()) {
        Some(port) => Ok(port),
        None => bail!("Pod '{}' does not have a named port '{text}'", pod.name()),
    }
}

/// The pod's port behind a service's.
fn service_port(service: &Value, text: &str, pod: &Value) -> anyhow::Result<u16> {
    let fits = |p: &&Value| p["name"] == text || p["port"].as_u64().is_some_and(|n| n.to_string() == text);
    let Some(port) = service["spec"]["ports"].as_array().into_iter().flatten().find(fits) else {
        bail!("Service {} does not have a service port {text}", service.name());
    };
    let number = |value: &Value| value.as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
    if service["spec"]["clusterIP"] == "None" {
        return Ok(number(&port["port"]));
    }
    match &port["targetPort"] {
        Value::String(name) => named_port(name, pod),
        Value::Null => Ok(number(&port["port"])),
        target => Ok(number(target)),
    }
}

/// Listens on every address; of `localhost`'s two one is enough.
async fn listen(flags: &PortForward, pair: Pair) -> anyhow::Result<Vec<(TcpListener, Pair)>> {
    let mut listeners = Vec::new();
    for address in &flags.address {
        let addresses: Vec<IpAddr> = match address.as_str() {
            "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            text => vec![text.parse().with_context(|| format!("invalid address to listen on: {text}"))?],
        };
        let mut local = pair.local;
        let mut failure = None;
        let before = listeners.len();
        for ip in addresses {
            match TcpListener::bind(SocketAddr::new(ip, local)).await {
                Ok(listener) => {
                    // Both addresses share the port that the first was given.
                    local = listener.local_addr()?.port();
                    crate::outln!("Forwarding from {} -> {}", listener.local_addr()?, pair.remote);
                    listeners.push((listener, pair));
                }
                Err(error) => failure = Some(error),
            }
        }
        if listeners.len() == before {
            let why = failure.map(|e| e.to_string()).unwrap_or_default();
            bail!("unable to listen on any of the requested ports: [{{{} {}}}]: {why}", pair.local, pair.remote);
        }
    }
    Ok(listeners)
}

/// Takes connections until the command is interrupted, or the server has enough.
async fn serve(io: Box<dyn Stream>, listeners: Vec<(TcpListener, Pair)>) -> anyhow::Result<()> {
    let (connection, driver) = spdy::begin(io);
    let mut driver = pin!(driver.drive());
    let mut accepting: FuturesUnordered<_> = listeners.into_iter().map(accept).collect();
    let mut connections = FuturesUnordered::new();
    let mut number = 0;
    loop {
        tokio::select! {
            Some((listener, pair, stream)) = accepting.next() => {
                if let Ok(stream) = stream {
                    let local = listener.local_addr()?.port();
                    crate::outln!("Handling connection for {local}");
                    let request = Request { number, local, remote: pair.remote };
                    connections.push(forward(&connection, request, stream));
                    number += 1;
                }
                accepting.push(accept((listener, pair)));
            }
            Some(outcome) = connections.next() => if let Err(error) = outcome {
                log_unhandled("portforward.go:424", &error.to_string());
                break;
            },
            _ = &mut driver => break,
        }
    }
    bail!("lost connection to pod")
}

/// A connection that is forwarded.
#[derive(Clone, Copy, Debug)]
struct Request {
    /// What joins its two streams.
    number: u32,
    local: u16,
    remote: u16,
}

impl Request {
    fn headers(self, kind: &str) -> Vec<(&'static str, String)> {
        vec![("streamtype", kind.to_owned()), ("port", self.remote.to_string()), ("requestid", self.number.to_string())]
    }
}

/// Why a connection could not be forwarded.
#[derive(Debug, thiserror::Error)]
enum ForwardError {
    #[error("error creating error stream for port {} -> {}: {source}", request.local, request.remote)]
    NoErrorStream { request: Request, source: StreamError },
    #[error("error creating forwarding stream for port {} -> {}: {source}", request.local, request.remote)]
    NoDataStream { request: Request, source: StreamError },
    #[error("error reading from error stream for port {} -> {}: {source}", request.local, request.remote)]
    Unread { request: Request, source: StreamError },
    #[error("an error occurred forwarding {} -> {}: {message}", request.local, request.remote)]
    Told { request: Request, message: String },
}

/// Copies both ways until the pod has said all, or we cannot go on; then asks what went wrong there.
async fn forward(connection: &Connection, request: Request, local: TcpStream) -> Result<(), ForwardError> {
    let (writer, mut errors) = connection
        .open(request.headers("error"))
        .await
        .map_err(|source| ForwardError::NoErrorStream { request, source })?;
    let opened = match writer.finish().await {
        Ok(()) => connection.open(request.headers("data")).await,
        Err(error) => Err(error),
    };
    let (writer, reader) = opened.map_err(|source| ForwardError::NoDataStream { request, source })?;
    let (from_client, to_client) = local.into_split();
    // A client that breaks off is its own affair.
    let _: Result<(), anyhow::Error> = tokio::select! {
        done = download(reader, to_client) => done,
        failed = upload(from_client, &writer) => failed,
    };
    // What is on its way to nobody must not hold up the others. The stream may have ended already.
    let _ = writer.reset().await;
    let message = errors.collect().await.map_err(|source| ForwardError::Unread { request, source })?;
    match String::from_utf8_lossy(&message).into_owned() {
        message if message.is_empty() => Ok(()),
        message => Err(ForwardError::Told { request, message }),
    }
}

async fn download(mut reader: Reader, mut client: OwnedWriteHalf) -> anyhow::Result<()> {
    while let Some(bytes) = reader.next().await? {
        client.write_all(&bytes).await?;
    }
    Ok(client.shutdown().await?)
}

/// Ends only with an error: the end of what the client says does not end the connection.
async fn upload(mut client: OwnedReadHalf, writer: &Writer) -> anyhow::Result<()> {
    loop {
        let mut buffer = BytesMut::with_capacity(PORTION);
        if client.read_buf(&mut buffer).await? == 0 {
            writer.finish().await?;
            return pending().await;
        }
        writer.write(buffer.freeze()).await?;
    }
}

async fn accept((listener, pair): (TcpListener, Pair)) -> (TcpListener, Pair, std::io::Result<TcpStream>) {
    let stream = listener.accept().await.map(|(stream, _)| stream);
    (listener, pair, stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports_are_numbers_or_names() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8000}]}]}});
        let service =
            json!({"metadata": {"name": "s"}, "spec": {"ports": [{"name": "web", "port": 80, "targetPort": "http"}]}});
        let read =
            |text: &str, service: Option<&Value>| pair(text, service, &pod).map(|p| (p.local, p.remote)).map_err(drop);
        assert_eq!(read("80", None), Ok((80, 80)));
        assert_eq!(read("8080:80", None), Ok((8080, 80)));
        assert_eq!(read(":80", None), Ok((0, 80)));
        assert_eq!(read("http", None), Ok((8000, 8000)));
        assert_eq!(read("80", Some(&service)), Ok((80, 8000)));
        assert_eq!(read("9000:web", Some(&service)), Ok((9000, 8000)));
        for wrong in ["x", "1:2:3", "99999", ":0"] {
            assert_eq!(read(wrong, None), Err(()), "{wrong}");
        }
        assert_eq!(read("81", Some(&service)), Err(()));
    }
}

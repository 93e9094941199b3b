//! `port-forward`: a connection to us becomes one to a port of a pod.
//!
//! Each connection has a WebSocket of its own: the data on one channel, what goes wrong on the
//! other, each opened by the port's number.
//!
//! Upstream: `kubectl/pkg/cmd/portforward`, `client-go/tools/portforward`; the protocol is the
//! kubelet's `v4.channel.k8s.io` (`kubelet/pkg/cri/streaming/portforward/websocket.go`).

use super::Session;
use crate::cli::streams::PortForward;
use crate::exec::connect;
use crate::pods;
use crate::writing::usage;
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use futures::stream::FuturesUnordered;
use futures::{SinkExt, StreamExt};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

const PROTOCOLS: [&str; 1] = ["v4.channel.k8s.io"];
const DATA: u8 = 0;
const ERROR: u8 = 1;

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
    let mut listeners = Vec::new();
    for pair in pairs {
        listeners.extend(listen(flags, pair).await?);
    }
    let forwarder =
        Forwarder { session, path: format!("/api/v1/namespaces/{}/pods/{}/portforward", pod.namespace(), pod.name()) };
    forwarder.serve(listeners).await
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

struct Forwarder<'a> {
    session: &'a Session,
    path: String,
}

impl Forwarder<'_> {
    /// Takes connections until the command is interrupted.
    async fn serve(&self, listeners: Vec<(TcpListener, Pair)>) -> anyhow::Result<()> {
        let mut accepting: FuturesUnordered<_> = listeners.into_iter().map(accept).collect();
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some((listener, pair, stream)) = accepting.next() => {
                    if let Ok(stream) = stream {
                        let local = listener.local_addr()?.port();
                        crate::outln!("Handling connection for {local}");
                        connections.push(self.connection(stream, pair));
                    }
                    accepting.push(accept((listener, pair)));
                }
                Some((pair, outcome)) = connections.next() => if let Err(error) = outcome {
                    eprintln!("error forwarding port {}: {error:#}", pair.remote);
                },
            }
        }
    }

    async fn connection(&self, stream: TcpStream, pair: Pair) -> (Pair, anyhow::Result<()>) {
        (pair, self.copy(stream, pair).await)
    }

    async fn copy(&self, mut stream: TcpStream, pair: Pair) -> anyhow::Result<()> {
        let path = format!("{}?ports={}", self.path, pair.remote);
        let (socket, _) = connect(&self.session.client, &path, &PROTOCOLS).await?;
        let (mut sink, mut source) = socket.split();
        let (mut reader, mut writer) = stream.split();
        let mut buffer = vec![0; 32 * 1024];
        let mut opened = [false; 2];
        let mut reading = true;
        loop {
            tokio::select! {
                read = reader.read(&mut buffer), if reading => match read? {
                    // There is no half-closing in this protocol: what is on its way still comes.
                    0 => reading = false,
                    length => sink.send(Message::binary([&[DATA], &buffer[..length]].concat())).await?,
                },
                message = source.next() => match message {
                    Some(Ok(Message::Binary(bytes))) => match frame(&bytes, &mut opened) {
                        Frame::Data(data) => writer.write_all(data).await?,
                        Frame::Error(text) => bail!("an error occurred forwarding {} -> {}: {text}", pair.local, pair.remote),
                        Frame::Nothing => {}
                    },
                    Some(Ok(Message::Close(_))) | None => return Ok(()),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error).context("lost connection to pod"),
                },
            }
        }
    }
}

async fn accept((listener, pair): (TcpListener, Pair)) -> (TcpListener, Pair, std::io::Result<TcpStream>) {
    let stream = listener.accept().await.map(|(stream, _)| stream);
    (listener, pair, stream)
}

#[derive(Debug, PartialEq, Eq)]
enum Frame<'a> {
    Data(&'a [u8]),
    Error(String),
    Nothing,
}

/// Reads a message; the first of each channel only repeats the port.
fn frame<'a>(bytes: &'a [u8], opened: &mut [bool; 2]) -> Frame<'a> {
    let Some((channel, data)) = bytes.split_first() else { return Frame::Nothing };
    let Some(open) = opened.get_mut(usize::from(*channel)) else { return Frame::Nothing };
    if !std::mem::replace(open, true) {
        return Frame::Nothing;
    }
    match *channel {
        DATA => Frame::Data(data),
        ERROR if !data.is_empty() => Frame::Error(String::from_utf8_lossy(data).into_owned()),
        _ => Frame::Nothing,
    }
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

    #[test]
    fn channels_open_with_the_port() {
        let mut opened = [false; 2];
        assert_eq!(frame(&[0, 80, 0], &mut opened), Frame::Nothing);
        assert_eq!(frame(&[1, 80, 0], &mut opened), Frame::Nothing);
        assert_eq!(frame(b"\x00hi", &mut opened), Frame::Data(b"hi"));
        assert_eq!(frame(b"\x01no", &mut opened), Frame::Error("no".into()));
        assert_eq!(frame(&[9], &mut opened), Frame::Nothing);
    }
}

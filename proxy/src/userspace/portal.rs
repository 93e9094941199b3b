//! The sockets behind a port: what arrives is handed on to endpoints.
//!
//! Upstream: `pkg/proxy/userspace/proxysocket.go` of v1.25.

use super::balance::Balancer;
use crate::model::Protocol;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// How long endpoints are tried, one after another.
const DIALS: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// How long UDP that nobody uses keeps its socket. Upstream: `--udp-timeout`.
const UDP_IDLE: Duration = Duration::from_millis(250);
/// Connections or UDP clients of one port at the same time.
const MOST: usize = 8192;
/// How long nothing is accepted after the kernel refused to, as when there are no more descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// The largest datagram.
const DATAGRAM: usize = 65_536;

type Shared = Arc<Mutex<Balancer>>;

/// An open port. It closes, with its connections, when this is dropped.
#[derive(Debug)]
pub(super) struct Portal {
    /// Where it listens.
    pub(super) port: u16,
    balancer: Shared,
    _tasks: JoinSet<()>,
}

impl Portal {
    /// Listens at the address, on a port that the kernel chooses. `None` if it cannot for this protocol.
    pub(super) async fn open(protocol: Protocol, address: IpAddr) -> io::Result<Option<Self>> {
        let balancer = Shared::default();
        let mut tasks = JoinSet::new();
        let port = match protocol {
            Protocol::Tcp => {
                let listener = TcpListener::bind((address, 0)).await?;
                let port = listener.local_addr()?.port();
                tasks.spawn(serve_tcp(listener, balancer.clone()));
                port
            }
            Protocol::Udp => {
                let socket = UdpSocket::bind((address, 0)).await?;
                let port = socket.local_addr()?.port();
                tasks.spawn(serve_udp(Arc::new(socket), balancer.clone()));
                port
            }
            Protocol::Sctp => return Ok(None),
        };
        Ok(Some(Self { port, balancer, _tasks: tasks }))
    }

    /// Where new connections go from now on.
    pub(super) fn update(&self, endpoints: &[SocketAddr], sticky: Option<Duration>) {
        self.balancer.lock().update(endpoints, sticky);
    }
}

async fn serve_tcp(listener: TcpListener, balancer: Shared) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MOST => match accepted {
                Ok((stream, client)) => drop(connections.spawn(hand_on(stream, client.ip(), balancer.clone()))),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection for a Service");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn hand_on(mut client: TcpStream, from: IpAddr, balancer: Shared) {
    let Some(mut endpoint) = dial(from, &balancer).await else { return };
    let _ = (client.set_nodelay(true), endpoint.set_nodelay(true));
    // Either side may end it in any way: both see that.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut endpoint).await;
}

async fn dial(from: IpAddr, balancer: &Shared) -> Option<TcpStream> {
    for (tries, patience) in DIALS.into_iter().enumerate() {
        let endpoint = balancer.lock().pick(from, tries > 0, Instant::now())?;
        match tokio::time::timeout(patience, TcpStream::connect(endpoint)).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => tracing::debug!(%endpoint, %error, "cannot reach an endpoint"),
            Err(_) => tracing::debug!(%endpoint, "an endpoint does not answer"),
        }
    }
    None
}

/// What a client of UDP has.
struct Session {
    endpoint: SocketAddr,
    socket: Arc<UdpSocket>,
    used: Arc<Mutex<Instant>>,
}

async fn serve_udp(socket: Arc<UdpSocket>, balancer: Shared) {
    let mut sessions: HashMap<SocketAddr, Session> = HashMap::new();
    let mut answers = JoinSet::new();
    let mut datagram = vec![0; DATAGRAM];
    loop {
        let (length, client) = tokio::select! {
            received = socket.recv_from(&mut datagram) => match received {
                Ok(received) => received,
                Err(error) => {
                    tracing::debug!(%error, "cannot receive for a Service");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
            Some(ended) = answers.join_next() => {
                if let Ok((client, endpoint)) = ended
                    && sessions.get(&client).is_some_and(|session| session.endpoint == endpoint)
                {
                    sessions.remove(&client);
                }
                continue;
            }
        };
        if sessions.get(&client).is_none_or(|session| !balancer.lock().has(&session.endpoint)) {
            sessions.remove(&client);
            if sessions.len() >= MOST {
                continue;
            }
            let Some(session) = begin(client, &balancer).await else { continue };
            let (from, to, used) = (session.socket.clone(), socket.clone(), session.used.clone());
            let endpoint = session.endpoint;
            answers.spawn(async move {
                answer(&from, &to, client, &used).await;
                (client, endpoint)
            });
            sessions.insert(client, session);
        }
        if let Some(session) = sessions.get(&client) {
            *session.used.lock() = Instant::now();
            // Lost, as datagrams may be.
            let _ = session.socket.send(&datagram[..length]).await;
        }
    }
}

async fn begin(client: SocketAddr, balancer: &Shared) -> Option<Session> {
    let endpoint = balancer.lock().pick(client.ip(), false, Instant::now())?;
    let any: IpAddr = match endpoint {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(endpoint).await.ok()?;
    Some(Session { endpoint, socket: Arc::new(socket), used: Arc::new(Mutex::new(Instant::now())) })
}

/// Hands answers back until neither side has said anything for a while.
async fn answer(from: &UdpSocket, to: &UdpSocket, client: SocketAddr, used: &Mutex<Instant>) {
    let mut datagram = vec![0; DATAGRAM];
    loop {
        let idle_at = *used.lock() + UDP_IDLE;
        match tokio::time::timeout_at(idle_at.into(), from.recv(&mut datagram)).await {
            Ok(Ok(length)) => {
                *used.lock() = Instant::now();
                if to.send_to(&datagram[..length], client).await.is_err() {
                    return;
                }
            }
            Ok(Err(_)) => return,
            Err(_) if *used.lock() + UDP_IDLE > Instant::now() => {}
            Err(_) => return,
        }
    }
}

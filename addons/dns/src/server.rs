//! The sockets: UDP and TCP on one address.

use crate::forward::Forwarder;
use crate::index::Index;
use crate::message::{self, Reply, Transport};
use crate::zone::Zone;
use component::Supervisor;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

/// Questions under way at a time; more wait in the socket's buffer.
const CONCURRENT: usize = 1024;
/// How long a TCP client may be silent.
const IDLE: Duration = Duration::from_secs(10);

/// A DNS server over the cluster's index.
#[derive(Clone, Debug)]
pub struct Server {
    zone: Arc<Zone>,
    index: Index,
    forwarder: Arc<Forwarder>,
    supervisor: Supervisor,
    permits: Arc<Semaphore>,
}

impl Server {
    /// A server for `zone` that asks `forwarder` about everything else.
    pub fn new(zone: Zone, index: Index, forwarder: Forwarder, supervisor: Supervisor) -> Self {
        let permits = Arc::new(Semaphore::new(CONCURRENT));
        Self { zone: zone.into(), index, forwarder: forwarder.into(), supervisor, permits }
    }

    /// Serves until the supervisor stops. Returns once both sockets are bound.
    pub async fn listen(&self, address: SocketAddr) -> std::io::Result<()> {
        let udp = Arc::new(UdpSocket::bind(address).await?);
        let tcp = TcpListener::bind(address).await?;
        self.supervisor.spawn_until_stop("dns over udp", self.clone().serve_udp(udp));
        self.supervisor.spawn_until_stop("dns over tcp", self.clone().serve_tcp(tcp));
        Ok(())
    }

    async fn serve_udp(self, socket: Arc<UdpSocket>) {
        let mut buffer = vec![0; 4096];
        loop {
            // An error here is a client's that is gone: ICMP says so on the next receive.
            let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
            let query = &buffer[..length];
            match message::reply(&self.zone, &self.index, query, Transport::Udp) {
                Reply::Send(answer) => drop(socket.try_send_to(&answer, from)),
                Reply::Drop => {}
                later => {
                    let Ok(permit) = self.permits.clone().acquire_owned().await else { return };
                    let (server, query, socket) = (self.clone(), query.to_vec(), socket.clone());
                    self.supervisor.spawn_until_stop("dns question", async move {
                        if let Some(answer) = server.finish(later, &query).await {
                            let _ = socket.send_to(&answer, from).await;
                        }
                        drop(permit);
                    });
                }
            }
        }
    }

    async fn serve_tcp(self, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let Ok(permit) = self.permits.clone().acquire_owned().await else { return };
            let server = self.clone();
            self.supervisor.spawn_until_stop("dns connection", async move {
                // A client that breaks off is no concern of ours.
                let _ = server.converse(stream).await;
                drop(permit);
            });
        }
    }

    async fn converse(&self, mut stream: TcpStream) -> std::io::Result<()> {
        loop {
            let length = tokio::time::timeout(IDLE, stream.read_u16()).await??;
            let mut query = vec![0; usize::from(length)];
            tokio::time::timeout(IDLE, stream.read_exact(&mut query)).await??;
            let reply = message::reply(&self.zone, &self.index, &query, Transport::Tcp);
            let Some(answer) = self.finish(reply, &query).await else { return Ok(()) };
            let length = u16::try_from(answer.len()).map_err(|_| std::io::ErrorKind::InvalidData)?;
            tokio::time::timeout(IDLE, stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat()))
                .await??;
        }
    }

    /// The bytes to send, after asking upstream if need be.
    async fn finish(&self, reply: Reply, query: &[u8]) -> Option<Vec<u8>> {
        match reply {
            Reply::Send(answer) => Some(answer),
            Reply::Drop => None,
            Reply::Forward => match self.forwarder.ask(query).await {
                Ok(answer) => Some(answer),
                Err(_) => failure(query),
            },
            Reply::Chase(response, target) => Some(self.chase(*response, target).await),
        }
    }

    /// Adds the addresses of an alias' target, if its servers tell them.
    async fn chase(&self, mut response: Message, target: Name) -> Vec<u8> {
        let kind = response.queries.first().map_or(RecordType::A, |q| q.query_type);
        let mut query = Message::query();
        query.metadata.recursion_desired = true;
        query.add_query(Query::query(target, kind));
        if let Ok(bytes) = query.to_vec()
            && let Some(answer) = self.resolve(&bytes).await
        {
            response.add_answers(answer.answers);
        }
        message::encode(&response, usize::from(u16::MAX)).unwrap_or_default()
    }

    /// An alias may point back into the cluster.
    async fn resolve(&self, query: &[u8]) -> Option<Message> {
        let bytes = match message::reply(&self.zone, &self.index, query, Transport::Tcp) {
            Reply::Send(bytes) => bytes,
            Reply::Forward => self.forwarder.ask(query).await.ok()?,
            Reply::Chase(..) | Reply::Drop => return None,
        };
        Message::from_vec(&bytes).ok()
    }
}

/// SERVFAIL to this query.
fn failure(query: &[u8]) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    let mut response = Message::error_msg(query.metadata.id, query.metadata.op_code, ResponseCode::ServFail);
    response.metadata.recursion_desired = query.metadata.recursion_desired;
    response.add_queries(query.queries);
    response.to_vec().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_repeat_the_question() {
        let mut query = Message::query();
        query.add_query(Query::query(Name::root(), RecordType::A));
        let bytes = failure(&query.to_vec().expect("encodes")).expect("an answer");
        let answer = Message::from_vec(&bytes).expect("decodes");
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
        assert_eq!((answer.metadata.id, answer.queries.len()), (query.metadata.id, 1));
        assert!(failure(b"x").is_none());
    }
}

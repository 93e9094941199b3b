//! Questions about other domains, put to the upstream servers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// How long one server may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Shortest message: a header.
const HEADER: usize = 12;

/// The upstream servers, asked in order.
#[derive(Clone, Debug, Default)]
pub struct Forwarder {
    servers: Vec<SocketAddr>,
}

/// Why nobody answered.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// There is nobody to ask.
    #[error("no upstream server is configured")]
    Nobody,
    /// The last server's failure.
    #[error("upstream server {server} did not answer")]
    Silent {
        /// The server.
        server: SocketAddr,
    },
}

impl Forwarder {
    /// The name servers of a `resolv.conf`; loopback ones are left out if they would be ourselves.
    pub fn from_resolv_conf(text: &str, ourselves: SocketAddr) -> Self {
        let lines = text.lines().filter_map(|l| l.trim().strip_prefix("nameserver"));
        let servers = lines.filter_map(|l| l.trim().parse::<IpAddr>().ok()).map(|ip| SocketAddr::new(ip, 53));
        let is_us = |s: &SocketAddr| {
            s.port() == ourselves.port()
                && (s.ip() == ourselves.ip() || s.ip().is_loopback() && ourselves.ip().is_unspecified())
        };
        Self { servers: servers.filter(|s| !is_us(s)).collect() }
    }

    /// Asks the servers in turn; the answer's ID is that of the query.
    pub async fn ask(&self, query: &[u8]) -> Result<Vec<u8>, ForwardError> {
        let mut last = ForwardError::Nobody;
        for server in &self.servers {
            match tokio::time::timeout(PATIENCE, exchange(*server, query)).await {
                Ok(Ok(answer)) => return Ok(answer),
                _ => last = ForwardError::Silent { server: *server },
            }
        }
        Err(last)
    }
}

async fn exchange(server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let ours: [u8; 2] = rand::random();
    let Some((theirs, rest)) = query.split_first_chunk::<2>() else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let question = [ours.as_slice(), rest].concat();
    let mut answer = over_udp(server, &question).await?;
    // A cut answer is worth a second question.
    if answer[2] & 0x02 != 0 {
        answer = over_tcp(server, &question).await?;
    }
    answer[..2].copy_from_slice(theirs);
    Ok(answer)
}

/// A fresh socket per question: its port is as random as the ID, which makes forging hard.
async fn over_udp(server: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() { [0, 0, 0, 0].into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if length >= HEADER && buffer[..2] == question[..2] {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    match answer.len() >= HEADER && answer[..2] == question[..2] {
        true => Ok(answer),
        false => Err(std::io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_servers_but_never_itself() {
        let text = "# comment\nsearch x\nnameserver 127.0.0.1\nnameserver 192.0.2.1\n nameserver 2001:db8::1\nnameserver nonsense\n";
        let servers = |us: &str| Forwarder::from_resolv_conf(text, us.parse().expect("an address")).servers.len();
        assert_eq!(servers("0.0.0.0:53"), 2);
        assert_eq!(servers("192.0.2.1:53"), 2);
        assert_eq!(servers("0.0.0.0:5353"), 3);
    }

    #[tokio::test]
    async fn gives_the_answer_under_the_clients_id() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = server.local_addr().expect("an address");
        let answering = async {
            let mut buffer = [0; 512];
            let (length, from) = server.recv_from(&mut buffer).await.expect("a question");
            server.send_to(&buffer[..length], from).await.expect("sent");
        };
        let forwarder = Forwarder { servers: vec![address] };
        let query = [0xab, 0xcd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let (answer, ()) = tokio::join!(forwarder.ask(&query), answering);
        assert_eq!(answer.expect("an answer"), query);
    }

    #[tokio::test]
    async fn nobody_to_ask_is_an_error() {
        assert!(matches!(Forwarder::default().ask(&[0; 12]).await, Err(ForwardError::Nobody)));
    }
}

//! Accepted connections that notice when their client is gone.
//!
//! A machine that loses its network says no farewell, and its watches would be kept for ever.
//!
//! Upstream: Go's `net.ListenConfig` probes quiet connections after 15 s.

use rustix::net::sockopt;
use std::time::Duration;
use tokio::net::TcpStream;

/// Quiet time after which the client is probed, and the pause between two probes.
const QUIET: Duration = Duration::from_secs(15);
/// Milliseconds that data or probes may stay without an acknowledgement.
const UNACKNOWLEDGED: u32 = 60_000;

/// Sends what is written at once, and ends the connection when its client is gone. What the kernel
/// does not know is left out.
pub fn watch(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, QUIET);
    let _ = sockopt::set_tcp_keepintvl(stream, QUIET);
    let _ = sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_accepted_connection_is_watched() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let stream = accepted.unwrap().0;
        watch(&stream);
        assert!(stream.nodelay().unwrap() && sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), QUIET);
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), UNACKNOWLEDGED);
    }
}

//! What a port for TLS says to clients that speak plain HTTP to it.
//!
//! Upstream: Go's `net/http` server.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How requests begin, as far as Go looks.
const STARTS: [&[u8]; 5] = [b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO"];
const ANSWER: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
/// Bytes of a request that are read before the answer: what lies unread when a connection is closed takes the answer
/// with it.
const READ: usize = 4096;

/// Waits for the first bytes; whether they were a plain request, which has then got its answer.
pub async fn refuse(stream: &mut TcpStream) -> bool {
    let mut start = [0; 5];
    let Ok(length) = stream.peek(&mut start).await else { return false };
    if !STARTS.contains(&&start[..length]) {
        return false;
    }
    // A client that has gone needs no answer.
    let _ = stream.read(&mut [0; READ]).await;
    let _ = stream.write_all(ANSWER).await;
    let _ = stream.shutdown().await;
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn told(request: &'static [u8]) -> (bool, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let client = async {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            stream.write_all(request).await.expect("sent");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("an end");
            answer
        };
        let server = async {
            let mut stream = listener.accept().await.expect("a client").0;
            let refused = refuse(&mut stream).await;
            // What is left is somebody else's to read.
            let left = if refused { 0 } else { request.len() };
            stream.read_exact(&mut vec![0; left]).await.expect("what is left");
            refused
        };
        tokio::join!(server, client)
    }

    #[tokio::test]
    async fn plain_requests_are_told_and_all_else_is_left_alone() {
        let (refused, answer) = told(b"GET /version HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(refused);
        assert_eq!(String::from_utf8_lossy(&answer), String::from_utf8_lossy(ANSWER));
        for other in [&b"\x16\x03\x01\x00\x05"[..], b"SSH-2.0-x\r\n", b"GE"] {
            assert_eq!(told(other).await, (false, Vec::new()));
        }
    }
}

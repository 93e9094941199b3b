//! A server on a port of its own that answers JSON over TLS.
#![expect(clippy::disallowed_methods, reason = "tests own their tasks")]

use serde_json::Value;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Starts a server; `answer` gets its URL, the request's head and its body. The URL, and the PEM
/// of who certifies it.
pub(crate) async fn https(answer: impl Fn(&str, &str, Value) -> Value + Send + 'static) -> (String, String) {
    let serving = pki::serving::self_signed("localhost", &["localhost"]).expect("a certificate");
    let certificates = pki::pem::parse_certificates(serving.certificate_pem.as_bytes(), "test").expect("certificates");
    let key = pki::pem::parse_private_key(serving.key_pem.as_bytes(), "test").expect("a key");
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .expect("an identity");
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://localhost:{}", listener.local_addr().expect("an address").port());
    let own = url.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let (head, body) = request(&mut stream).await;
            let text = answer(&own, &head, body).to_string();
            let length = text.len();
            let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}");
            stream.write_all(text.as_bytes()).await.expect("sent");
            let _ = stream.shutdown().await;
        }
    });
    (url, serving.certificate_pem)
}

async fn request(stream: &mut TlsStream<TcpStream>) -> (String, Value) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a request"));
    }
    let head = String::from_utf8(head).expect("text");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("a body");
    (head, serde_json::from_slice(&body).unwrap_or_default())
}

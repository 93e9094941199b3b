//! Connections that notice when their peer is gone.
//!
//! A machine that lost its network gets no answer and no reset. Left to TCP, a request in flight
//! hangs for up to a quarter of an hour, and a watch for ever. So the kernel probes quiet
//! connections and gives up on data that nobody acknowledges, and a server that is reached but
//! does not answer gets a deadline.
//!
//! Upstream: `apimachinery/pkg/util/net` (HTTP/2 health checks after 30 s, given up 15 s later).

use crate::deadline::Deadlines;
use crate::lanes::{Lanes, Protocol};
use crate::metrics::CountRequests;
use crate::rate::{Limit, Rate};
use hyper_util::client::legacy::connect::HttpConnector;
use kube::client::{ClientBuilder, ConfigExt as _};
use std::time::Duration;
use tower::Layer as _;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// Quiet time after which the peer is probed.
const QUIET: Duration = Duration::from_secs(15);
/// Pause between two probes.
const PROBE: Duration = Duration::from_secs(5);
/// How long data or probes may stay without an acknowledgement.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// A client of the configured server, and its connections.
pub(crate) fn client(config: &kube::Config, rate: Option<Rate>) -> kube::Result<(kube::Client, Lanes)> {
    // Another one may be installed already; that is as good.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let lanes = Lanes::new(config, tcp(), Protocol::of(config))?;
    let service = config.extra_headers_layer()?.layer(lanes.clone());
    let service = tower::util::option_layer(config.auth_layer()?).layer(service);
    let service = config.base_uri_layer().layer(service);
    let builder = ClientBuilder::new(service, config.default_namespace.clone());
    // Who waits for their turn has not sent anything yet: the deadline begins after that.
    let client = builder.with_layer(&Deadlines).with_layer(&CountRequests).with_layer(&Limit::to(rate)).build();
    Ok((client, lanes))
}

pub(crate) fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    // TLS is put on top.
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT));
    tcp.set_keepalive(Some(QUIET));
    tcp.set_keepalive_interval(Some(PROBE));
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    tcp
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tower::Service as _;

    /// The states of this process' connections to `server`, as the kernel lists them: the timer in
    /// use (2 is the keep-alive) of each.
    fn timers(server: SocketAddr) -> Vec<String> {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let remote = format!("0100007F:{:04X}", server.port());
        let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.filter(|row| row.get(2) == Some(&remote.as_str())).map(|row| row[5][..2].to_owned()).collect()
    }

    #[tokio::test]
    async fn quiet_connections_are_probed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        let mut tcp = tcp();
        let connecting = tcp.call(format!("http://{server}").parse().unwrap());
        let (connected, accepted) = tokio::join!(connecting, listener.accept());
        let (_ours, mut theirs) = (connected.unwrap(), accepted.unwrap().0);
        // What was sent is acknowledged by now: only the probe's timer is left.
        theirs.write_all(b"x").await.unwrap();
        assert_eq!(timers(server), ["02"]);
    }

    #[tokio::test]
    async fn a_server_is_spoken_to_with_the_given_headers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = kube::Config::new(format!("http://{}/base", listener.local_addr().unwrap()).parse().unwrap());
        config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static("test/1")));
        config.auth_info.token = Some("secret".to_owned().into());
        let (client, _) = client(&config, None).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            String::from_utf8(head).unwrap().to_lowercase()
        };
        let request = http::Request::get("/version").body(Vec::new()).unwrap();
        let (head, answer) = tokio::join!(serve, client.request_text(request));
        assert_eq!(answer.unwrap(), "ok");
        for part in ["get /base/version http/1.1", "user-agent: test/1", "authorization: bearer secret"] {
            assert!(head.contains(part), "{head}");
        }
    }
}

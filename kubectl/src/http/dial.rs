//! Connections to hosts, with and without TLS.

use super::heard::{Greeting, Listening};
use super::tls::{self, Tls};
use super::{Opened, Why, address, io_words, unanswered};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How long a connection may take to come about.
const DIAL_TIME: Duration = Duration::from_secs(30);

/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Connects to the first address of a host that answers; of the others the first failure is told. No host is this
/// machine.
pub(super) async fn reach(host: &str, port: u16) -> Result<TcpStream, Why> {
    let time_out = || std::io::Error::from(std::io::ErrorKind::TimedOut);
    let end = Instant::now() + DIAL_TIME;
    let unknown = || Why::Broken(unanswered::no_such_host(host));
    let is_address = host.split('%').next().unwrap_or_default().parse::<std::net::IpAddr>().is_ok();
    if host.contains([']', '[']) {
        let place = format!("{host}:{port}");
        let odd = if host.contains(']') { ']' } else { '[' };
        return Err(Why::Broken(format!("dial tcp: address {place}: unexpected '{odd}' in address")));
    }
    if !host.is_empty() && !is_address && !address::is_name(host) {
        return Err(unknown());
    }
    let name = if host.is_empty() { "localhost" } else { host };
    let addresses = tokio::net::lookup_host((name, port)).await.map_err(|_| unknown())?;
    let mut failure = None;
    for address in addresses {
        let stream = tokio::time::timeout_at(end, TcpStream::connect(address)).await;
        let place = if host.is_empty() { format!(":{port}") } else { address.to_string() };
        match stream.unwrap_or_else(|_| Err(time_out())) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = failure.or(Some(unanswered::dial(&place, &error))),
        }
    }
    Err(failure.unwrap_or_else(unknown))
}

/// Begins TLS with who has a name.
pub(super) async fn encrypt(tls: &Tls, name: &str, opened: Opened) -> Result<Opened, Why> {
    let (connector, name) = tls.to(name.trim_matches(['[', ']']));
    let greeting = Greeting::default();
    let stream = Listening { stream: opened.stream, listener: greeting.clone() };
    let outcome = tokio::time::timeout(HANDSHAKE_TIME, connector.connect(name, stream)).await;
    if let Some(why) = tls.without_certificate() {
        return Err(why);
    }
    match outcome {
        Err(_) => Err(Why::Broken("net/http: TLS handshake timeout".into())),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => {
            Err(Why::Gone(format!("read tcp {}: read: {}", opened.route, io_words(&error))))
        }
        Ok(Err(error)) => match greeting.why() {
            Some(why) => Err(Why::Broken(why)),
            None if error.kind() == std::io::ErrorKind::UnexpectedEof && greeting.broke_off() => {
                Err(Why::Gone(unanswered::UNEXPECTED_END.into()))
            }
            None if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(Why::Gone(tls::words(&error))),
            None => Err(Why::Broken(tls::words(&error))),
        },
        Ok(Ok(stream)) => Ok(Opened { stream: Box::new(stream), route: opened.route }),
    }
}

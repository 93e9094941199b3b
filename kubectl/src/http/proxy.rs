//! Ways through proxies: HTTP `CONNECT`, with and without TLS, and SOCKS5.

mod environment;

pub(super) use environment::InCgi;

use super::tls::Tls;
use super::{Opened, Stream, Why};
use anyhow::{Context, bail};
use environment::Environment;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

/// Longest answer of a proxy before the tunnel is open.
const MAX_HEAD: usize = 16 << 10;

/// The proxy for a server: that of the kubeconfig, or else that of the environment.
pub(super) fn chosen(of_kubeconfig: Option<&str>, server: &Url) -> anyhow::Result<Result<Option<Url>, InCgi>> {
    match of_kubeconfig {
        Some(text) => {
            let proxy = Url::parse(text).with_context(|| format!("invalid proxy-url {text:?}"))?;
            if !matches!(proxy.scheme(), "http" | "https" | "socks5") {
                bail!(
                    "invalid 'proxy-url' {text:?}: unsupported scheme {:?}, must be http, https, or socks5",
                    proxy.scheme()
                );
            }
            if !proxy.has_host() {
                bail!("proxy-url {text:?} has no host");
            }
            Ok(Ok(Some(proxy)))
        }
        None => Ok(Environment::read(|name| std::env::var(name).ok()).proxy(server).map(|proxy| proxy.cloned())),
    }
}

/// Whether a proxy takes requests for servers without TLS as they are.
pub(super) fn forwards(proxy: &Url) -> bool {
    matches!(proxy.scheme(), "http" | "https")
}

/// Opens a connection to a host through a proxy.
pub(super) async fn connect(proxy: &Url, tls: &Tls, host: &str, port: u16) -> Result<Opened, Why> {
    let place = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    match proxy.scheme() {
        "socks5" | "socks5h" => {
            let failed = |why| Why::Broken(format!("socks connect tcp {}->{place}: {why}", authority(proxy)));
            let mut opened = reach(proxy).await.map_err(|why| failed(why.to_string()))?;
            socks(&mut opened.stream, host, port).await.map_err(|error| failed(format!("{error:#}")))?;
            Ok(opened)
        }
        _ => {
            let mut opened = enter(proxy, tls).await?;
            let answer = http(&mut opened.stream, proxy, &place).await;
            answer.map_err(|error| Why::Broken(format!("{error:#}")))?;
            Ok(opened)
        }
    }
}

/// Opens a connection to a proxy of HTTP itself.
pub(super) async fn enter(proxy: &Url, tls: &Tls) -> Result<Opened, Why> {
    let failed = |why| Why::Broken(format!("proxyconnect tcp: {why}"));
    match proxy.scheme() {
        "http" => reach(proxy).await.map_err(failed),
        "https" => {
            let opened = reach(proxy).await.map_err(failed)?;
            super::dial::encrypt(tls, proxy.host_str().unwrap_or_default(), opened).await.map_err(failed)
        }
        other => Err(Why::Broken(format!("proxyconnect tcp: unsupported scheme {other:?}"))),
    }
}

async fn reach(proxy: &Url) -> Result<Opened, Why> {
    let host = proxy.host_str().unwrap_or_default().trim_matches(['[', ']']);
    Opened::of(super::dial::reach(host, port(proxy)).await?)
}

/// The port of a proxy.
fn port(proxy: &Url) -> u16 {
    let default = if proxy.scheme().starts_with("socks5") { 1080 } else { 80 };
    proxy.port_or_known_default().unwrap_or(default)
}

fn authority(proxy: &Url) -> String {
    format!("{}:{}", proxy.host_str().unwrap_or_default(), port(proxy))
}

/// Who asks a proxy of HTTP, if its URL says that.
pub(super) fn authorization(proxy: &Url) -> Option<String> {
    use base64::Engine;
    if proxy.username().is_empty() && proxy.password().is_none() {
        return None;
    }
    let plain = |text| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let pair = [plain(proxy.username()), plain(proxy.password().unwrap_or_default())].join(&b':');
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

async fn http(stream: &mut Box<dyn Stream>, url: &Url, place: &str) -> anyhow::Result<()> {
    let authorization = authorization(url);
    let authorization = authorization.map_or_else(String::new, |value| format!("Proxy-Authorization: {value}\r\n"));
    stream.write_all(format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{authorization}\r\n").as_bytes()).await?;
    // Byte by byte, as what follows belongs to the tunnel.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > MAX_HEAD {
            bail!("the proxy's answer has no end");
        }
        head.push(stream.read_u8().await.context("the proxy closed the connection")?);
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    match line.split(' ').nth(1) {
        Some("200") => Ok(()),
        // Without its number, as Go does.
        _ => bail!("{}", line.splitn(3, ' ').nth(2).unwrap_or("unknown status code")),
    }
}

async fn socks(stream: &mut Box<dyn Stream>, host: &str, port: u16) -> anyhow::Result<()> {
    stream.write_all(&[5, 1, 0]).await?;
    let mut choice = [0; 2];
    stream.read_exact(&mut choice).await?;
    if choice != [5, 0] {
        bail!("the SOCKS proxy wants a login");
    }
    let length = u8::try_from(host.len()).context("the host's name is too long for SOCKS")?;
    let mut request = vec![5, 1, 0, 3, length];
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    if answer[1] != 0 {
        bail!("socks connect: code {}", answer[1]);
    }
    let address = match answer[3] {
        1 => 4,
        4 => 16,
        _ => usize::from(stream.read_u8().await?),
    };
    let mut rest = vec![0; address + 2];
    stream.read_exact(&mut rest).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Connection;
    use tokio::net::TcpListener;

    /// A proxy that answers as told and keeps what it was asked.
    async fn proxied(scheme: &str, answers: &[&[u8]]) -> (Result<Opened, Why>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("{scheme}://{}", listener.local_addr().expect("an address"));
        let url = Url::parse(&url).expect("a URL");
        let tls = Tls::of(&Connection::default()).expect("a configuration");
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("accepts");
            let mut asked = Vec::new();
            for answer in answers {
                let mut buffer = [0; 1024];
                let count = stream.read(&mut buffer).await.expect("reads");
                asked.extend_from_slice(&buffer[..count]);
                stream.write_all(answer).await.expect("writes");
            }
            asked
        };
        tokio::join!(connect(&url, &tls, "host", 443), serve)
    }

    #[tokio::test]
    async fn asks_for_a_tunnel() {
        let (stream, asked) = proxied("http", &[b"HTTP/1.1 200 OK\r\n\r\n"]).await;
        assert!(stream.is_ok() && asked.starts_with(b"CONNECT host:443 HTTP/1.1\r\n"));
        let (stream, _) = proxied("http", &[b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"]).await;
        let error = stream.err().expect("refused").to_string();
        assert_eq!(error, "Proxy Authentication Required");
    }

    #[tokio::test]
    async fn speaks_socks() {
        let (stream, asked) = proxied("socks5", &[&[5, 0], &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]]).await;
        assert!(stream.is_ok());
        assert_eq!(asked, b"\x05\x01\x00\x05\x01\x00\x03\x04host\x01\xbb");
    }
}

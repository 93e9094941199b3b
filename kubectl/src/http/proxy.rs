//! `proxy-url`: HTTP `CONNECT` and SOCKS5.

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

/// Longest answer of a proxy before the tunnel is open.
const MAX_HEAD: usize = 16 << 10;

/// Opens a connection to a host through a proxy.
pub(super) async fn connect(proxy: &str, host: &str, port: u16) -> anyhow::Result<TcpStream> {
    let url = Url::parse(proxy).with_context(|| format!("invalid proxy-url {proxy:?}"))?;
    let proxy_host = url.host_str().with_context(|| format!("proxy-url {proxy:?} has no host"))?;
    let default = if url.scheme() == "socks5" { 1080 } else { 80 };
    let address = (proxy_host.trim_matches(['[', ']']), url.port().unwrap_or(default));
    let stream = TcpStream::connect(address).await;
    let mut stream = stream
        .map_err(|e| anyhow::anyhow!("proxyconnect tcp: dial tcp: connect: {}", super::unanswered::io_words(&e)))?;
    match url.scheme() {
        "http" => http(&mut stream, &url, host, port).await?,
        "socks5" => socks(&mut stream, host, port).await?,
        other => bail!("unsupported scheme {other:?}, must be http or socks5"),
    }
    Ok(stream)
}

async fn http(stream: &mut TcpStream, url: &Url, host: &str, port: u16) -> anyhow::Result<()> {
    use base64::Engine;
    let place = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let authorization = match url.username() {
        "" => String::new(),
        user => {
            let pair = format!("{user}:{}", url.password().unwrap_or_default());
            format!("Proxy-Authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(pair))
        }
    };
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
        _ => bail!("{}", line.split_once(' ').map_or(line.as_str(), |(_, rest)| rest)),
    }
}

async fn socks(stream: &mut TcpStream, host: &str, port: u16) -> anyhow::Result<()> {
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
    use tokio::net::TcpListener;

    /// A proxy that answers as told and keeps what it was asked.
    async fn proxied(scheme: &str, answers: &[&[u8]]) -> (anyhow::Result<TcpStream>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("{scheme}://{}", listener.local_addr().expect("an address"));
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
        tokio::join!(connect(&url, "host", 443), serve)
    }

    #[tokio::test]
    async fn asks_for_a_tunnel() {
        let (stream, asked) = proxied("http", &[b"HTTP/1.1 200 OK\r\n\r\n"]).await;
        assert!(stream.is_ok() && asked.starts_with(b"CONNECT host:443 HTTP/1.1\r\n"));
        let (stream, _) = proxied("http", &[b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"]).await;
        let error = stream.expect_err("refused").to_string();
        assert_eq!(error, "407 Proxy Authentication Required");
    }

    #[tokio::test]
    async fn speaks_socks() {
        let (stream, asked) = proxied("socks5", &[&[5, 0], &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]]).await;
        assert!(stream.is_ok());
        assert_eq!(asked, b"\x05\x01\x00\x05\x01\x00\x03\x04host\x01\xbb");
    }
}

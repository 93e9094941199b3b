//! A server with TLS that answers as it is told to.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// A request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Method and target.
    pub(crate) line: String,
    /// What is behind `authorization:`.
    pub(crate) authorization: String,
    /// What is behind `host:`.
    pub(crate) host: String,
    pub(crate) body: String,
}

/// Where it listens, and the certificates to trust, in PEM.
pub(crate) struct Secure {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: String,
}

/// Serves under a name on a thread of its own, which ends with the test's process.
pub(crate) fn serve(name: &str, answers: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> Secure {
    let serving = pki::serving::self_signed(name, &[name]).expect("a certificate");
    let chain = pki::pem::parse_certificates(serving.certificate_pem.as_bytes(), "test").expect("a chain");
    let key = pki::pem::parse_private_key(serving.key_pem.as_bytes(), "test").expect("a key");
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let config = Arc::new(builder.with_single_cert(chain, key).expect("fits"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Who does not trust the server goes away.
            drop(connection(stream, &config, &answers));
        }
    });
    Secure { address, certificate: serving.certificate_pem }
}

/// One request a connection.
fn connection(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
    answers: &impl Fn(&Asked) -> (u16, String),
) -> std::io::Result<()> {
    let tls = ServerConnection::new(config.clone()).expect("a configuration that fits");
    let mut reader = BufReader::new(StreamOwned::new(tls, stream));
    let asked = read(&mut reader)?;
    let (status, body) = answers(&asked);
    let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-type: application/json\r\n");
    let mut stream = reader.into_inner();
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Asked> {
    let mut asked = Asked::default();
    reader.read_line(&mut asked.line)?;
    asked.line = asked.line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        match header.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap_or(0),
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => asked.authorization = value.to_owned(),
            Some((name, value)) if name.eq_ignore_ascii_case("host") => asked.host = value.to_owned(),
            Some(_) => {}
            None => break,
        }
    }
    reader.take(length).read_to_string(&mut asked.body)?;
    Ok(asked)
}

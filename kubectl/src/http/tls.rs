//! TLS to the server, and Go's words for handshakes that fail.

use crate::config::Connection;
use rustls::CertificateError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{AlertDescription, DigitallySignedStruct, Error, InvalidMessage, SignatureScheme};
use std::io::{self, ErrorKind};
use std::sync::Arc;

/// Where Debian and its like keep the system's certificates.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What a connection wants of TLS.
pub(super) fn config(connection: &Connection) -> anyhow::Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let verifier: Arc<dyn ServerCertVerifier> = match connection.insecure {
        true => Arc::new(AnyServer(provider)),
        false => Arc::new(NameFirst(verifier(connection, provider)?)),
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    Ok(match &connection.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder.with_client_auth_cert(
            pki::pem::parse_certificates(certificate, "client-certificate")?,
            pki::pem::parse_private_key(key, "client-key")?,
        )?,
    })
}

fn verifier(connection: &Connection, provider: Arc<CryptoProvider>) -> anyhow::Result<Arc<WebPkiServerVerifier>> {
    let mut roots = rustls::RootCertStore::empty();
    let system = || std::fs::read(SYSTEM).unwrap_or_default();
    let authority = connection.authority.clone().unwrap_or_else(system);
    for certificate in pki::pem::parse_certificates(&authority, "certificate-authority")? {
        roots.add(certificate)?;
    }
    Ok(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?)
}

/// Verifies as usual, but complains of the name before it complains of the authority, as Go does.
#[derive(Debug)]
struct NameFirst(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for NameFirst {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        rustls::client::verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        self.0.verify_server_cert(certificate, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// `--insecure-skip-tls-verify`: takes any certificate, but still makes the server prove that it has the key.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Go's words for an encrypted stream that breaks.
pub(super) fn words(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(why)) => {
            format!("tls: failed to verify certificate: x509: {}", certificate(why))
        }
        Some(Error::AlertReceived(alert)) => format!("remote error: tls: {}", alerted(*alert)),
        // What answers the first message of a handshake with something else mostly speaks HTTP.
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "http: server gave HTTP response to HTTPS client".into()
        }
        Some(other) => format!("tls: {other}"),
        None if error.kind() == ErrorKind::UnexpectedEof => "EOF".into(),
        None => super::unanswered::io_words(error),
    }
}

fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => "certificate signed by unknown authority".into(),
        CertificateError::NotValidForNameContext { expected, presented } => misnamed(expected, presented),
        CertificateError::NotValidForName => "certificate is not valid for any names".into(),
        CertificateError::ExpiredContext { time, not_after } => {
            format!("{OUT_OF_TIME}: current time {} is after {}", moment(*time), moment(*not_after))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("{OUT_OF_TIME}: current time {} is before {}", moment(*time), moment(*not_before))
        }
        CertificateError::Expired | CertificateError::NotValidYet => OUT_OF_TIME.into(),
        other => other.to_string(),
    }
}

const OUT_OF_TIME: &str = "certificate has expired or is not yet valid";

fn moment(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// `presented` has `DnsName("a")` and `IpAddress(10.0.0.1)`.
fn misnamed(expected: &ServerName<'_>, presented: &[String]) -> String {
    let of = |kind: &str| -> Vec<String> {
        let names = presented.iter().filter_map(|name| name.strip_prefix(kind));
        names.map(|name| name.trim_matches(['(', ')', '"']).to_owned()).collect()
    };
    let (kind, place) = match expected {
        ServerName::IpAddress(_) => ("IpAddress", " IP"),
        _ => ("DnsName", ""),
    };
    let expected = expected.to_str();
    let names = of(kind);
    match (names.is_empty(), place.is_empty()) {
        (false, _) => format!("certificate is valid for {}, not {expected}", names.join(", ")),
        (true, false) => format!("cannot validate certificate for {expected} because it doesn't contain any IP SANs"),
        (true, true) => format!("certificate is not valid for any names, but wanted to match {expected}"),
    }
}

/// As Go's `crypto/tls` names alerts.
fn alerted(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA => "unknown certificate authority".into(),
        AlertDescription::HandshakeFailure => "handshake failure".into(),
        AlertDescription::BadCertificate => "bad certificate".into(),
        AlertDescription::UnsupportedCertificate => "unsupported certificate".into(),
        AlertDescription::CertificateRevoked => "revoked certificate".into(),
        AlertDescription::CertificateExpired => "expired certificate".into(),
        AlertDescription::CertificateUnknown => "unknown certificate".into(),
        AlertDescription::CertificateRequired => "certificate required".into(),
        AlertDescription::ProtocolVersion => "protocol version not supported".into(),
        AlertDescription::InternalError => "internal error".into(),
        AlertDescription::UnrecognisedName => "unrecognized name".into(),
        AlertDescription::AccessDenied => "access denied".into(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_fail_in_the_words_of_go() {
        let told = |error: Error| words(&io::Error::new(ErrorKind::InvalidData, error));
        let misnamed = |expected: &'static str, presented: &[&str]| {
            let expected = ServerName::try_from(expected).expect("a name");
            let presented = presented.iter().map(|name| (*name).to_owned()).collect();
            told(Error::InvalidCertificate(CertificateError::NotValidForNameContext { expected, presented }))
        };
        let x509 = "tls: failed to verify certificate: x509:";
        assert_eq!(
            misnamed("h", &["DnsName(\"a\")", "DnsName(\"b\")", "IpAddress(10.0.0.1)"]),
            format!("{x509} certificate is valid for a, b, not h")
        );
        assert_eq!(
            misnamed("127.0.0.1", &["DnsName(\"a\")"]),
            format!("{x509} cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs")
        );
        assert_eq!(
            told(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
            format!("{x509} certificate signed by unknown authority")
        );
        assert_eq!(told(Error::AlertReceived(AlertDescription::BadCertificate)), "remote error: tls: bad certificate");
        assert_eq!(words(&io::Error::new(ErrorKind::UnexpectedEof, "tls handshake eof")), "EOF");
    }
}

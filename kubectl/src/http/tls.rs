//! TLS to the server, and Go's words for handshakes that fail.

use super::Why;
use super::identity::{Unfit, pair};
use crate::config::Connection;
use crate::writing::log_error;
use pki::pem::blocks;
use rustls::CertificateError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SingleCertAndKey;
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, SignatureScheme};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// Where Debian and its like keep the system's certificates.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Why certificates cannot be trusted as authorities.
#[derive(Debug, thiserror::Error)]
enum NoRoots {
    #[error("unable to load root certificates: unable to parse bytes as PEM block")]
    NoPem,
    #[error("unable to load root certificates: failed to parse certificate: x509: malformed certificate")]
    Malformed,
    #[error("unable to load root certificates: no valid certificate authority data seen")]
    NoCertificate,
    #[error("specifying a root certificates file with the insecure flag is not allowed")]
    Insecure,
}

/// What begins TLS.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) connector: TlsConnector,
    /// The files that were to be our certificate, if they are none.
    unfit: Option<Arc<Unfit>>,
}

impl Tls {
    /// What a connection wants of TLS.
    pub(super) fn of(connection: &Connection) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let verifier: Arc<dyn ServerCertVerifier> = match connection.insecure {
            true if connection.authority.is_some() => return Err(NoRoots::Insecure.into()),
            true => Arc::new(AnyServer(provider.clone())),
            false => Arc::new(NameFirst(verifier(connection, provider.clone())?)),
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let of = |config: ClientConfig, unfit| Self { connector: TlsConnector::from(Arc::new(config)), unfit };
        let Some((certificate, key)) = &connection.identity else { return Ok(of(builder.with_no_client_auth(), None)) };
        Ok(match pair(certificate, key, &provider) {
            Ok(pair) => of(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair))), None),
            Err(why) if connection.identity_of_files => {
                let unfit = Arc::new(Unfit::new(why));
                of(builder.with_client_cert_resolver(unfit.clone()), Some(unfit))
            }
            Err(why) => return Err(why.into()),
        })
    }

    /// What is said of a certificate that a server asked for in vain.
    pub(super) fn without_certificate(&self) -> Option<Why> {
        let unfit = self.unfit.as_ref().filter(|unfit| unfit.was_asked())?;
        let why = unfit.why.to_string();
        log_error("cert_rotation.go:172", &format!("\"Loading client cert failed\" err={why:?} key=\"key\""));
        Some(Why::Broken(why))
    }
}

fn verifier(connection: &Connection, provider: Arc<CryptoProvider>) -> anyhow::Result<Arc<WebPkiServerVerifier>> {
    // A file without anything in it is none.
    let authority = connection.authority.as_ref().filter(|authority| !authority.is_empty());
    let roots = match authority {
        Some(authority) => roots(authority)?,
        None => {
            let mut roots = rustls::RootCertStore::empty();
            let system = std::fs::read(SYSTEM).unwrap_or_default();
            roots.add_parsable_certificates(blocks(&system).into_iter().map(|block| CertificateDer::from(block.der)));
            roots
        }
    };
    Ok(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?)
}

/// What of a text can be trusted, which must be something.
fn roots(text: &[u8]) -> Result<rustls::RootCertStore, NoRoots> {
    let mut roots = rustls::RootCertStore::empty();
    let blocks = blocks(text);
    if blocks.is_empty() {
        return Err(NoRoots::NoPem);
    }
    let certificates = blocks.into_iter().filter(|block| block.label == "CERTIFICATE");
    match roots.add_parsable_certificates(certificates.map(|block| CertificateDer::from(block.der))) {
        (0, 0) => Err(NoRoots::NoCertificate),
        (0, _) => Err(NoRoots::Malformed),
        _ => Ok(roots),
    }
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
    fn authorities_are_certificates() {
        let junk = |label: &str| format!("-----BEGIN {label}-----\nYWJj\n-----END {label}-----\n");
        let told = |text: &str| roots(text.as_bytes()).map(drop).map_err(|error| error.to_string());
        let failed = |why: &str| Err(format!("unable to load root certificates: {why}"));
        assert_eq!(told("abc"), failed("unable to parse bytes as PEM block"));
        assert_eq!(told(&junk("CERTIFICATE")), failed("failed to parse certificate: x509: malformed certificate"));
        assert_eq!(told(&junk("PRIVATE KEY")), failed("no valid certificate authority data seen"));
        let authority = pki::Authority::create("ca", std::time::Duration::from_secs(60)).expect("an authority");
        assert_eq!(told(&format!("{}{}", junk("CERTIFICATE"), authority.certificate_pem())), Ok(()));
        let both = Connection { insecure: true, authority: Some(Vec::new()), ..Connection::default() };
        let told = Tls::of(&both).map(drop).map_err(|error| error.to_string());
        assert_eq!(told, Err("specifying a root certificates file with the insecure flag is not allowed".to_owned()));
    }

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

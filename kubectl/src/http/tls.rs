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
use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, OtherError, SignatureScheme,
};
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
            false => Arc::new(verifier(connection, provider.clone())?),
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

fn verifier(connection: &Connection, provider: Arc<CryptoProvider>) -> anyhow::Result<NameFirst> {
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
    let of_kubeconfig = authority.into_iter().flat_map(|authority| blocks(authority));
    let of_kubeconfig = of_kubeconfig.map(|block| CertificateDer::from(block.der)).collect();
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
    Ok(NameFirst { usual, roots: of_kubeconfig })
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
struct NameFirst {
    usual: Arc<WebPkiServerVerifier>,
    /// The authorities that the kubeconfig names.
    roots: Vec<CertificateDer<'static>>,
}

/// Whether a certificate is over or not yet valid, which Go sees first.
fn is_out_of_time(error: &Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let Error::InvalidCertificate(why) = error else { return false };
    matches!(why, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
}

/// Whether only the common name of a certificate is the server's, as it was done once.
fn is_of_common_name(certificate: &[u8], name: &ServerName<'_>) -> bool {
    let common = pki::identity(certificate).ok().flatten();
    !pki::has_alternative_names(certificate)
        && common.is_some_and(|common| common.user.eq_ignore_ascii_case(&name.to_str()))
}

/// Whether a certificate is of the first version, which knows no other names than the common one.
fn has_no_extensions(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(why))) = error else { return false };
    why.to_string() == "UnsupportedCertVersion"
}

fn legacy_name() -> Error {
    let why = "certificate relies on legacy Common Name field, use SANs instead";
    Error::General(format!("tls: failed to verify certificate: x509: {why}"))
}

impl ServerCertVerifier for NameFirst {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = match ParsedCertificate::try_from(certificate) {
            Err(error) if has_no_extensions(&error) => {
                let why = CertificateError::NotValidForNameContext { expected: name.to_owned(), presented: Vec::new() };
                let legacy = is_of_common_name(certificate, name);
                return Err(if legacy { legacy_name() } else { Error::InvalidCertificate(why) });
            }
            parsed => parsed?,
        };
        let named = rustls::client::verify_server_name(&parsed, name);
        let verified = self.usual.verify_server_cert(certificate, intermediates, name, ocsp, now);
        match (named, verified) {
            (Err(_), Err(error)) if is_out_of_time(&error) => Err(error),
            (Err(error), _) => Err(if is_of_common_name(certificate, name) { legacy_name() } else { error }),
            // What is trusted itself need not be signed by anybody.
            (Ok(()), Err(Error::InvalidCertificate(why)))
                if is_authority(&why) && self.roots.iter().any(|root| root == certificate) =>
            {
                Ok(ServerCertVerified::assertion())
            }
            (Ok(()), verified) => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
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
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "tls: first record does not look like a TLS handshake".into()
        }
        Some(Error::InvalidMessage(_)) => "local error: tls: error decoding message".into(),
        Some(Error::General(why)) => why.clone(),
        Some(other) => format!("tls: {other}"),
        None if error.kind() == ErrorKind::UnexpectedEof => "EOF".into(),
        None => super::unanswered::io_words(error),
    }
}

fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => UNKNOWN.into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "certificate specifies an incompatible key usage".into()
        }
        other if is_authority(other) => UNKNOWN.into(),
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

const UNKNOWN: &str = "certificate signed by unknown authority";

/// Whether a server has the certificate of an authority, which is no fault unless nobody knows that.
fn is_authority(why: &CertificateError) -> bool {
    let CertificateError::Other(OtherError(why)) = why else { return false };
    // Who verifies it is not named by a type here.
    why.to_string() == "CaUsedAsEndEntity"
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
    let known = ALERTS.iter().find(|(number, _)| *number == u8::from(alert));
    known.map_or_else(|| format!("alert({})", u8::from(alert)), |(_, words)| (*words).to_owned())
}

const ALERTS: [(u8, &str); 33] = [
    (0, "close notify"),
    (10, "unexpected message"),
    (20, "bad record MAC"),
    (21, "decryption failed"),
    (22, "record overflow"),
    (30, "decompression failure"),
    (40, "handshake failure"),
    (42, "bad certificate"),
    (43, "unsupported certificate"),
    (44, "revoked certificate"),
    (45, "expired certificate"),
    (46, "unknown certificate"),
    (47, "illegal parameter"),
    (48, "unknown certificate authority"),
    (49, "access denied"),
    (50, "error decoding message"),
    (51, "error decrypting message"),
    (60, "export restriction"),
    (70, "protocol version not supported"),
    (71, "insufficient security level"),
    (80, "internal error"),
    (86, "inappropriate fallback"),
    (90, "user canceled"),
    (100, "no renegotiation"),
    (109, "missing extension"),
    (110, "unsupported extension"),
    (111, "certificate unobtainable"),
    (112, "unrecognized name"),
    (113, "bad certificate status response"),
    (114, "bad certificate hash value"),
    (115, "unknown PSK identity"),
    (116, "certificate required"),
    (120, "no application protocol"),
];

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
    fn what_is_trusted_itself_is_no_stranger() {
        let authority = pki::Authority::create("ca", std::time::Duration::from_secs(60)).expect("an authority");
        let own = CertificateDer::from(blocks(authority.certificate_pem().as_bytes()).remove(0).der);
        let name = |name: &'static str| ServerName::try_from(name).expect("a name");
        assert!(is_of_common_name(&own, &name("CA")) && !is_of_common_name(&own, &name("b")));
        let connection = Connection { authority: Some(authority.certificate_pem().into()), ..Connection::default() };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = verifier(&connection, provider).expect("a verifier");
        let verified = verifier.verify_server_cert(&own, &[], &name("ca"), &[], UnixTime::now());
        assert_eq!(verified.map(drop), Err(legacy_name()));
        let why =
            verifier.usual.verify_server_cert(&own, &[], &name("ca"), &[], UnixTime::now()).expect_err("no server");
        assert_eq!(
            words(&io::Error::new(ErrorKind::InvalidData, why.clone())),
            "tls: failed to verify certificate: x509: certificate signed by unknown authority"
        );
        let Error::InvalidCertificate(why) = why else { panic!("{why}") };
        assert!(is_authority(&why) && verifier.roots == [own]);
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
        assert_eq!(told(Error::AlertReceived(AlertDescription::from(200))), "remote error: tls: alert(200)");
        assert_eq!(words(&io::Error::new(ErrorKind::UnexpectedEof, "tls handshake eof")), "EOF");
    }
}

//! TLS to the server, and Go's words for handshakes that fail.

use super::identity::{Unfit, pair};
use super::{Why, chain};
use crate::config::Connection;
use crate::writing::log_error;
use pki::Certificate;
use pki::pem::blocks;
use rustls::CertificateError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
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
    config: Arc<ClientConfig>,
    /// Who judges the server; nobody if any server will do.
    judge: Option<Arc<AsGo>>,
    /// The files that were to be our certificate, if they are none.
    unfit: Option<Arc<Unfit>>,
}

impl Tls {
    /// What a connection wants of TLS.
    pub(super) fn of(connection: &Connection) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let judge = match connection.insecure {
            true if connection.authority.is_some() => return Err(NoRoots::Insecure.into()),
            true => None,
            false => Some(Arc::new(verifier(connection, provider.clone())?)),
        };
        let verifier: Arc<dyn ServerCertVerifier> = match &judge {
            Some(judge) => judge.clone(),
            None => Arc::new(AnyServer(provider.clone())),
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let of = |config: ClientConfig, unfit| Self { config: Arc::new(config), judge, unfit };
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

    /// What begins TLS with who has a name, and how that is asked for. What is no name of a server is asked for as
    /// none, and yet expected.
    pub(super) fn to(&self, name: &str) -> (TlsConnector, ServerName<'static>) {
        if let Ok(name) = ServerName::try_from(name.to_owned()) {
            return (TlsConnector::from(self.config.clone()), name);
        }
        let mut config = ClientConfig::clone(&self.config);
        config.enable_sni = false;
        if let Some(judge) = &self.judge {
            let judge = AsGo { name: Some(name.to_owned()), ..AsGo::clone(judge) };
            config.dangerous().set_certificate_verifier(Arc::new(judge));
        }
        let nobody = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
        (TlsConnector::from(Arc::new(config)), nobody)
    }

    /// What is said of a certificate that a server asked for in vain.
    pub(super) fn without_certificate(&self) -> Option<Why> {
        let unfit = self.unfit.as_ref().filter(|unfit| unfit.was_asked())?;
        let why = unfit.why.to_string();
        log_error("cert_rotation.go:172", &format!("\"Loading client cert failed\" err={why:?} key=\"key\""));
        Some(Why::Broken(why))
    }
}

fn verifier(connection: &Connection, provider: Arc<CryptoProvider>) -> anyhow::Result<AsGo> {
    // A file without anything in it is none.
    let authority = connection.authority.as_ref().filter(|authority| !authority.is_empty());
    let (text, trusted) = match authority {
        Some(authority) => (authority.clone(), roots(authority)?),
        None => {
            let mut trusted = rustls::RootCertStore::empty();
            let system = std::fs::read(SYSTEM).unwrap_or_default();
            trusted.add_parsable_certificates(blocks(&system).into_iter().map(|block| CertificateDer::from(block.der)));
            (system, trusted)
        }
    };
    let roots = blocks(&text).iter().filter_map(|block| Certificate::of_der(&block.der).ok()).collect();
    Ok(AsGo { provider, trusted, roots, name: None })
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

/// Judges as Go does, and lets what Go takes be verified as usual.
#[derive(Clone, Debug)]
struct AsGo {
    provider: Arc<CryptoProvider>,
    trusted: rustls::RootCertStore,
    /// The same, as far as they can be judged.
    roots: Vec<Certificate>,
    /// Whom to expect, if that is not how the server is asked for.
    name: Option<String>,
}

/// An error in Go's words.
fn refused(why: &str) -> Error {
    Error::General(format!("tls: failed to verify certificate: x509: {why}"))
}

impl AsGo {
    /// Verifies the signatures of a chain that may be good, and what its keys may be used for.
    fn verify(
        &self,
        leaf: &Certificate,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let algorithms = self.provider.signature_verification_algorithms.all;
        let verified = ParsedCertificate::try_from(certificate).and_then(|parsed| {
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.trusted, intermediates, now, algorithms)
        });
        let Err(error) = verified else { return Ok(()) };
        let Error::InvalidCertificate(why) = &error else { return Err(error) };
        let is_unsigned = matches!(why, CertificateError::BadSignature | CertificateError::UnknownIssuer);
        match () {
            // What is trusted itself need not be signed by anybody.
            () if (is_unsigned || is_authority(why)) && chain::is_trusted(leaf, &self.roots) => Ok(()),
            () if is_unsigned => Err(refused(&chain::unknown_authority(leaf, &self.roots))),
            () => Err(error),
        }
    }
}

impl ServerCertVerifier for AsGo {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let read = |der: &CertificateDer<'_>| Certificate::of_der(der);
        let leaf = read(certificate).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let between: Vec<Certificate> = intermediates.iter().filter_map(|der| read(der).ok()).collect();
        let asked = name.to_str();
        let name = self.name.as_deref().unwrap_or(&asked);
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        chain::judge(&leaf, &between, &self.roots, name, seconds).map_err(|why| refused(&why))?;
        self.verify(&leaf, certificate, intermediates, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
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
        Some(Error::InvalidMessage(InvalidMessage::InvalidEmptyPayload)) => {
            "local error: tls: unexpected message".into()
        }
        Some(Error::InvalidMessage(_)) => "local error: tls: error decoding message".into(),
        Some(Error::General(why)) => why.clone(),
        Some(other) => format!("tls: {other}"),
        None if error.kind() == ErrorKind::UnexpectedEof => "EOF".into(),
        None => super::unanswered::io_words(error),
    }
}

/// What is left to say of a certificate that was judged good but for its signatures and the use of its key.
fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "certificate specifies an incompatible key usage".into()
        }
        CertificateError::BadEncoding => "malformed certificate".into(),
        other if is_authority(other) => "certificate signed by unknown authority".into(),
        other => other.to_string(),
    }
}

/// Whether a server has the certificate of an authority, which is no fault unless nobody knows that.
fn is_authority(why: &CertificateError) -> bool {
    let CertificateError::Other(OtherError(why)) = why else { return false };
    // Who verifies it is not named by a type here.
    why.to_string() == "CaUsedAsEndEntity"
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

    fn verdict(verifier: &AsGo, certificate: &CertificateDer<'_>, name: &'static str) -> String {
        let name = ServerName::try_from(name).expect("a name");
        let verified = verifier.verify_server_cert(certificate, &[], &name, &[], UnixTime::now());
        let error = verified.err().map(|error| words(&io::Error::new(ErrorKind::InvalidData, error)));
        error.map(|error| error.replace("tls: failed to verify certificate: x509: ", "")).unwrap_or_default()
    }

    #[test]
    fn servers_are_judged_by_who_signed_for_them() {
        let day = std::time::Duration::from_secs(86_400);
        let authority = || pki::Authority::create("ca", day).expect("an authority");
        let (known, stranger) = (authority(), authority());
        let der = |pem: &str| CertificateDer::from(blocks(pem.as_bytes()).remove(0).der);
        let key = pki::Key::generate(pki::Algorithm::EcdsaP256).expect("a key");
        let issue = |by: &pki::Authority, profile: &pki::Profile| der(&by.issue(profile, &key).expect("a leaf"));
        let server = pki::Profile::server("web", &["web"], day);
        let of = |authority: &str| {
            let connection = Connection { authority: Some(authority.into()), ..Connection::default() };
            verifier(&connection, Arc::new(rustls::crypto::aws_lc_rs::default_provider())).expect("a verifier")
        };
        let judge = of(known.certificate_pem());
        let good = issue(&known, &server);
        assert_eq!(verdict(&judge, &good, "web"), "");
        assert_eq!(verdict(&judge, &good, "h"), "certificate is valid for web, not h");
        let unknown = "certificate signed by unknown authority";
        let impostor = "(possibly because of \"x509: ECDSA verification failure\" while trying to verify candidate authority certificate \"ca\")";
        assert_eq!(verdict(&judge, &issue(&stranger, &server), "web"), format!("{unknown} {impostor}"));
        let client = pki::Profile::client("web", None, day);
        assert_eq!(
            verdict(&AsGo { name: Some("-x".into()), ..judge.clone() }, &issue(&known, &client), "web"),
            "certificate is not valid for any names, but wanted to match -x"
        );
        let own = der(known.certificate_pem());
        assert_eq!(verdict(&judge, &own, "ca"), "certificate relies on legacy Common Name field, use SANs instead");
        // What is trusted itself need not be signed by anybody who is.
        let leaf = known.issue(&server, &key).expect("a leaf");
        assert_eq!(verdict(&of(&leaf), &der(&leaf), "web"), "");
    }

    #[test]
    fn handshakes_fail_in_the_words_of_go() {
        let told = |error: Error| words(&io::Error::new(ErrorKind::InvalidData, error));
        assert_eq!(
            told(Error::InvalidCertificate(CertificateError::InvalidPurpose)),
            "tls: failed to verify certificate: x509: certificate specifies an incompatible key usage"
        );
        assert_eq!(
            told(Error::InvalidMessage(InvalidMessage::InvalidEmptyPayload)),
            "local error: tls: unexpected message"
        );
        assert_eq!(told(Error::AlertReceived(AlertDescription::BadCertificate)), "remote error: tls: bad certificate");
        assert_eq!(told(Error::AlertReceived(AlertDescription::from(200))), "remote error: tls: alert(200)");
        assert_eq!(words(&io::Error::new(ErrorKind::UnexpectedEof, "tls handshake eof")), "EOF");
    }
}

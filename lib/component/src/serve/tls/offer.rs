//! What the server offers in a handshake: versions, cipher suites, key exchanges, by the names and
//! numbers that upstream's flags have for them.
//!
//! Upstream: `component-base/cli/flag/{ciphersuites,curves}_flag.go`.

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{CipherSuite, NamedGroup, SupportedProtocolVersion, version};
use std::sync::Arc;

/// Values of `--tls-*` flags that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// No suite of this name.
    #[error("Cipher suite {0} not supported or doesn't exist")]
    Suite(String),
    /// No version of this name.
    #[error("unknown tls version {0:?}")]
    Version(String),
    /// No number of a curve.
    #[error("curve preference {0} is out of range (must be 1-65535)")]
    CurveRange(i32),
    /// The same twice.
    #[error("duplicate curve preference {0}")]
    CurveTwice(i32),
    /// No curve of this number.
    #[error("curve preference {0} is not supported")]
    Curve(i32),
}

/// Versions, suites and key exchanges.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Suites and key exchanges.
    pub provider: Arc<CryptoProvider>,
    /// Versions, the newest first.
    pub versions: &'static [&'static SupportedProtocolVersion],
}

impl Default for Offer {
    fn default() -> Self {
        Self { provider: Arc::new(aws_lc_rs::default_provider()), versions: BOTH }
    }
}

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
const NEWEST: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// Suites of TLS 1.2 that can be offered. Those of TLS 1.3 are offered whatever is chosen, as by Go.
const SUITES: &[(&str, CipherSuite)] = &[
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
];

/// Suites that upstream knows and this TLS stack leaves out: CBC, RC4, 3DES, RSA key exchange.
const UNBUILT: &[&str] = &[
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_RSA_WITH_RC4_128_SHA",
];

impl Offer {
    /// From the values of `--tls-cipher-suites`, `--tls-curve-preferences` and `--tls-min-version`;
    /// empty ones stand for the defaults.
    pub fn new(suites: &[String], curves: &[i32], minimum: &str) -> Result<Self, OfferError> {
        let mut provider = aws_lc_rs::default_provider();
        if !suites.is_empty() {
            let chosen = suites_of(suites)?;
            let newest = |suite: &rustls::SupportedCipherSuite| suite.tls13().is_some();
            provider.cipher_suites.retain(|suite| newest(suite) || chosen.contains(&suite.suite()));
        }
        if !curves.is_empty() {
            provider.kx_groups = groups_of(curves)?;
        }
        Ok(Self { provider: Arc::new(provider), versions: versions_from(minimum)? })
    }
}

fn suites_of(names: &[String]) -> Result<Vec<CipherSuite>, OfferError> {
    let mut chosen = Vec::new();
    for name in names {
        match SUITES.iter().find(|(known, _)| known == name) {
            Some((_, suite)) => chosen.push(*suite),
            None if UNBUILT.contains(&name.as_str()) => {
                tracing::warn!(name, "cipher suite {name} is known but not built; it is not offered");
            }
            None => return Err(OfferError::Suite(name.clone())),
        }
    }
    Ok(chosen)
}

/// The key exchanges of these numbers, in the order of this stack's preference.
fn groups_of(curves: &[i32]) -> Result<Vec<&'static dyn rustls::crypto::SupportedKxGroup>, OfferError> {
    let mut chosen = Vec::new();
    for (at, &curve) in curves.iter().enumerate() {
        let number = u16::try_from(curve).ok().filter(|n| *n > 0).ok_or(OfferError::CurveRange(curve))?;
        if curves[..at].contains(&curve) {
            return Err(OfferError::CurveTwice(curve));
        }
        let group = NamedGroup::from(number);
        if !aws_lc_rs::ALL_KX_GROUPS.iter().any(|known| known.name() == group) {
            return Err(OfferError::Curve(curve));
        }
        chosen.push(group);
    }
    Ok(aws_lc_rs::ALL_KX_GROUPS.iter().copied().filter(|known| chosen.contains(&known.name())).collect())
}

fn versions_from(minimum: &str) -> Result<&'static [&'static SupportedProtocolVersion], OfferError> {
    match minimum {
        "" | "VersionTLS12" => Ok(BOTH),
        "VersionTLS13" => Ok(NEWEST),
        "VersionTLS10" | "VersionTLS11" => {
            tracing::warn!(minimum, "versions before VersionTLS12 are known but not built; they are not offered");
            Ok(BOTH)
        }
        other => Err(OfferError::Version(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(suites: &str, curves: &[i32], minimum: &str) -> Result<Offer, OfferError> {
        let suites: Vec<String> = suites.split_whitespace().map(str::to_owned).collect();
        Offer::new(&suites, curves, minimum)
    }

    #[test]
    fn what_is_chosen_is_offered() {
        let old = |offer: &Offer| offer.provider.cipher_suites.iter().filter(|s| s.tls13().is_none()).count();
        let all = offer("", &[], "").unwrap();
        assert_eq!((old(&all), all.versions.len()), (6, 2));
        let one = offer("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 TLS_RSA_WITH_RC4_128_SHA", &[29, 23], "VersionTLS13");
        let one = one.unwrap();
        assert_eq!((old(&one), one.versions.len(), one.provider.kx_groups.len()), (1, 1, 2));
        assert!(one.provider.cipher_suites.iter().any(|s| s.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256));
        assert_eq!(offer("", &[], "VersionTLS10").unwrap().versions.len(), 2);
    }

    #[test]
    fn every_name_that_can_be_offered_is() {
        let all = aws_lc_rs::default_provider().cipher_suites;
        for (name, suite) in SUITES {
            assert!(all.iter().any(|known| known.suite() == *suite), "{name}");
        }
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        let table: [(&str, &[i32], &str, &str); 6] = [
            ("TLS_NONE", &[], "", "Cipher suite TLS_NONE not supported or doesn't exist"),
            ("", &[], "TLS1.2", "unknown tls version \"TLS1.2\""),
            ("", &[0], "", "curve preference 0 is out of range (must be 1-65535)"),
            ("", &[70000], "", "curve preference 70000 is out of range (must be 1-65535)"),
            ("", &[29, 29], "", "duplicate curve preference 29"),
            ("", &[1], "", "curve preference 1 is not supported"),
        ];
        for (suites, curves, minimum, want) in table {
            assert_eq!(offer(suites, curves, minimum).unwrap_err().to_string(), want);
        }
    }
}

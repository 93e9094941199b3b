//! The flags of every daemon that serves TLS.
//!
//! Upstream: `apiserver/pkg/server/options/serving.go`.

use super::names::NamedPair;
use super::offer::{Offer, OfferError};

/// The flags about the handshake.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TlsFlags {
    /// Comma-separated list of cipher suites for the server.
    #[arg(long, value_delimiter = ',')]
    pub tls_cipher_suites: Vec<String>,
    /// Comma-separated list of numeric CurveID values, as the allowed key exchange mechanisms; their
    /// order is ignored.
    #[arg(long, value_delimiter = ',')]
    pub tls_curve_preferences: Vec<i32>,
    /// Minimum TLS version supported: VersionTLS12 or VersionTLS13.
    #[arg(long, default_value = "")]
    pub tls_min_version: String,
    /// A pair of certificate and key files, optionally suffixed with domain patterns it is for:
    /// "foo.crt,foo.key:*.foo.com,foo.com". Can be given several times.
    #[arg(long)]
    pub tls_sni_cert_key: Vec<NamedPair>,
    /// Serve HTTP/1.1 only.
    #[arg(long, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub disable_http2_serving: bool,
    /// The limit of streams in an HTTP/2 connection; 0 is the server's default.
    #[arg(long, default_value_t = 0)]
    pub http2_max_streams_per_connection: u32,
}

impl TlsFlags {
    /// What the flags let the server offer.
    pub fn offer(&self) -> Result<Offer, OfferError> {
        Offer::new(&self.tls_cipher_suites, &self.tls_curve_preferences, &self.tls_min_version)
    }

    /// `--http2-max-streams-per-connection`, if given.
    pub fn max_streams(&self) -> Option<u32> {
        Some(self.http2_max_streams_per_connection).filter(|limit| *limit > 0)
    }
}

//! Certificates: authorities, leaves, requests, kubeconfigs, expiry; ECDSA P-256 unless a caller
//! asks for another key.
//!
//! Invariants: only [`pem`] reads PEM; every private key reaches the disk with mode 0600.
//!
//! Upstream: `client-go/util/cert`, `kubeadm/app/util/pkiutil`, `pkg/controller/certificates`.
#![warn(missing_docs)]

pub mod authority;
pub mod certificate;
pub mod expiry;
pub mod files;
pub mod grant;
pub mod identity;
pub mod key;
pub mod kubeconfig;
pub mod leaf;
pub mod pair;
pub mod pem;
pub mod request;
pub mod request_text;
pub mod serving;

pub use authority::Authority;
pub use certificate::{Certificate, Constraints};
pub use expiry::Validity;
pub use grant::{Grant, UnknownUsages};
pub use identity::{Identity, alternative_names, has_alternative_names, host_names, identity};
pub use key::{Algorithm, Key};
pub use leaf::{Profile, Usage};
pub use request::Request;
pub use request_text::RequestText;

/// What can go wrong with keys and certificates. Values never contain key material.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file or text holds no PEM block of the wanted kind.
    #[error("{place}: no {wanted} found")]
    Missing {
        /// The file, or what the text is.
        place: String,
        /// `certificate`, `private key`, ….
        wanted: &'static str,
    },
    /// PEM or DER is malformed.
    #[error("{place}: malformed {what}: {why}")]
    Malformed {
        /// The file, or what the text is.
        place: String,
        /// What was to be read.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A name that a certificate cannot carry.
    #[error("{name:?} is no DNS name or IP address")]
    BadName {
        /// The name.
        name: String,
    },
    /// Key generation or signing failed.
    #[error("{what}: {source}")]
    Crypto {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: rcgen::Error,
    },
}

impl PkiError {
    fn crypto(what: &'static str) -> impl FnOnce(rcgen::Error) -> Self {
        move |source| Self::Crypto { what, source }
    }
}

//! Who the kubelet is for the apiserver: a certificate that it asks for with a bootstrap kubeconfig, and asks for anew
//! before it ends.
//!
//! Upstream: `pkg/kubelet/certificate`, `client-go/util/certificate`.

pub mod bootstrap;
pub mod metrics;
pub mod order;
pub mod rotation;
pub mod serving;
pub mod store;

use client::ConnectError;
use order::OrderError;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error(transparent)]
    Pki(#[from] pki::PkiError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Order(#[from] OrderError),
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error("the bootstrap kubeconfig {path}: {why}")]
    Kubeconfig { path: String, why: String },
}

impl CredentialsError {
    fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File { path, source }
    }
}

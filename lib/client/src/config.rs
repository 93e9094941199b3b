//! From a kubeconfig to a `kube::Client`.

use std::path::Path;

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be read or is malformed.
    #[error("kubeconfig {path}: {why}")]
    Kubeconfig {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The client cannot be built from it.
    #[error("cannot build a client from kubeconfig {path}: {why}")]
    Client {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
}

/// A client for this kubeconfig (in-cluster configuration if `None`), with `user_agent`
/// (`component/version`), no hidden retries, HTTP/2 or a bounded pool, and a response size limit.
pub async fn connect(_kubeconfig: Option<&Path>, _user_agent: &str) -> Result<kube::Client, ConnectError> {
    unimplemented!()
}

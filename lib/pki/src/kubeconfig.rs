//! Kubeconfig files: where an apiserver is, and who asks.
//!
//! Upstream: `client-go/tools/clientcmd/api/v1`.

use crate::{PkiError, files};
use base64::Engine as _;
use serde_json::{Value, json};
use std::path::Path;

/// How the client proves who it is.
#[derive(Clone)]
pub enum Credentials {
    /// A client certificate and its key, both PEM, embedded.
    Certificate {
        /// The certificate.
        certificate: String,
        /// Its private key.
        key: String,
    },
    /// A client certificate and its key by file name: the client reads them anew.
    CertificateFiles {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
    },
    /// A bearer token.
    Token(String),
    /// A file with a bearer token.
    TokenFile(String),
}

/// A kubeconfig with one cluster, one user, one context.
#[derive(Clone)]
pub struct Kubeconfig {
    /// `https://host:port`.
    pub server: String,
    /// The authorities to trust, PEM.
    pub authority: String,
    /// The user's name in the file.
    pub user: String,
    /// How it proves who it is.
    pub credentials: Credentials,
}

impl Kubeconfig {
    /// The file's text: JSON, which is YAML too.
    pub fn to_text(&self) -> String {
        let context = format!("{}@kubernetes", self.user);
        let file = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "kubernetes", "cluster": {
                "server": self.server, "certificate-authority-data": encode(&self.authority),
            }}],
            "users": [{"name": self.user, "user": self.credentials.to_value()}],
            "contexts": [{"name": context, "context": {"cluster": "kubernetes", "user": self.user}}],
            "current-context": context,
        });
        format!("{file:#}\n")
    }

    /// Writes the file with mode 0600.
    pub fn write(&self, path: &Path) -> Result<(), PkiError> {
        files::write_private(path, self.to_text().as_bytes())
    }
}

impl Credentials {
    fn to_value(&self) -> Value {
        match self {
            Self::Certificate { certificate, key } => {
                json!({"client-certificate-data": encode(certificate), "client-key-data": encode(key)})
            }
            Self::CertificateFiles { certificate, key } => {
                json!({"client-certificate": certificate, "client-key": key})
            }
            Self::Token(token) => json!({"token": token}),
            Self::TokenFile(file) => json!({"tokenFile": file}),
        }
    }
}

fn encode(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_what_a_client_needs() {
        let kubeconfig = Kubeconfig {
            server: "https://10.0.0.1:6443".into(),
            authority: "CA".into(),
            user: "admin".into(),
            credentials: Credentials::Certificate { certificate: "C".into(), key: "K".into() },
        };
        let file: Value = serde_json::from_str(&kubeconfig.to_text()).unwrap();
        assert_eq!(file["clusters"][0]["cluster"]["certificate-authority-data"], "Q0E=");
        assert_eq!(file["users"][0]["user"]["client-key-data"], "Sw==");
        assert_eq!(file["contexts"][0]["name"], file["current-context"]);
    }

    #[test]
    fn other_credentials_have_their_fields() {
        assert_eq!(Credentials::Token("t".into()).to_value(), json!({"token": "t"}));
        assert_eq!(Credentials::TokenFile("/t".into()).to_value(), json!({"tokenFile": "/t"}));
        let files = Credentials::CertificateFiles { certificate: "/c".into(), key: "/k".into() };
        assert_eq!(files.to_value(), json!({"client-certificate": "/c", "client-key": "/k"}));
    }
}

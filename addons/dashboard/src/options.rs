//! The options of `kube-dashboard`. Each can also come from the environment: `KUBE_DASHBOARD_PORT`.
//!
//! Upstream: `src/app/backend/dashboard.go` of v2.7, whose names these are.

use anyhow::ensure;
use component::serve::ServerIdentity;
use std::net::IpAddr;
use std::path::PathBuf;

/// The options.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The IP address on which to serve.
    #[arg(long, default_value = "0.0.0.0")]
    pub bind_address: IpAddr,
    /// The port on which to serve HTTPS; 0 takes a free one.
    #[arg(long, default_value_t = 8443)]
    pub port: u16,
    /// Kubeconfig that names the apiserver. Its credentials are not used.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// The apiserver's URL; without it and without a kubeconfig the one that pods are told.
    #[arg(long)]
    pub apiserver_host: Option<String>,
    /// File with the authorities that the apiserver's certificate may come from.
    #[arg(long, default_value = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")]
    pub certificate_authority: PathBuf,
    /// File with the certificate to serve with; a self-signed one without it.
    #[arg(long)]
    pub tls_cert_file: Option<PathBuf>,
    /// File with its key.
    #[arg(long)]
    pub tls_key_file: Option<PathBuf>,
    /// Seconds after which a session that nobody uses ends; 0 leaves it the twelve hours that no session outlives.
    #[arg(long, default_value_t = 900)]
    pub token_ttl: u64,
}

impl Options {
    /// What to serve with. A pair of files that are not there is none: a Secret need not exist.
    pub fn identity(&self) -> anyhow::Result<ServerIdentity> {
        let (certificate, key) = match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) => return Ok(self_signed()),
            _ => anyhow::bail!("tls-cert-file and tls-key-file must be given together"),
        };
        if !certificate.exists() && !key.exists() {
            tracing::info!(certificate = %certificate.display(), "no such file: serving with a self-signed certificate");
            return Ok(self_signed());
        }
        ensure!(
            certificate.exists() && key.exists(),
            "of {} and {} only one exists",
            certificate.display(),
            key.display()
        );
        Ok(ServerIdentity::Files { certificate: certificate.clone(), key: key.clone() })
    }
}

fn self_signed() -> ServerIdentity {
    ServerIdentity::SelfSigned { host: "kubernetes-dashboard".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, FromArgMatches as _};

    fn options(arguments: &[&str]) -> Options {
        let command = Options::augment_args(clap::Command::new("x").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments).expect("arguments");
        Options::from_arg_matches(&matches).expect("options")
    }

    #[test]
    fn serves_with_a_pair_of_files_or_with_a_certificate_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let flags = [format!("--tls-cert-file={}", certificate.display()), format!("--tls-key-file={}", key.display())];
        let both = [flags[0].as_str(), flags[1].as_str()];
        let identity = |arguments: &[&str]| options(arguments).identity();
        assert!(matches!(identity(&[]), Ok(ServerIdentity::SelfSigned { .. })));
        assert!(matches!(identity(&both), Ok(ServerIdentity::SelfSigned { .. })));
        assert!(identity(&both[..1]).is_err());
        std::fs::write(&certificate, "x").expect("written");
        assert!(identity(&both).is_err());
        std::fs::write(&key, "x").expect("written");
        assert!(matches!(identity(&both), Ok(ServerIdentity::Files { .. })));
    }
}

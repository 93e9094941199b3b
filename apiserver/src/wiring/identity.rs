//! The serving certificate: the given one, the one made by an earlier start, or a new one.

use super::files;
use crate::options::Options;
use anyhow::Context as _;
use apiserver_server::tls::Identity;
use std::net::IpAddr;
use std::path::Path;

pub(super) fn serving(options: &Options, advertised: IpAddr) -> anyhow::Result<Identity> {
    let serving = &options.serving;
    if let (Some(certificate), Some(key)) = (&serving.tls_cert_file, &serving.tls_private_key_file) {
        return files::identity(certificate, key, "--tls-cert-file, --tls-private-key-file");
    }
    let (certificate, key) = (serving.cert_dir.join("apiserver.crt"), serving.cert_dir.join("apiserver.key"));
    if certificate.exists() && key.exists() {
        return files::identity(&certificate, &key, "--cert-dir");
    }
    let made = make(options, advertised)?;
    if let Err(error) = keep(&made, &certificate, &key) {
        tracing::warn!(%error, "the serving certificate is kept in memory only");
    }
    parse(&made)
}

fn make(options: &Options, advertised: IpAddr) -> anyhow::Result<pki::serving::Serving> {
    let advertised = advertised.to_string();
    let service = options.cluster.service_cluster_ip_range.first().and_then(|r| r.hosts().next());
    let service = service.map(|a| a.to_string());
    let mut names =
        vec!["localhost", "127.0.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc", &advertised];
    names.extend(service.as_deref());
    pki::serving::self_signed("localhost", &names).context("self-signed certificate")
}

fn keep(made: &pki::serving::Serving, certificate: &Path, key: &Path) -> anyhow::Result<()> {
    if let Some(folder) = certificate.parent() {
        std::fs::create_dir_all(folder)?;
    }
    pki::files::write_private(key, made.key_pem.as_bytes())?;
    pki::files::write_public(certificate, made.certificate_pem.as_bytes())?;
    tracing::info!(certificate = %certificate.display(), "made a self-signed certificate");
    Ok(())
}

fn parse(made: &pki::serving::Serving) -> anyhow::Result<Identity> {
    let place = "self-signed certificate";
    Ok(Identity {
        certificates: pki::pem::parse_certificates(made.certificate_pem.as_bytes(), place)?,
        key: pki::pem::parse_private_key(made.key_pem.as_bytes(), place)?,
    })
}

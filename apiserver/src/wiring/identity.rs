//! The serving certificate: the given one, the one made by an earlier start, or a new one.

use super::files;
use crate::options::Options;
use anyhow::Context as _;
use component::serve::tls::Settings;
use component::serve::{ClientAuthority, FrontAuthority, ServerIdentity, Tls};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// The TLS side of the server; errors name the flags.
pub(super) async fn tls(options: &Options, advertised: IpAddr) -> anyhow::Result<Arc<Tls>> {
    let flags = &options.serving.tls;
    let settings = Settings {
        identity: serving(options, advertised)?,
        named: flags.tls_sni_cert_key.clone(),
        authority: ClientAuthority::Later(files::client_authorities(options)?),
        // Who is a proxy is decided with everything else about credentials.
        front: FrontAuthority::None,
        offer: flags.offer()?,
        http2: !flags.disable_http2_serving,
    };
    for pair in &settings.named {
        files::identity(&pair.certificate, &pair.key, "--tls-sni-cert-key")?;
    }
    Tls::open(settings).await.context("--tls-cert-file, --tls-private-key-file, --tls-sni-cert-key")
}

fn serving(options: &Options, advertised: IpAddr) -> anyhow::Result<ServerIdentity> {
    let serving = &options.serving;
    let given = serving.tls_cert_file.clone().zip(serving.tls_private_key_file.clone());
    if let Some((certificate, key)) = given {
        files::identity(&certificate, &key, "--tls-cert-file, --tls-private-key-file")?;
        return Ok(ServerIdentity::Files { certificate, key });
    }
    let (certificate, key) = (serving.cert_dir.join("apiserver.crt"), serving.cert_dir.join("apiserver.key"));
    if certificate.exists() && key.exists() {
        files::identity(&certificate, &key, "--cert-dir")?;
        return Ok(ServerIdentity::Files { certificate, key });
    }
    let made = make(options, advertised)?;
    match keep(&made, &certificate, &key) {
        Ok(()) => Ok(ServerIdentity::Files { certificate, key }),
        Err(error) => {
            tracing::warn!(%error, "the serving certificate is kept in memory only");
            Ok(ServerIdentity::Made(made))
        }
    }
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

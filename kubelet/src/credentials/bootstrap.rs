//! The first certificate of a node: a kubeconfig that may do nothing but ask for one.
//!
//! Upstream: `pkg/kubelet/certificate/bootstrap`.

use super::store::Store;
use super::{CredentialsError, order};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use std::path::Path;

/// Makes sure that `kubeconfig` has a certificate that is valid: what is there, or one that is asked for with `bootstrap`.
pub async fn ensure(kubeconfig: &Path, bootstrap: &Path, store: &Store, node: &str) -> Result<(), CredentialsError> {
    if is_valid(kubeconfig).await {
        tracing::info!(path = %kubeconfig.display(), "the kubeconfig is there and its certificate valid");
        return Ok(());
    }
    tracing::info!(path = %bootstrap.display(), "asking for a certificate with the bootstrap kubeconfig");
    let client = client::connect(Some(bootstrap), &component::version::user_agent("kubelet")).await?;
    let key = store.pending_key()?;
    let certificate = order::node_certificate(&client, node, &key).await?;
    store.update(&certificate, &key.to_pem(), Timestamp::now())?;
    store.forget_pending();
    write_kubeconfig(kubeconfig, bootstrap, &store.current())
}

/// Whether the kubeconfig can be used and none of its certificates is over.
async fn is_valid(kubeconfig: &Path) -> bool {
    if !kubeconfig.exists() {
        return false;
    }
    let why = match client::configuration(Some(kubeconfig)).await {
        Err(error) => error.to_string(),
        Ok(config) => match certificates(&config.auth_info) {
            Err(error) => error.to_string(),
            Ok(all) => {
                let now = Timestamp::now();
                let place = kubeconfig.display().to_string();
                let over = all.iter().filter_map(|der| pki::Validity::of_der(der, &place).ok());
                match over.into_iter().find(|validity| validity.is_expired(now)) {
                    None => return true,
                    Some(validity) => format!("part of its client certificate is expired: {}", validity.not_after),
                }
            }
        },
    };
    tracing::warn!(path = %kubeconfig.display(), why, "the kubeconfig cannot be used");
    false
}

fn certificates(
    user: &kube::config::AuthInfo,
) -> Result<Vec<rustls::pki_types::CertificateDer<'static>>, CredentialsError> {
    let text = match (&user.client_certificate_data, &user.client_certificate) {
        (Some(data), _) => base64::Engine::decode(&base64::prelude::BASE64_STANDARD, data).unwrap_or_default(),
        (None, Some(file)) => pki::pem::read(Path::new(file))?,
        (None, None) => Vec::new(),
    };
    Ok(pki::pem::parse_certificates(&text, "the client certificate")?)
}

/// The bootstrap kubeconfig's cluster, with the certificate for a user.
fn write_kubeconfig(kubeconfig: &Path, bootstrap: &Path, pem: &Path) -> Result<(), CredentialsError> {
    let wrong = |why: String| CredentialsError::Kubeconfig { path: bootstrap.display().to_string(), why };
    let cluster = cluster(bootstrap).map_err(wrong)?;
    let user = json!({"client-certificate": pem, "client-key": pem});
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "default-context", "preferences": {},
        "clusters": [{"name": "default-cluster", "cluster": cluster}],
        "users": [{"name": "default-auth", "user": user}],
        "contexts": [{
            "name": "default-context",
            "context": {"cluster": "default-cluster", "user": "default-auth", "namespace": "default"},
        }],
    });
    Ok(pki::files::write_private(kubeconfig, format!("{config:#}\n").as_bytes())?)
}

/// The cluster of the current context; its authorities by a whole path, as the new file may lie elsewhere.
fn cluster(bootstrap: &Path) -> Result<Value, String> {
    let config = kube::config::Kubeconfig::read_from(bootstrap).map_err(|error| error.to_string())?;
    let current = config.current_context.unwrap_or_default();
    let context = config.contexts.into_iter().find(|context| context.name == current).and_then(|named| named.context);
    let name = context.ok_or_else(|| format!("context {current:?} does not exist"))?.cluster;
    let cluster = config.clusters.into_iter().find(|cluster| cluster.name == name).and_then(|named| named.cluster);
    let cluster = cluster.ok_or_else(|| format!("cluster {name:?} does not exist"))?;
    serde_json::to_value(cluster).map_err(|error| error.to_string())
}

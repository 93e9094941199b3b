//! Encryption at rest from its flags, and reading its file again.
//!
//! Upstream: `apiserver/pkg/server/options/encryptionconfig/controller`.

use super::files;
use crate::options::Etcd;
use anyhow::Context as _;
use apimachinery::resources;
use apiserver_server::health::Health;
use apiserver_storage::Encryption;
use component::Supervisor;
use component::files::Watch;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often a changed file that could not be used is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// The encryption, if it is configured.
pub(super) fn encryption(options: &Etcd, supervisor: &Supervisor) -> anyhow::Result<Option<Arc<Encryption>>> {
    let Some(path) = &options.encryption_provider_config else { return Ok(None) };
    let encryption = Encryption::load(path, resources::builtin()).context("--encryption-provider-config")?;
    let encryption = Arc::new(encryption);
    if options.encryption_provider_config_automatic_reload {
        let follow = follow(encryption.clone(), path.clone());
        supervisor.spawn_until_stop("encryption configuration", follow);
    }
    Ok(Some(encryption))
}

/// Takes over what is written into the file; what cannot be used leaves the old in use, and is tried
/// again, because a key management service may become well.
async fn follow(encryption: Arc<Encryption>, path: PathBuf) {
    let mut watch = Watch::new([path.clone()]);
    let mut known = files::bytes(&path);
    loop {
        tokio::select! {
            () = watch.changed() => {}
            () = tokio::time::sleep(AGAIN) => {}
        }
        let now = files::bytes(&path);
        if now == known {
            continue;
        }
        match encryption.reload(&path).await {
            Ok(()) => {
                tracing::info!("loaded the changed --encryption-provider-config");
                known = now;
            }
            Err(error) => tracing::error!(%error, "cannot use the changed --encryption-provider-config"),
        }
    }
}

/// Adds the checks of key management services: one of all if there may be others later, else one of
/// each, as upstream.
pub(super) fn add_check(encryption: Option<Arc<Encryption>>, options: &Etcd, health: &mut Health) {
    let Some(encryption) = encryption else { return };
    if options.encryption_provider_config_automatic_reload {
        health.add("kms-providers", move || encryption.services_healthy());
        return;
    }
    for at in 0..encryption.services() {
        let encryption = encryption.clone();
        health.add(&format!("kms-provider-{at}"), move || encryption.service_healthy(at));
    }
}

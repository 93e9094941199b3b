//! Encryption at rest from its flags, and reading its file again.
//!
//! Upstream: `apiserver/pkg/server/options/encryptionconfig/controller`.

use super::files;
use crate::options::Etcd;
use anyhow::Context as _;
use apimachinery::resources;
use apiserver_storage::Encryption;
use component::Supervisor;
use std::sync::Arc;
use std::time::Duration;

/// How often the file is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The encryption, if it is configured.
pub(super) fn encryption(options: &Etcd, supervisor: &Supervisor) -> anyhow::Result<Option<Arc<Encryption>>> {
    let Some(path) = &options.encryption_provider_config else { return Ok(None) };
    let encryption = Encryption::load(path, resources::builtin()).context("--encryption-provider-config")?;
    let encryption = Arc::new(encryption);
    if options.encryption_provider_config_automatic_reload {
        let (encryption, path) = (encryption.clone(), path.clone());
        supervisor.spawn_until_stop("encryption configuration", async move {
            let mut known = files::bytes(&path);
            loop {
                tokio::time::sleep(LOOK_AGAIN).await;
                let now = files::bytes(&path);
                if now == known {
                    continue;
                }
                match encryption.reload(&path) {
                    Ok(()) => tracing::info!("loaded the changed --encryption-provider-config"),
                    // What was good stays in use.
                    Err(error) => tracing::error!(%error, "cannot use the changed --encryption-provider-config"),
                }
                known = now;
            }
        });
    }
    Ok(Some(encryption))
}

//! A new certificate before the present one ends.
//!
//! Upstream: `client-go/util/certificate/certificate_manager.go`.

use super::metrics::ClientMetrics;
use super::store::Store;
use super::{CredentialsError, order};
use client::config::Renewal;
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;

/// After what time one that could not be had is asked for again; twice as long each time.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_secs(128);

/// What it takes to have a new certificate.
pub struct Rotation {
    pub client: kube::Client,
    pub renewal: Renewal,
    pub store: Store,
    pub node: String,
    pub counts: ClientMetrics,
}

impl Rotation {
    /// Goes on for ever; give it to the supervisor.
    pub async fn run(self) {
        let mut retry = FIRST_RETRY;
        loop {
            match self.store.validity() {
                Ok(validity) => wait_until(validity.renewal(rand::random())).await,
                Err(error) => tracing::warn!(%error, "there is no certificate to go on with"),
            }
            match self.renew().await {
                Ok(()) => {
                    retry = FIRST_RETRY;
                    continue;
                }
                Err(error) => {
                    self.counts.failures.inc();
                    tracing::error!(%error, "cannot renew the client certificate");
                }
            }
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(LAST_RETRY);
        }
    }

    async fn renew(&self) -> Result<(), CredentialsError> {
        let key = self.store.pending_key()?;
        let certificate = order::node_certificate(&self.client, &self.node, &key).await?;
        let file = self.store.update(&certificate, &key.to_pem(), Timestamp::now())?;
        self.store.forget_pending();
        self.renewal.renew().await?;
        tracing::info!(file = %file.display(), "the client certificate is renewed");
        Ok(())
    }
}

async fn wait_until(then: Timestamp) {
    let left = then.duration_since(Timestamp::now());
    tracing::info!(%then, "the client certificate will be renewed");
    tokio::time::sleep(Duration::try_from(left).unwrap_or_default()).await;
}

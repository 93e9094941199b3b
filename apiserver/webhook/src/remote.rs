//! Webhooks that a kubeconfig leads to: who is asking, and may they, answered elsewhere.
//!
//! Upstream: `apiserver/pkg/util/webhook`.

mod cache;
mod kubeconfig;
mod users;

pub use cache::Expiring;
pub use kubeconfig::KubeconfigError;
pub use users::{Credentials, Users};

use crate::{Client, ConfigError, Means};
use bytes::Bytes;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// Calls before a webhook counts as unreachable.
const ATTEMPTS: u32 = 5;
/// Wait before the second; each further one is half as long again.
const PAUSE: Duration = Duration::from_millis(500);

/// A webhook that cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Its kubeconfig cannot be used.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// What the kubeconfig says cannot be used.
    #[error("{file}: {source}")]
    Config {
        /// The kubeconfig.
        file: String,
        /// Why.
        source: ConfigError,
    },
}

/// A webhook behind a kubeconfig.
#[derive(Debug)]
pub struct Remote {
    client: Client,
    timeout: Duration,
    /// Wait before the second call.
    pause: Duration,
}

impl Remote {
    /// Reads the kubeconfig; connects when called.
    pub fn load(file: &Path, timeout: Duration, means: &Means) -> Result<Self, RemoteError> {
        let access = kubeconfig::read(file)?;
        let wrong = |source| RemoteError::Config { file: file.display().to_string(), source };
        let client = Client::new(access.config, access.identity, means).map_err(wrong)?;
        let client = client.with_authorization(access.authorization);
        Ok(Self { client, timeout, pause: PAUSE })
    }

    /// Waits so long before it asks a second time.
    pub fn with_pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Posts a review, again after a while if there is no answer, and reads the one that comes.
    pub async fn review(&self, review: &Value) -> Result<Value, String> {
        let body = Bytes::from(review.to_string());
        let mut pause = self.pause;
        let mut attempt = 1;
        loop {
            match self.client.post(body.clone(), self.timeout).await {
                Ok(answer) => return serde_json::from_slice(&answer).map_err(|error| error.to_string()),
                Err(error) if attempt == ATTEMPTS || error.is_timeout() => return Err(error.to_string()),
                Err(error) => tracing::debug!(%error, attempt, "webhook does not answer, trying again"),
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
            pause = pause * 3 / 2;
        }
    }

    /// Posts a document whose answer says nothing, again after `pause` and longer ones, whatever
    /// the reason that it was not taken.
    pub async fn post(&self, body: Bytes, mut pause: Duration) -> Result<(), String> {
        let mut attempt = 1;
        loop {
            match self.client.post(body.clone(), self.timeout).await {
                Ok(_) => return Ok(()),
                Err(error) if attempt == ATTEMPTS => return Err(error.to_string()),
                Err(error) => tracing::debug!(%error, attempt, "webhook did not take a document, trying again"),
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
            pause = pause * 3 / 2;
        }
    }
}

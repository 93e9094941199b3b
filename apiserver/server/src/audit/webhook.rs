//! Events to another server, as lists.
//!
//! Upstream: `apiserver/plugin/pkg/audit/webhook`.

use super::sink::Encoded;
use apiserver_webhook::Means;
use apiserver_webhook::remote::{Remote, RemoteError};
use bytes::Bytes;
use std::path::Path;
use std::time::Duration;

/// Longest call.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Another server that keeps events.
#[derive(Debug)]
pub struct Webhook {
    remote: Remote,
    initial_backoff: Duration,
}

impl Webhook {
    /// Reads the kubeconfig; connects when there is something to send. `initial_backoff` is the wait
    /// before the second attempt.
    pub fn load(kubeconfig: &Path, initial_backoff: Duration, means: &Means) -> Result<Self, RemoteError> {
        Ok(Self { remote: Remote::load(kubeconfig, TIMEOUT, means)?, initial_backoff })
    }

    /// Whether the server took the events.
    pub(super) async fn post(&self, events: &[Encoded]) -> bool {
        match self.remote.post(list(events), self.initial_backoff).await {
            Ok(()) => true,
            Err(error) => {
                for event in events {
                    tracing::error!(
                        audit_id = event.audit_id,
                        error,
                        "Error in audit plugin 'webhook' affecting 1 audit event"
                    );
                }
                false
            }
        }
    }
}

fn list(events: &[Encoded]) -> Bytes {
    let mut body = Vec::with_capacity(events.iter().map(|event| event.bytes.len() + 1).sum::<usize>() + 100);
    body.extend_from_slice(br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#);
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&event.bytes);
    }
    body.extend_from_slice(b"]}");
    body.into()
}

//! Static pods from a server: the manifest of one pod, or a list of pods.
//!
//! Upstream: `pkg/kubelet/config/http.go`.

use super::manifest::{self, ManifestError};
use super::statics::{Pods, Source, Statics};
use crate::pod::PodExt;
use crate::probes::http::{Get, GetError, fetch_trusted};
use rustls::ClientConfig;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a server may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Bytes of manifests that are read.
const LONGEST: usize = 10 << 20;
/// How often in a row it is told that they cannot be had.
const TOLD: u32 = 3;
/// A pod waits for the one before it.
const SOON: Duration = Duration::from_secs(1);

/// Why there are no manifests.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error("{0:?} is no URL of a server")]
    Url(String),
    #[error("{url}: {why}")]
    Unreachable { url: String, why: GetError },
    #[error("{0} did not answer in time")]
    Late(String),
    #[error("{url}: {status}")]
    Status { url: String, status: u16 },
    #[error("zero-length data received from {0}")]
    Empty(String),
    #[error("{url}: more than {LONGEST} bytes")]
    Long { url: String },
    #[error("{url}: {why}")]
    Manifest { url: String, why: ManifestError },
}

/// A server of manifests.
pub struct Web {
    url: String,
    get: Get,
    trust: Arc<ClientConfig>,
    node: String,
    statics: Statics,
    /// What it said last, and the pods of that.
    last: (String, Pods),
}

impl Web {
    /// The server behind `staticPodURL`, asked with these headers.
    pub fn new(
        url: &str,
        headers: &BTreeMap<String, Vec<String>>,
        node: String,
        statics: Statics,
    ) -> Result<Self, WebError> {
        let pairs = headers.iter().flat_map(|(name, values)| values.iter().map(move |v| (name.clone(), v.clone())));
        let get = Get::of_url(url, pairs.collect()).ok_or_else(|| WebError::Url(url.to_owned()))?;
        Ok(Self { url: url.to_owned(), get, trust: trust(), node, statics, last: Default::default() })
    }

    /// Asks for ever; give it to the supervisor.
    pub async fn run(mut self, every: Duration) {
        let mut failures = 0u32;
        loop {
            let waiting = match self.ask().await {
                Ok(waiting) => {
                    if failures > 0 {
                        tracing::info!("Successfully read pods from URL");
                    }
                    failures = 0;
                    waiting
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    match failures <= TOLD {
                        true => tracing::warn!(%error, "Failed to read pods from URL"),
                        false => tracing::debug!(%error, "Failed to read pods from URL"),
                    }
                    false
                }
            };
            tokio::time::sleep(if waiting { SOON.min(every) } else { every }).await;
        }
    }

    /// Asks once; whether a pod waits for the one before it. What cannot be had or read changes nothing, but a server that
    /// has nothing has no pods.
    async fn ask(&mut self) -> Result<bool, WebError> {
        let url = || self.url.clone();
        let answer = tokio::time::timeout(LIMIT, fetch_trusted(&self.get, self.trust.clone(), LONGEST + 1)).await;
        let answer = answer.map_err(|_| WebError::Late(url()))?;
        let answer = answer.map_err(|why| WebError::Unreachable { url: url(), why })?;
        if answer.status != 200 {
            return Err(WebError::Status { url: url(), status: answer.status });
        }
        if answer.body.is_empty() {
            self.last = Default::default();
            self.statics.set(Source::Http, Pods::new());
            return Err(WebError::Empty(url()));
        }
        if answer.body.len() > LONGEST {
            return Err(WebError::Long { url: url() });
        }
        if answer.body != self.last.0 {
            let pods = manifest::several(&answer.body, &self.url, &self.node);
            let pods = pods.map_err(|why| WebError::Manifest { url: url(), why })?;
            let pods = pods.into_iter().map(|pod| (pod.uid().to_owned(), Arc::new(pod))).collect();
            self.last = (answer.body, pods);
        }
        Ok(self.statics.set(Source::Http, self.last.1.clone()))
    }
}

/// Servers that the machine trusts.
fn trust() -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    // The provider supports the versions it is shipped with.
    Arc::new(config.expect("default protocol versions").with_root_certificates(roots).with_no_client_auth())
}

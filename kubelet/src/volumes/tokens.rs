//! Service account tokens: asked for once, renewed when a fifth of their life is left.
//!
//! Upstream: `pkg/kubelet/token`.

use crate::cluster::{Cluster, ClusterError, Token, TokenWish};
use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A token is renewed after a day even if it holds longer.
const MAX_AGE: i64 = 24 * 3600;

/// The tokens in use. Cheap to clone.
#[derive(Clone)]
pub struct Tokens {
    cluster: Arc<dyn Cluster>,
    held: Arc<Mutex<HashMap<TokenWish, Held>>>,
}

#[derive(Clone)]
struct Held {
    token: Token,
    renew_at: Timestamp,
}

impl Tokens {
    pub fn new(cluster: Arc<dyn Cluster>) -> Self {
        Self { cluster, held: Arc::default() }
    }

    /// A token that holds for a while. When renewal fails, the old one is given as long as it holds.
    pub async fn get(&self, wish: &TokenWish) -> Result<String, ClusterError> {
        self.held(wish).await.map(|token| token.token)
    }

    /// The same, with the time until when it holds.
    pub async fn held(&self, wish: &TokenWish) -> Result<Token, ClusterError> {
        let now = Timestamp::now();
        let held = self.held.lock().get(wish).cloned();
        if let Some(held) = held.as_ref().filter(|h| now < h.renew_at) {
            return Ok(held.token.clone());
        }
        match self.cluster.token(wish).await {
            Ok(token) => {
                let renew_at = renewal(now, token.expires);
                self.held.lock().insert(wish.clone(), Held { token: token.clone(), renew_at });
                Ok(token)
            }
            Err(e) => match held.filter(|h| now < h.token.expires) {
                Some(held) => {
                    tracing::warn!(error = %e, pod = wish.pod_name, "cannot renew a token yet");
                    Ok(held.token)
                }
                None => Err(e),
            },
        }
    }

    /// Forgets a pod's tokens.
    pub fn forget(&self, pod_uid: &str) {
        self.held.lock().retain(|wish, _| wish.pod_uid != pod_uid);
    }

    /// Time until the first of a pod's tokens is due.
    pub fn next_renewal(&self, pod_uid: &str) -> Option<Duration> {
        let held = self.held.lock();
        let first = held.iter().filter(|(w, _)| w.pod_uid == pod_uid).map(|(_, h)| h.renew_at).min()?;
        Some(Duration::from_secs(u64::try_from(first.as_second() - Timestamp::now().as_second()).unwrap_or(0)))
    }
}

fn renewal(now: Timestamp, expires: Timestamp) -> Timestamp {
    let life = (expires.as_second() - now.as_second()).max(0);
    crate::clock::plus_seconds(now, (life * 8 / 10).min(MAX_AGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewed_at_four_fifths_and_at_least_daily() {
        let now = Timestamp::from_second(1000).unwrap();
        let at = |life| renewal(now, crate::clock::plus_seconds(now, life)).as_second() - 1000;
        assert_eq!((at(3600), at(10 * 86400), at(-5)), (2880, 86400, 0));
    }
}

//! Forgets old revisions of etcd, taking turns with all other apiservers, upstream's included.
//!
//! Upstream: `apiserver/pkg/storage/etcd3/compact.go`.

use crate::StorageError;
use crate::backend::Claim;
use crate::core::Core;
use std::sync::Arc;
use std::time::Duration;

/// The compactor's memory between turns.
#[derive(Debug, Default)]
pub(crate) struct Compactor {
    /// Logical time: how often the compaction key was written.
    version: i64,
    /// etcd's revision at the last turn, which the next one compacts.
    revision: u64,
}

/// Takes a turn once in each interval.
pub(crate) async fn run(core: Arc<Core>, interval: Duration) {
    let mut compactor = Compactor::default();
    loop {
        tokio::time::sleep(interval).await;
        if let Err(error) = compactor.turn(&core).await {
            tracing::warn!(%error, "compaction failed");
        }
    }
}

impl Compactor {
    /// Compacts what was current at the last turn, if no other server did meanwhile.
    pub(crate) async fn turn(&mut self, core: &Core) -> Result<(), StorageError> {
        let Claim { won, version, compacted, revision } =
            core.backend.claim_compaction(self.version, self.revision).await?;
        let last = std::mem::replace(&mut self.revision, revision);
        self.version = version;
        if won && last > 0 {
            core.backend.compact(last).await?;
            core.set_compacted(last);
        } else if !won {
            core.set_compacted(compacted);
        }
        Ok(())
    }
}

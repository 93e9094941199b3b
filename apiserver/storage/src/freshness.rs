//! Consistent reads from the cache: learn etcd's current revision, wait until the watch has
//! reached it. Readers that wait at the same time share one question to etcd.
//!
//! Upstream: KEP-2340, `apiserver/pkg/storage/cacher/cache_watcher.go` and `ready.go`.

use crate::StorageError;
use crate::core::Core;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long a read waits for a revision, as upstream.
const DEADLINE: Duration = Duration::from_secs(3);
/// Readers that wait for the same answer, at most; more wait for the next.
const BATCH: usize = 4096;

type Question = oneshot::Sender<Result<u64, StorageError>>;

/// Asks etcd for its current revision on behalf of all readers.
#[derive(Clone, Debug)]
pub(crate) struct Revisions {
    questions: mpsc::Sender<Question>,
}

/// The asking side and the task that answers.
pub(crate) fn revisions(core: Arc<Core>) -> (Revisions, impl Future<Output = ()>) {
    let (questions, asked) = mpsc::channel(BATCH);
    (Revisions { questions }, answer(core, asked))
}

/// Each question is answered by a request to etcd that was sent after the question was asked.
async fn answer(core: Arc<Core>, mut asked: mpsc::Receiver<Question>) {
    let mut batch = Vec::new();
    while asked.recv_many(&mut batch, BATCH).await > 0 {
        // Whoever is about to ask does so first: the fewer questions, the cheaper each read.
        tokio::task::yield_now().await;
        while let Some(question) = (batch.len() < BATCH).then(|| asked.try_recv().ok()).flatten() {
            batch.push(question);
        }
        let revision = core.backend.revision().await;
        for question in batch.drain(..) {
            let _ = question.send(revision.clone());
        }
    }
}

impl Revisions {
    /// etcd's revision now.
    pub(crate) async fn current(&self) -> Result<u64, StorageError> {
        let stopped = || StorageError::Unavailable("the store is stopping".to_owned());
        let (question, answer) = oneshot::channel();
        self.questions.send(question).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

/// Waits until the caches have reached a revision. [`StorageError::TooLarge`] if they do not in
/// time.
pub(crate) async fn wait_for(core: &Core, revision: u64) -> Result<(), StorageError> {
    if core.observed() >= revision {
        return Ok(());
    }
    let mut observed = core.observed.subscribe();
    let reached = tokio::time::timeout(DEADLINE, observed.wait_for(|observed| *observed >= revision)).await;
    match reached {
        Ok(Ok(_)) => Ok(()),
        _ => Err(StorageError::TooLarge { requested: revision, current: core.observed() }),
    }
}

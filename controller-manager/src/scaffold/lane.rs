//! One controller's loop: changes in its caches → keys → `reconcile`, with read-your-writes.

use crate::scaffold::informers::SharedKind;
use crate::scaffold::{Context, ReconcileError, Writes};
use client::informer::{Builder, Cached, Change, Informer, ObjectKey, Scope};
use client::queue::{Outcome, Queue};
use futures::future::BoxFuture;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// How soon a key that waits for its own write is looked at again, if no event does it before.
const UNSETTLED: Duration = Duration::from_secs(1);
/// How soon something is tried again that only a change of the object can mend.
const FINAL: Duration = Duration::from_secs(300);

/// When a reconciled key is due again without any change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When something changes.
    OnChange,
    /// After this time.
    After(Duration),
}

/// Brings what belongs to a key into the state its object asks for. Idempotent.
pub trait Controller: Send + Sync + 'static {
    /// Reads the caches, plans, applies.
    fn reconcile(&self, key: &ObjectKey) -> impl Future<Output = Result<Next, ReconcileError>> + Send;
}

/// The wiring of one controller before it runs.
pub struct Lane {
    name: &'static str,
    context: Context,
    queue: Queue<ObjectKey>,
    writes: Writes,
    synced: Vec<BoxFuture<'static, ()>>,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Lane {
    /// A lane for the controller of this name; its queue's metrics carry the name.
    pub fn new(context: &Context, name: &'static str) -> Self {
        Self { name, context: context.clone(), queue: Queue::new(name), writes: Writes::default(), synced: Vec::new() }
    }

    /// The queue, for timers and handlers of an unusual shape.
    pub fn queue(&self) -> Queue<ObjectKey> {
        self.queue.clone()
    }

    /// What this controller has written and not seen yet.
    pub fn writes(&self) -> Writes {
        self.writes.clone()
    }

    /// The cache of a kind; the loop does not begin before it is complete.
    pub fn reads<K: SharedKind>(&mut self) -> Informer<K> {
        let informer = self.context.informers.of::<K>();
        let complete = informer.clone();
        self.synced.push(Box::pin(async move { complete.synced().await }));
        informer
    }

    /// As [`Self::reads`]; every change queues the object's own key.
    pub fn watches<K: SharedKind>(&mut self) -> Informer<K> {
        self.maps(|change: &Change<K>| vec![ObjectKey::of(&**change.object())])
    }

    /// As [`Self::reads`]; a change queues the keys that `keys` gives.
    pub fn maps<K: SharedKind>(
        &mut self,
        keys: impl Fn(&Change<K>) -> Vec<ObjectKey> + Send + Sync + 'static,
    ) -> Informer<K> {
        let informer = self.reads::<K>();
        let queue = self.queue.clone();
        informer.subscribe(move |change| keys(change).into_iter().for_each(|key| queue.add(key)));
        informer
    }

    /// A cache of this controller's own, of a part of a kind that is not shared; a change queues the
    /// keys that `keys` gives.
    pub fn follows<K: Cached>(
        &mut self,
        scope: Scope,
        keys: impl Fn(&Change<K>) -> Vec<ObjectKey> + Send + Sync + 'static,
    ) -> Informer<K> {
        let queue = self.queue.clone();
        let (informer, feed) = Builder::new(self.context.caches(), scope)
            .on_change(move |change| keys(change).into_iter().for_each(|key| queue.add(key)))
            .build();
        self.context.supervisor.spawn_until_stop("informer", feed);
        let complete = informer.clone();
        self.synced.push(Box::pin(async move { complete.synced().await }));
        informer
    }

    /// Runs the controller with so many workers, once its caches are complete.
    pub fn run(self, workers: usize, controller: impl Controller) {
        let Self { name, context, queue, writes, synced } = self;
        let controller = Arc::new(controller);
        context.supervisor.spawn_until_stop(name, async move {
            futures::future::join_all(synced).await;
            tracing::debug!(controller = name, "caches are complete");
            let work = move |key: ObjectKey| {
                let (controller, writes) = (Arc::clone(&controller), writes.clone());
                async move { step(name, &*controller, &writes, &key).await }
            };
            queue.run(workers, work).await;
        });
    }
}

async fn step(name: &'static str, controller: &impl Controller, writes: &Writes, key: &ObjectKey) -> Outcome {
    if !writes.settled(key) {
        return Outcome::After(UNSETTLED);
    }
    match controller.reconcile(key).await {
        Ok(Next::OnChange) => Outcome::Done,
        Ok(Next::After(delay)) => Outcome::After(delay),
        Err(error) => failed(name, key, &error),
    }
}

fn failed(name: &'static str, key: &ObjectKey, error: &ReconcileError) -> Outcome {
    let cause = error.cause();
    if error.is_conflict() {
        tracing::debug!(controller = name, %key, %error, cause, "another writer was faster");
        return Outcome::Failed;
    }
    tracing::warn!(controller = name, %key, %error, cause, "reconciling failed");
    if error.is_final() { Outcome::After(FINAL) } else { Outcome::Failed }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Answers(fn() -> Result<Next, ReconcileError>);

    impl Controller for Answers {
        async fn reconcile(&self, _key: &ObjectKey) -> Result<Next, ReconcileError> {
            (self.0)()
        }
    }

    fn unusable() -> Result<Next, ReconcileError> {
        Err(ReconcileError::Unusable { object: "o".into(), why: "w".into() })
    }

    #[tokio::test]
    async fn outcomes() {
        let key = ObjectKey { namespace: "n".into(), name: "a".into() };
        let table: [(fn() -> Result<Next, ReconcileError>, Outcome); 4] = [
            (|| Ok(Next::OnChange), Outcome::Done),
            (|| Ok(Next::After(Duration::from_secs(2))), Outcome::After(Duration::from_secs(2))),
            (unusable, Outcome::After(FINAL)),
            (|| Err(ReconcileError::Unfinished { left: "x".into() }), Outcome::Failed),
        ];
        for (answer, outcome) in table {
            assert_eq!(step("test", &Answers(answer), &Writes::default(), &key).await, outcome);
        }
    }
}

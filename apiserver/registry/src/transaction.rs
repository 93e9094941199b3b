//! Changes of one stored object: decide on what the cache has, write if that is still what etcd
//! has, else decide again.
//!
//! The decision is made outside of [`Store::update`]'s closure: it awaits admission, and the future
//! of a verb must be `Send`, which the compiler cannot prove for an async closure that borrows.

use crate::failure::Failure;
use crate::verbs::Target;
use apiserver_storage::{Change, Match, Object, StorageError, Store};
use async_trait::async_trait;
use std::sync::Arc;

/// Lost races until the client has to try again itself.
const ATTEMPTS: usize = 10;

/// Makes a change of the current object. Called again with a newer one if the first was stale.
#[async_trait]
pub(crate) trait Decide: Send {
    async fn decide(&mut self, current: &Arc<Object>) -> Result<Change, Failure>;
}

/// A decision that awaits nothing.
pub(crate) struct Now<F>(pub(crate) F);

#[async_trait]
impl<F> Decide for Now<F>
where
    F: FnMut(&Arc<Object>) -> Result<Change, Failure> + Send,
{
    async fn decide(&mut self, current: &Arc<Object>) -> Result<Change, Failure> {
        (self.0)(current)
    }
}

/// Where the current state is taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Cache,
    Etcd,
}

/// Runs a change. Answers the object after it; for a deletion, its last state.
pub(crate) async fn run(store: &Store, target: &Target, decision: &mut dyn Decide) -> Result<Arc<Object>, Failure> {
    let mut origin = Origin::Cache;
    for _ in 0..ATTEMPTS {
        let current = match origin {
            Origin::Cache => store.cached(&target.stored, &target.key),
            Origin::Etcd => store.get(&target.stored, &target.key, Match::MostRecent).await?,
        };
        let (current, change) = match current {
            None if origin == Origin::Etcd => return Err(missing(target).into()),
            None => {
                origin = Origin::Etcd;
                continue;
            }
            Some(current) => {
                let decided = decision.decide(&current).await;
                (current, decided)
            }
        };
        let change = match (change, origin) {
            (Ok(change), _) => change,
            (Err(refusal), Origin::Etcd) => return Err(refusal),
            (Err(refusal), Origin::Cache) => {
                // The refusal may be about an old state.
                let fresh = store.get(&target.stored, &target.key, Match::MostRecent).await?;
                if fresh.is_some_and(|fresh| fresh.revision() == current.revision()) {
                    return Err(refusal);
                }
                origin = Origin::Etcd;
                continue;
            }
        };
        match write(store, target, current.revision(), change).await {
            Ok(object) => return Ok(object),
            Err(StorageError::Conflict { actual: 0, .. }) => return Err(missing(target).into()),
            Err(StorageError::Conflict { .. }) => origin = Origin::Etcd,
            Err(error) => return Err(error.into()),
        }
    }
    Err(StorageError::Conflict { key: target.key.clone(), expected: 0, actual: 0 }.into())
}

async fn write(store: &Store, target: &Target, revision: u64, change: Change) -> Result<Arc<Object>, StorageError> {
    let mut change = Some(change);
    let key = target.key.clone();
    let once = async move |current: &Arc<Object>| {
        let actual = current.revision();
        change.take().ok_or_else(|| StorageError::Conflict { key: key.clone(), expected: revision, actual })
    };
    store.update(&target.stored, &target.key, Some(revision), once).await.map(|(object, _)| object)
}

fn missing(target: &Target) -> StorageError {
    StorageError::NotFound { key: target.key.clone() }
}

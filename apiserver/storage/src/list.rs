//! Lists: from the cache whenever it knows the state asked for, from etcd otherwise.

use crate::backend::{Range, prefix_end};
use crate::cache::{Cache, Objects, Span};
use crate::core::Core;
use crate::freshness::{Revisions, wait_for};
use crate::object::Object;
use crate::query::{ListPage, ListQuery, Match, Selection};
use crate::token::Continue;
use crate::{StorageError, cache};
use std::sync::Arc;

/// Keys read from etcd at once when an old state is not in memory.
const OLD_PAGE: u64 = 1000;

/// One list request on one cache.
pub(crate) struct Listing<'a> {
    pub(crate) core: &'a Core,
    pub(crate) revisions: &'a Revisions,
    pub(crate) cache: &'a Cache,
    pub(crate) query: &'a ListQuery,
}

/// Which state a list shows.
enum State {
    /// What the cache has.
    Now,
    /// The state of one revision.
    At(u64),
    /// The state of one revision that the cache has not reached.
    Ahead(u64),
}

impl Listing<'_> {
    pub(crate) async fn run(&self) -> Result<ListPage, StorageError> {
        let mut span = Span::all(self.cache.prefix(), &self.query.selection);
        if self.query.limit > 0 && self.query.revision != Match::Any {
            span.limit = self.query.limit;
        }
        if self.query.continue_token.is_empty() {
            let state = self.state(self.query.revision).await?;
            return self.show(&span, state).await;
        }
        let token = Continue::decode(&self.query.continue_token, &span.prefix)?;
        span.start = token.start.clone();
        match token.revision {
            None => {
                let state = self.state(Match::MostRecent).await?;
                self.show(&span, state).await
            }
            Some(revision) => self.at(&span, revision).await.map_err(|error| match error {
                StorageError::Expired { .. } => {
                    StorageError::ExpiredContinue { continue_token: token.inconsistent(&span.prefix) }
                }
                other => other,
            }),
        }
    }

    /// Waits until the state asked for can be shown.
    async fn state(&self, at: Match) -> Result<State, StorageError> {
        match at {
            Match::Any => Ok(State::Now),
            Match::MostRecent => {
                let revision = self.revisions.current().await?;
                // The watch may be cut off from an etcd that answers reads.
                let is_reached = wait_for(self.core, revision).await.is_ok();
                Ok(if is_reached { State::Now } else { State::Ahead(revision) })
            }
            Match::NotOlderThan(revision) => {
                wait_for(self.core, revision).await?;
                Ok(State::Now)
            }
            Match::Exact(revision) => {
                wait_for(self.core, revision).await?;
                Ok(State::At(revision))
            }
        }
    }

    async fn show(&self, span: &Span, state: State) -> Result<ListPage, StorageError> {
        match state {
            State::Now => Ok(self.now(span)),
            State::At(revision) => self.at(span, revision).await,
            State::Ahead(revision) => self.read_etcd(span, revision).await,
        }
    }

    fn now(&self, span: &Span) -> ListPage {
        let (selection, observed) = (&self.query.selection, self.core.observed());
        if span.limit == usize::MAX {
            let (items, revision) = self.cache.select(selection, span, observed);
            return ListPage { items, revision, continue_token: String::new(), remaining: None };
        }
        let (objects, revision) = self.cache.now(observed);
        let page = page(&objects, selection, span, revision);
        if !page.continue_token.is_empty() {
            self.cache.remember(objects, revision);
        }
        page
    }

    async fn at(&self, span: &Span, revision: u64) -> Result<ListPage, StorageError> {
        let oldest = self.core.compacted();
        if revision < oldest {
            return Err(StorageError::Expired { requested: revision, oldest });
        }
        wait_for(self.core, revision).await?;
        match self.cache.at(revision) {
            Some(objects) => Ok(page(&objects, &self.query.selection, span, revision)),
            None => self.read_etcd(span, revision).await,
        }
    }

    /// Reads an old state page by page until enough objects are selected.
    async fn read_etcd(&self, span: &Span, revision: u64) -> Result<ListPage, StorageError> {
        let selection = &self.query.selection;
        let mut start = self.core.full_key(&span.start);
        let end = prefix_end(&self.core.full_key(&span.prefix));
        let (mut items, mut after) = (Vec::new(), 0);
        loop {
            let range = Range { start: start.clone(), end: end.clone(), revision, limit: OLD_PAGE };
            let read = self.core.backend.range(range);
            let found = self.core.metrics.time("list", self.cache.resource(), read).await?;
            let (read, count) = (found.kvs.len() as u64, found.count);
            for (at, kv) in (1..).zip(&found.kvs) {
                let Some((key, _)) = self.core.place(&kv.key) else { continue };
                if items.len() == span.limit {
                    after = count - at + 1;
                    break;
                }
                let object = self.core.object(self.cache, key, &kv.value, kv.mod_revision)?;
                if selection.matches(&object) {
                    items.push(object);
                }
                start = [&kv.key[..], &[0]].concat();
            }
            if after > 0 || read >= count || read == 0 {
                return Ok(finish(items, selection, span, revision, after));
            }
        }
    }
}

/// A page of a state.
fn page(objects: &Objects, selection: &Selection, span: &Span, revision: u64) -> ListPage {
    let one_more = Span { limit: span.limit.saturating_add(1), ..span.clone() };
    let mut items = cache::scan(objects, selection, &one_more);
    if items.len() <= span.limit {
        return finish(items, selection, span, revision, 0);
    }
    items.truncate(span.limit);
    let last = items.last().map_or(span.start.as_str(), |object| object.key());
    let after = match selection.has_selectors() {
        true => 1,
        false => cache::count_after(objects, span, last),
    };
    finish(items, selection, span, revision, after)
}

/// Completes a page after which `after` keys follow.
fn finish(items: Vec<Arc<Object>>, selection: &Selection, span: &Span, revision: u64, after: u64) -> ListPage {
    let last = items.last().filter(|_| after > 0);
    let continue_token = last.map(|last| Continue::after(&span.prefix, last.key(), revision)).unwrap_or_default();
    let remaining = (after > 0 && !selection.has_selectors()).then_some(after);
    ListPage { items, revision, continue_token, remaining }
}

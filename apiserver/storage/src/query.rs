//! What lists and watches ask for.

use crate::Object;
use crate::cache::Span;
use crate::token::Continue;
use apimachinery::resources::ResourceInfo;
use apimachinery::selector::{FieldSelector, LabelSelector};
use std::sync::Arc;

/// Which objects of a resource.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only this namespace.
    pub namespace: Option<String>,
    /// Only objects whose labels match.
    pub labels: LabelSelector,
    /// Only objects whose fields match.
    pub fields: FieldSelector,
}

/// `resourceVersionMatch` together with `resourceVersion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Match {
    /// No `resourceVersion`: the most recent state.
    #[default]
    MostRecent,
    /// `resourceVersion=0`: whatever the cache has.
    Any,
    /// At least this revision.
    NotOlderThan(u64),
    /// Exactly this revision.
    Exact(u64),
}

/// A list request.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Which objects.
    pub selection: Selection,
    /// As of when.
    pub revision: Match,
    /// At most this many; 0 is no limit.
    pub limit: usize,
    /// Continue token of the page before; empty for the first.
    pub continue_token: String,
}

/// One page of a list.
#[derive(Debug)]
pub struct ListPage {
    /// Objects in key order.
    pub items: Vec<Arc<Object>>,
    /// The list's revision.
    pub revision: u64,
    /// Continue token; empty on the last page.
    pub continue_token: String,
    /// Objects after this page; `None` on the last page and with selectors, as upstream.
    pub remaining: Option<u64>,
}

impl ListPage {
    /// The token of a page that ends with this object of a list with this selection, for who leaves out
    /// objects of pages.
    pub fn token_after(resource: &ResourceInfo, selection: &Selection, last: &str, revision: u64) -> String {
        let span = Span::all(&format!("{}/", resource.storage_prefix), selection);
        Continue::after(&span.prefix, last, revision)
    }
}

/// A watch request.
#[derive(Clone, Debug, Default)]
pub struct WatchQuery {
    /// Which objects.
    pub selection: Selection,
    /// Start after this revision. `None`: the most recent state as synthetic ADDED events, then
    /// changes. `Some(0)`: the same from whatever the cache has.
    pub from: Option<u64>,
    /// `sendInitialEvents=true`: state as of at least `from`, then a bookmark annotated
    /// `k8s.io/initial-events-end`.
    pub send_initial_events: bool,
    /// `allowWatchBookmarks`: a bookmark about once a minute, and before the watch ends.
    pub bookmarks: bool,
}

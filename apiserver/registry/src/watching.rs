//! Watches in the version of the request.

use crate::convert::{self, Filter};
use crate::{Context, Registry};
use apimachinery::resources::ResourceInfo;
use apiserver_storage::{Event, EventKind, Object, StorageError, Watch};
use std::collections::HashSet;
use std::sync::Arc;

/// A running watch.
pub enum Watching {
    /// The store's objects as they are.
    Plain(Watch),
    /// A custom resource whose objects may be in another version.
    Converted(Box<Converted>),
}

/// A watch that converts.
pub struct Converted {
    watch: Watch,
    registry: Arc<Registry>,
    resource: Arc<ResourceInfo>,
    filter: Option<Selected>,
}

/// A field selector on converted objects, and the keys of what it selects.
struct Selected {
    filter: Filter,
    keys: HashSet<String>,
}

impl Watching {
    /// The next item; an error ends the watch.
    pub async fn next(&mut self) -> Result<Event, StorageError> {
        match self {
            Watching::Plain(watch) => watch.next().await,
            Watching::Converted(converted) => converted.next().await,
        }
    }

    /// An item that is ready now.
    pub fn try_next(&mut self) -> Option<Result<Event, StorageError>> {
        match self {
            Watching::Plain(watch) => watch.try_next(),
            Watching::Converted(_) => None,
        }
    }

    /// Converts the objects of a watch, if its resource has versions.
    pub(crate) fn of(registry: &Arc<Registry>, cx: &Context, watch: Watch, filter: Option<Filter>) -> Self {
        if cx.resource.custom.is_none() {
            return Watching::Plain(watch);
        }
        let filter = filter.map(|filter| Selected { filter, keys: HashSet::new() });
        let (registry, resource) = (registry.clone(), cx.resource.clone());
        Watching::Converted(Box::new(Converted { watch, registry, resource, filter }))
    }
}

impl Converted {
    async fn next(&mut self) -> Result<Event, StorageError> {
        loop {
            let (kind, object) = match self.watch.next().await? {
                Event::Change { kind, object } => (kind, object),
                bookmark => return Ok(bookmark),
            };
            let key = object.key().to_owned();
            let converted = convert::served(&self.registry, &self.resource, object).await;
            let object = converted.map_err(|status| StorageError::Corrupt { key, why: status.message })?;
            let kind = match &mut self.filter {
                None => Some(kind),
                Some(selected) => selected.see(kind, &object),
            };
            if let Some(kind) = kind {
                return Ok(Event::Change { kind, object });
            }
        }
    }
}

impl Selected {
    /// What a change looks like through the selector. An object that was never seen to be selected
    /// is taken not to have been.
    fn see(&mut self, kind: EventKind, object: &Object) -> Option<EventKind> {
        let was = self.keys.contains(object.key());
        let is = kind != EventKind::Deleted && self.filter.matches(object);
        match (was, is) {
            (false, false) => None,
            (false, true) => {
                self.keys.insert(object.key().to_owned());
                Some(if kind == EventKind::Modified { EventKind::Added } else { kind })
            }
            (true, true) => Some(EventKind::Modified),
            (true, false) => {
                self.keys.remove(object.key());
                Some(EventKind::Deleted)
            }
        }
    }

    /// Takes the objects that are selected when the watch begins.
    fn seed(&mut self, objects: &[Arc<Object>]) {
        let selected = objects.iter().filter(|object| self.filter.matches(object));
        self.keys.extend(selected.map(|object| object.key().to_owned()));
    }
}

impl Watching {
    /// Tells a watch with a selector what is selected at its start, unless it shows that itself.
    pub(crate) fn seed(&mut self, objects: &[Arc<Object>]) {
        if let Watching::Converted(converted) = self
            && let Some(selected) = &mut converted.filter
        {
            selected.seed(objects);
        }
    }
}

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watching")
    }
}

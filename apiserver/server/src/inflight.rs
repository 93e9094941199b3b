//! Limits on the requests that are served at a time.
//!
//! Upstream: `apiserver/pkg/server/filters/maxinflight.go`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of places for requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Places {
    taken: Arc<AtomicUsize>,
    limit: usize,
}

/// A place; dropping it gives it back.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Places {
    /// At most `limit` places; 0 is no limit, as the flags have it.
    pub fn new(limit: usize) -> Self {
        Self { taken: Arc::default(), limit }
    }

    /// A place, or `None` if all are taken.
    pub fn try_take(&self) -> Option<Place> {
        let place = self.take();
        let within = self.limit == 0 || self.taken.load(Ordering::Relaxed) <= self.limit;
        within.then_some(place)
    }

    /// A place past the limit, for those who are exempt.
    pub fn take(&self) -> Place {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Place(self.taken.clone())
    }

    /// Places taken now.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back() {
        let places = Places::new(2);
        let (a, b) = (places.try_take(), places.try_take());
        assert!(a.is_some() && b.is_some() && places.try_take().is_none());
        assert_eq!(places.taken(), 2);
        drop(a);
        assert!(places.try_take().is_some());
        let _exempt = places.take();
    }

    #[test]
    fn zero_is_no_limit() {
        let places = Places::new(0);
        let taken: Vec<_> = (0..1000).map(|_| places.try_take()).collect();
        assert!(taken.iter().all(Option::is_some));
    }
}

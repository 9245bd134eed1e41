//! A value that is computed at most once per period, for all callers together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// The last value and when it was computed. While one caller computes, the others wait for the new
/// value.
#[derive(Clone, Debug)]
pub(super) struct Cached<T>(Arc<Mutex<Option<(Instant, T)>>>);

/// Result of a lookup.
pub(super) enum Lookup<T> {
    /// The value is new enough.
    Fresh(T),
    /// The caller has to compute it.
    Stale(Slot<T>),
}

/// The exclusive right to compute the value. If it is dropped unfilled, the next caller gets it.
pub(super) struct Slot<T>(OwnedMutexGuard<Option<(Instant, T)>>);

impl<T> Default for Cached<T> {
    fn default() -> Cached<T> {
        Cached(Arc::default())
    }
}

impl<T: Clone> Cached<T> {
    /// The value if it is younger than `max_age`, otherwise the slot for a new one.
    pub async fn lookup(&self, max_age: Duration) -> Lookup<T> {
        let slot = self.0.clone().lock_owned().await;
        match &*slot {
            Some((computed_at, value)) if computed_at.elapsed() < max_age => {
                Lookup::Fresh(value.clone())
            }
            _ => Lookup::Stale(Slot(slot)),
        }
    }
}

impl<T> Slot<T> {
    /// Stores a new value.
    pub fn fill(mut self, value: T) {
        *self.0 = Some((Instant::now(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_value_is_served_until_it_is_too_old() {
        let cached = Cached::default();
        let Lookup::Stale(slot) = cached.lookup(HOUR).await else {
            panic!("an empty cache has a value");
        };
        slot.fill(7);
        assert!(matches!(cached.lookup(HOUR).await, Lookup::Fresh(7)));
        let expired = cached.lookup(Duration::ZERO).await;
        assert!(matches!(expired, Lookup::Stale(_)));
    }

    #[tokio::test]
    async fn the_next_caller_computes_if_the_first_gave_up() {
        let cached = Cached::<u32>::default();
        drop(cached.lookup(HOUR).await);
        assert!(matches!(cached.lookup(HOUR).await, Lookup::Stale(_)));
    }
}

//! Future events in order of time and, at the same time, of scheduling. Most are a few milliseconds
//! ahead, so they wait in buckets of which only the first is sorted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

/// A future event.
#[derive(Debug)]
struct Entry<T> {
    at: Duration,
    number: u64,
    event: T,
}

impl<T> Entry<T> {
    fn key(&self) -> (Duration, u64) {
        (self.at, self.number)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Entry<T>) -> bool {
        self.key() == other.key()
    }
}
impl<T> Eq for Entry<T> {}
impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Entry<T>) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Entry<T>) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// A queue of future events.
#[derive(Debug)]
pub struct Queue<T> {
    number: u64,
    bucket: u64,
    current: BinaryHeap<Reverse<Entry<T>>>,
    later: BTreeMap<u64, Vec<Reverse<Entry<T>>>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue {
            number: 0,
            bucket: 0,
            current: BinaryHeap::new(),
            later: BTreeMap::new(),
        }
    }
}

/// Bucket of a time: a quarter of a millisecond.
fn bucket(at: Duration) -> u64 {
    at.as_secs() * 4_000 + u64::from(at.subsec_nanos()) / 250_000
}

impl<T> Queue<T> {
    /// Schedules an event.
    pub fn push(&mut self, at: Duration, event: T) {
        self.number += 1;
        let number = self.number;
        let entry = Reverse(Entry { at, number, event });
        match bucket(at) {
            b if b <= self.bucket => self.current.push(entry),
            b => self.later.entry(b).or_default().push(entry),
        }
    }

    /// The next event and its time.
    pub fn pop(&mut self) -> Option<(Duration, T)> {
        while self.current.is_empty() {
            let (bucket, entries) = self.later.pop_first()?;
            self.bucket = bucket;
            self.current = entries.into();
        }
        let Reverse(entry) = self.current.pop()?;
        Some((entry.at, entry.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn events_are_in_order_of_time_and_of_scheduling() {
        let mut rng = Rng::new(3, "queue");
        let mut queue = Queue::default();
        let mut last = (Duration::ZERO, 0);
        for i in 0..20_000u64 {
            let ahead = rng.time(Duration::ZERO..Duration::from_millis(3));
            // Coarse, so that many have the same time.
            let at = last.0 + Duration::from_micros(ahead.as_micros() as u64 / 50 * 50);
            queue.push(at, i);
            if i % 2 == 1 {
                let (at, number) = queue.pop().expect("it is not empty");
                assert!(
                    (at, number) > last || i == 1,
                    "{at:?} {number} after {last:?}"
                );
                last = (at, number);
            }
        }
    }
}

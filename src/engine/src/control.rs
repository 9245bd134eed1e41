//! What the driver tells the engine threads: a start, shares, a lease, a stop. Written and
//! read without waiting; an engine thread looks at the lease at every send, and at the rest
//! when the generation has changed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::clock::{LeaseClock, LeaseInstant};
use vajra_plan::{Profile, SlotRange};

/// No start yet, no stop asked for.
pub const NEVER: u64 = u64::MAX;

/// A share of the node, and from when on it holds.
#[derive(Clone, Copy, Debug)]
pub struct ShareChange {
    /// Arrivals due from here on belong to the new share.
    pub at: LeaseInstant,
    /// The node's share, of which each thread takes a part.
    pub range: SlotRange,
}

/// An engine thread's letter box.
#[derive(Debug, Default)]
struct Lane {
    shares: Mutex<Vec<ShareChange>>,
    changed: Notify,
}

/// Shared by the driver and all engine threads of a run.
#[derive(Debug)]
pub struct Control {
    clock: LeaseClock,
    generation: AtomicU64,
    start: AtomicU64,
    lease_until: AtomicU64,
    lease_since: AtomicU64,
    stop_by: AtomicU64,
    last_share: Mutex<Option<SlotRange>>,
    profile: Mutex<Arc<Profile>>,
    lanes: Vec<Lane>,
}

impl Control {
    /// For so many engine threads, and this load.
    pub fn new(clock: LeaseClock, threads: usize, profile: Profile) -> Control {
        Control {
            clock,
            generation: AtomicU64::new(0),
            start: AtomicU64::new(NEVER),
            lease_until: AtomicU64::new(0),
            lease_since: AtomicU64::new(0),
            stop_by: AtomicU64::new(NEVER),
            last_share: Mutex::new(None),
            profile: Mutex::new(Arc::new(profile)),
            lanes: (0..threads).map(|_| Lane::default()).collect(),
        }
    }

    /// The clock that everything here is told on.
    pub fn clock(&self) -> LeaseClock {
        self.clock
    }

    /// Now, on that clock.
    pub fn now(&self) -> LeaseInstant {
        self.clock.now()
    }

    fn announce(&self) {
        self.generation.fetch_add(1, Ordering::Release);
        for lane in &self.lanes {
            lane.changed.notify_one();
        }
    }

    /// The profile starts at `at`.
    pub fn set_start(&self, at: LeaseInstant) {
        self.start.store(at.0, Ordering::Release);
        self.announce();
    }

    /// The share is `range` from now on.
    pub fn set_share(&self, range: SlotRange) {
        let mut last = lock(&self.last_share);
        if last.replace(range) == Some(range) {
            return;
        }
        let at = self.now();
        for lane in &self.lanes {
            lock(&lane.shares).push(ShareChange { at, range });
        }
        self.announce();
    }

    /// The load over time is another one: the same up to now, different from some later
    /// instant on.
    pub fn set_profile(&self, profile: Profile) {
        *lock(&self.profile) = Arc::new(profile);
        self.announce();
    }

    /// The load over time, as it was last told.
    pub fn profile(&self) -> Arc<Profile> {
        lock(&self.profile).clone()
    }

    /// The lease holds until `until`. If the one before has lapsed, this one begins now, and
    /// arrivals that fell due before are lost.
    pub fn set_lease(&self, until: LeaseInstant) {
        let now = self.now();
        if now.0 >= self.lease_until.load(Ordering::Relaxed) {
            self.lease_since.store(now.0, Ordering::Release);
        }
        self.lease_until.store(until.0, Ordering::Release);
    }

    /// Arrivals end now, and what is in flight has until `by`. An earlier end asked for
    /// before stands.
    pub fn stop(&self, by: LeaseInstant) {
        self.stop_by.fetch_min(by.0, Ordering::AcqRel);
        self.announce();
    }

    /// Whether an arrival that fell due at `due` may be sent now.
    ///
    /// The end is read before the beginning, which is written first: whoever sees the new
    /// end sees the new beginning, and whoever sees the old end stays within the old lease.
    pub fn may_send(&self, now: LeaseInstant, due: LeaseInstant) -> bool {
        now.0 < self.lease_until.load(Ordering::Acquire) && due >= self.lease_since()
    }

    /// A lease holds at `now`.
    pub fn lease_holds(&self, now: LeaseInstant) -> bool {
        now.0 < self.lease_until.load(Ordering::Acquire)
    }

    /// Since when there has been a lease without a gap, if there is one.
    pub fn lease_since(&self) -> LeaseInstant {
        LeaseInstant(self.lease_since.load(Ordering::Acquire))
    }

    /// Changes whenever anything but the lease does.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// When the profile starts, if that is known.
    pub fn start(&self) -> Option<LeaseInstant> {
        Some(self.start.load(Ordering::Acquire))
            .filter(|s| *s != NEVER)
            .map(LeaseInstant)
    }

    /// Until when what is in flight may take, if a stop was asked for.
    pub fn stop_by(&self) -> Option<LeaseInstant> {
        Some(self.stop_by.load(Ordering::Acquire))
            .filter(|s| *s != NEVER)
            .map(LeaseInstant)
    }

    /// A thread's share changes since it last asked, in order.
    pub fn take_shares(&self, thread: usize) -> Vec<ShareChange> {
        std::mem::take(&mut *lock(&self.lanes[thread].shares))
    }

    /// Wakes a thread's pacer: something changed.
    pub fn wake(&self, thread: usize) {
        self.lanes[thread].changed.notify_one();
    }

    /// Waits until something changes for a thread.
    pub async fn changed(&self, thread: usize) {
        self.lanes[thread].changed.notified().await;
    }
}

/// A panic elsewhere leaves these values whole: each is written in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vajra_plan::Load;

    fn control(threads: usize) -> Control {
        let load = Load::open(1.0, std::time::Duration::from_secs(1));
        Control::new(LeaseClock::new(), threads, Profile::of(&load))
    }

    #[test]
    fn a_lease_renewed_after_a_lapse_does_not_revive_what_fell_due_before() {
        let control = control(1);
        let before = control.now();
        assert!(!control.may_send(before, before), "no lease yet");
        control.set_lease(LeaseInstant(control.now().0 + 1_000_000_000));
        let now = control.now();
        assert!(control.may_send(now, now));
        assert!(!control.may_send(now, before), "due before the lease began");
        control.set_lease(LeaseInstant(now.0 + 2_000_000_000));
        assert!(
            control.may_send(LeaseInstant(now.0 + 1_500_000_000), now),
            "renewed without a gap"
        );
        control.set_lease(control.now());
        control.set_lease(LeaseInstant(control.now().0 + 1_000_000_000));
        let later = control.now();
        assert!(!control.may_send(later, now), "renewed after a gap");
    }

    #[test]
    fn a_repeated_share_is_no_change() {
        let control = control(2);
        let half = SlotRange {
            offset: 0,
            slots: 500_000,
        };
        control.set_share(half);
        control.set_share(half);
        let changes = control.take_shares(0);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].range, half);
        assert_eq!(control.generation(), 1);
    }

    #[test]
    fn a_later_stop_does_not_put_off_an_earlier_one() {
        let control = control(1);
        control.stop(LeaseInstant(5));
        control.stop(LeaseInstant(9));
        assert_eq!(control.stop_by(), Some(LeaseInstant(5)));
    }
}

//! Commands to the engine threads: a start, shares, a lease, a stop. Reading and writing does not
//! block. An engine thread reads the lease at every send, and the rest when the generation has
//! changed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::clock::{LeaseClock, LeaseInstant};
use vajra_core::sync::lock;
use vajra_plan::{Profile, SlotRange};

/// The start is not known; no stop was requested.
const NEVER: u64 = u64::MAX;

/// A share of the node, and when it takes effect.
#[derive(Clone, Copy, Debug)]
pub struct ShareChange {
    /// Arrivals due from this time on belong to the new share.
    pub at: LeaseInstant,
    /// The node's share, which its threads divide.
    pub range: SlotRange,
}

/// Commands to one engine thread.
#[derive(Debug, Default)]
struct Mailbox {
    shares: Mutex<Vec<ShareChange>>,
    changed: Notify,
}

/// Shared by a run and all its engine threads.
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
    mailboxes: Vec<Mailbox>,
}

impl Control {
    /// For this number of engine threads and this load profile.
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
            mailboxes: (0..threads).map(|_| Mailbox::default()).collect(),
        }
    }

    /// The clock of all instants.
    pub fn clock(&self) -> LeaseClock {
        self.clock
    }

    /// The current time.
    pub fn now(&self) -> LeaseInstant {
        self.clock.now()
    }

    fn notify(&self) {
        self.generation.fetch_add(1, Ordering::Release);
        for mailbox in &self.mailboxes {
            mailbox.changed.notify_one();
        }
    }

    /// Sets the start of the profile.
    pub fn set_start(&self, at: LeaseInstant) {
        self.start.store(at.0, Ordering::Release);
        self.notify();
    }

    /// Sets the share from now on.
    pub fn set_share(&self, range: SlotRange) {
        let mut last = lock(&self.last_share);
        if last.replace(range) == Some(range) {
            return;
        }
        let at = self.now();
        for mailbox in &self.mailboxes {
            lock(&mailbox.shares).push(ShareChange { at, range });
        }
        self.notify();
    }

    /// Replaces the load profile by one that is the same up to now.
    pub fn set_profile(&self, profile: Profile) {
        *lock(&self.profile) = Arc::new(profile);
        self.notify();
    }

    /// The current load profile.
    pub fn profile(&self) -> Arc<Profile> {
        lock(&self.profile).clone()
    }

    /// Sets the end of the lease. If the previous lease has expired, a new one starts now, and
    /// arrivals that were due before are lost.
    pub fn set_lease(&self, until: LeaseInstant) {
        let now = self.now();
        if now.0 >= self.lease_until.load(Ordering::Relaxed) {
            self.lease_since.store(now.0, Ordering::Release);
        }
        self.lease_until.store(until.0, Ordering::Release);
    }

    /// Ends arrivals now; requests in flight may take until `by`. An earlier deadline remains.
    pub fn stop(&self, by: LeaseInstant) {
        self.stop_by.fetch_min(by.0, Ordering::AcqRel);
        self.notify();
    }

    /// Whether an arrival that was due at `due` may be sent at `now`.
    ///
    /// The end is read before the start, which is written first: a thread that reads the new end
    /// also reads the new start, and one that reads the old end stays within the old lease.
    pub fn may_send(&self, now: LeaseInstant, due: LeaseInstant) -> bool {
        now.0 < self.lease_until.load(Ordering::Acquire) && due >= self.lease_since()
    }

    /// Whether a lease is valid at `now`.
    pub fn lease_valid(&self, now: LeaseInstant) -> bool {
        now.0 < self.lease_until.load(Ordering::Acquire)
    }

    /// Start of the lease, including renewals without a gap.
    pub fn lease_since(&self) -> LeaseInstant {
        LeaseInstant(self.lease_since.load(Ordering::Acquire))
    }

    /// Changes whenever anything except the lease does.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Start of the profile, if it is known.
    pub fn start(&self) -> Option<LeaseInstant> {
        Some(self.start.load(Ordering::Acquire))
            .filter(|s| *s != NEVER)
            .map(LeaseInstant)
    }

    /// Deadline of requests in flight, if a stop was requested.
    pub fn stop_by(&self) -> Option<LeaseInstant> {
        Some(self.stop_by.load(Ordering::Acquire))
            .filter(|s| *s != NEVER)
            .map(LeaseInstant)
    }

    /// A thread's share changes since the last call, in order.
    pub fn take_shares(&self, thread: usize) -> Vec<ShareChange> {
        std::mem::take(&mut *lock(&self.mailboxes[thread].shares))
    }

    /// Wakes a thread's pacer.
    pub fn wake(&self, thread: usize) {
        self.mailboxes[thread].changed.notify_one();
    }

    /// Waits until something changes for a thread.
    pub async fn changed(&self, thread: usize) {
        self.mailboxes[thread].changed.notified().await;
    }
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
    fn a_lease_renewed_after_a_gap_does_not_allow_arrivals_due_before_it() {
        let control = control(1);
        let before = control.now();
        assert!(!control.may_send(before, before), "no lease yet");
        control.set_lease(LeaseInstant(control.now().0 + 1_000_000_000));
        let now = control.now();
        assert!(control.may_send(now, now));
        assert!(
            !control.may_send(now, before),
            "due before the lease started"
        );
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
    fn a_repeated_share_is_not_a_change() {
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
    fn a_later_stop_does_not_extend_an_earlier_one() {
        let control = control(1);
        control.stop(LeaseInstant(5));
        control.stop(LeaseInstant(9));
        assert_eq!(control.stop_by(), Some(LeaseInstant(5)));
    }
}

//! Commands to the engine threads: a start, shares, a lease, a stop. An engine thread reads the
//! lease at every send, and the rest when the generation has changed.
//!
//! # Exact hand-over
//! No arrival that is due at or after the instant of a change of the share is processed under the
//! old share. The two sides do this in opposite order:
//! - [`Control::set_share`] locks the mailboxes, raises the generation, *then* reads the clock: the
//!   change takes effect one nanosecond after that reading. It puts the change into the mailboxes
//!   and unlocks them.
//! - A thread reads the clock, *then* the generation ([`Control::now_if_current`]), and processes
//!   only what was due by that reading, and only if the generation is the one that it has applied.
//!   Otherwise it takes its mailbox first, and waits for the lock.
//!
//! If a thread reads the old generation, it read the clock before the generation was raised, hence
//! before the controller did: all that it processes was due before the change. Fences keep the two
//! accesses of each side in order.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use vajra_plan::{Profile, Slots, Users};

use super::clock::{LeaseClock, LeaseInstant};

/// How long before the end of a lease the closed model interrupts its requests, in nanoseconds: time
/// for a thread that is short of CPU to wake up and close its connections. The shortest lease is
/// 2.5 s and is renewed four times a second, so that a node in contact with its coordinator never
/// comes that near to the end.
const INTERRUPT_NS: u64 = 50_000_000;

/// A share of the node, and when it takes effect.
#[derive(Clone, Debug)]
pub struct ShareChange {
    /// Number of the change.
    pub number: u64,
    /// Arrivals due from this time on belong to the new share.
    pub at: LeaseInstant,
    /// The node's share, which its threads divide.
    pub slots: Slots,
    /// Slots that were not in the previous share.
    pub added: Slots,
    /// Slots that are not in the share any more.
    pub removed: Slots,
    /// Arrivals of added slots that are due before this time after the start are not this node's.
    pub floor: Duration,
}

/// The load of the plan, with its changes.
#[derive(Debug)]
pub struct Timeline {
    /// When arrivals are due, and users are active.
    pub profile: Profile,
    users: OnceLock<Users>,
}

impl Timeline {
    fn new(profile: Profile) -> Timeline {
        Timeline {
            profile,
            users: OnceLock::new(),
        }
    }

    /// The slots of the users. Computed by the first caller.
    pub fn users(&self) -> &Users {
        self.users.get_or_init(|| Users::of(&self.profile))
    }
}

/// The newest share, and the changes that threads have not taken.
#[derive(Debug, Default)]
struct Shares {
    number: u64,
    slots: Slots,
    mailboxes: Vec<Vec<ShareChange>>,
}

/// Shared by a run and all its engine threads.
#[derive(Debug)]
pub struct Control {
    clock: LeaseClock,
    generation: AtomicU64,
    /// [`LeaseInstant::MAX`] before it is known.
    start: AtomicI64,
    lease_until: AtomicI64,
    lease_since: AtomicI64,
    /// [`LeaseInstant::MAX`] without a stop.
    stop_by: AtomicI64,
    shares: Mutex<Shares>,
    timeline: Mutex<Arc<Timeline>>,
    changed: Vec<Notify>,
}

impl Control {
    /// For this number of engine threads and this load profile.
    pub fn new(clock: LeaseClock, threads: usize, profile: Profile) -> Control {
        Control {
            clock,
            generation: AtomicU64::new(0),
            start: AtomicI64::new(i64::MAX),
            lease_until: AtomicI64::new(i64::MIN),
            lease_since: AtomicI64::new(i64::MIN),
            stop_by: AtomicI64::new(i64::MAX),
            shares: Mutex::new(Shares {
                mailboxes: vec![Vec::new(); threads],
                ..Shares::default()
            }),
            timeline: Mutex::new(Arc::new(Timeline::new(profile))),
            changed: (0..threads).map(|_| Notify::new()).collect(),
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

    /// Makes all threads look for changes.
    pub fn notify(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.changed.iter().for_each(Notify::notify_one);
    }

    /// Sets the start of the profile.
    pub fn set_start(&self, at: LeaseInstant) {
        self.start.store(at.0, Ordering::Release);
        self.notify();
    }

    /// Sets the share from now on, by a change of this number, and returns when it takes effect.
    /// None if the number does not exceed those of earlier changes. `before` is called before any
    /// thread acts on the change.
    pub fn set_share(
        &self,
        number: u64,
        slots: Slots,
        floor: Duration,
        before: impl FnOnce(LeaseInstant),
    ) -> Option<LeaseInstant> {
        let mut shares = lock(&self.shares);
        if number <= shares.number {
            return None;
        }
        // The generation first, then the clock: see the module's documentation.
        self.generation.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let at = self.now().plus_ns(1);
        before(at);
        let change = ShareChange {
            number,
            at,
            added: slots.difference(&shares.slots),
            removed: shares.slots.difference(&slots),
            slots: slots.clone(),
            floor,
        };
        shares.number = number;
        shares.slots = slots;
        for mailbox in &mut shares.mailboxes {
            mailbox.push(change.clone());
        }
        drop(shares);
        self.changed.iter().for_each(Notify::notify_one);
        Some(at)
    }

    /// The current time, if nothing has changed since this generation. No change of the share that
    /// is made later takes effect at or before the returned time.
    pub fn now_if_current(&self, generation: u64) -> Option<LeaseInstant> {
        // The clock first, then the generation: see the module's documentation.
        let now = self.now();
        fence(Ordering::SeqCst);
        (self.generation.load(Ordering::SeqCst) == generation).then_some(now)
    }

    /// Replaces the load profile by one that is the same up to now.
    pub fn set_profile(&self, profile: Profile) {
        *lock(&self.timeline) = Arc::new(Timeline::new(profile));
        self.notify();
    }

    /// The current load profile.
    pub fn timeline(&self) -> Arc<Timeline> {
        lock(&self.timeline).clone()
    }

    /// Sets the end of the lease. If the previous lease has expired, a new one starts now, and
    /// arrivals that were due before are lost.
    pub fn set_lease(&self, until: LeaseInstant) {
        let now = self.now();
        let before = LeaseInstant(self.lease_until.load(Ordering::Relaxed));
        if now >= before {
            self.lease_since.store(now.0, Ordering::Release);
        }
        self.lease_until.store(until.0, Ordering::Release);
        // Threads wake up in time for the end that they know.
        if until < before {
            self.changed.iter().for_each(Notify::notify_one);
        }
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
        self.lease_valid(now) && due >= self.lease_since()
    }

    /// Whether a lease is valid at `now`.
    pub fn lease_valid(&self, now: LeaseInstant) -> bool {
        now.0 < self.lease_until.load(Ordering::Acquire)
    }

    /// When requests in flight are interrupted unless the lease is renewed: shortly before its
    /// end.
    pub fn interrupt_at(&self) -> LeaseInstant {
        match LeaseInstant(self.lease_until.load(Ordering::Acquire)) {
            LeaseInstant::MAX => LeaseInstant::MAX,
            until => until.minus_ns(INTERRUPT_NS),
        }
    }

    /// Start of the lease, including renewals without a gap.
    pub fn lease_since(&self) -> LeaseInstant {
        LeaseInstant(self.lease_since.load(Ordering::Acquire))
    }

    /// Changes whenever anything except the lease does.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Start of the profile, if it is known.
    pub fn start(&self) -> Option<LeaseInstant> {
        known(&self.start)
    }

    /// Deadline of requests in flight, if a stop was requested.
    pub fn stop_by(&self) -> Option<LeaseInstant> {
        known(&self.stop_by)
    }

    /// A thread's share changes since the last call, in order.
    pub fn take_shares(&self, thread: usize) -> Vec<ShareChange> {
        std::mem::take(&mut lock(&self.shares).mailboxes[thread])
    }

    /// Wakes a thread's pacer.
    pub fn wake(&self, thread: usize) {
        self.changed[thread].notify_one();
    }

    /// Waits until something changes for a thread.
    pub async fn changed(&self, thread: usize) {
        self.changed[thread].notified().await;
    }
}

/// An instant that is set at most once a test; none before.
fn known(at: &AtomicI64) -> Option<LeaseInstant> {
    Some(LeaseInstant(at.load(Ordering::Acquire))).filter(|at| *at != LeaseInstant::MAX)
}

/// A panic elsewhere leaves these values consistent: each is written in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use vajra_plan::{Load, SLOTS};

    fn control(threads: usize) -> Control {
        let load = Load::open(1.0, Duration::from_secs(1));
        Control::new(LeaseClock::new(), threads, Profile::of(&load))
    }

    fn set_share(control: &Control, number: u64, slots: Slots) -> Option<LeaseInstant> {
        control.set_share(number, slots, Duration::ZERO, |_| ())
    }

    #[test]
    fn a_lease_renewed_after_a_gap_does_not_allow_arrivals_due_before_it() {
        let control = control(1);
        let before = control.now();
        assert!(!control.may_send(before, before), "no lease yet");
        control.set_lease(control.now().plus_ns(1_000_000_000));
        let now = control.now();
        assert!(control.may_send(now, now));
        assert!(
            !control.may_send(now, before),
            "due before the lease started"
        );
        control.set_lease(now.plus_ns(2_000_000_000));
        assert!(
            control.may_send(now.plus_ns(1_500_000_000), now),
            "renewed without a gap"
        );
        control.set_lease(control.now());
        control.set_lease(control.now().plus_ns(1_000_000_000));
        let later = control.now();
        assert!(!control.may_send(later, now), "renewed after a gap");
    }

    #[test]
    fn an_unlimited_lease_is_never_interrupted() {
        let control = control(1);
        control.set_lease(LeaseInstant::MAX);
        assert_eq!(control.interrupt_at(), LeaseInstant::MAX);
        let now = control.now();
        control.set_lease(now);
        assert!(control.interrupt_at() < now);
    }

    #[test]
    fn changes_name_the_slots_that_they_add_and_remove() {
        let control = control(2);
        let slots = |from, to| Slots::range(from, to);
        assert!(set_share(&control, 1, slots(0, 600)).is_some());
        assert!(set_share(&control, 2, slots(500, 700)).is_some());
        assert!(set_share(&control, 2, slots(0, 700)).is_none(), "no newer");
        let changes = control.take_shares(0);
        assert_eq!(changes.len(), 2);
        assert_eq!(changes[1].slots, slots(500, 700));
        assert_eq!(changes[1].added, slots(600, 700));
        assert_eq!(changes[1].removed, slots(0, 500));
        assert_eq!(control.generation(), 2);
        assert_eq!(control.take_shares(1).len(), 2);
        assert!(control.take_shares(1).is_empty());
    }

    #[test]
    fn a_later_stop_does_not_extend_an_earlier_one() {
        let control = control(1);
        control.stop(LeaseInstant(5));
        control.stop(LeaseInstant(9));
        assert_eq!(control.stop_by(), Some(LeaseInstant(5)));
    }

    /// Two nodes exchange the halves of the slots again and again, while a thread on each
    /// processes one arrival per microsecond and slot: the instants at which each holds a slot. A
    /// thread's intervals must end exactly where the change takes effect.
    #[test]
    fn threads_never_process_what_is_due_at_or_after_a_change_under_the_old_share() {
        const CHANGES: u64 = 3_000;
        let control = Arc::new(control(3));
        let done = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let (control, done) = (control.clone(), done.clone());
                std::thread::spawn(move || {
                    // What this thread processed under each share: the last due time.
                    let mut processed = vec![LeaseInstant::MIN];
                    let mut changes: Vec<ShareChange> = Vec::new();
                    let mut seen = u64::MAX;
                    while !done.load(Ordering::Relaxed) || seen != control.generation() {
                        let generation = control.generation();
                        if generation != seen {
                            seen = generation;
                            for change in control.take_shares(thread) {
                                changes.push(change);
                                processed.push(LeaseInstant::MIN);
                            }
                        }
                        if let Some(now) = control.now_if_current(seen) {
                            *processed.last_mut().unwrap() = now;
                        }
                    }
                    (changes, processed)
                })
            })
            .collect();
        for number in 1..=CHANGES {
            let half = match number % 2 {
                0 => Slots::range(0, SLOTS / 2),
                _ => Slots::range(SLOTS / 2, SLOTS),
            };
            set_share(&control, number, half).unwrap();
            if number.is_multiple_of(8) {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
        for thread in threads {
            let (changes, processed) = thread.join().unwrap();
            assert_eq!(changes.len() as u64, CHANGES, "a change is lost");
            let mut exercised = 0;
            for (i, change) in changes.iter().enumerate() {
                assert_eq!(change.number, i as u64 + 1);
                assert!(processed[i] < change.at, "processed after the change");
                exercised += u32::from(processed[i] > LeaseInstant::MIN);
            }
            assert!(exercised > 10, "threads hardly ran: {exercised}");
        }
    }
}

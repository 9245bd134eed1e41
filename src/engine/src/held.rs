//! What a node still acts on besides its newest share: changes that threads have not applied, users
//! that finish their iteration, and numbers of requests.
//!
//! Not on the path of a request: threads call it when they apply a change, when a removed user has
//! finished, and for each block of numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vajra_core::{Interval, Numbers, Slots};

use super::clock::LeaseInstant;

/// Most intervals of [`Held::draining`], unless one change removed more: half of those of a worker,
/// so that its share has the others.
const MAX_DRAINING: usize = vajra_core::MAX_INTERVALS / 2;

/// Blocks of numbers that a thread takes for its part of the free ones. More blocks share the last
/// numbers more evenly and cost a lock each.
const BLOCKS: u64 = 4;

/// Most numbers of a block.
const MAX_BLOCK: u64 = 256;

/// What a node still acts on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// Newest change of the share that all threads act on; 0 before the first.
    pub change: u64,
    /// Slots outside of the share whose removed users have not finished. A slot that was released
    /// returns only if it is added to the share and removed again.
    pub draining: Slots,
    /// Time since the start of the profile up to which the arrivals of slots that left the share
    /// by that change, or an earlier one, have been processed; 0 before the start.
    pub handled_until: Duration,
    /// Numbers of requests that were added and have not been used. May still contain numbers of
    /// each thread's current block that have been used; exact once the load has ended.
    pub unused: Numbers,
    /// The profile excludes all of its users for now: it uses no numbers.
    pub idle: bool,
}

/// A thread's newest change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
struct Applied {
    number: u64,
    handled_ns: u64,
}

#[derive(Default)]
struct State {
    /// The newest change, and when it takes effect.
    newest: (u64, Option<LeaseInstant>),
    /// Newest change of each thread; none once its load has ended.
    threads: Vec<Option<Applied>>,
    /// Threads whose users are all excluded by the profile.
    idle: Vec<bool>,
    /// Slots of users that finish, by the key that [`Holdings::drain`] returned.
    draining: BTreeMap<u64, Interval<u32>>,
    next_key: u64,
    /// What was reported as draining, and what has been added since.
    reported: Slots,
    numbers: Pool,
}

/// Numbers of requests.
#[derive(Default)]
struct Pool {
    free: Numbers,
    /// Each thread's current block.
    blocks: Vec<Numbers>,
    last: bool,
    /// Numbers when the last ones were added, until less than half of them are left.
    given: Option<u64>,
}

impl Pool {
    fn unused(&self) -> Numbers {
        let blocks = self.blocks.iter().flat_map(Numbers::intervals);
        Numbers::union_of(self.free.intervals().iter().chain(blocks).copied())
    }

    /// Whether less than half of the numbers are left, for the first time since some were added,
    /// or none at all.
    fn runs_out(&mut self) -> bool {
        let left: u64 = self.free.len() + self.blocks.iter().map(Numbers::len).sum::<u64>();
        if self.given.is_some_and(|given| 2 * left < given) {
            self.given = None;
            return true;
        }
        left == 0
    }
}

/// Shared by a run and all its threads.
pub struct Holdings {
    state: Mutex<State>,
    changed: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holdings").finish_non_exhaustive()
    }
}

impl Holdings {
    /// For this number of threads. `changed` is called when [`Self::held`] returns something new.
    pub fn new(threads: usize, changed: Box<dyn Fn() + Send + Sync>) -> Holdings {
        let state = State {
            threads: vec![Some(Applied::default()); threads],
            idle: vec![false; threads],
            numbers: Pool {
                blocks: vec![Numbers::EMPTY; threads],
                ..Pool::default()
            },
            ..State::default()
        };
        Holdings {
            state: Mutex::new(state),
            changed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the node still acts on, for a profile with this start.
    pub fn held(&self, start: Option<LeaseInstant>) -> Held {
        let mut state = self.lock();
        let (number, at) = state.newest;
        let newest_ns = at.zip(start).map_or(0, |(at, start)| at.ns_since(start));
        let running = || state.threads.iter().flatten();
        let applied = match running().map(|a| a.number).min() {
            Some(change) => {
                let same = running().filter(|a| a.number == change);
                let handled_ns = same.map(|a| a.handled_ns).max().unwrap_or(0);
                (change, handled_ns)
            }
            None => (number, newest_ns),
        };
        let cells = state.draining.values().copied();
        let draining = covering(&Slots::union_of(cells), &state.reported);
        state.reported = draining.clone();
        Held {
            change: applied.0,
            draining,
            handled_until: Duration::from_nanos(applied.1),
            unused: state.numbers.unused(),
            idle: state
                .threads
                .iter()
                .zip(&state.idle)
                .all(|(thread, idle)| thread.is_none() || *idle),
        }
    }

    /// Whether the profile excludes all users of a thread.
    pub fn set_idle(&self, thread: usize, idle: bool) {
        self.lock().idle[thread] = idle;
        (self.changed)();
    }

    /// A change was made; threads will apply it.
    pub fn announce(&self, number: u64, at: LeaseInstant) {
        let mut state = self.lock();
        state.newest = (number, Some(at));
        let ended = state.threads.iter().all(Option::is_none);
        drop(state);
        if ended {
            (self.changed)();
        }
    }

    /// A thread has applied a change; what left its share has been handled up to this time after
    /// the start.
    pub fn apply(&self, thread: usize, number: u64, handled_ns: u64) {
        let mut state = self.lock();
        let applied = &mut state.threads[thread];
        let handled_ns = applied.map_or(0, |a| a.handled_ns).max(handled_ns);
        *applied = applied.map(|_| Applied { number, handled_ns });
        drop(state);
        (self.changed)();
    }

    /// A thread has ended, and acts on nothing any more.
    pub fn end(&self, thread: usize) {
        let mut state = self.lock();
        state.threads[thread] = None;
        // A thread that failed has not returned its numbers, and may have used them.
        state.numbers.blocks[thread] = Numbers::EMPTY;
        drop(state);
        (self.changed)();
    }

    /// Removed users, each with its slots, finish their iterations. Returns the keys for
    /// [`Self::release`], in their order.
    pub fn drain(&self, cells: &[Interval<u32>]) -> Range<u64> {
        let mut state = self.lock();
        let first = state.next_key;
        state.next_key += cells.len() as u64;
        let keys = first..state.next_key;
        state
            .draining
            .extend(keys.clone().zip(cells.iter().copied()));
        let added = Slots::union_of(cells.iter().copied());
        state.reported = state.reported.union(&added);
        drop(state);
        (self.changed)();
        keys
    }

    /// A removed user has finished, or has returned to the share.
    pub fn release(&self, key: u64) {
        let mut state = self.lock();
        state.draining.remove(&key);
        drop(state);
        (self.changed)();
    }

    /// Adds numbers of requests; `last`: no more will follow.
    pub fn add_numbers(&self, added: &Numbers, last: bool) {
        let mut state = self.lock();
        let pool = &mut state.numbers;
        pool.free = pool.free.union(added);
        pool.last |= last;
        if !added.is_empty() {
            pool.given = Some(pool.unused().len());
        }
    }

    /// Takes a block of numbers for a thread, whose previous block is used. Empty if there are
    /// none.
    pub fn take_numbers(&self, thread: usize) -> Interval<u64> {
        let mut state = self.lock();
        let pool = &mut state.numbers;
        let size = pool.free.len() / (BLOCKS * pool.blocks.len() as u64);
        let first = pool.free.intervals().first();
        let block = first.map_or(Interval { from: 0, to: 0 }, |first| Interval {
            from: first.from,
            to: first.to.min(first.from + size.clamp(1, MAX_BLOCK)),
        });
        let taken = Numbers::range(block.from, block.to);
        pool.free = pool.free.difference(&taken);
        pool.blocks[thread] = taken;
        let report = pool.runs_out();
        drop(state);
        if report {
            (self.changed)();
        }
        block
    }

    /// Gives back the rest of a thread's block.
    pub fn return_numbers(&self, thread: usize, rest: Interval<u64>) {
        let mut state = self.lock();
        let pool = &mut state.numbers;
        pool.blocks[thread] = Numbers::EMPTY;
        pool.free = pool.free.union(&Numbers::range(rest.from, rest.to));
        drop(state);
        (self.changed)();
    }

    /// Takes all numbers out of the pool that no thread has.
    pub fn take_back(&self) -> Numbers {
        std::mem::take(&mut self.lock().numbers.free)
    }

    /// Whether numbers are free.
    pub fn has_numbers(&self) -> bool {
        !self.lock().numbers.free.is_empty()
    }

    /// Whether all numbers have been used, and no more will follow.
    pub fn out_of_numbers(&self) -> bool {
        let pool = &self.lock().numbers;
        pool.last && pool.free.is_empty() && pool.blocks.iter().all(Numbers::is_empty)
    }
}

/// The slots of `exact` in at most [`MAX_DRAINING`] intervals, by closing the smallest gaps that
/// are within `allowed`, a superset of `exact`. More intervals if that does not suffice.
fn covering(exact: &Slots, allowed: &Slots) -> Slots {
    let intervals = exact.intervals();
    if intervals.len() <= MAX_DRAINING {
        return exact.clone();
    }
    let gaps = intervals.windows(2).map(|w| Interval {
        from: w[0].to,
        to: w[1].from,
    });
    let closed = |gap: &Interval<u32>| allowed.contains_all(&Slots::range(gap.from, gap.to));
    let mut gaps: Vec<_> = gaps.filter(closed).collect();
    gaps.sort_by_key(|gap| gap.to - gap.from);
    gaps.truncate(intervals.len() - MAX_DRAINING);
    Slots::union_of(intervals.iter().copied().chain(gaps))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn holdings(threads: usize) -> (Holdings, Arc<AtomicU32>) {
        let calls = Arc::new(AtomicU32::new(0));
        let counter = calls.clone();
        let count = move || {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        (Holdings::new(threads, Box::new(count)), calls)
    }

    fn cell(i: u32) -> Interval<u32> {
        Interval {
            from: i * 10,
            to: (i + 1) * 10,
        }
    }

    #[test]
    fn a_change_is_held_back_by_the_slowest_running_thread() {
        let (holdings, calls) = holdings(3);
        let start = Some(LeaseInstant(-1_000));
        holdings.announce(1, LeaseInstant(500));
        holdings.announce(2, LeaseInstant(700));
        holdings.apply(0, 1, 1_500);
        holdings.apply(0, 2, 1_700);
        holdings.apply(1, 1, 1_500);
        assert_eq!(holdings.held(start), Held::default());
        holdings.apply(2, 2, 1_700);
        let held = holdings.held(start);
        assert_eq!((held.change, held.handled_until.as_nanos()), (1, 1_500));
        holdings.end(1);
        let held = holdings.held(start);
        assert_eq!((held.change, held.handled_until.as_nanos()), (2, 1_700));
        assert_eq!(calls.load(Ordering::Relaxed), 5);
        holdings.end(0);
        holdings.end(2);
        holdings.announce(3, LeaseInstant(900));
        let held = holdings.held(start);
        assert_eq!((held.change, held.handled_until.as_nanos()), (3, 1_900));
    }

    #[test]
    fn users_are_released_singly() {
        let (holdings, calls) = holdings(1);
        let keys: Vec<u64> = holdings.drain(&[cell(0), cell(1), cell(2)]).collect();
        assert_eq!(holdings.held(None).draining, Slots::range(0, 30));
        holdings.release(keys[1]);
        let rest = Slots::range(0, 10).union(&Slots::range(20, 30));
        assert_eq!(holdings.held(None).draining, rest);
        holdings.release(keys[0]);
        holdings.release(keys[2]);
        assert!(holdings.held(None).draining.is_empty());
        assert_eq!(calls.load(Ordering::Relaxed), 4, "one per call");
    }

    #[test]
    fn draining_slots_have_few_intervals_and_return_only_after_another_removal() {
        let (holdings, _) = holdings(1);
        let users = 1_000;
        let cells: Vec<Interval<u32>> = (0..users).map(cell).collect();
        let mut keys: Vec<(u32, u64)> = (0..users).zip(holdings.drain(&cells)).collect();
        let mut before = holdings.held(None).draining;
        let mut rng = vajra_core::splitmix::SplitMix64::new(2);
        while !keys.is_empty() {
            let i = rng.below(keys.len() as u64) as usize;
            let (_, key) = keys.swap_remove(i);
            holdings.release(key);
            let draining = holdings.held(None).draining;
            assert!(draining.intervals().len() <= MAX_DRAINING);
            assert!(before.contains_all(&draining));
            let cells = keys.iter().map(|(user, _)| cell(*user));
            assert!(draining.contains_all(&Slots::union_of(cells)));
            before = draining;
        }
        assert!(before.is_empty());
    }

    #[test]
    fn numbers_are_taken_in_blocks_and_reported_as_they_run_out() {
        let (holdings, calls) = holdings(2);
        holdings.add_numbers(&Numbers::range(100, 180), false);
        let mut used = Vec::new();
        let first = holdings.take_numbers(0);
        assert_eq!((first.from, first.to), (100, 110));
        let unused = holdings.held(None).unused;
        assert_eq!(unused, Numbers::range(100, 180), "the block may be unused");
        holdings.return_numbers(0, Interval { from: 104, to: 110 });
        assert_eq!(holdings.held(None).unused, Numbers::range(104, 180));
        let told = calls.load(Ordering::Relaxed);
        loop {
            let block = holdings.take_numbers(1);
            used.extend(block.from..block.to);
            if block.from == block.to {
                break;
            }
        }
        assert!(used.into_iter().eq(104..180));
        let told = calls.load(Ordering::Relaxed) - told;
        assert_eq!(told, 2, "at less than half, and when none is left");
        assert!(!holdings.out_of_numbers() && !holdings.has_numbers());
        holdings.add_numbers(&Numbers::EMPTY, true);
        assert!(holdings.out_of_numbers());
    }
}

//! The numbers of requests of a plan that limits them, in the closed model.
//!
//! Each request uses one number. The coordinator grants numbers to workers, each at most what it
//! sends in two heartbeats, so that little is lost with a worker. Beats carry the *free* numbers. A
//! number is granted only after a majority of electors has acknowledged a beat without it, so every
//! successor knows from the votes which numbers may have been granted. Numbers that are neither free
//! nor reported by a worker may have been sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::id::NodeId;
use super::planted::{Bug, planted};
use super::time::Time;
use crate::Numbers;

/// Most intervals of numbers in a message. Further returned numbers stay with the coordinator.
pub const MAX_INTERVALS: usize = 256;

/// The numbers of a worker.
#[derive(Debug, Default)]
struct WorkerNumbers {
    /// Granted, and not used as far as the coordinator knows.
    outstanding: Numbers,
    /// Grants in answers that the worker has not confirmed, with the number of the heartbeat.
    unconfirmed: VecDeque<(u64, Numbers)>,
    /// Registration of the unconfirmed answers.
    registration: u64,
    /// Numbers that it used before its last report, and the time of that.
    used: u64,
    /// Numbers used since the last estimate, and the time of that.
    counted: u64,
    reported_at: Option<Time>,
    /// Numbers that it uses in the time between two heartbeats.
    per_heartbeat: u64,
    /// Users of its share.
    users: u64,
    /// It may still send.
    live: bool,
}

impl WorkerNumbers {
    /// Measures what the worker uses between two heartbeats. If it uses more than in the time
    /// before, that counts at once.
    fn measure(&mut self, now: Time, used: u64, interval: Duration) {
        self.counted += used;
        self.per_heartbeat = self.per_heartbeat.max(self.counted);
        let time = now.since(*self.reported_at.get_or_insert(now));
        if time >= interval / 2 {
            let rate = u128::from(self.counted) * interval.as_nanos() / time.as_nanos().max(1);
            self.per_heartbeat = u64::try_from(rate).unwrap_or(u64::MAX);
            (self.counted, self.reported_at) = (0, Some(now));
        }
    }
}

/// The numbers of a test, on its coordinator.
#[derive(Debug)]
pub struct NumberPool {
    /// In the next beat.
    free: Arc<Numbers>,
    /// Not in beats from the one on that announced this generation, and not granted.
    staged: VecDeque<(u64, Numbers)>,
    /// Rises with each change of `staged`.
    generation: u64,
    /// Highest generation that a majority has acknowledged.
    acknowledged: u64,
    workers: BTreeMap<NodeId, WorkerNumbers>,
    /// Numbers that an earlier coordinator may have granted.
    adoptable: Numbers,
}

/// A worker's report about its numbers, in a heartbeat.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Number of the registration.
    pub registration: u64,
    /// Newest heartbeat whose answer arrived.
    pub answered: u64,
    /// Numbers that it has not used.
    pub unused: &'a Numbers,
    /// Numbers that it will never use.
    pub returned: &'a Numbers,
    /// Whether it will use no more.
    pub finished: bool,
    /// Users of its share: it needs a number for each.
    pub users: u32,
    /// Time between heartbeats.
    pub interval: Duration,
}

impl NumberPool {
    /// The pool of a coordinator, of which these numbers are free. Workers may have `adoptable`
    /// ones of an earlier coordinator.
    pub fn new(free: Arc<Numbers>, adoptable: Numbers) -> NumberPool {
        NumberPool {
            free,
            staged: VecDeque::new(),
            generation: 0,
            acknowledged: 0,
            workers: BTreeMap::new(),
            adoptable,
        }
    }

    /// Free numbers for a beat, and their generation.
    pub fn announced(&self) -> (&Arc<Numbers>, u64) {
        (&self.free, self.generation)
    }

    /// A majority has acknowledged a beat of this generation.
    pub fn acknowledge(&mut self, generation: u64) {
        self.acknowledged = self.acknowledged.max(generation);
    }

    /// Takes numbers out of the free ones until `wanted` are staged. Returns whether there is a
    /// change that beats must announce.
    pub fn stage(&mut self, wanted: u64) -> bool {
        let staged: u64 = self.staged.iter().map(|(_, n)| n.len()).sum();
        let taken = self.free.first(wanted.saturating_sub(staged));
        if taken.is_empty() {
            return false;
        }
        self.free = Arc::new(self.free.difference(&taken));
        self.generation += 1;
        self.staged.push_back((self.generation, taken));
        true
    }

    /// Whether fewer numbers than all workers use between two heartbeats are ready to be granted.
    pub fn short(&self) -> bool {
        let staged: u64 = self.staged.iter().map(|(_, n)| n.len()).sum();
        !self.free.is_empty() && staged < self.wanted()
    }

    /// Numbers that all workers use between two heartbeats.
    pub fn wanted(&self) -> u64 {
        let live = self.workers.values().filter(|w| w.live);
        live.map(|w| w.per_heartbeat.max(w.users))
            .fold(0, u64::saturating_add)
    }

    /// Handles a report and grants numbers in the answer to heartbeat `number`. `once` is the number
    /// of all that the worker ever gets; without it, it gets what it sends in two heartbeats.
    pub fn report(
        &mut self,
        now: Time,
        worker: &NodeId,
        number: u64,
        report: Report<'_>,
        once: Option<u64>,
    ) -> &Numbers {
        if !self.workers.contains_key(worker) {
            self.adopt(worker, report);
        }
        let w = self.workers.entry(worker.clone()).or_default();
        if w.registration != report.registration {
            w.registration = report.registration;
            w.unconfirmed.clear();
        }
        w.unconfirmed.retain(|(n, _)| *n > report.answered);
        let in_transit = w.unconfirmed.iter().flat_map(|(_, n)| n.intervals());
        let in_transit = Numbers::union_of(in_transit.copied());
        // A number in transit was returned before it was granted again.
        let returned = w.outstanding.intersection(report.returned);
        let returned = returned.difference(&in_transit);
        w.outstanding = w.outstanding.difference(&returned);
        let possible = in_transit.union(report.unused);
        let outstanding = w.outstanding.intersection(&possible);
        let used = w.outstanding.len() - outstanding.len();
        w.used += used;
        w.measure(now, used, report.interval);
        w.outstanding = outstanding;
        w.live = !report.finished;
        w.users = u64::from(report.users);
        self.give_back(returned);
        let w = self.workers.entry(worker.clone()).or_default();
        if !report.finished {
            let wanted = w.per_heartbeat.saturating_mul(2);
            let wanted = wanted.max(u64::from(report.users));
            let wanted = once.map_or(wanted, |all| all.saturating_sub(w.used));
            let missing = wanted.saturating_sub(w.outstanding.len());
            let granted = self.take(missing);
            if let Some(w) = self.workers.get_mut(worker)
                && !granted.is_empty()
            {
                w.outstanding = w.outstanding.union(&granted);
                w.unconfirmed.push_back((number, granted));
            }
        }
        self.outstanding(worker)
    }

    /// Numbers of a worker that may not be used yet.
    pub fn outstanding(&self, worker: &NodeId) -> &Numbers {
        static NONE: Numbers = Numbers::EMPTY;
        self.workers.get(worker).map_or(&NONE, |w| &w.outstanding)
    }

    /// A worker is lost: its numbers may have been sent.
    pub fn lost(&mut self, worker: &NodeId) {
        if let Some(w) = self.workers.get_mut(worker) {
            w.live = false;
        }
    }

    /// Whether every number has been used, or may have been used by a lost worker.
    pub fn exhausted(&self) -> bool {
        let granted = self.free.is_empty() && self.staged.is_empty();
        let mut live = self.workers.values().filter(|w| w.live);
        granted && live.all(|w| w.outstanding.is_empty())
    }

    /// Numbers that nobody has used.
    pub fn unused(&self) -> u64 {
        let staged: u64 = self.staged.iter().map(|(_, n)| n.len()).sum();
        self.free.len() + staged
    }

    /// The first report of a worker, to which an earlier coordinator may have granted numbers.
    fn adopt(&mut self, worker: &NodeId, report: Report<'_>) {
        let claimed = report.unused.union(report.returned);
        let claimed = claimed.intersection(&self.adoptable);
        let staged = self.staged.iter().map(|(_, n)| n);
        let others = self.workers.values().map(|w| &w.outstanding);
        let taken = staged.chain(others).chain([&*self.free]);
        let taken = Numbers::union_of(taken.flat_map(|n| n.intervals()).copied());
        let adopted = WorkerNumbers {
            outstanding: claimed.difference(&taken),
            registration: report.registration,
            ..WorkerNumbers::default()
        };
        self.workers.insert(worker.clone(), adopted);
    }

    /// Up to `count` numbers that a majority knows not to be free.
    fn take(&mut self, count: u64) -> Numbers {
        let mut taken = Numbers::EMPTY;
        while let Some((generation, numbers)) = self.staged.front_mut() {
            let early = *generation > self.acknowledged && !planted(Bug::NumbersUnacknowledged);
            let missing = count - taken.len();
            if early || missing == 0 {
                break;
            }
            let part = numbers.first(missing);
            *numbers = numbers.difference(&part);
            taken = taken.union(&part);
            if numbers.is_empty() {
                self.staged.pop_front();
            }
        }
        taken
    }

    fn give_back(&mut self, returned: Numbers) {
        let free = self.free.union(&returned);
        if planted(Bug::ReturnedGrantedTwice) {
            self.staged.push_back((self.acknowledged, returned.clone()));
        }
        if !returned.is_empty() && free.intervals().len() <= MAX_INTERVALS {
            self.free = Arc::new(free);
            // A later grant of them must not rely on an earlier beat.
            self.generation += 1;
        } else if !returned.is_empty() {
            self.staged.push_back((self.acknowledged, returned));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fakes::node;
    use super::*;

    fn pool(n: u64) -> NumberPool {
        NumberPool::new(Arc::new(Numbers::range(0, n)), Numbers::EMPTY)
    }

    /// A heartbeat of worker `i`. Every earlier answer arrived.
    fn report(pool: &mut NumberPool, i: u32, at: i64, number: u64, unused: &Numbers) -> Numbers {
        let report = Report {
            registration: 1,
            answered: number - 1,
            unused,
            returned: &Numbers::EMPTY,
            finished: false,
            users: 4,
            interval: Duration::from_millis(250),
        };
        pool.report(Time(at), &node(i), number, report, None)
            .clone()
    }

    #[test]
    fn numbers_are_granted_once_a_majority_knows_that_they_are_not_free() {
        let mut pool = pool(100);
        assert!(pool.stage(8));
        assert!(report(&mut pool, 0, 1, 1, &Numbers::EMPTY).is_empty());
        let (free, generation) = pool.announced();
        assert_eq!(**free, Numbers::range(8, 100));
        pool.acknowledge(generation);
        let first = report(&mut pool, 0, 2, 2, &Numbers::EMPTY);
        assert_eq!(first, Numbers::range(0, 4));
        // No number is granted twice.
        let other = report(&mut pool, 1, 2, 1, &Numbers::EMPTY);
        assert_eq!(other, Numbers::range(4, 8));
    }

    #[test]
    fn a_worker_gets_what_it_sends_in_two_heartbeats() {
        let mut pool = pool(10_000);
        pool.stage(10_000);
        pool.acknowledge(1);
        let mut unused = Numbers::EMPTY;
        let mut sizes = Vec::new();
        for number in 1..12 {
            let at = number as i64 * 250_000_000;
            let granted = report(&mut pool, 0, at, number, &unused);
            sizes.push(granted.len());
            // It uses all of them, at most 50 per heartbeat.
            unused = granted.difference(&granted.first(50));
        }
        assert_eq!(sizes[0], 4);
        assert_eq!(sizes[9..], [100, 100], "{sizes:?}");
        assert!(sizes.iter().all(|n| *n <= 200), "{sizes:?}");
    }

    #[test]
    fn numbers_in_an_answer_that_did_not_arrive_stay_reserved() {
        let mut pool = pool(100);
        pool.stage(50);
        pool.acknowledge(1);
        let lost = report(&mut pool, 0, 1, 1, &Numbers::EMPTY);
        let report = Report {
            registration: 1,
            answered: 0,
            unused: &Numbers::EMPTY,
            returned: &Numbers::EMPTY,
            finished: false,
            users: 4,
            interval: Duration::from_millis(250),
        };
        let again = pool.report(Time(2), &node(0), 2, report, None);
        assert_eq!(*again, lost, "the answer repeats them");
    }

    #[test]
    fn a_finished_worker_returns_its_numbers_and_they_are_granted_again_only_after_a_new_beat() {
        let mut pool = pool(8);
        pool.stage(8);
        pool.acknowledge(1);
        report(&mut pool, 0, 1, 1, &Numbers::EMPTY);
        let unused = Numbers::range(2, 4);
        let finished = Report {
            registration: 1,
            answered: 1,
            unused: &Numbers::EMPTY,
            returned: &unused,
            finished: true,
            users: 0,
            interval: Duration::from_millis(250),
        };
        pool.report(Time(2), &node(0), 2, finished, None);
        assert_eq!(pool.unused(), 6);
        let granted = report(&mut pool, 1, 3, 1, &Numbers::EMPTY);
        assert_eq!(granted, Numbers::range(4, 8), "these were never granted");
        assert!(pool.stage(2));
        let early = report(&mut pool, 2, 4, 1, &Numbers::EMPTY);
        assert!(early.is_empty(), "a successor may know them as free");
        let (_, generation) = pool.announced();
        pool.acknowledge(generation);
        assert_eq!(report(&mut pool, 2, 5, 2, &Numbers::EMPTY), unused);
    }

    #[test]
    fn a_number_that_is_returned_and_granted_again_is_not_returned_by_a_repeated_report() {
        let mut pool = pool(4);
        pool.stage(4);
        pool.acknowledge(1);
        let all = report(&mut pool, 0, 1, 1, &Numbers::EMPTY);
        assert_eq!(all.len(), 4);
        let none = Numbers::EMPTY;
        let returns = Report {
            registration: 1,
            answered: 1,
            unused: &none,
            returned: &all,
            finished: false,
            users: 4,
            interval: Duration::from_millis(250),
        };
        let left = pool.report(Time(2), &node(0), 2, returns, None);
        assert!(left.is_empty());
        assert_eq!(pool.unused(), 4);
        pool.stage(4);
        pool.acknowledge(pool.generation);
        // The answers to heartbeats 2 and 3 have not arrived when 3 and 4 are sent.
        let again = pool.report(Time(3), &node(0), 3, returns, None).clone();
        assert_eq!(again, all);
        let kept = pool.report(Time(4), &node(0), 4, returns, None);
        assert_eq!(*kept, all, "the worker may receive them by answer 3");
    }

    #[test]
    fn a_successor_adopts_the_numbers_that_workers_report() {
        let free = Arc::new(Numbers::range(50, 100));
        let mut pool = NumberPool::new(free, Numbers::range(0, 100));
        let claimed = Numbers::range(40, 55);
        let granted = report(&mut pool, 0, 1, 1, &claimed);
        assert_eq!(granted, Numbers::range(40, 50), "the others are free");
        assert!(!pool.exhausted());
        let twice = report(&mut pool, 1, 1, 1, &Numbers::range(45, 50));
        assert!(twice.is_empty(), "another worker has them");
    }

    #[test]
    fn the_pool_is_exhausted_once_all_live_workers_have_used_their_numbers() {
        let mut pool = pool(8);
        pool.stage(8);
        pool.acknowledge(1);
        for i in 0..2 {
            report(&mut pool, i, 1, 1, &Numbers::EMPTY);
        }
        assert!(!pool.exhausted());
        report(&mut pool, 0, 2, 2, &Numbers::EMPTY);
        assert!(!pool.exhausted());
        pool.lost(&node(1));
        assert!(
            pool.exhausted(),
            "those of the lost worker may have been sent"
        );
        assert_eq!(pool.unused(), 0);
    }
}

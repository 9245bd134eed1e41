//! The load over time as a pure function, with the changes that were made on the way.
//!
//! A profile is a plan's [`Curve`], cut where the load was changed: what comes after a change
//! is a curve of its own, made of the rest of the plan. Arrivals are numbered through all of
//! them, so every node that knows the same changes knows of every arrival when it is due and
//! whose it is, and what was due before a change stays what it was.
//!
//! Where the load sinks, the numbers jump: a node that hears late of the change may have used
//! as many as the load before asked for, and no other may use them again.

use std::ops::Range;
use std::time::Duration;

use super::curve::{Curve, as_ns};
use super::stages::Line;
use super::{Load, Model};

/// How a running test's load was changed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Change {
    /// Full load is this level from now on: arrivals a second, or users. All other levels of
    /// the plan change in proportion.
    Level(f64),
    /// No arrivals, and the plan's time stands still; at most so long, then the test ends.
    Pause(Duration),
    /// The plan goes on where it was.
    Resume,
}

/// A change, and since when it counts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LoadChange {
    /// After the start.
    pub at: Duration,
    /// A node that has not heard of it goes on as before for at most this long.
    pub lag: Duration,
    /// What changes.
    pub what: Change,
}

/// A stretch from one change to the next.
#[derive(Clone, PartialEq, Debug)]
struct Part {
    /// In a time that begins where this part does.
    curve: Curve,
    /// When it begins, in nanoseconds after the start.
    from: u64,
    /// When the next one begins.
    until: u64,
    /// Number of its first arrival.
    first: u64,
    /// How many are due in it.
    count: u64,
}

/// A plan's load over time.
#[derive(Clone, PartialEq, Debug)]
pub struct Profile {
    model: Model,
    parts: Vec<Part>,
    warm_up: Duration,
    requests: Option<u64>,
    /// How long it is at most, if it is paused in its last part.
    paused: Option<Duration>,
}

impl Profile {
    /// The profile of a plan's load.
    pub fn of(load: &Load) -> Profile {
        Profile::changed(load, &[])
    }

    /// The same with changes, in the order in which they count.
    pub fn changed(load: &Load, changes: &[LoadChange]) -> Profile {
        let whole = load.lines();
        let curve = Curve::new(load.model, &whole, load.arrivals, load.requests);
        let mut profile = Profile {
            model: load.model,
            parts: vec![Part {
                from: 0,
                until: u64::MAX,
                first: 0,
                count: curve.total(),
                curve,
            }],
            warm_up: load.warm_up_length(),
            requests: load.requests,
            paused: None,
        };
        // Where in the plan the last part begins, and how its levels compare to the plan's.
        let (mut position, mut factor) = (Duration::ZERO, 1.0);
        for change in changes {
            let before = factor;
            if profile.paused.is_none() {
                position += change.at.saturating_sub(profile.last_from());
            }
            match change.what {
                Change::Level(level) => factor = level / load.full(),
                Change::Pause(most) => profile.paused = Some(most),
                Change::Resume => profile.paused = None,
            }
            let sinks = factor < before || matches!(change.what, Change::Pause(_));
            let lines = match profile.paused {
                Some(_) => Vec::new(),
                None => rest(&whole, position, factor),
            };
            profile.cut(load, change, sinks, &lines);
        }
        profile
    }

    fn last_from(&self) -> Duration {
        Duration::from_nanos(self.last().from)
    }

    fn last(&self) -> &Part {
        match self.parts.last() {
            Some(part) => part,
            None => unreachable!("there is a part from the beginning"),
        }
    }

    /// A new part begins.
    fn cut(&mut self, load: &Load, change: &LoadChange, sinks: bool, lines: &[Line]) {
        let at = as_ns(change.at).max(self.last().from);
        let so_far = self.last();
        let since = at - so_far.from;
        let count = so_far.curve.first_arrival_from_ns(since);
        let late = so_far
            .curve
            .first_arrival_from_ns(since.saturating_add(as_ns(change.lag)));
        let first = so_far.first + if sinks { late } else { count };
        if let Some(part) = self.parts.last_mut() {
            (part.until, part.count) = (at, count);
        }
        let used: u64 = self.parts.iter().map(|p| p.count).sum();
        let left = load.requests.map(|most| most.saturating_sub(used));
        let curve = Curve::new(load.model, lines, load.arrivals, left);
        self.parts.push(Part {
            from: at,
            until: u64::MAX,
            first,
            count: curve.total(),
            curve,
        });
    }

    /// The part that an instant lies in, and the time in it.
    fn part_at(&self, t: u64) -> (&Part, u64) {
        let part = self.parts.iter().find(|p| t < p.until);
        let part = part.unwrap_or(self.last());
        (part, t.saturating_sub(part.from))
    }

    /// Arrivals a second at `t`, of the whole swarm; 0 in the closed model and after the end.
    pub fn rate_at(&self, t: Duration) -> f64 {
        let (part, t) = self.part_at(as_ns(t));
        part.curve.rate_at(Duration::from_nanos(t))
    }

    /// Users at work at `t`, of the whole swarm: at least one until the end, unless the test
    /// is paused, then none; 0 in the open model.
    pub fn users_at(&self, t: Duration) -> u32 {
        let (part, t) = self.part_at(as_ns(t));
        part.curve.users_at(Duration::from_nanos(t))
    }

    /// When user `u` (from 0) is at work next: the first instant at or after `from`, both in
    /// nanoseconds after the start, with `users_at(t) > u`. None if it never is again.
    pub fn user_from_ns(&self, user: u32, from: u64) -> Option<u64> {
        let ahead = self.parts.iter().filter(|p| from < p.until);
        let mut starts = ahead.filter_map(|part| {
            let begin = from.max(part.from);
            let at = part.from + part.curve.user_from_ns(user, begin - part.from)?;
            (at < part.until).then_some(at)
        });
        starts.next()
    }

    /// Arrivals planned in `[0, t]` without changes, unrounded and not capped by `requests`;
    /// 0 in the closed model.
    pub fn integral(&self, t: Duration) -> f64 {
        self.parts[0].curve.integral(t)
    }

    /// When arrival number `k` is due, in nanoseconds after the start. Behind the last one,
    /// the profile's end; of a number that is passed over, when the numbers go on.
    pub fn arrival_ns(&self, k: u64) -> u64 {
        let found = self.parts.iter().rev().find(|p| p.first <= k);
        let part = found.unwrap_or(&self.parts[0]);
        let own = k.saturating_sub(part.first);
        match own >= part.count && part.until < u64::MAX {
            true => part.until,
            false => part.from.saturating_add(part.curve.arrival_ns(own)),
        }
    }

    /// [`Self::arrival_ns`] as a [`Duration`].
    pub fn arrival_time(&self, k: u64) -> Duration {
        Duration::from_nanos(self.arrival_ns(k))
    }

    /// The number of the first arrival due at or after `t` (nanoseconds).
    pub fn first_arrival_from_ns(&self, t: u64) -> u64 {
        let (part, own) = self.part_at(t);
        part.first + part.curve.first_arrival_from_ns(own).min(part.count)
    }

    /// How many arrivals are due before `t` (nanoseconds).
    pub fn due_before_ns(&self, t: u64) -> u64 {
        let before = self.parts.iter().filter(|p| p.until <= t);
        let before: u64 = before.map(|p| p.count).sum();
        let (part, own) = self.part_at(t);
        before + part.curve.first_arrival_from_ns(own).min(part.count)
    }

    /// The number of the `n`-th arrival (from 0) that there is.
    pub fn nth(&self, n: u64) -> u64 {
        let mut left = n;
        for part in &self.parts {
            if left < part.count {
                return part.first + left;
            }
            left -= part.count;
        }
        self.numbers()
    }

    /// Numbers that no arrival has: passed over where the load sank.
    pub fn gaps(&self) -> impl Iterator<Item = Range<u64>> {
        let ends = self.parts.iter().map(|p| p.first + p.count);
        let begins = self.parts.iter().skip(1).map(|p| p.first);
        ends.zip(begins)
            .map(|(end, begin)| end..begin)
            .filter(|gap| !gap.is_empty())
    }

    /// All numbers are below this one.
    pub fn numbers(&self) -> u64 {
        self.last().first + self.last().count
    }

    /// All arrivals of the profile, capped by the plan's `requests`. In the closed model only
    /// `requests` says so; without it, nobody knows beforehand.
    pub fn total_arrivals(&self) -> Option<u64> {
        match self.model {
            Model::Open => Some(self.parts.iter().map(|p| p.count).sum()),
            Model::Closed => self.requests,
        }
    }

    /// When arrivals stop: the profile's end, or earlier if `requests` are planned by then.
    pub fn last_due(&self) -> Duration {
        match self.paused {
            Some(_) => self.end(),
            None => self.last_from() + self.last().curve.last_due(),
        }
    }

    /// It is paused, and not known how long.
    pub fn paused(&self) -> bool {
        self.paused.is_some()
    }

    /// How long it stood still in pauses until `t`.
    pub fn paused_until(&self, t: Duration) -> Duration {
        let t = as_ns(t);
        let pauses = self
            .parts
            .iter()
            .filter(|p| p.curve.end() == Duration::ZERO);
        let spans = pauses.map(|p| p.until.min(t).saturating_sub(p.from));
        Duration::from_nanos(spans.sum())
    }

    /// When the warm-up ends.
    pub fn warm_up_end(&self) -> Duration {
        self.warm_up
    }

    /// When the profile would end if a pause that is not over ended at `t`; as [`Self::end`] if
    /// it is not paused.
    pub fn end_if_resumed(&self, t: Duration) -> Duration {
        match self.paused {
            Some(most) => self.end() - most + t.saturating_sub(self.last_from()).min(most),
            None => self.end(),
        }
    }

    /// When the profile ends.
    pub fn end(&self) -> Duration {
        match self.paused {
            Some(most) => {
                // What is left of the plan would come after the longest pause.
                let left = self
                    .parts
                    .iter()
                    .rev()
                    .find(|p| p.curve.end() > Duration::ZERO);
                let planned = left.map_or(Duration::ZERO, |p| {
                    let length = Duration::from_nanos(p.until.min(u64::MAX - 1) - p.from);
                    p.curve.end().saturating_sub(length)
                });
                self.last_from() + most + planned
            }
            None => self.last_from() + self.last().curve.end(),
        }
    }

    /// Its highest level, in any of its parts: arrivals a second, or users.
    pub fn peak(&self) -> f64 {
        let levels = self.parts.iter().map(|p| p.curve.peak());
        levels.fold(0.0, f64::max)
    }
}

/// What is left of lines from a position on, at other levels.
fn rest(lines: &[Line], position: Duration, factor: f64) -> Vec<Line> {
    let mut before = Duration::ZERO;
    let mut left = Vec::new();
    for line in lines {
        let end = before + line.length;
        if end > position {
            let gone = position.saturating_sub(before);
            let part = gone.as_secs_f64() / line.length.as_secs_f64();
            left.push(Line {
                from: (line.from + (line.to - line.from) * part) * factor,
                to: line.to * factor,
                length: line.length - gone,
                ..*line
            });
        }
        before = end;
    }
    left
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Arrivals, StageType};

    const NS: f64 = 1e9;

    fn open(rate: f64, warm_up: u64, ramp_up: u64, duration: u64) -> Load {
        Load {
            rate: Some(rate),
            warm_up: Duration::from_secs(warm_up),
            ramp_up: Duration::from_secs(ramp_up),
            ..Load::open(rate, Duration::from_secs(duration))
        }
    }

    #[test]
    fn a_constant_rate_spaces_arrivals_evenly() {
        let p = Profile::of(&open(1000.0, 0, 0, 10));
        assert_eq!(p.total_arrivals(), Some(10_000));
        assert_eq!(p.arrival_ns(0), 500_000);
        assert_eq!(p.arrival_ns(9_999), 9_999_500_000);
        assert_eq!(p.arrival_ns(10_000), 10_000_000_000);
    }

    #[test]
    fn stages_follow_each_other_at_their_levels() {
        let p = Profile::of(&open(1000.0, 2, 10, 5));
        let s = Duration::from_secs;
        assert_eq!(p.rate_at(s(1)), 100.0);
        assert_eq!(p.rate_at(s(7)), 550.0);
        assert_eq!(p.rate_at(s(12)), 1000.0);
        assert_eq!(p.rate_at(s(17)), 0.0);
        assert_eq!(p.total_arrivals(), Some(200 + 5_500 + 5_000));
        assert_eq!((p.warm_up_end(), p.end()), (s(2), s(17)));
    }

    /// The closed form against a midpoint sum over microsteps.
    #[test]
    fn a_ramp_agrees_with_numeric_integration() {
        let p = Profile::of(&open(400.0, 1, 3, 1));
        let step = 10_000;
        let (mut sum, mut t, mut k) = (0.0, 0, 0);
        while t < 5_000_000_000u64 {
            sum += p.rate_at(Duration::from_nanos(t + step / 2)) * step as f64 / NS;
            t += step;
            while k as f64 + 0.5 < sum - 1e-6 {
                let due = p.arrival_ns(k);
                assert!(
                    due <= t && due + 2 * step >= t,
                    "arrival {k} at {due}, not near {t}"
                );
                k += 1;
            }
            let exact = p.integral(Duration::from_nanos(t));
            assert!((exact - sum).abs() < 1e-6, "{exact} {sum}");
        }
        assert_eq!(Some(k), p.total_arrivals());
    }

    #[test]
    fn instants_stay_exact_at_the_far_end_of_the_largest_plan() {
        let day = 24 * 3600;
        let p = Profile::of(&open(1e6, day, day, day));
        let total = p.total_arrivals().unwrap();
        assert_eq!(total, 86_400 * (100_000 + 550_000 + 1_000_000));
        let last = p.arrival_ns(total - 1);
        assert!(p.end().as_nanos() as u64 - 500 - last < 100, "{last}");
        for k in (0..total).step_by(total as usize / 997) {
            let (a, b) = (p.arrival_ns(k), p.arrival_ns(k + 1));
            let rate = p.rate_at(Duration::from_nanos(a));
            assert!((((b - a) as f64) - NS / rate).abs() < 200.0, "{k}: {a} {b}");
        }
    }

    #[test]
    fn the_first_arrival_from_an_instant_is_the_inverse_of_due_times() {
        let p = Profile::of(&open(777.0, 1, 2, 1));
        for k in [0, 1, 76, 77, 78, 400, 1500] {
            let due = p.arrival_ns(k);
            assert_eq!(p.first_arrival_from_ns(due), k);
            assert_eq!(p.first_arrival_from_ns(due + 1), k + 1);
        }
        assert_eq!(
            p.first_arrival_from_ns(u64::MAX / 2),
            p.total_arrivals().unwrap()
        );
    }

    #[test]
    fn requests_cap_the_total_and_end_the_arrivals() {
        let p = Profile::of(&Load {
            requests: Some(10),
            ..open(100.0, 0, 0, 60)
        });
        assert_eq!(p.total_arrivals(), Some(10));
        assert_eq!(p.last_due(), Duration::from_millis(95));
        let more = Profile::of(&Load {
            requests: Some(10_000),
            ..open(100.0, 0, 0, 60)
        });
        assert_eq!(
            (more.total_arrivals(), more.last_due()),
            (Some(6_000), more.end())
        );
    }

    #[test]
    fn users_join_along_the_ramp_and_start_when_counted() {
        let s = Duration::from_secs;
        let p = Profile::of(&Load {
            warm_up: s(1),
            ramp_up: s(9),
            ..Load::closed(10, s(5))
        });
        assert_eq!(p.users_at(s(0)), 1);
        assert_eq!(p.users_at(s(12)), 10);
        assert_eq!(p.users_at(s(15)), 0);
        assert_eq!(p.rate_at(s(12)), 0.0);
        for user in 0..10 {
            let at = p.user_from_ns(user, 0).unwrap();
            assert!(p.users_at(Duration::from_nanos(at)) > user);
            assert!(
                at == 0 || p.users_at(Duration::from_nanos(at - 1000)) <= user,
                "{user}"
            );
        }
        assert_eq!(p.user_from_ns(10, 0), None);
    }

    fn stage(kind: StageType, target: f64, seconds: u64) -> crate::Stage {
        crate::Stage {
            kind,
            target: Some(target),
            length: Duration::from_secs(seconds),
            steps: None,
        }
    }

    #[test]
    fn users_leave_where_the_level_sinks_and_come_back_where_it_rises() {
        let second = 1_000_000_000;
        let p = Profile::of(&Load {
            stages: vec![
                stage(StageType::Ramp, 10.0, 10),
                stage(StageType::RampDown, 0.0, 10),
                stage(StageType::Spike, 5.0, 10),
            ],
            ..Load::closed(10, Duration::from_secs(30))
        });
        assert_eq!(p.user_from_ns(7, 0), Some(7_500_000_000));
        assert_eq!(p.user_from_ns(7, 12 * second), Some(12 * second));
        assert_eq!(p.user_from_ns(7, 13 * second), None, "ended below 8 users");
        assert_eq!(p.user_from_ns(4, 18 * second), Some(20 * second));
        assert_eq!(p.user_from_ns(0, 29 * second), Some(29 * second));
        assert_eq!(p.user_from_ns(0, 30 * second), None);
        for user in 0..10 {
            let mut at = 0;
            while let Some(next) = p.user_from_ns(user, at) {
                assert!(
                    p.users_at(Duration::from_nanos(next)) > user,
                    "{user} at {next}"
                );
                at = next + second / 10;
            }
        }
    }

    #[test]
    fn a_stage_without_load_has_no_arrivals() {
        let p = Profile::of(&Load {
            stages: vec![
                stage(StageType::Sustain, 0.0, 1),
                stage(StageType::Sustain, 100.0, 1),
                stage(StageType::Sustain, 0.0, 1),
                stage(StageType::Ramp, 100.0, 2),
            ],
            ..Load::open(100.0, Duration::from_secs(5))
        });
        assert_eq!(p.total_arrivals(), Some(200));
        // The ramp's first: half an arrival is 100/s over 2 s, times t squared over 2 s.
        for (k, due) in [
            (0, 1_005_000_000),
            (99, 1_995_000_000),
            (100, 3_141_421_356),
        ] {
            assert!(
                p.arrival_ns(k).abs_diff(due) < 10,
                "{k}: {}",
                p.arrival_ns(k)
            );
        }
        assert!((0..199).all(|k| p.arrival_ns(k) < p.arrival_ns(k + 1)));
    }

    #[test]
    fn poisson_arrivals_are_found_from_either_side() {
        let p = Profile::of(&Load {
            arrivals: Arrivals::Poisson,
            requests: Some(4_000),
            ..open(1000.0, 1, 3, 2)
        });
        assert_eq!(p.total_arrivals(), Some(3_750));
        let due: Vec<u64> = (0..3_750).map(|k| p.arrival_ns(k)).collect();
        assert!(due.is_sorted());
        for (k, t) in due.iter().enumerate() {
            assert!(p.first_arrival_from_ns(*t) <= k as u64);
            assert!(p.first_arrival_from_ns(t + 1) > k as u64);
        }
    }

    fn change(at: f64, what: Change) -> LoadChange {
        LoadChange {
            at: Duration::from_secs_f64(at),
            lag: Duration::from_millis(2_500),
            what,
        }
    }

    const S: u64 = 1_000_000_000;

    #[test]
    fn what_was_due_before_a_change_stays_and_the_rest_follows_the_new_level() {
        let load = open(500.0, 0, 0, 10);
        let plain = Profile::of(&load);
        let p = Profile::changed(&load, &[change(4.0, Change::Level(1_500.0))]);
        assert!((0..2_000).all(|k| p.arrival_ns(k) == plain.arrival_ns(k)));
        assert_eq!(p.total_arrivals(), Some(2_000 + 9_000));
        assert_eq!(p.rate_at(Duration::from_secs(3)), 500.0);
        assert_eq!(p.rate_at(Duration::from_secs(5)), 1_500.0);
        assert_eq!(p.first_arrival_from_ns(5 * S), 3_500);
        assert_eq!(p.gaps().count(), 0, "nobody can have used more numbers");
        assert_eq!(p.end(), plain.end());
    }

    #[test]
    fn where_the_load_sinks_the_numbers_jump() {
        let load = open(1_000.0, 0, 0, 10);
        let p = Profile::changed(&load, &[change(4.0, Change::Level(100.0))]);
        let gaps: Vec<_> = p.gaps().map(|g| (g.start, g.end)).collect();
        assert_eq!(gaps, [(4_000, 6_500)], "2.5 s of the load before");
        assert_eq!(p.total_arrivals(), Some(4_000 + 600));
        assert_eq!(p.numbers(), 6_500 + 600);
        assert_eq!(p.arrival_ns(6_500), 4 * S + 5_000_000);
        assert_eq!(
            (p.nth(3_999), p.nth(4_000), p.nth(4_599)),
            (3_999, 6_500, 7_099)
        );
        assert_eq!(p.due_before_ns(5 * S), 4_100);
        assert_eq!(p.first_arrival_from_ns(4 * S), 6_500);
    }

    #[test]
    fn a_pause_holds_the_plan_and_its_end_up() {
        let load = Load {
            stages: vec![
                stage(StageType::Ramp, 100.0, 10),
                stage(StageType::Sustain, 100.0, 10),
            ],
            ..Load::open(100.0, Duration::from_secs(20))
        };
        let hour = Duration::from_secs(3600);
        let pause = change(5.0, Change::Pause(hour));
        let p = Profile::changed(&load, &[pause]);
        assert_eq!(p.rate_at(Duration::from_secs(6)), 0.0);
        assert_eq!(p.end(), Duration::from_secs(20) + hour);
        assert_eq!(p.last_due(), p.end());
        let p = Profile::changed(&load, &[pause, change(8.0, Change::Resume)]);
        assert_eq!(p.end(), Duration::from_secs(23));
        assert_eq!(p.rate_at(Duration::from_secs(8)), 50.0);
        assert_eq!(p.rate_at(Duration::from_secs(13)), 100.0);
        assert_eq!(p.total_arrivals(), Some(1_500));
        assert_eq!(p.due_before_ns(8 * S), 125);
    }

    #[test]
    fn the_requests_of_a_plan_stay_as_many() {
        let load = Load {
            requests: Some(3_000),
            ..open(1_000.0, 0, 0, 10)
        };
        let p = Profile::changed(&load, &[change(1.0, Change::Level(2_000.0))]);
        assert_eq!(p.total_arrivals(), Some(3_000));
        assert!(
            p.last_due() < Duration::from_secs(2) && p.last_due() > Duration::from_millis(1_998)
        );
    }

    #[test]
    fn poisson_arrivals_before_a_change_stay_too() {
        let load = Load {
            arrivals: Arrivals::Poisson,
            ..open(1_000.0, 0, 0, 10)
        };
        let plain = Profile::of(&load);
        let p = Profile::changed(&load, &[change(4.0, Change::Level(2_000.0))]);
        let before = plain.first_arrival_from_ns(4 * S);
        assert!((0..before).all(|k| p.arrival_ns(k) == plain.arrival_ns(k)));
        let due: Vec<u64> = (0..p.numbers()).map(|k| p.arrival_ns(k)).collect();
        assert!(due.is_sorted());
        assert_eq!(p.total_arrivals(), Some(before + 12_000));
    }

    #[test]
    fn a_pause_that_lasts_puts_the_end_off_as_long() {
        let load = Load::open(10.0, Duration::from_secs(10));
        let change = |at, what| LoadChange {
            at: Duration::from_secs(at),
            lag: Duration::ZERO,
            what,
        };
        let pause = change(4, Change::Pause(Duration::from_secs(3600)));
        let paused = Profile::changed(&load, std::slice::from_ref(&pause));
        let ends = |p: &Profile, at| p.end_if_resumed(Duration::from_secs(at)).as_secs();
        assert_eq!((ends(&paused, 4), ends(&paused, 9)), (10, 15));
        assert_eq!(ends(&paused, 1_000_000), paused.end().as_secs());
        let resumed = Profile::changed(&load, &[pause, change(9, Change::Resume)]);
        assert_eq!((ends(&resumed, 9), ends(&resumed, 12)), (15, 15));
    }

    #[test]
    fn users_come_and_go_with_changes() {
        let load = Load::closed(10, Duration::from_secs(10));
        let p = Profile::changed(
            &load,
            &[
                change(2.0, Change::Level(30.0)),
                change(4.0, Change::Pause(Duration::from_secs(60))),
                change(6.0, Change::Resume),
                change(8.0, Change::Level(5.0)),
            ],
        );
        let users = |s| p.users_at(Duration::from_secs(s));
        assert_eq!(
            [users(1), users(3), users(5), users(7), users(9)],
            [10, 30, 0, 30, 5]
        );
        assert_eq!(p.user_from_ns(20, 0), Some(2 * S));
        assert_eq!(p.user_from_ns(20, 5 * S), Some(6 * S));
        assert_eq!(p.user_from_ns(20, 9 * S), None);
        assert_eq!((p.peak(), p.end()), (30.0, Duration::from_secs(12)));
    }
}

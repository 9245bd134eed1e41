//! The load over time as a pure function, with the changes of a running test.
//!
//! A profile is a plan's [`Curve`], cut at each change of the load: the part after a change is a curve
//! of its own for the rest of the plan. Arrivals are numbered consecutively over all parts, so every
//! node with the same changes computes the same due time and owner of every arrival. A change does
//! not affect arrivals that were due before it.
//!
//! At each change numbers are skipped: a node that learns of the change late may have used as many as
//! the previous load planned, and no node may use them again.

use std::ops::Range;
use std::time::Duration;

use super::curve::{Curve, as_ns};
use super::load::{Arrivals, Load, Model};
use super::stage::Line;

/// A change of a running test's load.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Change {
    /// New level of the full load: arrivals per second, or users. All other levels of the plan
    /// change in proportion.
    Level(f64),
    /// No arrivals, and the plan's clock stops. After at most this duration the test ends.
    Pause(Duration),
    /// The plan continues where it was paused.
    Resume,
}

/// A change and the time when it takes effect.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LoadChange {
    /// Time after the start.
    pub at: Duration,
    /// Longest time that a node without the change continues with the previous load.
    pub lag: Duration,
    /// The change.
    pub what: Change,
}

/// The period between two changes.
#[derive(Clone, PartialEq, Debug)]
struct Part {
    /// The load, with times relative to the start of this part.
    curve: Curve,
    /// Start of this part in nanoseconds after the start of the test.
    from: u64,
    /// Start of the next part.
    until: u64,
    /// Number of the first arrival.
    first: u64,
    /// Arrivals due in this part.
    count: u64,
}

/// A plan's load over time.
#[derive(Clone, PartialEq, Debug)]
pub struct Profile {
    model: Model,
    parts: Vec<Part>,
    warm_up: Duration,
    requests: Option<u64>,
    /// Longest pause, if the last part is a pause.
    paused: Option<Duration>,
}

impl Profile {
    /// The profile of a plan's load.
    pub fn of(load: &Load) -> Profile {
        Profile::changed(load, &[])
    }

    /// The profile with these changes, in the order of their times.
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
        // Position in the plan where the last part starts, and ratio of its levels to the plan's.
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
            let decreases = factor < before || matches!(change.what, Change::Pause(_));
            let lines = match profile.paused {
                Some(_) => Vec::new(),
                None => remaining(&whole, position, factor),
            };
            profile.cut(load, change, decreases, &lines);
        }
        profile
    }

    fn last_from(&self) -> Duration {
        Duration::from_nanos(self.last().from)
    }

    fn last(&self) -> &Part {
        match self.parts.last() {
            Some(part) => part,
            None => unreachable!("a profile has at least one part"),
        }
    }

    /// Ends the last part and appends a new one.
    fn cut(&mut self, load: &Load, change: &LoadChange, decreases: bool, lines: &[Line]) {
        let at = as_ns(change.at).max(self.last().from);
        let last = self.last();
        let since = at - last.from;
        let count = last.curve.first_arrival_from_ns(since);
        let late = last
            .curve
            .first_arrival_from_ns(since.saturating_add(as_ns(change.lag)));
        // Constant arrivals of a load that does not decrease, from the second on, are due before
        // those of the previous load with the same numbers: no node can have used them.
        let is_earlier = !decreases && load.arrivals == Arrivals::Constant;
        let first = last.first
            + if is_earlier {
                late.min(count + 1)
            } else {
                late
            };
        if let Some(part) = self.parts.last_mut() {
            (part.until, part.count) = (at, count);
        }
        let used: u64 = self.parts.iter().map(|p| p.count).sum();
        let remaining = load.requests.map(|most| most.saturating_sub(used));
        let curve = Curve::new(load.model, lines, load.arrivals, remaining);
        self.parts.push(Part {
            from: at,
            until: u64::MAX,
            first,
            count: curve.total(),
            curve,
        });
    }

    /// The part at a time, and the time within it.
    fn part_at(&self, t: u64) -> (&Part, u64) {
        let part = self.parts.iter().find(|p| t < p.until);
        let part = part.unwrap_or(self.last());
        (part, t.saturating_sub(part.from))
    }

    /// Arrivals per second at `t`, over the whole swarm; 0 in the closed model and after the end.
    pub fn rate_at(&self, t: Duration) -> f64 {
        let (part, t) = self.part_at(as_ns(t));
        part.curve.rate_at(Duration::from_nanos(t))
    }

    /// Active users at `t`, over the whole swarm: at least one until the end unless the test is
    /// paused; 0 in the open model.
    pub fn users_at(&self, t: Duration) -> u32 {
        let (part, t) = self.part_at(as_ns(t));
        part.curve.users_at(Duration::from_nanos(t))
    }

    /// Next activity of a user (from 0): the first time at or after `from`, both in nanoseconds after
    /// the start, with `users_at(t) > user`. None if there is no such time.
    pub fn user_from_ns(&self, user: u32, from: u64) -> Option<u64> {
        let ahead = self.parts.iter().filter(|p| from < p.until);
        let mut starts = ahead.filter_map(|part| {
            let start = from.max(part.from);
            let at = part.from + part.curve.user_from_ns(user, start - part.from)?;
            (at < part.until).then_some(at)
        });
        starts.next()
    }

    /// Arrivals planned in `[0, t]` without changes, unrounded and not capped by `requests`;
    /// 0 in the closed model.
    pub fn integral(&self, t: Duration) -> f64 {
        self.parts[0].curve.integral(t)
    }

    /// Due time of arrival number `k` in nanoseconds after the start. After the last arrival, the
    /// profile's end; for a skipped number, the time where the numbers continue.
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

    /// Number of arrivals due before `t` (nanoseconds).
    pub fn due_before_ns(&self, t: u64) -> u64 {
        let before = self.parts.iter().filter(|p| p.until <= t);
        let before: u64 = before.map(|p| p.count).sum();
        let (part, own) = self.part_at(t);
        before + part.curve.first_arrival_from_ns(own).min(part.count)
    }

    /// The number of the `n`-th arrival (from 0), not counting skipped numbers.
    pub fn nth(&self, n: u64) -> u64 {
        let mut rest = n;
        for part in &self.parts {
            if rest < part.count {
                return part.first + rest;
            }
            rest -= part.count;
        }
        self.numbers()
    }

    /// Skipped numbers, where the load changed.
    pub fn gaps(&self) -> impl Iterator<Item = Range<u64>> {
        let ends = self.parts.iter().map(|p| p.first + p.count);
        let starts = self.parts.iter().skip(1).map(|p| p.first);
        ends.zip(starts)
            .map(|(end, start)| end..start)
            .filter(|gap| !gap.is_empty())
    }

    /// Upper bound of all numbers (exclusive).
    pub fn numbers(&self) -> u64 {
        self.last().first + self.last().count
    }

    /// All arrivals of the profile, capped by the plan's `requests`. In the closed model it is
    /// `requests`; without it the total is not known in advance.
    pub fn total_arrivals(&self) -> Option<u64> {
        match self.model {
            Model::Open => Some(self.parts.iter().map(|p| p.count).sum()),
            Model::Closed => self.requests,
        }
    }

    /// Time of the last arrival: the profile's end, or earlier if `requests` are reached.
    pub fn last_due(&self) -> Duration {
        match self.paused {
            Some(_) => self.end(),
            None => self.last_from() + self.last().curve.last_due(),
        }
    }

    /// Whether it is paused, with an open end.
    pub fn paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Duration of all pauses until `t`.
    pub fn paused_until(&self, t: Duration) -> Duration {
        let t = as_ns(t);
        let pauses = self
            .parts
            .iter()
            .filter(|p| p.curve.end() == Duration::ZERO);
        let spans = pauses.map(|p| p.until.min(t).saturating_sub(p.from));
        Duration::from_nanos(spans.sum())
    }

    /// End of the warm-up.
    pub fn warm_up_end(&self) -> Duration {
        self.warm_up
    }

    /// End of the profile if a current pause ended at `t`; the same as [`Self::end`] if it is not
    /// paused.
    pub fn end_if_resumed(&self, t: Duration) -> Duration {
        match self.paused {
            Some(most) => self.end() - most + t.saturating_sub(self.last_from()).min(most),
            None => self.end(),
        }
    }

    /// End of the profile.
    pub fn end(&self) -> Duration {
        match self.paused {
            Some(most) => {
                // The rest of the plan follows after the longest pause.
                let last_load = self
                    .parts
                    .iter()
                    .rev()
                    .find(|p| p.curve.end() > Duration::ZERO);
                let planned = last_load.map_or(Duration::ZERO, |p| {
                    let length = Duration::from_nanos(p.until.min(u64::MAX - 1) - p.from);
                    p.curve.end().saturating_sub(length)
                });
                self.last_from() + most + planned
            }
            None => self.last_from() + self.last().curve.end(),
        }
    }

    /// Highest number of users in each part, in order, and at least one; none in the open model.
    pub(super) fn peak_users(&self) -> impl Iterator<Item = u32> {
        let closed = self.parts.iter().filter(|_| self.model == Model::Closed);
        closed.map(|p| (p.curve.peak().round() as u32).max(1))
    }

    /// Highest level of all parts: arrivals per second, or users.
    pub fn peak(&self) -> f64 {
        let levels = self.parts.iter().map(|p| p.curve.peak());
        levels.fold(0.0, f64::max)
    }
}

/// The rest of lines from a position, with scaled levels.
fn remaining(lines: &[Line], position: Duration, factor: f64) -> Vec<Line> {
    let mut before = Duration::ZERO;
    let mut remaining = Vec::new();
    for line in lines {
        let end = before + line.length;
        if end > position {
            let elapsed = position.saturating_sub(before);
            let part = elapsed.as_secs_f64() / line.length.as_secs_f64();
            remaining.push(Line {
                from: (line.from + (line.to - line.from) * part) * factor,
                to: line.to * factor,
                length: line.length - elapsed,
                ..*line
            });
        }
        before = end;
    }
    remaining
}

#[cfg(test)]
mod tests;

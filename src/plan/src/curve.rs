//! Load over time as a pure function, without changes.
//!
//! A curve consists of stages in which the level is linear: arrivals per second in the open model,
//! users in the closed model. The *k*-th arrival (from 0) is due when the integral of the rate passes
//! *k* + ½, so the total is the rounded integral; Poisson arrivals have the same total at random
//! positions of the integral. Each stage is inverted in closed form, hence ramps are exact and every
//! node computes the same times.

use std::time::Duration;

use super::load::{Arrivals, Model};
use super::poisson::Points;
use super::stage::Line;

/// Nanoseconds in a second.
const NS: f64 = 1e9;

/// A period in which the level is linear.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Stage {
    /// Start in seconds.
    start: f64,
    /// Length in seconds.
    length: f64,
    /// Level at the start.
    from: f64,
    /// Level at the end.
    to: f64,
    /// Integral of the level over all previous stages.
    before: f64,
}

impl Stage {
    fn level(&self, t: f64) -> f64 {
        self.from + (self.to - self.from) * (t - self.start) / self.length
    }

    /// Integral from the start of the curve to `t`, which is in this stage.
    fn integral(&self, t: f64) -> f64 {
        let x = t - self.start;
        let slope = (self.to - self.from) / self.length;
        self.before + x * (self.from + slope * x / 2.0)
    }

    fn end(&self) -> f64 {
        self.start + self.length
    }

    /// Integral at the stage's end.
    fn after(&self) -> f64 {
        self.before + self.length * (self.from + self.to) / 2.0
    }

    /// Time at which the integral reaches `n`: the root of the quadratic, in the form without
    /// cancellation.
    fn time_of(&self, n: f64) -> f64 {
        let area = n - self.before;
        let slope = (self.to - self.from) / self.length;
        let root = (self.from * self.from + 2.0 * slope * area).max(0.0).sqrt();
        self.start + 2.0 * area / (self.from + root)
    }
}

/// Load over time, from time 0.
#[derive(Clone, PartialEq, Debug)]
pub struct Curve {
    model: Model,
    stages: Vec<Stage>,
    end: Duration,
    requests: Option<u64>,
    total: u64,
    /// Positions of Poisson arrivals in the integral.
    points: Option<Points>,
    integral: f64,
}

impl Curve {
    /// The curve of consecutive lines, with at most `requests` arrivals.
    pub fn new(model: Model, lines: &[Line], arrivals: Arrivals, requests: Option<u64>) -> Curve {
        let mut stages: Vec<Stage> = Vec::with_capacity(lines.len());
        for line in lines {
            let (start, before) = stages.last().map_or((0.0, 0.0), |s| (s.end(), s.after()));
            stages.push(Stage {
                start,
                length: line.length.as_secs_f64(),
                from: line.from,
                to: line.to,
                before,
            });
        }
        let integral = stages.last().map_or(0.0, Stage::after);
        let total = (integral + 0.5).floor() as u64;
        Curve {
            model,
            stages,
            end: lines.iter().map(|line| line.length).sum(),
            requests,
            total: requests.map_or(total, |most| total.min(most)),
            points: (arrivals == Arrivals::Poisson).then(|| Points::new(total)),
            integral,
        }
    }

    /// The stage at `t` (seconds); after the end, the last one.
    fn stage(&self, t: f64) -> Option<&Stage> {
        self.stages
            .iter()
            .find(|s| t < s.end())
            .or(self.stages.last())
    }

    fn level_at(&self, t: Duration) -> f64 {
        if t >= self.end {
            return 0.0;
        }
        let t = t.as_secs_f64();
        self.stage(t).map_or(0.0, |s| s.level(t))
    }

    /// Arrivals per second at `t`, over the whole swarm; 0 in the closed model and after the end.
    pub fn rate_at(&self, t: Duration) -> f64 {
        match self.model {
            Model::Open => self.level_at(t),
            Model::Closed => 0.0,
        }
    }

    /// Active users at `t`, over the whole swarm: at least one until the end; 0 in the open model.
    pub fn users_at(&self, t: Duration) -> u32 {
        match self.model {
            Model::Closed if t < self.end => (self.level_at(t).round() as u32).max(1),
            _ => 0,
        }
    }

    /// Next activity of a user (from 0): the first time at or after `from`, both in nanoseconds, with
    /// `users_at(t) > user`. None if there is no such time.
    pub fn user_from_ns(&self, user: u32, from: u64) -> Option<u64> {
        if self.model == Model::Open || from >= as_ns(self.end) {
            return None;
        }
        if user == 0 {
            return Some(from);
        }
        let level = f64::from(user) + 0.5;
        let t = from as f64 / NS;
        let ahead = self.stages.iter().filter(|s| t < s.end());
        let starts = ahead.filter_map(|stage| {
            let start = t.max(stage.start);
            if stage.level(start) >= level {
                // Converted there and back, an active user's `from` could be in the future.
                return Some(if start > t { ceil_ns(start) } else { from });
            }
            let rise = stage.to - stage.from;
            let reached = || stage.start + (level - stage.from) / rise * stage.length;
            (stage.to >= level && rise > 0.0).then(|| ceil_ns(reached()))
        });
        let at = starts.map(|at| at.max(from)).next()?;
        (at < as_ns(self.end)).then_some(at)
    }

    /// Arrivals planned in `[0, t]`, unrounded and not capped by `requests`; 0 in the closed
    /// model.
    pub fn integral(&self, t: Duration) -> f64 {
        if self.model == Model::Closed {
            return 0.0;
        }
        let t = t.min(self.end).as_secs_f64();
        self.stage(t).map_or(0.0, |s| s.integral(t))
    }

    /// Due time of the `k`-th arrival (from 0) in nanoseconds; after the last arrival, the end.
    /// Accurate to well below a microsecond over 24 h at 1,000,000/s: an `f64` represents such a time
    /// to 30 ps.
    pub fn arrival_ns(&self, k: u64) -> u64 {
        let end = as_ns(self.end);
        let n = match self.points {
            None => k as f64 + 0.5,
            Some(points) => points.position(k) * self.integral,
        };
        let reached = |s: &&Stage| n <= s.after() && s.after() > s.before;
        match self.stages.iter().find(reached) {
            Some(stage) if self.model == Model::Open => ((stage.time_of(n) * NS) as u64).min(end),
            _ => end,
        }
    }

    /// The first arrival due at or after `t` (nanoseconds); equals the number of arrivals before `t`.
    pub fn first_arrival_from_ns(&self, t: u64) -> u64 {
        if self.points.is_some() {
            return self.search(t);
        }
        let mut k = (self.integral(Duration::from_nanos(t)) - 0.5).max(0.0) as u64;
        while k > 0 && self.arrival_ns(k - 1) >= t {
            k -= 1;
        }
        while k < self.total && self.arrival_ns(k) < t {
            k += 1;
        }
        k.min(self.total)
    }

    /// [`Self::first_arrival_from_ns`] by binary search.
    fn search(&self, t: u64) -> u64 {
        let (mut low, mut high) = (0, self.total);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.arrival_ns(middle) < t {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }

    /// All arrivals, capped by `requests`.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Time of the last arrival: the end, or earlier if `requests` are reached.
    pub fn last_due(&self) -> Duration {
        match (self.model, self.requests) {
            (Model::Open, Some(most)) if most <= self.total && most > 0 => {
                Duration::from_nanos(self.arrival_ns(most - 1))
            }
            _ => self.end,
        }
    }

    /// Highest level.
    pub fn peak(&self) -> f64 {
        let levels = self.stages.iter().map(|s| s.from.max(s.to));
        levels.fold(0.0, f64::max)
    }

    /// End of the curve.
    pub fn end(&self) -> Duration {
        self.end
    }
}

fn ceil_ns(seconds: f64) -> u64 {
    (seconds * NS).ceil() as u64
}

pub(super) fn as_ns(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

//! The load over time as a pure function, and who owns which arrival.
//!
//! A profile is a few stages, each a straight line of its level: arrivals a second in the
//! open model, users in the closed one. The *k*-th arrival (from 0) is due when the integral
//! of the rate passes *k* + ½, so the total is the integral's value, rounded; Poisson arrivals
//! are as many, at random places of the integral. Each stage is
//! inverted in closed form, hence ramps are exact and every node computes the same instants.

use std::time::Duration;

use super::poisson::Points;
use super::{Arrivals, Load, Model};

/// Nanoseconds in a second.
const NS: f64 = 1e9;

/// A stretch of time over which the level is a straight line.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Stage {
    /// Seconds since the start of the profile.
    start: f64,
    /// Seconds.
    length: f64,
    /// Level where it begins.
    from: f64,
    /// Level where it ends.
    to: f64,
    /// Integral of the level over all stages before.
    before: f64,
}

impl Stage {
    fn level(&self, t: f64) -> f64 {
        self.from + (self.to - self.from) * (t - self.start) / self.length
    }

    /// Integral from the profile's start to `t`, which lies in this stage.
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

    /// When the integral reaches `n`: the root of the quadratic, in the form that does not
    /// cancel.
    fn when(&self, n: f64) -> f64 {
        let area = n - self.before;
        let slope = (self.to - self.from) / self.length;
        let root = (self.from * self.from + 2.0 * slope * area).max(0.0).sqrt();
        self.start + 2.0 * area / (self.from + root)
    }
}

/// A plan's load over time.
#[derive(Clone, PartialEq, Debug)]
pub struct Profile {
    model: Model,
    stages: Vec<Stage>,
    warm_up: Duration,
    end: Duration,
    requests: Option<u64>,
    total: u64,
    /// Where Poisson arrivals lie in the integral.
    points: Option<Points>,
    integral: f64,
}

impl Profile {
    /// The profile of a plan's load.
    pub fn of(load: &Load) -> Profile {
        let lines = load.lines();
        let mut stages: Vec<Stage> = Vec::with_capacity(lines.len());
        for line in &lines {
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
        Profile {
            model: load.model,
            stages,
            warm_up: load.warm_up_length(),
            end: lines.iter().map(|line| line.length).sum(),
            requests: load.requests,
            total: load.requests.map_or(total, |most| total.min(most)),
            points: (load.arrivals == Arrivals::Poisson).then(|| Points::new(total)),
            integral,
        }
    }

    /// The stage that `t` (seconds) lies in: the last if it lies behind all.
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

    /// Arrivals a second at `t`, of the whole swarm; 0 in the closed model and after the end.
    pub fn rate_at(&self, t: Duration) -> f64 {
        match self.model {
            Model::Open => self.level_at(t),
            Model::Closed => 0.0,
        }
    }

    /// Users at work at `t`, of the whole swarm: at least one until the end, then none; 0 in
    /// the open model.
    pub fn users_at(&self, t: Duration) -> u32 {
        match self.model {
            Model::Closed if t < self.end => (self.level_at(t).round() as u32).max(1),
            _ => 0,
        }
    }

    /// When user `u` (from 0) is at work next: the first instant at or after `from`, both in
    /// nanoseconds after the start, with `users_at(t) > u`. None if it never is again.
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
            let begin = t.max(stage.start);
            if stage.level(begin) >= level {
                return Some(begin);
            }
            let rise = stage.to - stage.from;
            (stage.to >= level && rise > 0.0)
                .then(|| stage.start + (level - stage.from) / rise * stage.length)
        });
        let at = starts.map(|t| ((t * NS).ceil() as u64).max(from)).next()?;
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

    /// When the `k`-th arrival (from 0) is due, in nanoseconds after the start. Behind the
    /// last arrival, the profile's end. Accurate to well below a microsecond over 24 h at
    /// 1,000,000/s: an `f64` holds such a time to 30 ps.
    pub fn arrival_ns(&self, k: u64) -> u64 {
        let end = as_ns(self.end);
        let n = match self.points {
            None => k as f64 + 0.5,
            Some(points) => points.position(k) * self.integral,
        };
        let reached = |s: &&Stage| n <= s.after() && s.after() > s.before;
        match self.stages.iter().find(reached) {
            Some(stage) if self.model == Model::Open => ((stage.when(n) * NS) as u64).min(end),
            _ => end,
        }
    }

    /// [`Self::arrival_ns`] as a [`Duration`].
    pub fn arrival_time(&self, k: u64) -> Duration {
        Duration::from_nanos(self.arrival_ns(k))
    }

    /// The first arrival due at or after `t` (nanoseconds): as many are due before it.
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

    /// [`Self::first_arrival_from_ns`] without an estimate to begin with.
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

    /// All arrivals of the profile, capped by the plan's `requests`. In the closed model only
    /// `requests` says so; without it, nobody knows beforehand.
    pub fn total_arrivals(&self) -> Option<u64> {
        match self.model {
            Model::Open => Some(self.total),
            Model::Closed => self.requests,
        }
    }

    /// When arrivals stop: the profile's end, or earlier if `requests` are planned by then.
    pub fn last_due(&self) -> Duration {
        match (self.model, self.requests) {
            (Model::Open, Some(most)) if most <= self.total && most > 0 => {
                self.arrival_time(most - 1)
            }
            _ => self.end,
        }
    }

    /// When the warm-up ends.
    pub fn warm_up_end(&self) -> Duration {
        self.warm_up
    }

    /// When the profile ends.
    pub fn end(&self) -> Duration {
        self.end
    }
}

fn as_ns(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::plan::StageType;

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

    fn stage(kind: StageType, target: f64, seconds: u64) -> crate::plan::Stage {
        crate::plan::Stage {
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
}

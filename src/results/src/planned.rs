//! The number of planned arrivals of a test, and the time for which they were planned.

use std::time::Duration;

use super::input::ResultInput;
use super::result::{Rate, Totals};
use vajra_core::metrics::Counters;
use vajra_core::protocol::messages::EndReason;
use vajra_plan::{Model, Profile, Task};

impl ResultInput {
    /// The number of planned arrivals, and the time for which they were planned, without pauses.
    ///
    /// A stop reaches each worker at a slightly different time, and each counts the arrivals that
    /// were due before. The sum of these counts gives the time of the stop. If a worker was lost,
    /// its count is unknown, and the time of the surviving workers is used instead.
    pub(super) fn planned(&self, all: &Counters, profile: &Profile) -> (u64, Duration) {
        let measured = self.measured(profile);
        // The profile gives the number of first steps. The number of later steps of a scenario
        // depends on the responses.
        let later = self.later_steps();
        let later_seen = self.later_steps_seen();
        let seen = all.sent + all.dropped();
        let duration = measured - profile.paused_until(measured);
        if self.plan.load.model == Model::Closed {
            return (seen, duration);
        }
        let Some(reason) = &self.reason else {
            let planned = match (self.accounted(), self.lost_a_worker()) {
                (Some(until), _) => planned_until(profile, until.min(measured)) + later_seen,
                (None, true) => {
                    planned_until(profile, self.all_reported().min(measured)) + later_seen
                }
                // The same as was sent, except for the rounding of each worker.
                (None, false) => seen,
            };
            return (planned.max(seen), duration);
        };
        let (seen, planned) = (seen - later_seen, all.planned - later.planned);
        let (arrivals, duration) = self.arrivals(reason, seen, planned, measured, profile);
        let duration = duration - profile.paused_until(duration);
        (arrivals + later_seen, duration)
    }

    /// The time of the newest report of any worker, or the present if the load has stopped because
    /// no coordinator exists.
    fn measured(&self, profile: &Profile) -> Duration {
        let reported = self.workers.iter().map(|w| w.metrics.elapsed).max();
        let newest = reported.max(self.accounted());
        newest.unwrap_or_default().min(profile.end())
    }

    /// See [`Absence::accounted`](super::input::Absence::accounted).
    fn accounted(&self) -> Option<Duration> {
        self.absence.as_ref()?.accounted
    }

    /// The time up to which every present worker has reported. Arrivals that are not accounted
    /// for by then are unsent; later ones can still be reported.
    fn all_reported(&self) -> Duration {
        let workers = self.workers.iter();
        let present = workers.filter(|w| w.lost_at.is_none() && !w.metrics.is_final);
        let reported = present.map(|w| w.metrics.elapsed).min();
        reported.unwrap_or(Duration::MAX)
    }

    /// The number of planned arrivals up to the end of the test, and the time of that end.
    fn arrivals(
        &self,
        reason: &EndReason,
        seen: u64,
        planned: u64,
        measured: Duration,
        profile: &Profile,
    ) -> (u64, Duration) {
        let total = profile.total_arrivals().unwrap_or(0);
        match reason {
            EndReason::Completed if profile.last_due() == profile.end() => {
                (total.max(seen), profile.end())
            }
            EndReason::Completed => (total.max(seen), time_of(profile, total)),
            _ if !self.lost_a_worker() => {
                let planned = planned.max(seen);
                (planned, time_of(profile, planned))
            }
            _ => (planned_until(profile, measured).max(seen), measured),
        }
    }

    /// Arrivals that were sent or dropped in steps other than the first of their scenario.
    pub(super) fn later_steps_seen(&self) -> u64 {
        let later = self.later_steps();
        later.sent + later.dropped()
    }

    /// Counters of all steps other than the first of their scenario.
    fn later_steps(&self) -> Counters {
        let mut later = Counters::default();
        let Task::Scenarios(scenarios) = &self.plan.task else {
            return later;
        };
        let steps = scenarios.scenarios.iter().flat_map(|s| 0..s.steps.len());
        let is_later: Vec<bool> = steps.map(|place| place > 0).collect();
        for worker in &self.workers {
            let steps = worker.metrics.counters().iter().zip(&is_later);
            let steps = steps.filter(|(_, is_later)| **is_later);
            steps.for_each(|(step, _)| later.add(&step.counters));
        }
        later
    }

    pub(super) fn rate(&self, totals: &Totals, profile: &Profile, duration: Duration) -> Rate {
        let seconds = duration.as_secs_f64();
        if seconds <= 0.0 {
            return Rate::default();
        }
        let achieved = totals.sent as f64 / seconds;
        let planned = match (self.plan.load.model, &self.reason) {
            (Model::Closed, _) => achieved,
            (Model::Open, Some(_)) => totals.planned as f64 / seconds,
            (Model::Open, None) if self.accounted().is_some() => totals.planned as f64 / seconds,
            // In a running test, `totals.planned` is as old as the oldest report.
            (Model::Open, None) if matches!(self.plan.task, Task::Scenarios(_)) => achieved,
            (Model::Open, None) => planned_until(profile, self.measured(profile)) as f64 / seconds,
        };
        Rate { planned, achieved }
    }
}

/// The number of planned arrivals before `t`, rounded as by the engine.
fn planned_until(profile: &Profile, t: Duration) -> u64 {
    profile.due_before_ns(u64::try_from(t.as_nanos()).unwrap_or(u64::MAX))
}

/// The time by which `n` arrivals are planned. The last of them is due half a gap earlier.
fn time_of(profile: &Profile, n: u64) -> Duration {
    let Some(last) = n.checked_sub(1) else {
        return Duration::ZERO;
    };
    let due = profile.arrival_time(profile.nth(last));
    let rate = profile.rate_at(due);
    match rate > 0.0 {
        true => (due + Duration::from_secs_f64(0.5 / rate)).min(profile.end()),
        false => due,
    }
}

//! From what every worker measured to one result: what was counted is added up, what was
//! timed is merged (`merge`), and the whole is judged (`verdict`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::merge::{LagP99, Times, lag_p99, stats};
use super::result::*;
use super::threshold;
use super::verdict::{self, Facts};
use vajra_core::metrics::Counters;
use vajra_core::protocol::TestId;
use vajra_core::protocol::merge::WorkerMetrics;
use vajra_core::protocol::messages::{EndReason, TestState};
use vajra_core::protocol::spec::SLOTS;
use vajra_plan::{Change, LoadChange, Model, Pick, Plan, Profile, Step, Task, Values};

/// Most errors that a result lists apart from each other. A worker reports at most
/// [`MAX_ERRORS`](vajra_core::metrics::MAX_ERRORS); a thousand of them, each with its own
/// words, would make a result that nobody reads.
const MAX_ERROR_ENTRIES: usize = 100;

/// What a result is made of.
#[derive(Clone, Debug)]
pub struct ResultInput {
    /// The test.
    pub test: TestId,
    /// Its name.
    pub name: String,
    /// How far it is.
    pub phase: TestState,
    /// All final snapshots are here.
    pub complete: bool,
    /// Why it ended.
    pub reason: Option<EndReason>,
    /// The plan.
    pub plan: Arc<Plan>,
    /// Unix time of the start of the profile in milliseconds.
    pub started_unix_ms: Option<u64>,
    /// Who coordinated.
    pub coordinators: Vec<Tenure>,
    /// Who carried load.
    pub workers: Vec<WorkerInput>,
    /// What happened.
    pub events: Vec<Event>,
    /// How the load was changed on the way.
    pub changes: Vec<LoadChange>,
    /// What the setup handed on.
    pub values: Values,
}

/// A worker's part.
#[derive(Clone, Debug)]
pub struct WorkerInput {
    /// Its peer id.
    pub peer: String,
    /// Its incarnation.
    pub incarnation: u64,
    /// Its name.
    pub name: String,
    /// The newest of everything it measured.
    pub metrics: WorkerMetrics,
    /// When it was lost.
    pub lost_at: Option<Duration>,
    /// What its machine is.
    pub environment: String,
}

impl ResultInput {
    /// Makes the result. Decodes three histograms a worker: about a millisecond each.
    pub fn build(&self) -> TestResult {
        let profile = self.profile();
        let all = self.counted();
        let times = Times::of(&self.workers);
        let (planned, duration) = self.planned(&all, &profile);
        let totals = totals(&all, planned);
        let start_skew = self.start_skew();
        let complete = self.complete && times.whole;
        let judged = verdict::judge(&Facts {
            input: self,
            complete,
            counted: &all,
            totals: &totals,
            lag: lag_p99(&times.lag),
            lag_of: &times.lag_of,
            start_skew: start_skew.map(|(skew, _)| skew),
        });
        let mut result = TestResult {
            schema: 1,
            test_id: self.test.to_string(),
            name: Some(self.name.clone()).filter(|n| !n.is_empty()),
            tags: self.plan.tags.clone(),
            target: match self.plan.redacted().task.http() {
                Some(http) => http.url.clone(),
                None => self.plan.task.type_name().to_owned(),
            },
            load: self.plan.load.clone(),
            state: phase_word(self.phase).to_owned(),
            end: self.reason.as_ref().map(|r| end_word(r).to_owned()),
            complete,
            verdict: (self.phase == TestState::Ended).then(|| judged.verdict.to_owned()),
            reasons: judged.reasons,
            started_at: self.started_unix_ms.map(rfc3339),
            duration_s: duration.as_secs_f64(),
            start_skew_ms: start_skew.map(|(skew, _)| skew.as_secs_f64() * 1e3),
            start_skew_within_ms: start_skew.map(|(_, within)| within.as_secs_f64() * 1e3),
            coordinators: self.coordinators.clone(),
            nodes: self
                .workers
                .iter()
                .zip(&times.lag_of)
                .map(|(w, lag)| node_result(w, *lag))
                .collect(),
            rate: self.rate(&totals, &profile, duration),
            totals,
            status_codes: status_codes(&all),
            response_time_ms: stats(&times.response),
            service_time_ms: stats(&times.service),
            lag_ms: stats(&times.lag),
            histograms: times.encoded(),
            errors: errors(&all),
            events: self.events.clone(),
            changes: self.changes(),
            values: self.values.clone(),
            thresholds: Vec::new(),
            steps: self.steps(),
            scenarios: self.scenarios(),
            data: self.data(planned - self.later_seen()),
            labels: self.labels(),
            plan: serde_json::to_value(self.plan.redacted()).unwrap_or_default(),
        };
        let thresholds = self.plan.thresholds.iter();
        result.thresholds = thresholds.map(|t| threshold::judge(t, &result)).collect();
        result
    }

    /// The load over time, as it was changed on the way.
    pub(super) fn profile(&self) -> Profile {
        Profile::changed(&self.plan.load, &self.changes)
    }

    fn changes(&self) -> Vec<ChangeResult> {
        let each = self.changes.iter().map(|c| {
            let (what, level) = match c.what {
                Change::Level(level) => ("scaled", Some(level)),
                Change::Pause(_) => ("paused", None),
                Change::Resume => ("resumed", None),
            };
            ChangeResult {
                at_s: c.at.as_secs_f64(),
                what: what.to_owned(),
                level,
            }
        });
        each.collect()
    }

    fn steps(&self) -> Vec<StepResult> {
        let Task::Scenarios(scenarios) = &self.plan.task else {
            return Vec::new();
        };
        let names = (0..).zip(scenarios.step_names());
        names
            .map(|(i, name)| self.some_steps(name, |s| s == i))
            .collect()
    }

    fn scenarios(&self) -> Vec<StepResult> {
        let Task::Scenarios(scenarios) = &self.plan.task else {
            return Vec::new();
        };
        let mut first = 0;
        let each = scenarios.scenarios.iter().map(|scenario| {
            let steps = first..first + scenario.steps.len() as u32;
            first = steps.end;
            self.some_steps(scenario.name.clone(), |s| steps.contains(&s))
        });
        each.collect()
    }

    /// How much of the data was used, after so many arrivals.
    fn data(&self, arrivals: u64) -> Vec<DataResult> {
        let Task::Scenarios(scenarios) = &self.plan.task else {
            return Vec::new();
        };
        let mix = scenarios.mix();
        let exact = self.nobody_died_untold();
        let each = scenarios.data.iter().map(|(name, data)| {
            let uses = |scenario| scenarios.uses(scenario, name);
            // A row is taken when an iteration begins, and its first step is sent at once.
            let mut first = 0;
            let mut used = 0;
            for (scenario, s) in scenarios.scenarios.iter().enumerate() {
                if uses(scenario) {
                    used += self.sent_of(first);
                }
                first += s.steps.len();
            }
            let unique = data.pick == Pick::Unique;
            let due = mix.before(arrivals, uses).min(data.rows);
            DataResult {
                name: name.clone(),
                pick: data.pick.as_str().to_owned(),
                rows: data.rows,
                used,
                unused: unique.then(|| due.saturating_sub(used)),
                left: unique.then(|| data.rows - due.max(used).min(data.rows)),
                exact,
            }
        });
        each.collect()
    }

    /// Whoever was lost has delivered its last snapshot all the same.
    fn nobody_died_untold(&self) -> bool {
        let mut workers = self.workers.iter();
        if workers.any(|w| w.lost_at.is_some() && !w.metrics.is_final) {
            return false;
        }
        let told = |peer: &str| {
            let mut workers = self.workers.iter();
            workers.any(|w| w.peer == peer && w.metrics.is_final)
        };
        let lost = self.events.iter().filter(|e| e.kind == "lost");
        lost.filter_map(|e| e.peer.as_deref()).all(told)
    }

    /// Requests sent of a step.
    fn sent_of(&self, step: usize) -> u64 {
        let workers = self.workers.iter();
        let of_step = workers.filter_map(|w| w.metrics.counters().get(step));
        of_step.map(|s| s.counters.sent).sum()
    }

    fn labels(&self) -> Vec<StepResult> {
        let Task::Scenarios(scenarios) = &self.plan.task else {
            return Vec::new();
        };
        let steps: Vec<&Step> = scenarios.steps().collect();
        let has = |step: u32, label: &str| {
            let step = steps.get(step as usize);
            step.is_some_and(|step| step.labels.iter().any(|l| l == label))
        };
        let labels = scenarios.labels().into_iter();
        labels
            .map(|label| self.some_steps(label.to_owned(), |s| has(s, label)))
            .collect()
    }

    /// What was measured of some steps.
    fn some_steps(&self, name: String, counts: impl Fn(u32) -> bool) -> StepResult {
        let mut all = Counters::default();
        for worker in &self.workers {
            let steps = (0..).zip(worker.metrics.counters());
            let mine = steps.filter(|(i, _)| counts(*i));
            mine.for_each(|(_, s)| all.add(&s.counters));
        }
        let times = Times::of_steps(&self.workers, counts);
        StepResult {
            name,
            totals: totals(&all, all.sent + all.dropped()),
            status_codes: status_codes(&all),
            response_time_ms: stats(&times.response),
            service_time_ms: stats(&times.service),
            lag_ms: stats(&times.lag),
            errors: errors(&all),
        }
    }

    fn counted(&self) -> Counters {
        let mut all = Counters::default();
        for step in self.workers.iter().flat_map(|w| w.metrics.counters()) {
            all.add(&step.counters);
        }
        all
    }

    /// How many arrivals the plan asked for, and over how long a time, without pauses.
    ///
    /// A stop reaches each worker a moment apart, and each knows what fell due before: what
    /// they planned together says until when the load was asked for. Of a lost worker nobody
    /// knows it; then the survivors' time says it.
    fn planned(&self, all: &Counters, profile: &Profile) -> (u64, Duration) {
        let measured = self.measured(profile);
        // The profile tells how many arrivals there are; the later steps of a scenario come as
        // often as they come.
        let later = self.later();
        let later_seen = self.later_seen();
        let seen = all.sent + all.dropped();
        let duration = measured - profile.paused_until(measured);
        if self.plan.load.model == Model::Closed {
            return (seen, duration);
        }
        let Some(reason) = &self.reason else {
            let asked = match self.workers.iter().any(|w| w.lost_at.is_some()) {
                true => asked_until(profile, self.all_told().min(measured)) + later_seen,
                // As much as was sent, but for rounding by each worker.
                false => seen,
            };
            return (asked.max(seen), duration);
        };
        let (seen, planned) = (seen - later_seen, all.planned - later.planned);
        let (arrivals, duration) = self.arrivals(reason, seen, planned, measured, profile);
        let duration = duration - profile.paused_until(duration);
        (arrivals + later_seen, duration)
    }

    /// Until when somebody has told what it did.
    fn measured(&self, profile: &Profile) -> Duration {
        let told = self.workers.iter().map(|w| w.metrics.elapsed).max();
        told.unwrap_or_default().min(profile.end())
    }

    /// Until when everybody has who is there: what lacks then is missing. Who is silent and not
    /// yet lost may still tell.
    fn all_told(&self) -> Duration {
        let is_there = |w: &&WorkerInput| w.lost_at.is_none() && !w.metrics.is_final;
        let there = self.workers.iter().filter(is_there);
        let told = there.map(|w| w.metrics.elapsed).min();
        told.unwrap_or(Duration::MAX)
    }

    /// How many arrivals the plan asked for until its end, and over how long a time.
    fn arrivals(
        &self,
        reason: &EndReason,
        seen: u64,
        planned: u64,
        measured: Duration,
        profile: &Profile,
    ) -> (u64, Duration) {
        let total = profile.total_arrivals().unwrap_or(0);
        let none_lost = self.workers.iter().all(|w| w.lost_at.is_none());
        match reason {
            EndReason::Completed if profile.last_due() == profile.end() => {
                (total.max(seen), profile.end())
            }
            EndReason::Completed => (total.max(seen), time_of(profile, total)),
            _ if none_lost => {
                let planned = planned.max(seen);
                (planned, time_of(profile, planned))
            }
            _ => (asked_until(profile, measured).max(seen), measured),
        }
    }

    fn later_seen(&self) -> u64 {
        let later = self.later();
        later.sent + later.dropped()
    }

    /// What was counted of steps that are not the first of their scenario.
    fn later(&self) -> Counters {
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

    fn rate(&self, totals: &Totals, profile: &Profile, duration: Duration) -> Rate {
        let seconds = duration.as_secs_f64();
        if seconds <= 0.0 {
            return Rate::default();
        }
        let achieved = totals.sent as f64 / seconds;
        let asked = match (self.plan.load.model, &self.reason) {
            (Model::Closed, _) => achieved,
            (Model::Open, Some(_)) => totals.planned as f64 / seconds,
            // While it runs, `planned` is of a moment ago.
            (Model::Open, None) if matches!(self.plan.task, Task::Scenarios(_)) => achieved,
            (Model::Open, None) => asked_until(profile, self.measured(profile)) as f64 / seconds,
        };
        Rate { asked, achieved }
    }

    /// Latest minus earliest start, and how far from the truth that may be: as far as the
    /// two clocks that are known worst.
    fn start_skew(&self) -> Option<(Duration, Duration)> {
        let errors = || self.workers.iter().filter_map(|w| w.metrics.start_error);
        let skew = errors()
            .map(|e| e.us)
            .max()?
            .abs_diff(errors().map(|e| e.us).min()?);
        let mut bounds: Vec<u32> = errors().map(|e| e.within_us).collect();
        bounds.sort_unstable();
        let worst = bounds.iter().rev().take(2).map(|us| u64::from(*us)).sum();
        Some((Duration::from_micros(skew), Duration::from_micros(worst)))
    }
}

/// Arrivals asked for until `t`, as the engines round them.
fn asked_until(profile: &Profile, t: Duration) -> u64 {
    profile.due_before_ns(u64::try_from(t.as_nanos()).unwrap_or(u64::MAX))
}

/// When the profile has asked for `n` arrivals: the last of them is due half a gap earlier.
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

fn totals(all: &Counters, planned: u64) -> Totals {
    Totals {
        planned,
        sent: all.sent,
        ok: all.ok,
        failed: all.failed,
        abandoned: all.abandoned,
        dropped: all.dropped(),
        dropped_late: all.dropped_late,
        dropped_full: all.dropped_full,
        dropped_lease: all.dropped_lease,
        short: planned - all.sent - all.dropped(),
        warm_up: all.warm_up,
        bytes_sent: all.bytes_sent,
        bytes_received: all.bytes_received,
        checks_passed: all.checks_passed,
        checks_failed: all.checks_failed,
    }
}

fn status_codes(all: &Counters) -> BTreeMap<String, u64> {
    let codes = all.status_codes.iter();
    codes.map(|(code, n)| (code.to_string(), *n)).collect()
}

fn node_result(w: &WorkerInput, lag: Option<LagP99>) -> NodeResult {
    let mut c = Counters::default();
    w.metrics.counters().iter().for_each(|s| c.add(&s.counters));
    NodeResult {
        peer: w.peer.clone(),
        incarnation: w.incarnation,
        name: w.name.clone(),
        share: f64::from(w.metrics.slots) / f64::from(SLOTS),
        sent: c.sent,
        ok: c.ok,
        failed: c.failed,
        dropped: c.dropped(),
        lag_p99_ms: lag.map(|lag| lag.p99.as_micros() as f64 / 1e3),
        lost_at_ms: w.lost_at.map(|d| d.as_millis() as u64),
        environment: w.environment.clone(),
    }
}

/// The most frequent errors; what is beyond [`MAX_ERROR_ENTRIES`] is summed by kind, under
/// an empty message.
fn errors(all: &Counters) -> Vec<ErrorEntry> {
    let mut errors: Vec<ErrorEntry> = all
        .errors
        .iter()
        .map(|(key, e)| ErrorEntry {
            kind: key.kind.clone(),
            message: key.message.clone(),
            count: e.count,
        })
        .collect();
    let most_first = |a: &ErrorEntry, b: &ErrorEntry| {
        let by_count = b.count.cmp(&a.count);
        by_count.then_with(|| (&a.kind, &a.message).cmp(&(&b.kind, &b.message)))
    };
    errors.sort_by(most_first);
    let mut rest: BTreeMap<String, u64> = BTreeMap::new();
    for e in errors.drain(errors.len().min(MAX_ERROR_ENTRIES)..) {
        *rest.entry(e.kind).or_default() += e.count;
    }
    for (kind, count) in rest {
        match errors
            .iter_mut()
            .find(|e| e.kind == kind && e.message.is_empty())
        {
            Some(summed) => summed.count += count,
            None => errors.push(ErrorEntry {
                kind,
                message: String::new(),
                count,
            }),
        }
    }
    errors.sort_by(most_first);
    errors
}

/// The word for a phase.
pub fn phase_word(phase: TestState) -> &'static str {
    match phase {
        TestState::Electing => "electing",
        TestState::Registering => "registering",
        TestState::Running => "running",
        TestState::Stopping => "stopping",
        TestState::Ended => "ended",
    }
}

fn end_word(reason: &EndReason) -> &'static str {
    match reason {
        EndReason::Completed => "completed",
        EndReason::Stopped => "stopped",
        EndReason::Failed(_) => "failed",
    }
}

/// A Unix time in milliseconds as people write it, in UTC.
pub fn rfc3339(unix_ms: u64) -> String {
    let at = std::time::UNIX_EPOCH + Duration::from_millis(unix_ms);
    humantime::format_rfc3339_millis(at).to_string()
}

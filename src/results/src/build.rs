//! Builds a result from the workers' snapshots: sums the counters, merges the histograms
//! (`merge`), and evaluates the whole (`verdict`, `threshold`).

use std::collections::BTreeMap;
use std::time::Duration;

use super::input::{ResultInput, WorkerInput};
use super::kinds::{ChangeKind, EndKind};
use super::merge::{LagP99, Times, lag_p99, stats};
use super::redacted_plan::RedactedPlan;
use super::result::{
    ChangeResult, DataResult, ErrorEntry, NodeResult, StepResult, TestResult, Totals,
};
use super::threshold;
use super::verdict::{self, Facts};
use vajra_core::metrics::Counters;
use vajra_core::protocol::event_kind::EventKind;
use vajra_core::protocol::messages::TestState;
use vajra_core::protocol::spec::SLOTS;
use vajra_plan::{Change, Pick, Scenarios, Step, Task};

/// Most errors that a result lists individually. A worker reports at most
/// [`MAX_ERRORS`](vajra_core::metrics::MAX_ERRORS), but a thousand workers may each report
/// different ones.
const MAX_ERROR_ENTRIES: usize = 100;

impl ResultInput {
    /// Builds the result. Decodes three histograms per worker: about a millisecond each.
    pub fn build(&self) -> TestResult {
        let profile = self.profile();
        let all = self.counters();
        let times = Times::of(&self.workers);
        let (planned, duration) = self.planned(&all, &profile);
        let totals = Totals {
            unaccounted: self.unaccounted(&all),
            ..totals(&all, planned)
        };
        let start_skew = self.start_skew();
        let complete = self.complete && times.whole;
        let judgement = verdict::judge(&Facts {
            input: self,
            complete,
            totals: &totals,
            lag: lag_p99(&times.lag),
            lag_of: &times.lag_of,
            start_skew: start_skew.map(|(skew, _)| skew),
        });
        let RedactedPlan { target, plan } = self.redacted();
        let mut result = TestResult {
            schema: 1,
            test_id: self.test.to_string(),
            name: Some(self.name.clone()).filter(|n| !n.is_empty()),
            tags: self.plan.tags.clone(),
            target,
            load: self.plan.load.clone(),
            state: self.state,
            end: self.reason.as_ref().map(EndKind::from),
            complete,
            verdict: (self.state == TestState::Ended).then_some(judgement.verdict),
            reasons: judgement.reasons,
            started_at: self.started_unix_ms.map(rfc3339),
            duration_s: duration.as_secs_f64(),
            start_skew_ms: start_skew.map(|(skew, _)| skew.as_secs_f64() * 1e3),
            start_skew_within_ms: start_skew.map(|(_, within)| within.as_secs_f64() * 1e3),
            coordinators: self.coordinators.clone(),
            no_coordinator: self.absence.as_ref().map(|a| a.shown.clone()),
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
            changes: self.change_results(),
            values: self.values.clone(),
            thresholds: Vec::new(),
            steps: self.steps(),
            scenarios: self.scenarios(),
            data: self.data(planned - self.later_steps_seen()),
            labels: self.labels(),
            plan,
        };
        let thresholds = self.plan.thresholds.iter();
        result.thresholds = thresholds
            .map(|t| threshold::evaluate(t, &result))
            .collect();
        result
    }

    /// Iterations of a limited plan that a lost worker may have carried out after its last report.
    fn unaccounted(&self, all: &Counters) -> u64 {
        let (Some(most), Some(unused)) = (self.plan.load.requests, self.unused_numbers) else {
            return 0;
        };
        most.saturating_sub(unused).saturating_sub(all.iterations)
    }

    /// Counters of all workers and steps.
    fn counters(&self) -> Counters {
        let mut all = Counters::default();
        for step in self.workers.iter().flat_map(|w| w.metrics.counters()) {
            all.add(&step.counters);
        }
        all
    }

    fn change_results(&self) -> Vec<ChangeResult> {
        let each = self.changes.iter().map(|c| {
            let (kind, level) = match c.what {
                Change::Level(level) => (ChangeKind::Scaled, Some(level)),
                Change::Pause(_) => (ChangeKind::Paused, None),
                Change::Resume => (ChangeKind::Resumed, None),
            };
            ChangeResult {
                at_s: c.at.as_secs_f64(),
                kind,
                level,
            }
        });
        each.collect()
    }

    fn scenarios_of_plan(&self) -> Option<&Scenarios> {
        match &self.plan.task {
            Task::Scenarios(scenarios) => Some(scenarios),
            _ => None,
        }
    }

    fn steps(&self) -> Vec<StepResult> {
        let Some(scenarios) = self.scenarios_of_plan() else {
            return Vec::new();
        };
        let names = (0..).zip(scenarios.step_names());
        names
            .map(|(i, name)| self.step_result(name, |s| s == i))
            .collect()
    }

    fn scenarios(&self) -> Vec<StepResult> {
        let Some(scenarios) = self.scenarios_of_plan() else {
            return Vec::new();
        };
        let mut first = 0;
        let each = scenarios.scenarios.iter().map(|scenario| {
            let steps = first..first + scenario.steps.len() as u32;
            first = steps.end;
            self.step_result(scenario.name.clone(), |s| steps.contains(&s))
        });
        each.collect()
    }

    fn labels(&self) -> Vec<StepResult> {
        let Some(scenarios) = self.scenarios_of_plan() else {
            return Vec::new();
        };
        let steps: Vec<&Step> = scenarios.steps().collect();
        let has = |step: u32, label: &str| {
            let step = steps.get(step as usize);
            step.is_some_and(|step| step.labels.iter().any(|l| l == label))
        };
        let labels = scenarios.labels().into_iter();
        labels
            .map(|label| self.step_result(label.to_owned(), |s| has(s, label)))
            .collect()
    }

    /// The steps for which `includes` is true, together.
    fn step_result(&self, name: String, includes: impl Fn(u32) -> bool) -> StepResult {
        let mut all = Counters::default();
        for worker in &self.workers {
            let steps = (0..).zip(worker.metrics.counters());
            let included = steps.filter(|(i, _)| includes(*i));
            included.for_each(|(_, s)| all.add(&s.counters));
        }
        let times = Times::of_steps(&self.workers, includes);
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

    /// The use of the data files after `arrivals` iterations were due.
    fn data(&self, arrivals: u64) -> Vec<DataResult> {
        let Some(scenarios) = self.scenarios_of_plan() else {
            return Vec::new();
        };
        let mix = scenarios.mix();
        let exact = self.every_lost_worker_reported();
        let each = scenarios.data.iter().map(|(name, data)| {
            let uses = |scenario| scenarios.uses(scenario, name);
            // An iteration takes its row at its start and sends its first step at once.
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
                pick: data.pick.into(),
                rows: data.rows,
                used,
                unused: unique.then(|| due.saturating_sub(used)),
                remaining: unique.then(|| data.rows - due.max(used).min(data.rows)),
                exact,
            }
        });
        each.collect()
    }

    /// Whether every lost worker has delivered its last snapshot nevertheless.
    fn every_lost_worker_reported(&self) -> bool {
        let mut workers = self.workers.iter();
        if workers.any(|w| w.lost_at.is_some() && !w.metrics.is_final) {
            return false;
        }
        let reported = |peer: &str| {
            let mut workers = self.workers.iter();
            workers.any(|w| w.peer == peer && w.metrics.is_final)
        };
        let lost = self.events.iter().filter(|e| e.kind == EventKind::Lost);
        lost.filter_map(|e| e.peer.as_deref()).all(reported)
    }

    /// Requests sent for a step.
    fn sent_of(&self, step: usize) -> u64 {
        let workers = self.workers.iter();
        let of_step = workers.filter_map(|w| w.metrics.counters().get(step));
        of_step.map(|s| s.counters.sent).sum()
    }

    /// Latest minus earliest start, and the largest error of that: the sum of the errors of the
    /// two least certain clock offsets.
    fn start_skew(&self) -> Option<(Duration, Duration)> {
        let errors = || self.workers.iter().filter_map(|w| w.metrics.start_error);
        let skew = errors()
            .map(|e| e.us)
            .max()?
            .abs_diff(errors().map(|e| e.us).min()?);
        let mut bounds: Vec<u32> = errors().map(|e| e.within_us).collect();
        bounds.sort_unstable();
        let largest = bounds.iter().rev().take(2).map(|us| u64::from(*us)).sum();
        Some((Duration::from_micros(skew), Duration::from_micros(largest)))
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
        unsent: planned - all.sent - all.dropped(),
        warm_up: all.warm_up,
        bytes_sent: all.bytes_sent,
        bytes_received: all.bytes_received,
        checks_passed: all.checks_passed,
        checks_failed: all.checks_failed,
        unaccounted: 0,
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

/// The most frequent errors. Those beyond [`MAX_ERROR_ENTRIES`] are summed by kind, with an empty
/// message.
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
    let most_frequent_first = |a: &ErrorEntry, b: &ErrorEntry| {
        let by_count = b.count.cmp(&a.count);
        by_count.then_with(|| (&a.kind, &a.message).cmp(&(&b.kind, &b.message)))
    };
    errors.sort_by(most_frequent_first);
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
    errors.sort_by(most_frequent_first);
    errors
}

/// A Unix time in milliseconds as RFC 3339, in UTC.
pub fn rfc3339(unix_ms: u64) -> String {
    let at = std::time::UNIX_EPOCH + Duration::from_millis(unix_ms);
    humantime::format_rfc3339_millis(at).to_string()
}

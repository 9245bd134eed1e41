//! Thresholds with `abort`, judged while a test runs. Histograms are decoded in the background, and
//! only those that a threshold names, so that the driver stays fast with many workers and steps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vajra_core::metrics::TimeKind;
use vajra_core::protocol::TestId;
use vajra_plan::{Metric, Plan, Scope, Task, Threshold};
use vajra_results::{ResultInput, check};

/// The judgements in progress: at most one per test.
#[derive(Default)]
pub struct Thresholds {
    in_progress: BTreeSet<TestId>,
}

/// A judgement: the reason why the test ends, if it does.
pub struct Judged {
    test: TestId,
    failed: Option<String>,
}

impl Thresholds {
    /// The thresholds of a test to judge now; none while a judgement is in progress.
    pub fn due(&self, test: TestId, plan: &Plan, elapsed: Duration) -> Vec<Threshold> {
        if self.in_progress.contains(&test) {
            return Vec::new();
        }
        let aborting = plan.thresholds.iter().filter(|t| t.abort);
        let due = aborting.filter(|t| elapsed >= t.abort_after);
        due.cloned().collect()
    }

    /// The work that judges thresholds; it decodes histograms.
    pub fn judge(
        &mut self,
        test: TestId,
        due: Vec<Threshold>,
        input: ResultInput,
    ) -> impl FnOnce() -> Judged + Send + use<> {
        self.in_progress.insert(test);
        move || Judged {
            test,
            failed: failed(&due, input),
        }
    }

    /// A judgement is done. Returns the reason why the test ends, if it does.
    pub fn judged(&mut self, judged: Judged) -> Option<(TestId, String)> {
        self.in_progress.remove(&judged.test);
        judged.failed.map(|why| (judged.test, why))
    }

    /// Forgets all other tests.
    pub fn retain<T>(&mut self, tests: &BTreeMap<TestId, T>) {
        self.in_progress.retain(|id| tests.contains_key(id));
    }
}

/// The first of these thresholds that the measurements do not pass.
fn failed(due: &[Threshold], mut input: ResultInput) -> Option<String> {
    keep_named(due, &mut input);
    let result = input.build();
    // Without requests there is nothing to evaluate.
    if result.totals.sent == 0 {
        return None;
    }
    let failed = due.iter().find_map(|t| check(t, &result).err());
    failed.map(|why| why.to_string())
}

/// Drops the histograms that no threshold names.
fn keep_named(due: &[Threshold], input: &mut ResultInput) {
    let plan = input.plan.clone();
    let named: Vec<(TimeKind, Option<BTreeSet<u32>>)> = due
        .iter()
        .filter_map(|t| Some((kind(t.metric)?, steps(&plan, t.scope.as_ref()))))
        .collect();
    for worker in &mut input.workers {
        worker.metrics.retain_histograms(|step, kind| {
            named.iter().any(|(k, steps)| {
                *k == kind && steps.as_ref().is_none_or(|steps| steps.contains(&step))
            })
        });
    }
}

fn kind(metric: Metric) -> Option<TimeKind> {
    match metric {
        Metric::Response(_) => Some(TimeKind::Response),
        Metric::Service(_) => Some(TimeKind::Service),
        Metric::Lag(_) => Some(TimeKind::Lag),
        Metric::ErrorRate | Metric::Dropped | Metric::Checks | Metric::Rate => None,
    }
}

/// The steps of a scope; none for all steps.
fn steps(plan: &Plan, scope: Option<&Scope>) -> Option<BTreeSet<u32>> {
    let (Task::Scenarios(scenarios), Some(scope)) = (&plan.task, scope) else {
        return None;
    };
    let mut names = scenarios.step_names();
    let mut steps = BTreeSet::new();
    let mut index = 0;
    for scenario in &scenarios.scenarios {
        for step in &scenario.steps {
            let name = names.next();
            let is_in_scope = match scope {
                Scope::Part(part) => *part == scenario.name || name.as_ref() == Some(part),
                Scope::Label(label) => step.labels.iter().any(|l| l == label),
            };
            if is_in_scope {
                steps.insert(index);
            }
            index += 1;
        }
    }
    Some(steps)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use vajra_fixtures::measured;

    const TEST: TestId = TestId([1; 16]);

    fn thresholds(texts: &[&str]) -> Vec<Threshold> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    fn histograms(input: &ResultInput) -> usize {
        let of = |kind| {
            let workers = input.workers.iter();
            workers
                .map(|w| w.metrics.histograms(kind).count())
                .sum::<usize>()
        };
        TimeKind::ALL.map(of).iter().sum()
    }

    #[test]
    fn only_what_a_threshold_names_is_decoded() {
        for (texts, expected) in [
            (&["error_rate < 1%", "rate > 1/s"][..], 0),
            (&["response_time.p99 < 250ms"], 2),
            (&["response_time.p99 < 250ms", "lag.p99 < 1ms"], 4),
        ] {
            let mut input = measured::input(measured::good());
            keep_named(&thresholds(texts), &mut input);
            assert_eq!(histograms(&input), expected, "{texts:?}");
        }
    }

    #[test]
    fn the_judgement_is_that_of_the_whole_result() {
        let input = || measured::input(measured::good());
        assert_eq!(
            failed(&thresholds(&["response_time.p99 < 250ms"]), input()),
            None
        );
        let due = thresholds(&["error_rate < 1%", "response_time.p50 < 0.5ms"]);
        let whole = check(&due[1], &input().build()).unwrap_err().to_string();
        assert_eq!(failed(&due, input()), Some(whole));
        let nothing = measured::input(vec![measured::worker("alpha", 0)]);
        assert_eq!(failed(&thresholds(&["rate > 1/s"]), nothing), None);
    }

    #[test]
    fn one_judgement_at_a_time_is_in_progress_and_it_runs_on_another_thread() {
        let input = measured::input(measured::good());
        let mut plan = Plan::clone(&input.plan);
        plan.thresholds = thresholds(&["response_time.p99 < 0.1ms"]);
        plan.thresholds[0].abort = true;
        let mut t = Thresholds::default();
        let due = t.due(TEST, &plan, Duration::from_secs(60));
        assert_eq!(due.len(), 1);
        let work = t.judge(TEST, due, input);
        assert!(t.due(TEST, &plan, Duration::from_secs(60)).is_empty());
        let judged = std::thread::spawn(work).join().unwrap();
        assert!(t.judged(judged).is_some());
        assert_eq!(t.due(TEST, &plan, Duration::from_secs(60)).len(), 1);
    }
}

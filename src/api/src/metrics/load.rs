//! Tests: each as a whole (`vajra_test_…`), and this node's part of it (`vajra_worker_…`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::families::{Families, Labels};
use super::histogram::Buckets;
use vajra_core::metrics::{Counters, TimeKind};
use vajra_core::protocol::spec::SLOTS;
use vajra_results::{added, phase_word};
use vajra_runtime::observe::{Observation, ObservedTest, ObservedWorker};

/// All tests of an observation, added up.
#[derive(Debug)]
pub(super) struct OfTests {
    observed: Arc<Observation>,
    /// Of each test: all workers together.
    whole: Vec<Sums>,
    /// Of each test that this node carries, by its place: its own part.
    own: Vec<(usize, Sums)>,
}

/// What some workers counted and timed.
#[derive(Debug)]
struct Sums {
    counted: Counters,
    response: Buckets,
    lag_p99_s: Option<f64>,
}

impl Sums {
    /// Adds up; decodes two histograms a worker and step.
    fn of<'a>(workers: impl Iterator<Item = &'a ObservedWorker> + Clone) -> Sums {
        let mut counted = Counters::default();
        for worker in workers.clone() {
            let steps = worker.metrics.counters().iter();
            steps.for_each(|step| counted.add(&step.counters));
        }
        let metrics = workers.map(|worker| &worker.metrics);
        let lag = added(metrics.clone(), TimeKind::Lag);
        Sums {
            counted,
            response: Buckets::of(&added(metrics, TimeKind::Response)),
            lag_p99_s: (!lag.is_empty()).then(|| lag.value_at_quantile(0.99) as f64 / 1e6),
        }
    }
}

impl OfTests {
    /// Adds everything up, which may take a while: about a millisecond a worker.
    pub fn new(observed: Arc<Observation>) -> OfTests {
        let tests = observed.tests.iter();
        let whole = tests.map(|t| Sums::of(t.workers.iter())).collect();
        let mut own = Vec::new();
        for (place, test) in observed.tests.iter().enumerate() {
            let mine = test.workers.iter().filter(|w| w.is_self);
            if mine.clone().next().is_some() {
                own.push((place, Sums::of(mine)));
            }
        }
        OfTests {
            observed,
            whole,
            own,
        }
    }

    fn labels(&self, place: usize) -> Labels {
        let test = &self.observed.tests[place];
        vec![
            ("test_id", test.id.to_string()),
            ("test", test.name.clone()),
        ]
    }

    /// A value of every test.
    fn each<V>(&self, value: impl Fn(&ObservedTest) -> V) -> Vec<(Labels, V)> {
        let tests = self.observed.tests.iter().enumerate();
        tests.map(|(i, t)| (self.labels(i), value(t))).collect()
    }

    /// A value of every test that has one, which is a label: the series is 1.
    fn marked(
        &self,
        label: &'static str,
        value: impl Fn(&ObservedTest) -> Option<String>,
    ) -> Vec<(Labels, u32)> {
        let tests = self.each(value).into_iter();
        let tests = tests.filter_map(|(mut labels, value)| {
            labels.push((label, value?));
            Some((labels, 1))
        });
        tests.collect()
    }

    fn life(&self, f: &mut Families<'_>) -> fmt::Result {
        let state = |t: &ObservedTest| Some(phase_word(t.state).to_owned());
        f.gauge(
            "vajra_test_state",
            "1 for the state that the test is in.",
            self.marked("state", state),
        )?;
        f.gauge(
            "vajra_test_verdict",
            "1 for the test's verdict, once it has ended.",
            self.marked("verdict", |t| t.verdict.clone()),
        )?;
        f.gauge(
            "vajra_test_elapsed_seconds",
            "Since the start of the profile.",
            self.each(|t| t.elapsed.as_secs_f64()),
        )?;
        f.gauge(
            "vajra_test_duration_seconds",
            "Length of the profile.",
            self.each(|t| t.duration.as_secs_f64()),
        )?;
        f.gauge(
            "vajra_test_asked_requests_per_second",
            "Arrivals a second that the plan asks for now; 0 in the closed model and for scenarios.",
            self.each(|t| t.planned),
        )?;
        f.gauge(
            "vajra_test_users",
            "Users that the plan asks for now; 0 in the open model.",
            self.each(|t| t.users),
        )?;
        f.gauge(
            "vajra_test_workers",
            "Nodes that carry a share of the load.",
            self.each(|t| t.workers.iter().filter(|w| w.carries()).count()),
        )?;
        f.gauge(
            "vajra_test_term",
            "The newest term in which a coordinator was elected.",
            self.each(|t| t.term),
        )?;
        f.counter(
            "vajra_test_coordinator_changes",
            "Times that a coordinator followed another one.",
            self.each(|t| t.coordinator_changes),
        )?;
        f.gauge(
            "vajra_test_lag_limit_seconds",
            "Lag p99 beyond which the plan calls the result invalid.",
            self.each(|t| t.limits.lag_p99.as_secs_f64()),
        )?;
        f.gauge(
            "vajra_test_dropped_limit_ratio",
            "Part of the arrivals dropped beyond which the plan calls the result invalid.",
            self.each(|t| t.limits.dropped),
        )
    }

    fn own_part(&self, f: &mut Families<'_>) -> fmt::Result {
        let mine = |value: fn(&ObservedWorker) -> f64| {
            let tests = self.observed.tests.iter().enumerate();
            let mine = tests.filter_map(|(i, t)| Some((i, t.workers.iter().find(|w| w.is_self)?)));
            let each = mine.map(|(i, w)| (self.labels(i), value(w)));
            each.collect::<Vec<_>>()
        };
        f.gauge(
            "vajra_worker_share_ratio",
            "This node's share of the load, 0 to 1.",
            mine(|w| f64::from(w.metrics.slots) / f64::from(SLOTS)),
        )?;
        f.counter(
            "vajra_worker_engine_cpu_seconds",
            "CPU time of this node's engine threads.",
            mine(|w| w.metrics.engine_cpu.as_secs_f64()),
        )
    }
}

impl Collector for OfTests {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut f = Families(encoder);
        self.life(&mut f)?;
        let whole = self.whole.iter().enumerate();
        let whole: Vec<_> = whole.map(|(i, sums)| (self.labels(i), sums)).collect();
        measured(&mut f, "vajra_test", "of all nodes", &whole)?;
        self.own_part(&mut f)?;
        let own = self.own.iter();
        let own: Vec<_> = own.map(|(i, sums)| (self.labels(*i), sums)).collect();
        measured(&mut f, "vajra_worker", "of this node", &own)
    }
}

/// A counter: name, help text, and what it is.
type Plain = (&'static str, &'static str, fn(&Counters) -> u64);
/// A counter told apart by a label: name, help text, the label, and what it is by its values.
type Split = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Counters) -> BTreeMap<String, u64>,
);

/// What was counted and timed, of tests as a whole or of this node's part.
fn measured(
    f: &mut Families<'_>,
    prefix: &str,
    of: &str,
    tests: &[(Labels, &Sums)],
) -> fmt::Result {
    let plain: [Plain; 6] = [
        ("sent_requests", "Requests sent", |c| c.sent),
        ("ok_requests", "Requests that succeeded", |c| c.ok),
        ("failed_requests", "Requests that failed", |c| c.failed),
        (
            "abandoned_requests",
            "Requests given up because the test was stopped",
            |c| c.abandoned,
        ),
        ("sent_bytes", "Bytes written to connections", |c| {
            c.bytes_sent
        }),
        ("received_bytes", "Bytes read from connections", |c| {
            c.bytes_received
        }),
    ];
    for (name, help, value) in plain {
        let series = tests
            .iter()
            .map(|(labels, s)| (labels.clone(), value(&s.counted)));
        f.counter(
            &format!("{prefix}_{name}"),
            &format!("{help}, {of}."),
            series,
        )?;
    }
    let split: [Split; 4] = [
        ("errors", "Errors by kind", "kind", errors),
        (
            "dropped_arrivals",
            "Arrivals not sent: too late, without a lease, or with too many in flight",
            "reason",
            dropped,
        ),
        ("responses", "Responses by status code", "code", codes),
        (
            "checks",
            "Checks of responses, passed and failed",
            "outcome",
            checks,
        ),
    ];
    for (name, help, label, values) in split {
        let series = tests.iter().flat_map(|(labels, s)| {
            let values = values(&s.counted).into_iter();
            values.map(move |(value, n)| {
                let mut labels = labels.clone();
                labels.push((label, value));
                (labels, n)
            })
        });
        f.counter(
            &format!("{prefix}_{name}"),
            &format!("{help}, {of}."),
            series,
        )?;
    }
    f.gauge(
        &format!("{prefix}_in_flight_requests"),
        &format!("Requests waiting or in flight, {of}."),
        tests
            .iter()
            .map(|(labels, s)| (labels.clone(), s.counted.in_flight)),
    )?;
    f.gauge(
        &format!("{prefix}_lag_p99_seconds"),
        &format!("99th percentile of the lag so far, {of}: the generator's own error."),
        tests
            .iter()
            .filter_map(|(labels, s)| Some((labels.clone(), s.lag_p99_s?))),
    )?;
    f.histogram(
        &format!("{prefix}_response_time_seconds"),
        &format!("Response times from the intended send time, {of}; without those of the warm-up."),
        tests
            .iter()
            .map(|(labels, s)| (labels.clone(), s.response.clone())),
    )
}

fn errors(c: &Counters) -> BTreeMap<String, u64> {
    let mut kinds = BTreeMap::new();
    for (key, e) in &c.errors {
        *kinds.entry(key.kind.clone()).or_default() += e.count;
    }
    kinds
}

fn dropped(c: &Counters) -> BTreeMap<String, u64> {
    [
        ("late", c.dropped_late),
        ("lease", c.dropped_lease),
        ("full", c.dropped_full),
    ]
    .map(|(reason, n)| (reason.to_owned(), n))
    .into()
}

fn codes(c: &Counters) -> BTreeMap<String, u64> {
    let codes = c.status_codes.iter();
    codes.map(|(code, n)| (code.to_string(), *n)).collect()
}

fn checks(c: &Counters) -> BTreeMap<String, u64> {
    [("passed", c.checks_passed), ("failed", c.checks_failed)]
        .map(|(outcome, n)| (outcome.to_owned(), n))
        .into()
}

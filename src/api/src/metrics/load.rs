//! Metrics of tests: in the whole swarm (`vajra_test_…`) and on this node (`vajra_worker_…`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::families::{Families, Labels};
use super::histogram::Buckets;
use vajra_core::metrics::{Counters, TimeKind};
use vajra_core::protocol::spec::SLOTS;
use vajra_results::{merged, state_name};
use vajra_runtime::observe::{Observation, ObservedTest, ObservedWorker};

/// The merged metrics of all tests of an observation.
#[derive(Debug)]
pub(super) struct TestCollector {
    observation: Arc<Observation>,
    /// Per test: all workers.
    total: Vec<Sums>,
    /// Per test in which this node is a worker: its index, and this node's part.
    own: Vec<(usize, Sums)>,
}

/// Merged metrics of some workers.
#[derive(Debug)]
struct Sums {
    counters: Counters,
    response: Buckets,
    lag_p99_s: Option<f64>,
}

impl Sums {
    /// Merges workers; decodes two histograms per worker and step.
    fn of<'a>(workers: impl Iterator<Item = &'a ObservedWorker> + Clone) -> Sums {
        let mut counters = Counters::default();
        for worker in workers.clone() {
            let steps = worker.metrics.counters().iter();
            steps.for_each(|step| counters.add(&step.counters));
        }
        let metrics = workers.map(|worker| &worker.metrics);
        let lag = merged(metrics.clone(), TimeKind::Lag);
        Sums {
            counters,
            response: Buckets::of(&merged(metrics, TimeKind::Response)),
            lag_p99_s: (!lag.is_empty()).then(|| lag.value_at_quantile(0.99) as f64 / 1e6),
        }
    }
}

impl TestCollector {
    /// Merges the metrics of all tests, which takes about a millisecond per worker.
    pub fn new(observation: Arc<Observation>) -> TestCollector {
        let tests = observation.tests.iter();
        let total = tests.map(|t| Sums::of(t.workers.iter())).collect();
        let mut own = Vec::new();
        for (index, test) in observation.tests.iter().enumerate() {
            let mine = test.workers.iter().filter(|w| w.is_self);
            if mine.clone().next().is_some() {
                own.push((index, Sums::of(mine)));
            }
        }
        TestCollector {
            observation,
            total,
            own,
        }
    }

    fn labels(&self, index: usize) -> Labels {
        let test = &self.observation.tests[index];
        vec![
            ("test_id", test.id.to_string()),
            ("test", test.name.clone()),
        ]
    }

    /// A value per test.
    fn each<V>(&self, value: impl Fn(&ObservedTest) -> V) -> Vec<(Labels, V)> {
        let tests = self.observation.tests.iter().enumerate();
        tests.map(|(i, t)| (self.labels(i), value(t))).collect()
    }

    /// A series with value 1 per test that has this label.
    fn labelled(
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

    fn state(&self, f: &mut Families<'_>) -> fmt::Result {
        let state = |t: &ObservedTest| Some(state_name(t.state).to_owned());
        f.gauge(
            "vajra_test_state",
            "1 for the current state of the test.",
            self.labelled("state", state),
        )?;
        f.gauge(
            "vajra_test_verdict",
            "1 for the verdict of the ended test.",
            self.labelled("verdict", |t| t.verdict.map(|v| v.to_string())),
        )?;
        f.gauge(
            "vajra_test_elapsed_seconds",
            "Time since the start of the profile.",
            self.each(|t| t.elapsed.as_secs_f64()),
        )?;
        f.gauge(
            "vajra_test_duration_seconds",
            "Length of the profile.",
            self.each(|t| t.duration.as_secs_f64()),
        )?;
        f.gauge(
            "vajra_test_planned_requests_per_second",
            "Planned arrivals per second; 0 in the closed model and for scenarios.",
            self.each(|t| t.planned),
        )?;
        f.gauge(
            "vajra_test_users",
            "Planned users; 0 in the open model.",
            self.each(|t| t.users),
        )?;
        f.gauge(
            "vajra_test_workers",
            "Nodes with a share of the load.",
            self.each(|t| t.workers.iter().filter(|w| w.carries()).count()),
        )?;
        f.gauge(
            "vajra_test_term",
            "Latest term in which a coordinator was elected.",
            self.each(|t| t.term),
        )?;
        f.counter(
            "vajra_test_coordinator_changes",
            "Number of coordinator changes.",
            self.each(|t| t.coordinator_changes),
        )?;
        f.gauge(
            "vajra_test_lag_limit_seconds",
            "Limit of the lag p99 for a valid result.",
            self.each(|t| t.limits.lag_p99.as_secs_f64()),
        )?;
        f.gauge(
            "vajra_test_dropped_limit_ratio",
            "Limit of the ratio of dropped arrivals for a valid result.",
            self.each(|t| t.limits.dropped),
        )
    }

    fn own_part(&self, f: &mut Families<'_>) -> fmt::Result {
        let mine = |value: fn(&ObservedWorker) -> f64| {
            let tests = self.observation.tests.iter().enumerate();
            let mine = tests.filter_map(|(i, t)| Some((i, t.workers.iter().find(|w| w.is_self)?)));
            let each = mine.map(|(i, w)| (self.labels(i), value(w)));
            each.collect::<Vec<_>>()
        };
        f.gauge(
            "vajra_worker_share_ratio",
            "Share of the load on this node, 0 to 1.",
            mine(|w| f64::from(w.metrics.slots) / f64::from(SLOTS)),
        )?;
        f.counter(
            "vajra_worker_engine_cpu_seconds",
            "CPU time of the engine threads of this node.",
            mine(|w| w.metrics.engine_cpu.as_secs_f64()),
        )
    }
}

impl Collector for TestCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut f = Families(encoder);
        self.state(&mut f)?;
        let total = self.total.iter().enumerate();
        let total: Vec<_> = total.map(|(i, sums)| (self.labels(i), sums)).collect();
        measurements(&mut f, "vajra_test", "on all nodes", &total)?;
        self.own_part(&mut f)?;
        let own = self.own.iter();
        let own: Vec<_> = own.map(|(i, sums)| (self.labels(*i), sums)).collect();
        measurements(&mut f, "vajra_worker", "on this node", &own)
    }
}

/// A counter: name, help text, and its value.
type Plain = (&'static str, &'static str, fn(&Counters) -> u64);
/// A counter with a label: name, help text, name of the label, and values by label.
type Split = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Counters) -> BTreeMap<String, u64>,
);

/// The measurements of tests, on all nodes or on this node.
fn measurements(
    f: &mut Families<'_>,
    prefix: &str,
    scope: &str,
    tests: &[(Labels, &Sums)],
) -> fmt::Result {
    let plain: [Plain; 6] = [
        ("sent_requests", "Requests sent", |c| c.sent),
        ("ok_requests", "Requests that succeeded", |c| c.ok),
        ("failed_requests", "Requests that failed", |c| c.failed),
        (
            "abandoned_requests",
            "Requests abandoned because the test was stopped",
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
            .map(|(labels, s)| (labels.clone(), value(&s.counters)));
        f.counter(
            &format!("{prefix}_{name}"),
            &format!("{help}, {scope}."),
            series,
        )?;
    }
    let split: [Split; 4] = [
        ("errors", "Errors by kind", "kind", errors),
        (
            "dropped_arrivals",
            "Arrivals not sent: too late, without a lease, or too many requests in flight",
            "reason",
            dropped,
        ),
        ("responses", "Responses by status code", "code", codes),
        (
            "checks",
            "Checks of responses by outcome",
            "outcome",
            checks,
        ),
    ];
    for (name, help, label, values) in split {
        let series = tests.iter().flat_map(|(labels, s)| {
            let values = values(&s.counters).into_iter();
            values.map(move |(value, n)| {
                let mut labels = labels.clone();
                labels.push((label, value));
                (labels, n)
            })
        });
        f.counter(
            &format!("{prefix}_{name}"),
            &format!("{help}, {scope}."),
            series,
        )?;
    }
    f.gauge(
        &format!("{prefix}_in_flight_requests"),
        &format!("Requests waiting or in flight, {scope}."),
        tests
            .iter()
            .map(|(labels, s)| (labels.clone(), s.counters.in_flight)),
    )?;
    f.gauge(
        &format!("{prefix}_lag_p99_seconds"),
        &format!("99th percentile of the lag since the start, {scope}: the error of the generator itself."),
        tests
            .iter()
            .filter_map(|(labels, s)| Some((labels.clone(), s.lag_p99_s?))),
    )?;
    f.histogram(
        &format!("{prefix}_response_time_seconds"),
        &format!("Response time from the intended send time, {scope}, without the warm-up."),
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

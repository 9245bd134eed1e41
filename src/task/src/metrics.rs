//! Custom metrics: what a task measures beyond requests and their times.
//!
//! A task declares its metrics ([`crate::Task::metrics`]) and reports values through the gate.
//! Stores of the same declarations merge exactly, in any order: counters and rates are sums,
//! histograms have one fixed configuration.

use hdrhistogram::Histogram;
use vajra_core::metrics::new_histogram;

/// A custom metric's declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricDeclaration {
    /// Name in results: lowercase, with underscores.
    pub name: &'static str,
    /// What is recorded, and how it merges.
    pub kind: MetricKind,
    /// Unit of a value, such as `bytes` or `us`; empty if it has none.
    pub unit: &'static str,
    /// One sentence for the documentation.
    pub help: &'static str,
}

/// What a custom metric records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A sum of amounts.
    Counter,
    /// The ratio of hits to events.
    Rate,
    /// The distribution of integers from 0 to 3,600,000,000, with three significant digits.
    Histogram,
}

/// Index of a metric in the task's declarations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricId(pub usize);

/// What a custom metric has recorded.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricValue {
    /// The sum; saturates at `u64::MAX`.
    Counter(u64),
    /// Hits among events.
    Rate {
        /// Events that were hits.
        hits: u64,
        /// All events.
        events: u64,
    },
    /// The recorded values; larger ones than the maximum are recorded as that.
    Histogram(Box<Histogram<u64>>),
}

impl MetricValue {
    fn new(kind: MetricKind) -> MetricValue {
        match kind {
            MetricKind::Counter => MetricValue::Counter(0),
            MetricKind::Rate => MetricValue::Rate { hits: 0, events: 0 },
            MetricKind::Histogram => MetricValue::Histogram(Box::new(new_histogram())),
        }
    }
}

/// Two stores have different declarations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the custom metrics are declared differently; nothing was merged")]
pub struct MergeError;

/// The values of a task's custom metrics. The default store has no metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CustomMetrics {
    declarations: &'static [MetricDeclaration],
    values: Vec<MetricValue>,
}

impl CustomMetrics {
    /// A store for these metrics, with nothing recorded. Each histogram takes about 190 KB.
    pub fn new(declarations: &'static [MetricDeclaration]) -> CustomMetrics {
        CustomMetrics {
            declarations,
            values: declarations
                .iter()
                .map(|d| MetricValue::new(d.kind))
                .collect(),
        }
    }

    /// Adds to a counter. A metric of another kind, or an undeclared one, is a bug of the task:
    /// debug builds panic, others ignore it.
    pub fn add(&mut self, metric: MetricId, amount: u64) {
        match self.values.get_mut(metric.0) {
            Some(MetricValue::Counter(sum)) => *sum = sum.saturating_add(amount),
            _ => debug_assert!(false, "{metric:?} is not a declared counter"),
        }
    }

    /// Counts one event of a rate. Bugs as in [`Self::add`].
    pub fn count_rate(&mut self, metric: MetricId, hit: bool) {
        match self.values.get_mut(metric.0) {
            Some(MetricValue::Rate { hits, events }) => {
                *hits += u64::from(hit);
                *events += 1;
            }
            _ => debug_assert!(false, "{metric:?} is not a declared rate"),
        }
    }

    /// Records a value in a histogram. Bugs as in [`Self::add`].
    pub fn observe(&mut self, metric: MetricId, value: u64) {
        match self.values.get_mut(metric.0) {
            Some(MetricValue::Histogram(histogram)) => {
                histogram.saturating_record(value.min(histogram.high()));
            }
            _ => debug_assert!(false, "{metric:?} is not a declared histogram"),
        }
    }

    /// Each metric and its value, in the order of their declaration.
    pub fn iter(&self) -> impl Iterator<Item = (&'static MetricDeclaration, &MetricValue)> {
        self.declarations.iter().zip(&self.values)
    }

    /// Adds what was recorded elsewhere. Merging is commutative and associative, and its result
    /// is the same as if all values had been recorded in one store. A store without metrics
    /// takes over those of the other.
    ///
    /// # Errors
    /// The declarations differ; nothing was merged.
    pub fn merge(&mut self, other: &CustomMetrics) -> Result<(), MergeError> {
        if other.declarations.is_empty() {
            return Ok(());
        }
        if self.declarations.is_empty() {
            *self = other.clone();
            return Ok(());
        }
        if self.declarations != other.declarations {
            return Err(MergeError);
        }
        for (sum, part) in self.values.iter_mut().zip(&other.values) {
            match (sum, part) {
                (MetricValue::Counter(sum), MetricValue::Counter(n)) => {
                    *sum = sum.saturating_add(*n);
                }
                (MetricValue::Rate { hits, events }, MetricValue::Rate { hits: h, events: e }) => {
                    *hits += h;
                    *events += e;
                }
                (MetricValue::Histogram(sum), MetricValue::Histogram(part)) => {
                    sum.add(&**part).map_err(|_| MergeError)?;
                }
                _ => unreachable!("the kind of a value is that of its declaration"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const fn metric(name: &'static str, kind: MetricKind) -> MetricDeclaration {
        MetricDeclaration {
            name,
            kind,
            unit: "",
            help: "For tests.",
        }
    }

    const METRICS: &[MetricDeclaration] = &[
        metric("bytes", MetricKind::Counter),
        metric("cached", MetricKind::Rate),
        metric("depth", MetricKind::Histogram),
    ];

    /// Records values that depend on a seed, in each of these stores.
    fn record(seed: u64, stores: &mut [&mut CustomMetrics]) {
        for i in 0..1000 {
            let value = vajra_core::splitmix::hash(seed, i);
            for store in &mut *stores {
                store.add(MetricId(0), value % 1000);
                store.count_rate(MetricId(1), value.is_multiple_of(3));
                store.observe(MetricId(2), value >> (value % 64));
            }
        }
    }

    fn merged(parts: &[&CustomMetrics]) -> CustomMetrics {
        let mut sum = CustomMetrics::default();
        for part in parts {
            sum.merge(part).unwrap();
        }
        sum
    }

    #[test]
    fn merging_is_commutative_and_associative_and_equals_recording_in_one_store() {
        let mut whole = CustomMetrics::new(METRICS);
        let [mut a, mut b, mut c] = [0; 3].map(|_| CustomMetrics::new(METRICS));
        record(1, &mut [&mut a, &mut whole]);
        record(2, &mut [&mut b, &mut whole]);
        record(3, &mut [&mut c, &mut whole]);
        assert_eq!(merged(&[&a, &b, &c]), whole);
        assert_eq!(merged(&[&c, &a, &b]), whole);
        assert_eq!(merged(&[&a, &merged(&[&b, &c])]), whole);
        assert_eq!(merged(&[&merged(&[&a, &b]), &c]), whole);
        let nothing = CustomMetrics::new(METRICS);
        assert_eq!(
            merged(&[&nothing, &whole, &CustomMetrics::default()]),
            whole
        );
    }

    #[test]
    fn a_counter_saturates_in_any_order() {
        let [mut a, mut b] = [0; 2].map(|_| CustomMetrics::new(METRICS));
        a.add(MetricId(0), u64::MAX);
        b.add(MetricId(0), 5);
        let sum = merged(&[&a, &b]);
        assert_eq!(sum, merged(&[&b, &a]));
        assert_eq!(
            sum.iter().next().unwrap().1,
            &MetricValue::Counter(u64::MAX)
        );
    }

    #[test]
    fn different_declarations_do_not_merge() {
        const OTHER: &[MetricDeclaration] = &[metric("bytes", MetricKind::Rate)];
        let mut store = CustomMetrics::new(METRICS);
        let before = store.clone();
        assert_eq!(store.merge(&CustomMetrics::new(OTHER)), Err(MergeError));
        assert_eq!(store, before);
    }

    #[test]
    fn values_above_the_maximum_are_recorded_as_it() {
        let mut store = CustomMetrics::new(METRICS);
        store.observe(MetricId(2), u64::MAX);
        store.observe(MetricId(2), 0);
        let Some((_, MetricValue::Histogram(histogram))) = store.iter().nth(2) else {
            panic!("{store:?}");
        };
        assert_eq!((histogram.len(), histogram.min()), (2, 0));
        assert!(histogram.max() >= histogram.high());
    }
}

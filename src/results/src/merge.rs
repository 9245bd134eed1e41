//! Merges the histograms of all workers and reads statistics from them. Percentiles are only ever
//! read from merged histograms; averages of percentiles are wrong and appear nowhere.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};

use super::input::WorkerInput;
use super::result::{Histograms, Stats};
use vajra_core::metrics::{TimeKind, new_histogram};
use vajra_core::protocol::merge::WorkerMetrics;

/// The 99th percentile of one worker's lag, and the number of values it is read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LagP99 {
    pub p99: Duration,
    pub count: u64,
}

/// The merged histograms of all workers.
pub(super) struct Times {
    pub response: Histogram<u64>,
    pub service: Histogram<u64>,
    pub lag: Histogram<u64>,
    /// Each worker's lag, in the order of the workers; none without values.
    pub lag_of: Vec<Option<LagP99>>,
    /// Whether every histogram could be decoded.
    pub whole: bool,
}

impl Times {
    /// Decodes and merges all steps. Takes about a millisecond per worker and step.
    pub fn of(workers: &[WorkerInput]) -> Times {
        Times::of_steps(workers, |_| true)
    }

    /// The same for the steps for which `includes` is true.
    pub fn of_steps(workers: &[WorkerInput], includes: impl Fn(u32) -> bool) -> Times {
        let mut times = Times {
            response: new_histogram(),
            service: new_histogram(),
            lag: new_histogram(),
            lag_of: Vec::with_capacity(workers.len()),
            whole: true,
        };
        let mut decoder = Deserializer::new();
        for worker in workers {
            let mut own_lag = new_histogram();
            for (kind, into) in [
                (TimeKind::Response, &mut times.response),
                (TimeKind::Service, &mut times.service),
                (TimeKind::Lag, &mut own_lag),
            ] {
                let histograms = worker.metrics.histograms(kind);
                for (_, data) in histograms.filter(|(step, _)| includes(*step)) {
                    let one = decoder.deserialize::<u64, _>(&mut &data[..]);
                    times.whole &= one.is_ok_and(|one| into.add(&one).is_ok());
                }
            }
            times.lag_of.push(lag_p99(&own_lag));
            times.whole &= times.lag.add(&own_lag).is_ok();
        }
        times
    }

    /// The histograms in the encoding of a result.
    pub fn encoded(&self) -> Histograms {
        Histograms {
            response: encode(&self.response),
            service: encode(&self.service),
            lag: encode(&self.lag),
        }
    }
}

pub(super) fn lag_p99(lag: &Histogram<u64>) -> Option<LagP99> {
    (!lag.is_empty()).then(|| LagP99 {
        p99: Duration::from_micros(lag.value_at_quantile(0.99)),
        count: lag.len(),
    })
}

/// The merged histogram of one kind over some workers. Histograms that cannot be decoded are left
/// out; `wire` has checked them.
pub fn merged<'a>(
    workers: impl Iterator<Item = &'a WorkerMetrics>,
    kind: TimeKind,
) -> Histogram<u64> {
    let mut all = new_histogram();
    let mut decoder = Deserializer::new();
    for (_, data) in workers.flat_map(|m| m.histograms(kind)) {
        if let Ok(one) = decoder.deserialize::<u64, _>(&mut &data[..]) {
            let _ = all.add(&one);
        }
    }
    all
}

/// The statistics of a merged histogram; none of an empty one.
pub fn stats(h: &Histogram<u64>) -> Option<Stats> {
    if h.is_empty() {
        return None;
    }
    let ms = |us: f64| us / 1000.0;
    let at = |q: f64| ms(h.value_at_quantile(q) as f64);
    Some(Stats {
        count: h.len(),
        min: ms(h.min() as f64),
        mean: ms(mean_us(h)),
        stdev: ms(h.stdev()),
        p50: at(0.5),
        p75: at(0.75),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        p999: at(0.999),
        max: ms(h.max() as f64),
    })
}

/// The mean of a histogram. Summed in integers and divided once, so it is exact for the recorded
/// buckets and the same on every node.
pub(super) fn mean_us(h: &Histogram<u64>) -> f64 {
    let sum: u128 = h
        .iter_recorded()
        .map(|v| {
            u128::from(h.median_equivalent(v.value_iterated_to())) * u128::from(v.count_at_value())
        })
        .sum();
    sum as f64 / h.len().max(1) as f64
}

/// A histogram in the encoding of a result: base64 of the compressed V2 encoding.
pub fn encode(h: &Histogram<u64>) -> Option<String> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(h, &mut bytes).ok()?;
    Some(STANDARD.encode(bytes))
}

/// Decodes a histogram of a result; none if the text is not one.
pub fn decode(base64: &str) -> Option<Histogram<u64>> {
    let bytes = STANDARD.decode(base64).ok()?;
    Deserializer::new().deserialize(&mut &bytes[..]).ok()
}

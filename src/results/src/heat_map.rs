//! The heat map of response times: buckets of equal width on a logarithmic axis.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// Buckets of the heat map per decade of response time.
const PER_DECADE: u32 = 8;
/// Lowest bound of the heat map, in microseconds.
const LOWEST_US: f64 = 100.0;
/// Decades above the lowest bound: up to 100 s.
const DECADES: u32 = 6;

fn bounds_us() -> impl Iterator<Item = f64> {
    let steps = 0..=DECADES * PER_DECADE;
    steps.map(|i| LOWEST_US * 10f64.powf(f64::from(i) / f64::from(PER_DECADE)))
}

/// Upper bounds of the buckets, in milliseconds; one more bucket is above the last bound.
pub(super) fn bounds_ms() -> Vec<f64> {
    bounds_us().map(|us| us / 1e3).collect()
}

/// Response times by bucket of the heat map.
pub(super) fn buckets(h: &Histogram<u64>) -> Vec<(u16, u64)> {
    let bounds: Vec<f64> = bounds_us().collect();
    let mut heat: BTreeMap<u16, u64> = BTreeMap::new();
    for value in h.iter_recorded() {
        let us = value.value_iterated_to() as f64;
        let bucket = bounds.partition_point(|bound| *bound < us);
        *heat.entry(bucket as u16).or_default() += value.count_since_last_iteration();
    }
    heat.into_iter().collect()
}

//! Microbenchmarks of the hot path and the metrics: `cargo bench --bench micro`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Duration;

use divan::Bencher;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use vajra_engine::{Recorder, Times};
use vajra_plan::{Arrivals, Load, Owned, Profile, Slots};

fn main() {
    divan::main();
}

fn load() -> Load {
    Load {
        ramp_up: Duration::from_secs(60),
        ..Load::open(20_000.0, Duration::from_secs(600))
    }
}

fn inverse(bencher: Bencher<'_, '_>, arrivals: Arrivals) {
    let profile = Profile::of(&Load { arrivals, ..load() });
    let total = profile.total_arrivals().unwrap();
    let mut k = 0;
    bencher.bench_local(|| {
        k = (k + 1) % total;
        profile.arrival_ns(black_box(k))
    });
}

/// The due time of an arrival, evenly spaced.
#[divan::bench]
fn profile_inverse_constant(bencher: Bencher<'_, '_>) {
    inverse(bencher, Arrivals::Constant);
}

/// The due time of an arrival in a Poisson process of 12.7 million arrivals.
#[divan::bench]
fn profile_inverse_poisson(bencher: Bencher<'_, '_>) {
    inverse(bencher, Arrivals::Poisson);
}

/// The next arrival of a share of one in seven.
#[divan::bench]
fn share_next_arrival(bencher: Bencher<'_, '_>) {
    let mut owned = Owned::new(Slots::range(0, 142_857));
    let mut k = owned.first(0).unwrap();
    bencher.bench_local(|| {
        k = owned.after(black_box(k)).unwrap();
        k
    });
}

fn prototype() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap()
}

/// Records the three times of one request.
#[divan::bench]
fn record_a_request(bencher: Bencher<'_, '_>) {
    let mut recorder = Recorder::new(&prototype(), 1, &[], None).unwrap();
    let mut us = 1;
    bencher.bench_local(|| {
        us = us * 31 % 100_003;
        let times = Times {
            response: black_box(us + 40),
            service: Some(us),
            lag: 40,
        };
        recorder.times(0, times);
    });
}

/// A histogram like those in snapshots: 100,000 values over five orders of magnitude.
fn filled() -> Histogram<u64> {
    let mut histogram = prototype();
    let mut us = 1;
    for _ in 0..100_000 {
        us = us * 31 % 100_003;
        histogram.saturating_record(us);
    }
    histogram
}

#[divan::bench]
fn snapshot_encode(bencher: Bencher<'_, '_>) {
    let histogram = filled();
    bencher.bench_local(|| {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(black_box(&histogram), &mut bytes)
            .unwrap();
        bytes
    });
}

#[divan::bench]
fn snapshot_decode_and_merge(bencher: Bencher<'_, '_>) {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(&filled(), &mut bytes)
        .unwrap();
    let mut whole = prototype();
    bencher.bench_local(|| {
        let part: Histogram<u64> = Deserializer::new()
            .deserialize(&mut black_box(bytes.as_slice()))
            .unwrap();
        whole.add(&part).unwrap();
    });
}

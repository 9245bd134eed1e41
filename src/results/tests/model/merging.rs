//! Merged percentiles compared with the raw values.

use vajra_core::metrics::{ErrorCount, ErrorKey};
use vajra_fixtures::measured::*;
use vajra_results::Stats;
use vajra_results::decode;

/// A fixed sequence of values over six orders of magnitude.
fn values(mut seed: u64, n: usize) -> Vec<u64> {
    (0..n)
        .map(|_| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let magnitude = 10_u64.pow((seed >> 60) as u32 % 6 + 1);
            1 + (seed >> 20) % magnitude
        })
        .collect()
}

fn assert_reads(stats: &Stats, mut raw: Vec<u64>) {
    raw.sort_unstable();
    assert_eq!(stats.count, raw.len() as u64);
    let exact = |q: f64| {
        let rank = (q * raw.len() as f64).ceil() as usize;
        raw[rank.max(1) - 1] as f64 / 1e3
    };
    for (name, read, exact) in [
        ("min", stats.min, exact(0.0)),
        ("p50", stats.p50, exact(0.5)),
        ("p75", stats.p75, exact(0.75)),
        ("p90", stats.p90, exact(0.9)),
        ("p95", stats.p95, exact(0.95)),
        ("p99", stats.p99, exact(0.99)),
        ("p999", stats.p999, exact(0.999)),
        ("max", stats.max, exact(1.0)),
    ] {
        assert!(
            (read - exact).abs() <= exact * 0.001,
            "{name}: {read}, not {exact}"
        );
    }
    let mean = raw.iter().sum::<u64>() as f64 / raw.len() as f64 / 1e3;
    assert!(
        (stats.mean - mean).abs() <= mean * 0.001,
        "{} {mean}",
        stats.mean
    );
}

#[test]
fn percentiles_of_many_workers_are_those_of_all_their_values() {
    let sizes = [1, 7, 1_000, 20_000];
    let mut raw: [Vec<u64>; 3] = Default::default();
    let workers = sizes.iter().enumerate().map(|(i, n)| {
        let mut w = worker(["a", "b", "c", "d"][i], 0);
        w.times = std::array::from_fn(|kind| values((i * 3 + kind) as u64, *n));
        for (all, own) in raw.iter_mut().zip(&w.times) {
            all.extend(own);
        }
        w
    });
    let r = result(workers.collect());
    let [response, service, lag] = raw;
    assert_reads(r.response_time_ms.as_ref().unwrap(), response);
    assert_reads(r.service_time_ms.as_ref().unwrap(), service);
    assert_reads(r.lag_ms.as_ref().unwrap(), lag);
}

/// All slow requests belong to one worker: the mean of the p99 of both would be half a second.
#[test]
fn percentiles_are_never_averaged() {
    let (mut quick, mut slow) = (worker("a", 0), worker("b", 0));
    quick.times[0] = vec![1_000; 198];
    slow.times[0] = vec![1_000_000; 2];
    let stats = result(vec![quick, slow]).response_time_ms.unwrap();
    assert!((stats.p99 - 1.0).abs() < 0.01, "{stats:?}");
    assert!((stats.p999 - 1_000.0).abs() < 1.0, "{stats:?}");
}

#[test]
fn the_histograms_of_a_result_are_the_merged_ones() {
    let mut one = worker("a", 0);
    one.times[0] = vec![10, 20, 20];
    let mut other = worker("b", 0);
    other.times[0] = vec![20, 3_000_000];
    let r = result(vec![one, other]);
    let h = decode(&r.histograms.response.unwrap()).unwrap();
    assert_eq!(h.len(), 5);
    assert_eq!(
        (h.count_at(10), h.count_at(20), h.count_at(3_000_000)),
        (1, 3, 1)
    );
    assert!(decode("bm90IGE=").is_none() && decode("~").is_none());
}

#[test]
fn without_values_there_are_no_statistics() {
    let r = result(vec![worker("a", 0)]);
    assert_eq!(
        (r.response_time_ms, r.service_time_ms, r.lag_ms),
        (None, None, None)
    );
    assert!(r.histograms.response.is_some());
    assert_eq!(r.nodes[0].lag_p99_ms, None);
}

#[test]
fn each_node_has_its_own_lag() {
    let (mut one, mut other) = (worker("a", 100), worker("b", 100));
    one.times[2] = vec![50; 100];
    other.times[2] = vec![700; 100];
    let r = result(vec![one, other]);
    assert_eq!(r.nodes[0].lag_p99_ms, Some(0.05));
    assert_eq!(r.nodes[1].lag_p99_ms, Some(0.7));
}

#[test]
fn a_damaged_histogram_makes_the_result_incomplete() {
    let mut input = input(good());
    let node = NodeId {
        peer: Peer::new(b"alpha"),
        incarnation: Incarnation(7),
    };
    let mut merge = Merge::default();
    merge.take(&Snapshot {
        test: input.test,
        worker: node.clone(),
        number: 1,
        is_final: true,
        pieces_total: 1,
        elapsed: Duration::from_secs(10),
        slots: 1,
        start_error: None,
        engine_cpu: Duration::ZERO,
        engine_threads: 1,
        pieces: vec![Piece::Histogram {
            step: 0,
            kind: TimeKind::Response,
            data: vec![1, 2, 3].into(),
        }],
        signature: Signature([0; 64]),
    });
    input.workers[0].metrics = merge.workers()[&node].clone();
    let r = input.build();
    assert!(!r.complete);
    assert_eq!(r.verdict, Some(Verdict::Invalid));
}

/// All permutations of `n` indices (Heap's algorithm).
fn permutations(n: usize) -> Vec<Vec<usize>> {
    fn permute(k: usize, order: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
        if k <= 1 {
            all.push(order.clone());
            return;
        }
        for i in 0..k {
            permute(k - 1, order, all);
            order.swap(if k.is_multiple_of(2) { i } else { 0 }, k - 1);
        }
    }
    let mut all = Vec::new();
    permute(n, &mut (0..n).collect(), &mut all);
    all
}

/// Snapshots reach the nodes in different orders. The serialised result must be the same, bit for
/// bit.
#[test]
fn a_result_does_not_depend_on_the_order_of_the_snapshots() {
    let snapshots: Vec<Snapshot> = (0..5_u64)
        .map(|i| {
            let mut w = worker(["a", "b", "c", "d", "e"][i as usize], 300 + i);
            w.times = std::array::from_fn(|kind| values(i * 3 + kind as u64, 300 + i as usize));
            w.counters.status_codes = [(200, 290 + i), (500 + i as u16, 10)].into();
            for message in 0..30_u64 {
                let key = ErrorKey {
                    kind: ["connect", "timeout"][(message % 2) as usize].into(),
                    message: format!("{} of {i}", message),
                };
                let count = ErrorCount {
                    count: 1 + message % 7,
                    first_ms: message,
                    last_ms: i + message,
                };
                w.counters.errors.insert(key, count);
            }
            w.snapshot()
        })
        .collect();
    let merged = |order: &[usize]| {
        let mut merge = Merge::default();
        for i in order {
            merge.take(&snapshots[*i]);
        }
        let mut input = input(Vec::new());
        input.workers = worker_inputs(&merge);
        serde_json::to_vec(&input.build()).unwrap()
    };
    let orders = permutations(snapshots.len());
    assert_eq!(orders.len(), 120);
    let expected = merged(&orders[0]);
    for order in &orders {
        assert_eq!(merged(order), expected, "{order:?}");
    }
}

/// Even workers in another order, as with histograms merged by another path, have the same
/// statistics.
#[test]
fn statistics_do_not_depend_on_the_order_of_the_workers() {
    let parts: Vec<_> = (0..6_u64)
        .map(|i| {
            let mut h = new_histogram();
            for value in values(i, 700) {
                h.record(value).unwrap();
            }
            h
        })
        .collect();
    let bits = |order: &[usize]| {
        let mut all = new_histogram();
        for i in order {
            all.add(&parts[*i]).unwrap();
        }
        let s = vajra_results::stats(&all).unwrap();
        [s.min, s.mean, s.stdev, s.p50, s.p99, s.p999, s.max].map(f64::to_bits)
    };
    let expected = bits(&[0, 1, 2, 3, 4, 5]);
    for order in permutations(6) {
        assert_eq!(bits(&order), expected, "{order:?}");
    }
}

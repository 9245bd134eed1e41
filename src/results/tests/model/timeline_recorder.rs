//! The test over time: every count and every value is in exactly one interval.

use vajra_fixtures::measured::*;
use vajra_results::timeline::MAX_POINTS;
use vajra_results::{Point, Recording, Sample, TimelineNode, decode};

/// A worker that has sent `sent` requests after `seconds`; the response time of request *n* is *n*
/// milliseconds.
fn after(name: &'static str, seconds: f64, sent: u64) -> (TimelineNode, Measured) {
    let mut w = worker(name, sent);
    w.elapsed = Duration::from_secs_f64(seconds);
    w.is_final = false;
    w.times[0] = (1..=sent).map(|i| i * 1_000).collect();
    let node = TimelineNode {
        peer: format!("peer-{name}"),
        incarnation: 7,
        name: name.into(),
    };
    (node, w)
}

fn sample(at: f64, workers: Vec<(TimelineNode, Measured)>) -> Sample {
    let measured = |(node, w): (TimelineNode, Measured)| (node, w.input().metrics);
    Sample {
        at: Duration::from_secs_f64(at),
        planned: 10.0,
        users: 0,
        workers: workers.into_iter().map(measured).collect(),
    }
}

fn shown(recording: &Recording, points: usize) -> Vec<Point> {
    recording
        .timeline("t", TestState::Ended, points, true)
        .points
}

#[test]
fn an_interval_has_exactly_the_counts_and_values_of_its_time() {
    let mut recording = Recording::default();
    let first = recording.add(&sample(1.0, vec![after("a", 1.0, 10)]));
    let first = first.unwrap();
    assert_eq!((first.from_s, first.to_s), (0.0, 1.0));
    assert_eq!((first.sent, first.rate, first.planned), (10, 10.0, 10.0));
    let second = recording
        .add(&sample(2.0, vec![after("a", 2.0, 40), after("b", 1.0, 5)]))
        .unwrap();
    assert_eq!((second.from_s, second.to_s, second.sent), (1.0, 2.0, 35));
    assert_eq!(second.node_rates, [30.0, 5.0]);
    // 11 to 40 ms of the one, 1 to 5 ms of the other.
    let times = second.response_time_ms.as_ref().unwrap();
    assert_eq!(
        (times.count, times.min.round(), times.max.round()),
        (35, 1.0, 40.0)
    );
    assert_eq!(second.heat.iter().map(|(_, n)| n).sum::<u64>(), 35);
    assert_eq!(shown(&recording, 10).len(), 2);
}

#[test]
fn errors_and_drops_are_those_of_the_interval() {
    let at = |seconds: f64, failed: u64| {
        let (node, mut w) = after("a", seconds, 10 + failed);
        w.counters.failed = failed;
        w.counters.dropped_late = 2 * failed;
        let key = vajra_core::metrics::ErrorKey {
            kind: "timeout".into(),
            message: "no full response in time".into(),
        };
        let count = vajra_core::metrics::ErrorCount {
            count: failed,
            ..Default::default()
        };
        w.counters.errors.insert(key, count);
        sample(seconds, vec![(node, w)])
    };
    let mut recording = Recording::default();
    recording.add(&at(1.0, 3));
    let quiet = recording.add(&at(2.0, 3)).unwrap();
    assert!(quiet.errors.is_empty() && quiet.dropped == 0, "{quiet:?}");
    let noisy = recording.add(&at(3.0, 8)).unwrap();
    assert_eq!(
        (noisy.errors["timeout"], noisy.failed, noisy.dropped),
        (5, 5, 10)
    );
}

#[test]
fn a_late_report_causes_no_dip_and_a_missing_one_does() {
    let mut recording = Recording::default();
    let mut rate = |at, seconds, sent| {
        let point = recording.add(&sample(at, vec![after("a", seconds, sent)]));
        point.unwrap().rate
    };
    assert_eq!(rate(1.0, 1.0, 10), 10.0);
    assert_eq!(rate(2.0, 1.0, 10), 10.0);
    assert_eq!(rate(3.0, 3.0, 30), 10.0);
    assert_eq!(rate(4.0, 3.0, 30), 10.0);
    assert_eq!(rate(5.0, 3.0, 30), 0.0);
}

#[test]
fn a_sample_at_the_same_time_is_added_to_the_last_interval() {
    let mut recording = Recording::default();
    recording.add(&sample(1.0, vec![after("a", 1.0, 10)]));
    assert!(
        recording
            .add(&sample(1.0, vec![after("a", 1.0, 12)]))
            .is_none()
    );
    let points = shown(&recording, 10);
    assert_eq!((points.len(), points[0].sent), (1, 12));
    assert_eq!(points[0].response_time_ms.as_ref().unwrap().count, 12);
}

#[test]
fn a_node_that_joins_late_has_one_long_first_interval() {
    let mut recording = Recording::default();
    let point = recording
        .add(&sample(30.0, vec![after("a", 30.0, 300)]))
        .unwrap();
    assert_eq!((point.from_s, point.to_s, point.rate), (0.0, 30.0, 10.0));
}

#[test]
fn a_long_test_has_longer_intervals_and_loses_no_values() {
    let mut recording = Recording::default();
    let last = MAX_POINTS as u64 + 500;
    for second in 1..=last {
        recording.add(&sample(
            second as f64,
            vec![after("a", second as f64, second)],
        ));
    }
    let points = shown(&recording, usize::MAX);
    assert!(
        points.len() <= MAX_POINTS && points.len() > MAX_POINTS / 3,
        "{}",
        points.len()
    );
    assert_whole(&points, last);
    let few = shown(&recording, 50);
    assert!(few.len() <= 50 && few.len() > 16, "{}", few.len());
    assert_whole(&few, last);
}

/// Asserts that there are no gaps and overlaps, and that all counts and values are there.
fn assert_whole(points: &[Point], sent: u64) {
    assert_eq!(points[0].from_s, 0.0);
    assert!(points.windows(2).all(|w| w[0].to_s == w[1].from_s));
    assert_eq!(points.iter().map(|p| p.sent).sum::<u64>(), sent);
    assert!(points.iter().all(|p| (p.rate - 1.0).abs() < 1e-6));
    let mut all = new_histogram();
    for point in points {
        all.add(decode(point.histogram.as_deref().unwrap()).unwrap())
            .unwrap();
    }
    let mut expected = new_histogram();
    (1..=sent).for_each(|i| expected.record(i * 1_000).unwrap());
    assert_eq!(all, expected);
}

#[test]
fn a_stored_timeline_is_the_same_when_read() {
    let mut recording = Recording::default();
    for second in 1..=9 {
        recording.add(&sample(
            f64::from(second),
            vec![after("a", f64::from(second), second as u64 * 7)],
        ));
    }
    let stored = recording.to_stored("t");
    let text = serde_json::to_string(&stored).unwrap();
    let read = Recording::from_stored(serde_json::from_str(&text).unwrap());
    for points in [usize::MAX, 4, 1] {
        let expected = recording.timeline("t", TestState::Ended, points, false);
        assert_eq!(
            read.timeline("t", TestState::Ended, points, false),
            expected
        );
    }
}

/// Timelines of other nodes may contain any numbers.
#[test]
fn intervals_without_length_are_merged() {
    for (from_s, to_s) in [(-1.0, 0.0), (0.0, 0.0), (5.0, 3.0), (f64::MIN, f64::MAX)] {
        let point = Point {
            from_s,
            to_s,
            sent: u64::MAX,
            ..Point::default()
        };
        let recording = Recording::from_stored(vajra_results::Timeline {
            points: vec![point; 100],
            ..vajra_results::Timeline::default()
        });
        for points in [1, 7, 99] {
            let few = shown(&recording, points);
            assert!((1..=points).contains(&few.len()), "{}", few.len());
            assert_eq!(few[0].sent, u64::MAX);
        }
    }
}

#[test]
fn each_worker_has_its_own_lag() {
    let mut recording = Recording::default();
    let mut slow = after("b", 1.0, 5);
    slow.1.times[2] = vec![50_000; 5];
    recording.add(&sample(1.0, vec![after("a", 1.0, 10), slow]));
    let lag = |peer: &str| recording.lags()[peer].round();
    assert_eq!((lag("peer-a"), lag("peer-b")), (0.0, 50.0));
}

/// A worker that was lost before this node joined is only in the other node's intervals.
#[test]
fn a_node_that_joins_late_takes_the_start_from_another() {
    let mut whole = Recording::default();
    let mut late = Recording::default();
    for at in 1..=6 {
        let (at, ten, one) = (f64::from(at), at as u64 * 10, at as u64);
        let lost = after("c", f64::from(3).min(at), 30.min(ten));
        whole.add(&sample(
            at,
            vec![after("a", at, ten), after("b", at, one), lost],
        ));
        if at >= 4.0 {
            // The workers are in another order.
            late.add(&sample(at, vec![after("b", at, one), after("a", at, ten)]));
        }
    }
    let other = Recording::from_stored(whole.to_stored("t"));
    late.add_nodes_of(&other);
    let shown_late = late.with_start_of(&other);
    let (late_points, points) = (shown(&shown_late, 100), shown(&whole, 100));
    let names = |r: &Recording| r.to_stored("t").nodes.into_iter().map(|n| n.name);
    let names: Vec<String> = names(&shown_late).collect();
    assert_eq!(names, ["b", "a", "c"]);
    assert_eq!(late_points.len(), 6);
    for (i, (late, point)) in late_points.iter().zip(&points).enumerate() {
        assert_eq!((late.from_s, late.to_s), (point.from_s, point.to_s));
        assert_eq!(late.sent, point.sent);
        let [a, b, c] = point.node_rates[..] else {
            panic!("{point:?}");
        };
        match i {
            0..4 => assert_eq!(late.node_rates, [b, a, c]),
            // It was lost before this node joined.
            _ => assert_eq!(late.node_rates[..2], [b, a]),
        }
    }
    // Without own intervals, or without those of another node, nothing changes.
    let none = Recording::default();
    assert!(none.with_start_of(&whole).is_empty());
    assert_eq!(shown(&late.with_start_of(&none), 100), shown(&late, 100));
}

#[test]
fn a_timeline_belongs_to_a_result_if_its_counts_add_up() {
    let mut recording = Recording::default();
    recording.add(&sample(1.0, vec![after("a", 1.0, 10)]));
    recording.add(&sample(2.0, vec![after("a", 2.0, 25)]));
    let mut totals = result(good()).totals;
    let sum = |of: fn(&Point) -> u64| shown(&recording, 9).iter().map(of).sum::<u64>();
    (totals.sent, totals.ok) = (sum(|p| p.sent), sum(|p| p.ok));
    (totals.failed, totals.dropped) = (sum(|p| p.failed), sum(|p| p.dropped));
    assert_eq!(totals.sent, 25);
    assert!(recording.adds_up_to(&totals));
    totals.sent += 1;
    assert!(!recording.adds_up_to(&totals));
}

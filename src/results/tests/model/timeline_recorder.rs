//! A test over time: every count and every value in exactly one interval, however thin.

use vajra_fixtures::measured::*;
use vajra_results::timeline::MAX_POINTS;
use vajra_results::{Look, Point, Recording, TimelineNode, decode};

/// A worker that has sent `sent` after `seconds`, each in as many milliseconds as its number
/// says.
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

fn look(at: f64, workers: Vec<(TimelineNode, Measured)>) -> Look {
    let measured = |(node, w): (TimelineNode, Measured)| (node, w.input().metrics);
    Look {
        at: Duration::from_secs_f64(at),
        asked: 10.0,
        users: 0,
        workers: workers.into_iter().map(measured).collect(),
    }
}

fn shown(recording: &Recording, points: usize) -> Vec<Point> {
    recording.timeline("t", "ended", points, true).points
}

#[test]
fn an_interval_has_what_was_counted_and_recorded_in_it_and_no_more() {
    let mut recording = Recording::default();
    let first = recording.take(&look(1.0, vec![after("a", 1.0, 10)]));
    let first = first.unwrap();
    assert_eq!((first.from_s, first.to_s), (0.0, 1.0));
    assert_eq!((first.sent, first.rate, first.asked), (10, 10.0, 10.0));
    let second = recording
        .take(&look(2.0, vec![after("a", 2.0, 40), after("b", 1.0, 5)]))
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
        look(seconds, vec![(node, w)])
    };
    let mut recording = Recording::default();
    recording.take(&at(1.0, 3));
    let quiet = recording.take(&at(2.0, 3)).unwrap();
    assert!(quiet.errors.is_empty() && quiet.dropped == 0, "{quiet:?}");
    let noisy = recording.take(&at(3.0, 8)).unwrap();
    assert_eq!(
        (noisy.errors["timeout"], noisy.failed, noisy.dropped),
        (5, 5, 10)
    );
}

#[test]
fn a_report_that_comes_late_makes_no_dip_and_one_that_stays_away_does() {
    let mut recording = Recording::default();
    let mut rate = |at, seconds, sent| {
        let point = recording.take(&look(at, vec![after("a", seconds, sent)]));
        point.unwrap().rate
    };
    assert_eq!(rate(1.0, 1.0, 10), 10.0);
    assert_eq!(rate(2.0, 1.0, 10), 10.0);
    assert_eq!(rate(3.0, 3.0, 30), 10.0);
    assert_eq!(rate(4.0, 3.0, 30), 10.0);
    assert_eq!(rate(5.0, 3.0, 30), 0.0);
}

#[test]
fn what_comes_after_the_last_interval_belongs_to_it() {
    let mut recording = Recording::default();
    recording.take(&look(1.0, vec![after("a", 1.0, 10)]));
    assert!(
        recording
            .take(&look(1.0, vec![after("a", 1.0, 12)]))
            .is_none()
    );
    let points = shown(&recording, 10);
    assert_eq!((points.len(), points[0].sent), (1, 12));
    assert_eq!(points[0].response_time_ms.as_ref().unwrap().count, 12);
}

#[test]
fn a_node_that_hears_of_a_test_late_has_one_long_interval_first() {
    let mut recording = Recording::default();
    let point = recording
        .take(&look(30.0, vec![after("a", 30.0, 300)]))
        .unwrap();
    assert_eq!((point.from_s, point.to_s, point.rate), (0.0, 30.0, 10.0));
}

#[test]
fn a_long_test_has_longer_intervals_and_loses_nothing() {
    let mut recording = Recording::default();
    let last = MAX_POINTS as u64 + 500;
    for second in 1..=last {
        recording.take(&look(
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

/// No gap, no overlap, all counts, and a histogram that is that of all values.
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
fn what_was_kept_is_shown_as_it_was() {
    let mut recording = Recording::default();
    for second in 1..=9 {
        recording.take(&look(
            f64::from(second),
            vec![after("a", f64::from(second), second as u64 * 7)],
        ));
    }
    let kept = recording.keep("t");
    let text = serde_json::to_string(&kept).unwrap();
    let read = Recording::read(serde_json::from_str(&text).unwrap());
    for points in [usize::MAX, 4, 1] {
        let expected = recording.timeline("t", "ended", points, false);
        assert_eq!(read.timeline("t", "ended", points, false), expected);
    }
}

/// What others tell may be anything that a timeline can say.
#[test]
fn intervals_without_length_are_put_together_all_the_same() {
    for (from_s, to_s) in [(-1.0, 0.0), (0.0, 0.0), (5.0, 3.0), (f64::MIN, f64::MAX)] {
        let point = Point {
            from_s,
            to_s,
            sent: u64::MAX,
            ..Point::default()
        };
        let recording = Recording::read(vajra_results::Timeline {
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
fn each_worker_s_lag_is_its_own() {
    let mut recording = Recording::default();
    let mut slow = after("b", 1.0, 5);
    slow.1.times[2] = vec![50_000; 5];
    recording.take(&look(1.0, vec![after("a", 1.0, 10), slow]));
    let lag = |peer: &str| recording.lags()[peer].round();
    assert_eq!((lag("peer-a"), lag("peer-b")), (0.0, 50.0));
}

/// The worker that was lost before this node came is in the other's intervals only.
#[test]
fn a_node_that_came_late_shows_the_beginning_as_another_has_it() {
    let mut whole = Recording::default();
    let mut late = Recording::default();
    for at in 1..=6 {
        let (at, ten, one) = (f64::from(at), at as u64 * 10, at as u64);
        let lost = after("c", f64::from(3).min(at), 30.min(ten));
        whole.take(&look(
            at,
            vec![after("a", at, ten), after("b", at, one), lost],
        ));
        if at >= 4.0 {
            // In its own order of workers.
            late.take(&look(at, vec![after("b", at, one), after("a", at, ten)]));
        }
    }
    let other = Recording::read(whole.keep("t"));
    late.place_nodes_of(&other);
    let shown_late = late.beginning_as(&other);
    let (late_points, points) = (shown(&shown_late, 100), shown(&whole, 100));
    let names = |r: &Recording| r.keep("t").nodes.into_iter().map(|n| n.name);
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
            // It was lost before this node came.
            _ => assert_eq!(late.node_rates[..2], [b, a]),
        }
    }
    // Of what ends before this one has anything, nothing is to be seen.
    let none = Recording::default();
    assert!(none.beginning_as(&whole).is_empty());
    assert_eq!(shown(&late.beginning_as(&none), 100), shown(&late, 100));
}

#[test]
fn a_timeline_belongs_to_a_result_if_it_adds_up_to_it() {
    let mut recording = Recording::default();
    recording.take(&look(1.0, vec![after("a", 1.0, 10)]));
    recording.take(&look(2.0, vec![after("a", 2.0, 25)]));
    let mut totals = result(good()).totals;
    let sum = |of: fn(&Point) -> u64| shown(&recording, 9).iter().map(of).sum::<u64>();
    (totals.sent, totals.ok) = (sum(|p| p.sent), sum(|p| p.ok));
    (totals.failed, totals.dropped) = (sum(|p| p.failed), sum(|p| p.dropped));
    assert_eq!(totals.sent, 25);
    assert!(recording.adds_up_to(&totals));
    totals.sent += 1;
    assert!(!recording.adds_up_to(&totals));
}

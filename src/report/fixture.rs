//! What the tests of this room share: a run of three nodes, one of which dies, over time. All
//! of it is made by a fixed sequence; a run's counts and times are those of its intervals,
//! added up.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::merge::{encode, stats};
use super::result::*;
use super::timeline::{Point, Timeline, TimelineNode};
use crate::protocol::metrics::new_histogram;

/// Names of the nodes.
pub const NODES: [&str; 3] = ["load-1", "load-2", "load-3"];
/// Second at which the second node dies; the first was its coordinator's successor.
pub const LOST_AT: usize = 20;

/// How a run goes.
#[derive(Clone, Copy)]
pub struct Shape {
    pub seed: u64,
    pub seconds: usize,
    pub per_second: u64,
    /// Factor on all response times.
    pub slower: f64,
    /// One request in so many fails; 0 is none.
    pub fail_one_in: u64,
    /// A slow spell: second, length, factor.
    pub spell: Option<(usize, usize, f64)>,
    /// Response times rise tenfold from begin to end.
    pub ramp: bool,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape {
            seed: 1,
            seconds: 60,
            per_second: 200,
            slower: 1.0,
            fail_one_in: 100,
            spell: None,
            ramp: false,
        }
    }
}

struct Sequence(u64);

impl Sequence {
    /// 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// About normal: mean 0, deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// The result of the usual run.
pub fn result() -> TestResult {
    run(Shape::default()).0
}

/// And the run over time.
pub fn timeline() -> Timeline {
    run(Shape::default()).1
}

/// A run.
pub fn run(shape: Shape) -> (TestResult, Timeline) {
    let mut sequence = Sequence(shape.seed.wrapping_mul(0x9e37_79b9));
    let bounds: Vec<f64> = (0..=48)
        .map(|i| 0.1 * 10f64.powf(f64::from(i) / 8.0))
        .collect();
    let mut all = new_histogram();
    let mut points = Vec::new();
    for i in 0..shape.seconds {
        let mut h = new_histogram();
        let spell = match shape.spell {
            Some((from, length, factor)) if (from..from + length).contains(&i) => factor,
            _ => 1.0,
        };
        let trend = match shape.ramp {
            true => 10f64.powf(i as f64 / shape.seconds as f64),
            false => 1.0,
        };
        // Seconds differ by more than their requests do.
        let drift = 1.0 + 0.04 * sequence.normal();
        for _ in 0..shape.per_second {
            let ms = 5.0 * shape.slower * spell * trend * drift * (0.5 * sequence.normal()).exp();
            h.record(((ms * 1e3) as u64).max(1)).unwrap();
        }
        all.add(&h).unwrap();
        points.push(point(&shape, i, &h, &bounds));
    }
    let timeline = Timeline {
        schema: 1,
        test_id: "019b8a2c-0000-7000-8000-000000000001".into(),
        state: "ended".into(),
        nodes: NODES
            .map(|name| TimelineNode {
                peer: format!("12D3KooW-{name}"),
                incarnation: 7,
                name: name.into(),
            })
            .into(),
        heat_bounds_ms: bounds,
        points,
    };
    (whole(&shape, &all, &timeline), timeline)
}

fn point(shape: &Shape, i: usize, h: &Histogram<u64>, bounds: &[f64]) -> Point {
    let sent = shape.per_second;
    let before = i as u64 * sent;
    let failed = match shape.fail_one_in {
        0 => 0,
        n => (before + sent) / n - before / n,
    };
    let mut heat: BTreeMap<u16, u64> = BTreeMap::new();
    for v in h.iter_recorded() {
        let ms = v.value_iterated_to() as f64 / 1e3;
        let bucket = bounds.partition_point(|b| *b < ms) as u16;
        *heat.entry(bucket).or_default() += v.count_since_last_iteration();
    }
    let rate = sent as f64;
    Point {
        from_s: i as f64,
        to_s: (i + 1) as f64,
        asked: rate,
        rate,
        sent,
        ok: sent - failed,
        failed,
        in_flight: 3,
        bytes_sent: sent * 100,
        bytes_received: sent * 1000,
        errors: (failed > 0)
            .then(|| ("status".to_owned(), failed))
            .into_iter()
            .collect(),
        response_time_ms: stats(h),
        lag_p99_ms: Some(0.2),
        heat: heat.into_iter().collect(),
        node_rates: match i < LOST_AT {
            true => vec![rate / 3.0; 3],
            false => vec![rate / 2.0, 0.0, rate / 2.0],
        },
        histogram: encode(h),
        ..Point::default()
    }
}

fn whole(shape: &Shape, all: &Histogram<u64>, timeline: &Timeline) -> TestResult {
    let sum = |of: fn(&Point) -> u64| timeline.points.iter().map(of).sum::<u64>();
    let rate = shape.per_second as f64;
    let empty = include_str!("tests/empty_result.json");
    let mut r: TestResult = serde_json::from_str(empty).unwrap();
    r.test_id.clone_from(&timeline.test_id);
    r.name = Some("checkout".into());
    r.target = "http://10.0.0.5:8080/".into();
    r.load.rate = Some(rate);
    r.load.duration = std::time::Duration::from_secs(shape.seconds as u64);
    (r.end, r.verdict) = (Some("completed".into()), Some("valid".into()));
    r.reasons.clear();
    r.started_at = Some("2026-01-02T03:04:05.678Z".into());
    r.duration_s = shape.seconds as f64;
    r.totals = Totals {
        planned: sum(|p| p.sent),
        sent: sum(|p| p.sent),
        ok: sum(|p| p.ok),
        failed: sum(|p| p.failed),
        bytes_sent: sum(|p| p.bytes_sent),
        bytes_received: sum(|p| p.bytes_received),
        ..Totals::default()
    };
    r.rate = Rate {
        asked: rate,
        achieved: rate,
    };
    r.status_codes = [("200".to_owned(), r.totals.ok)].into();
    r.response_time_ms = stats(all);
    r.histograms.response = encode(all);
    r.coordinators = vec![
        reign(1, "load-2", -400, Some(20_000)),
        reign(2, "load-1", 21_300, None),
    ];
    r.nodes = timeline
        .nodes
        .iter()
        .map(|n| node(n, r.totals.sent / 3))
        .collect();
    r.events = vec![
        event(-400, "elected", "load-2", "coordinator of term 1"),
        event(21_300, "elected", "load-1", "coordinator of term 2"),
        event(23_900, "lost", "load-2", "no heartbeat for 2.5 s"),
    ];
    r.plan = serde_json::json!({
        "name": "checkout",
        "task": {"type": "HTTP", "url": r.target},
        "load": {"model": "open", "rate": rate, "duration": format!("{}s", shape.seconds)},
    });
    r
}

fn reign(term: u64, name: &str, from_ms: i64, to_ms: Option<i64>) -> Reign {
    let peer = format!("12D3KooW-{name}");
    Reign {
        term,
        peer,
        name: name.to_owned(),
        from_ms,
        to_ms,
    }
}

fn event(at_ms: i64, kind: &str, name: &str, text: &str) -> Event {
    Event {
        at_ms,
        kind: kind.into(),
        peer: Some(format!("12D3KooW-{name}")),
        text: text.into(),
    }
}

fn node(n: &TimelineNode, sent: u64) -> NodeResult {
    NodeResult {
        peer: n.peer.clone(),
        incarnation: n.incarnation,
        name: n.name.clone(),
        share: if n.name == "load-2" { 0.0 } else { 0.5 },
        sent,
        ok: sent,
        failed: 0,
        dropped: 0,
        lag_p99_ms: Some(0.2),
        lost_at_ms: (n.name == "load-2").then_some(23_900),
        environment: "Linux 6.1, 4 cores, 8 GiB; vajra-node 0.1.0".into(),
    }
}

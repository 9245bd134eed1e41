//! What was measured of a label is what was measured of its steps.

use super::*;
use crate::plan::parse_toml;
use crate::report::check;

const PLAN: &str = r#"
[http]
base_url = "http://10.0.0.1"
[[scenario]]
name = "buy"
[[scenario.step]]
name = "log in"
url = "/login"
labels = ["api"]
[[scenario.step]]
name = "page"
url = "/"
[[scenario]]
name = "look"
[[scenario.step]]
name = "items"
url = "/items"
labels = ["slow", "api"]
[load]
rate = 100
duration = "10s"
"#;

/// A worker that did each step so often, in these milliseconds.
fn of_steps(name: &'static str, steps: [(u64, u64); 3]) -> WorkerInput {
    let counters = steps.map(|(sent, _)| StepCounters {
        name: "step".into(),
        counters: Counters {
            planned: sent,
            sent,
            ok: sent - 1,
            failed: 1,
            ..Counters::default()
        },
    });
    let mut pieces = vec![Piece::Counters(counters.into())];
    for (step, (sent, ms)) in (0..).zip(steps) {
        let mut h = new_histogram();
        h.record_n(ms * 1_000, sent).unwrap();
        let mut data = Vec::new();
        V2DeflateSerializer::new().serialize(&h, &mut data).unwrap();
        for kind in TimeKind::ALL {
            let data = data.clone().into();
            pieces.push(Piece::Histogram { step, kind, data });
        }
    }
    let node = NodeId {
        peer: Peer::new(name.as_bytes()),
        incarnation: Incarnation(7),
    };
    let mut merge = Merge::default();
    merge.take(&Snapshot {
        test: TestId([1; 16]),
        worker: node.clone(),
        number: 1,
        is_final: true,
        pieces_total: pieces.len() as u32,
        elapsed: Duration::from_secs(10),
        slots: SLOTS / 2,
        start_error: start_error(0, 100),
        engine_cpu: Duration::ZERO,
        engine_threads: 1,
        pieces,
    });
    WorkerInput {
        peer: format!("peer-{name}"),
        incarnation: 7,
        name: name.into(),
        metrics: merge.workers()[&node].clone(),
        lost_at: None,
        environment: String::new(),
    }
}

fn labelled() -> TestResult {
    let plan = parse_toml(PLAN).unwrap().into_plan().unwrap();
    let mut input = input(Vec::new());
    input.plan = Arc::new(plan);
    input.workers = vec![
        of_steps("a", [(90, 10), (100, 20), (10, 400)]),
        of_steps("b", [(95, 10), (50, 20), (5, 400)]),
    ];
    input.build()
}

#[test]
fn a_label_has_its_steps_of_all_scenarios_and_workers_together() {
    let result = labelled();
    let names: Vec<&str> = result.labels.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["api", "slow"]);
    let api = &result.labels[0];
    assert_eq!((api.totals.sent, api.totals.failed), (200, 4));
    let times = api.response_time_ms.as_ref().unwrap();
    assert_eq!(times.count, 200);
    // 185 of 200 took 10 ms: merged, the rest shows from the 93rd percentile on.
    assert!((times.p90 - 10.0).abs() < 0.02, "{}", times.p90);
    assert!((times.p95 - 400.0).abs() < 0.5, "{}", times.p95);
    assert_eq!(result.labels[1].totals, result.scenarios[1].totals);
}

#[test]
fn a_threshold_may_be_about_a_label() {
    let result = labelled();
    for (text, told) in [
        ("response_time.p90[label:api] < 11ms", Ok(())),
        (
            "error_rate[label:api] < 1%",
            Err("2.00 %, not error_rate[label:api] < 1%"),
        ),
        // A step or scenario of that name there is not.
        (
            "error_rate[api] < 1%",
            Err("nothing was measured, so not error_rate[api] < 1%"),
        ),
    ] {
        let checked = check(&text.parse().unwrap(), &result);
        assert_eq!(checked, told.map_err(String::from), "{text}");
    }
}

#[test]
fn labels_are_in_the_summary() {
    let text = crate::report::text::summary(&labelled());
    for line in [
        "  label        sent    failed",
        "  api           200         4",
        "  scenario",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
}

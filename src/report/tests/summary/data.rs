//! The use of data files.

use vajra_fixtures::measured::*;
use vajra_plan::{MAX_DATA_FILE, parse_plan};
use vajra_report::text::summary;
use vajra_results::{DataResult, Event};

/// A plan of 1,000 arrivals; every second one takes a row.
fn with_data(pick: &str, rows: usize, workers: Vec<Measured>) -> ResultInput {
    let text = format!(
        "[http]\nbase_url = \"http://h\"\n[data.users]\nfile = \"f\"\npick = \"{pick}\"\n\
         [[scenario]]\n[[scenario.step]]\nurl = \"/{{{{ users.name }}}}\"\n\
         [[scenario]]\n[[scenario.step]]\nurl = \"/\"\n[load]\nrate = 100\nduration = \"10s\"\n"
    );
    let file = format!("name\n{}", "ann\n".repeat(rows));
    assert!((file.len() as u64) < MAX_DATA_FILE);
    let parsed = parse_plan(&text, false, &|_| Ok(file.clone())).unwrap();
    ResultInput {
        plan: Arc::new(parsed.into_plan().unwrap()),
        ..input(workers)
    }
}

fn data(input: &ResultInput) -> DataResult {
    let [data] = &input.build().data[..] else {
        panic!("one data file is expected");
    };
    data.clone()
}

fn numbers(d: &DataResult) -> (u64, Option<u64>, Option<u64>, bool) {
    (d.used, d.unused, d.remaining, d.exact)
}

#[test]
fn rows_are_used_or_remain_at_the_end() {
    let input = with_data(
        "unique",
        600,
        vec![worker("alpha", 300), worker("beta", 200)],
    );
    let d = data(&input);
    assert_eq!(numbers(&d), (500, Some(0), Some(100), true));
    assert_eq!(
        (d.name.as_str(), d.pick.as_str(), d.rows),
        ("users", "unique", 600)
    );
    assert!(!summary(&input.build()).contains("rows used"));
}

#[test]
fn a_row_whose_iteration_was_dropped_is_unused() {
    let mut dropped = worker("beta", 190);
    (dropped.counters.planned, dropped.counters.dropped_late) = (200, 10);
    let input = with_data("unique", 600, vec![worker("alpha", 300), dropped]);
    assert_eq!(numbers(&data(&input)), (490, Some(10), Some(100), true));
    let shown = summary(&input.build());
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        shown.contains("users: 490 of 600 rows used; 10 unused"),
        "{shown}"
    );
}

#[test]
fn the_use_by_a_lost_worker_is_a_bound() {
    let lost = || {
        let mut lost = worker("beta", 150);
        lost.is_final = false;
        lost.lost_at = Some(Duration::from_secs(7));
        lost
    };
    let input = with_data("unique", 500, vec![worker("alpha", 300), lost()]);
    assert_eq!(numbers(&data(&input)), (450, Some(50), Some(0), false));
    let shown = summary(&input.build());
    assert!(
        shown.contains("at least 450") && shown.contains("at most 50"),
        "{shown}"
    );
    // A worker that was lost before its first report.
    let mut input = with_data("unique", 500, vec![worker("alpha", 300)]);
    input.events = vec![Event {
        at_ms: 500,
        kind: "lost".into(),
        peer: Some("peer-gamma".into()),
        text: String::new(),
    }];
    assert!(!data(&input).exact);
    // A worker that was considered lost but delivered its last snapshot.
    input.events[0].peer = Some("peer-alpha".into());
    assert!(data(&input).exact);
}

#[test]
fn rows_that_were_not_due_before_a_stop_remain() {
    let mut input = with_data(
        "unique",
        600,
        vec![worker("alpha", 100), worker("beta", 100)],
    );
    for w in &mut input.workers {
        w.metrics.elapsed = Duration::from_secs(4);
    }
    input.reason = Some(EndReason::Stopped);
    // The workers' only step belongs to the first scenario, with 200 iterations.
    assert_eq!(numbers(&data(&input)), (200, Some(0), Some(400), true));
}

#[test]
fn rows_that_are_reused_are_never_unused() {
    let input = with_data("random", 10, good());
    assert_eq!(numbers(&data(&input)), (1_000, None, None, true));
    assert!(result(good()).data.is_empty());
}

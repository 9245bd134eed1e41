//! The head of a page: the test, its verdict, and the most important numbers.

use serde::Serialize;

use vajra_plan::Model;
use vajra_results::compare::Comparison;
use vajra_results::{EndKind, TestResult, Verdict, state_name, units};

/// A property of the test.
#[derive(Serialize)]
pub(super) struct Fact {
    name: &'static str,
    text: String,
}

/// The verdict, with its consequences in words.
#[derive(Serialize)]
pub(super) struct Banner {
    tone: &'static str,
    word: String,
    text: String,
}

/// An important number.
#[derive(Serialize)]
pub(super) struct Tile {
    name: &'static str,
    value: String,
    note: String,
    tone: &'static str,
}

/// The title of the page.
pub(super) fn title(r: &TestResult) -> String {
    r.name.clone().unwrap_or_else(|| r.target.clone())
}

/// Start, duration, load, nodes and tags.
pub(super) fn facts(r: &TestResult) -> Vec<Fact> {
    let fact = |name, text: String| Fact { name, text };
    let mut all = vec![fact("Test", r.test_id.clone())];
    if let Some(at) = &r.started_at {
        all.push(fact("Started", at.clone()));
    }
    all.push(fact("Duration", format!("{:.2} s", r.duration_s)));
    all.push(fact("Load", load(r)));
    all.push(fact("Nodes", r.nodes.len().to_string()));
    all.extend(r.tags.iter().map(|(k, v)| fact("Tag", format!("{k}={v}"))));
    all
}

fn load(r: &TestResult) -> String {
    let level = match (r.load.model, r.load.rate, r.load.users) {
        (Model::Open, Some(rate), _) => format!("open, {}/s", units::level(rate)),
        (Model::Closed, _, Some(users)) => {
            format!("closed, {} users", units::count(u64::from(users)))
        }
        (Model::Open, ..) => "open".to_owned(),
        (Model::Closed, ..) => "closed".to_owned(),
    };
    match r.load.stages.len() {
        0 => level,
        n => format!("{level} at most, {n} stages"),
    }
}

/// The verdict, the outcome of the thresholds, and the regressions.
pub(super) fn banner(r: &TestResult, compared: Option<&Comparison>) -> Banner {
    let worse = compared.into_iter().flat_map(Comparison::failures);
    let worse: Vec<&str> = worse.map(|m| m.metric.as_str()).collect();
    let regression = match worse.is_empty() {
        true => String::new(),
        false => format!(" Worse than the baseline allows: {}.", worse.join(", ")),
    };
    let failed = r.thresholds.iter().filter(|t| !t.passed).count();
    let thresholds = match (failed, r.thresholds.len()) {
        (0, 0) => String::new(),
        (0, n) => format!(" All {n} thresholds passed."),
        (f, n) => format!(" {f} of {n} thresholds failed."),
    };
    let stopped = match r.end {
        Some(EndKind::Stopped) => " It was stopped before its end.",
        Some(EndKind::Failed) => " The test failed.",
        _ => "",
    };
    let (tone, meaning) = match r.verdict {
        Some(Verdict::Valid) => ("good", "The generator carried out the plan."),
        Some(Verdict::Degraded) => ("warn", "A part of the load was unsent or late."),
        Some(Verdict::Invalid) => (
            "bad",
            "The generator spoiled the measurement: do not trust the numbers.",
        ),
        _ => ("", "The test has not ended; the numbers are preliminary."),
    };
    Banner {
        tone: match failed > 0 || !worse.is_empty() {
            true => "bad",
            false => tone,
        },
        word: r
            .verdict
            .map_or(state_name(r.state), Verdict::as_str)
            .to_owned(),
        text: format!("{meaning}{stopped}{thresholds}{regression}"),
    }
}

/// The most important numbers.
pub(super) fn tiles(r: &TestResult) -> Vec<Tile> {
    let tile = |name, value: String, note: String, tone| Tile {
        name,
        value,
        note,
        tone,
    };
    let t = &r.totals;
    let planned = match (r.load.model, r.rate.planned) {
        (Model::Open, planned) if planned > 0.0 => {
            format!("of {}/s planned", units::brief(planned))
        }
        _ => "requests per second".to_owned(),
    };
    let mut all = vec![tile(
        "Rate",
        format!("{}/s", units::brief(r.rate.achieved)),
        planned,
        "",
    )];
    if let Some(s) = &r.response_time_ms {
        let note = || "response time".to_owned();
        all.push(tile("p50", units::time(s.p50), note(), ""));
        all.push(tile("p99", units::time(s.p99), note(), ""));
        all.push(tile("p99.9", units::time(s.p999), note(), ""));
        all.push(tile("Max", units::time(s.max), note(), ""));
    }
    let failed = format!("{} of {}", units::count(t.failed), units::count(t.sent));
    let tone = if t.failed > 0 { "bad" } else { "" };
    all.push(tile(
        "Failed",
        format!("{:.2} %", units::percent(t.failed, t.sent)),
        failed,
        tone,
    ));
    let not_sent = t.dropped + t.unsent;
    if not_sent > 0 {
        let note = format!("{} of {}", units::count(not_sent), units::count(t.planned));
        let value = format!("{:.2} %", units::percent(not_sent, t.planned));
        all.push(tile("Not sent", value, note, "warn"));
    }
    if let Some(lag) = &r.lag_ms {
        all.push(tile(
            "Lag p99",
            units::time(lag.p99),
            "error of the generator".to_owned(),
            "",
        ));
    }
    all
}

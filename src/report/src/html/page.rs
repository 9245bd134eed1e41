//! The head of a page: what it is about, the verdict, the numbers that are looked for first.

use serde::Serialize;

use vajra_plan::Model;
use vajra_results::compare::Comparison;
use vajra_results::result::TestResult;
use vajra_results::units;

/// A name and what it is.
#[derive(Serialize)]
pub(super) struct Fact {
    name: &'static str,
    text: String,
}

/// The verdict.
#[derive(Serialize)]
pub(super) struct Verdict {
    tone: &'static str,
    word: String,
    text: String,
}

/// A number on its own.
#[derive(Serialize)]
pub(super) struct Tile {
    name: &'static str,
    value: String,
    note: String,
    tone: &'static str,
}

/// What the page is called.
pub(super) fn title(r: &TestResult) -> String {
    r.name.clone().unwrap_or_else(|| r.target.clone())
}

/// When, how long, with how much, by whom.
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

/// The verdict, whether the thresholds were kept, and whether it is worse than was allowed.
pub(super) fn named_verdict(r: &TestResult, compared: Option<&Comparison>) -> Verdict {
    let worse = compared.into_iter().flat_map(Comparison::failures);
    let worse: Vec<&str> = worse.map(|m| m.metric.as_str()).collect();
    let regression = match worse.is_empty() {
        true => String::new(),
        false => format!(" Worse than the baseline allows: {}.", worse.join(", ")),
    };
    let broken = r.thresholds.iter().filter(|t| !t.held).count();
    let thresholds = match (broken, r.thresholds.len()) {
        (0, 0) => String::new(),
        (0, n) => format!(" All {n} thresholds were kept."),
        (b, n) => format!(" {b} of {n} thresholds were broken."),
    };
    let stopped = match r.end.as_deref() {
        Some("stopped") => " It was stopped before its end.",
        Some("failed") => " The test failed.",
        _ => "",
    };
    let (tone, says) = match r.verdict.as_deref() {
        Some("valid") => ("good", "The generator did what was asked of it."),
        Some("degraded") => ("warn", "Load was not all there all the time."),
        Some("invalid") => (
            "bad",
            "The generator was in the way: do not trust the numbers.",
        ),
        _ => ("", "The test has not ended; these are the numbers so far."),
    };
    Verdict {
        tone: match broken > 0 || !worse.is_empty() {
            true => "bad",
            false => tone,
        },
        word: r.verdict.clone().unwrap_or_else(|| r.state.clone()),
        text: format!("{says}{stopped}{thresholds}{regression}"),
    }
}

/// The numbers that are looked for first.
pub(super) fn tiles(r: &TestResult) -> Vec<Tile> {
    let tile = |name, value: String, note: String, tone| Tile {
        name,
        value,
        note,
        tone,
    };
    let t = &r.totals;
    let asked = match (r.load.model, r.rate.asked) {
        (Model::Open, asked) if asked > 0.0 => format!("of {}/s asked", units::brief(asked)),
        _ => "requests a second".to_owned(),
    };
    let mut all = vec![tile(
        "Rate",
        format!("{}/s", units::brief(r.rate.achieved)),
        asked,
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
    if t.dropped + t.short > 0 {
        let missing = t.dropped + t.short;
        let note = format!("{} of {}", units::count(missing), units::count(t.planned));
        let value = format!("{:.2} %", units::percent(missing, t.planned));
        all.push(tile("Not sent", value, note, "warn"));
    }
    if let Some(lag) = &r.lag_ms {
        all.push(tile(
            "Lag p99",
            units::time(lag.p99),
            "the generator's own".to_owned(),
            "",
        ));
    }
    all
}

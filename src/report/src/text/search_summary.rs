//! The rate search as text.

use super::layout::{Align::*, MARGIN, table, wrap};
use vajra_results::search::{Search, Tried};
use vajra_results::units;

/// The line of a tested rate.
pub fn tried(t: &Tried) -> String {
    let outcome = match t.reasons.first() {
        None => "passed".to_owned(),
        Some(why) => format!("failed: {why}"),
    };
    wrap(&format!("{MARGIN}{}/s ", units::brief(t.rate)), &outcome)
}

/// The table of the tested rates, and the highest rate that passed.
pub fn found(search: &Search) -> String {
    let time = |ms: Option<f64>| ms.map_or("–".to_owned(), units::time);
    let mut rows: Vec<&Tried> = search.tried.iter().collect();
    rows.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let rows: Vec<[String; 7]> = rows
        .into_iter()
        .map(|t| {
            [
                format!("{}/s", units::brief(t.rate)),
                format!("{}/s", units::brief(t.achieved)),
                time(t.p50_ms),
                time(t.p99_ms),
                units::count(t.failed),
                time(t.lag_p99_ms),
                if t.passed { "yes" } else { "no" }.to_owned(),
            ]
        })
        .collect();
    let head = [
        ("planned", Right),
        ("sent", Right),
        ("p50", Right),
        ("p99", Right),
        ("failed", Right),
        ("lag p99", Right),
        ("passed", Left),
    ];
    let outcome = match (search.max_rate, search.failed_rate) {
        (Some(passed), Some(failed)) => format!(
            "{}/s is the highest rate at which {} passed; {}/s is the lowest at which it failed",
            units::brief(passed),
            search.thresholds.join(", "),
            units::brief(failed),
        ),
        (Some(passed), None) => format!(
            "{} passed at every rate up to {}/s, the highest tested one; raise --max-rate to continue",
            search.thresholds.join(", "),
            units::brief(passed),
        ),
        (None, Some(failed)) => format!(
            "{} failed even at {}/s",
            search.thresholds.join(", "),
            units::brief(failed),
        ),
        (None, None) => "no rate was tested".to_owned(),
    };
    let why = search.tried.iter().rev().find(|t| !t.passed);
    let why: String = why
        .iter()
        .flat_map(|t| &t.reasons)
        .map(|reason| wrap(&format!("{MARGIN}  - "), reason))
        .collect();
    format!("\n{}\n{}{why}", table(head, &rows), wrap(MARGIN, &outcome))
}

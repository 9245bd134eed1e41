//! The table of a search for the highest rate.

use super::layout::{Align::*, MARGIN, table, wrap};
use vajra_results::search::{Search, Tried};
use vajra_results::units;

/// One line while the search goes on.
pub fn tried(t: &Tried) -> String {
    let held = match t.reasons.first() {
        None => "held".to_owned(),
        Some(why) => format!("did not hold: {why}"),
    };
    wrap(&format!("{MARGIN}{}/s ", units::brief(t.rate)), &held)
}

/// What was tried, and what came out.
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
                if t.held { "yes" } else { "no" }.to_owned(),
            ]
        })
        .collect();
    let head = [
        ("asked", Right),
        ("sent", Right),
        ("p50", Right),
        ("p99", Right),
        ("failed", Right),
        ("lag p99", Right),
        ("held", Left),
    ];
    let outcome = match (search.max_rate, search.failed_rate) {
        (Some(held), Some(failed)) => format!(
            "{}/s is the highest rate at which {} held; {}/s is the lowest at which it did not",
            units::brief(held),
            search.thresholds.join(", "),
            units::brief(failed),
        ),
        (Some(held), None) => format!(
            "{} held at every rate up to {}/s, the highest that was tried; raise --max-rate to go on",
            search.thresholds.join(", "),
            units::brief(held),
        ),
        (None, Some(failed)) => format!(
            "{} did not hold even at {}/s",
            search.thresholds.join(", "),
            units::brief(failed),
        ),
        (None, None) => "nothing was tried".to_owned(),
    };
    let why = search.tried.iter().rev().find(|t| !t.held);
    let why: String = why
        .iter()
        .flat_map(|t| &t.reasons)
        .map(|reason| wrap(&format!("{MARGIN}  - "), reason))
        .collect();
    format!("\n{}\n{}{why}", table(head, &rows), wrap(MARGIN, &outcome))
}

//! The results and their table.

use std::collections::BTreeMap;

use crate::arguments::{Args, Mode};

/// The results of one run, by column.
#[derive(Default)]
pub struct Row {
    pub numbers: BTreeMap<&'static str, f64>,
}

impl Row {
    pub fn brief(&self) -> String {
        let served = self.numbers.get("served/s").copied().unwrap_or_default();
        let cpu = self.numbers.get("CPU µs/req").copied().unwrap_or_default();
        format!("{served:.0}/s served, {cpu:.1} µs of CPU time per request")
    }
}

const COLUMNS: &[(&str, usize)] = &[
    ("served/s", 0),
    ("CPU µs/req", 1),
    ("gap off p50 µs", 0),
    ("gap off p99 µs", 0),
    ("most in 1 ms", 0),
    ("peak MB", 0),
    ("p50 ms", 2),
    ("p99 ms", 2),
    ("p99.9 ms", 2),
    ("lag p50 µs", 0),
    ("lag p99 µs", 0),
];

/// Prints medians, ranges in parentheses, and the ratio of CPU time to that of wrk, if it ran. The
/// rows are by rate and client.
pub fn print(args: &Args, clients: &[(String, String)], rows: &BTreeMap<(u32, usize), Vec<Row>>) {
    let has = |c: &str| rows.values().flatten().any(|r| r.numbers.contains_key(c));
    let columns: Vec<_> = COLUMNS.iter().filter(|(c, _)| has(c)).collect();
    let names: Vec<&str> = columns.iter().map(|(c, _)| *c).collect();
    println!("| rate | client | {} | CPU to wrk |", names.join(" | "));
    println!("|---|---|{}---|", "---|".repeat(columns.len()));
    for ((rate, client), runs) in rows {
        let cells: Vec<String> = columns
            .iter()
            .map(|(column, digits)| cell(runs, column, *digits))
            .collect();
        let cpu = |runs: &[Row]| median(&values(runs, "CPU µs/req"));
        let wrk = clients.iter().position(|(n, _)| n.starts_with("wrk"));
        let wrk = wrk.and_then(|w| cpu(rows.get(&(*rate, w))?));
        let ratio = match (cpu(runs), wrk) {
            (Some(own), Some(wrk)) => format!("{:.2}", own / wrk),
            _ => "–".into(),
        };
        let rate = if args.mode == Mode::Closed {
            "–".into()
        } else {
            rate.to_string()
        };
        println!(
            "| {rate} | {} | {} | {ratio} |",
            clients[*client].0,
            cells.join(" | ")
        );
    }
}

fn values(runs: &[Row], column: &str) -> Vec<f64> {
    let mut all: Vec<f64> = runs
        .iter()
        .filter_map(|r| r.numbers.get(column).copied())
        .collect();
    all.sort_by(f64::total_cmp);
    all
}

fn median(sorted: &[f64]) -> Option<f64> {
    sorted.get(sorted.len() / 2).copied()
}

fn cell(runs: &[Row], column: &str, digits: usize) -> String {
    let all = values(runs, column);
    match (median(&all), all.first(), all.last()) {
        (Some(m), Some(low), Some(high)) => {
            format!("{m:.digits$} ({low:.digits$}–{high:.digits$})")
        }
        _ => "–".into(),
    }
}

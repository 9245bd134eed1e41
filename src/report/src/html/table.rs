//! The tables of a page.

use std::fmt::Display;

use serde::Serialize;

use crate::text::comparison;
use vajra_core::protocol::event_kind::EventKind;
use vajra_results::compare::{Comparison, Judgement};
use vajra_results::{Stats, StepResult, TestResult, format_measured, units};

/// Most rows of a table; a note counts the others. A page with ten thousand nodes would be too large
/// for a phone, and the JSON has all.
const MAX_ROWS: usize = 500;

/// A table for the template.
#[derive(Serialize)]
pub(super) struct Table {
    id: &'static str,
    title: String,
    note: String,
    head: Vec<Column>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Column {
    name: &'static str,
    number: bool,
}

#[derive(Serialize)]
struct Row {
    tone: &'static str,
    cells: Vec<String>,
}

impl Table {
    /// A table with the given columns. The name of a column of numbers starts with `#`.
    fn new(id: &'static str, title: &str, head: &[&'static str]) -> Table {
        let column = |name: &&'static str| Column {
            name: name.trim_start_matches('#'),
            number: name.starts_with('#'),
        };
        Table {
            id,
            title: title.to_owned(),
            note: String::new(),
            head: head.iter().map(column).collect(),
            rows: Vec::new(),
        }
    }

    fn note(mut self, note: impl Display) -> Table {
        if !self.note.is_empty() {
            self.note.push(' ');
        }
        self.note.push_str(&note.to_string());
        self
    }

    fn row<const N: usize>(&mut self, tone: &'static str, cells: [String; N]) {
        self.rows.push(Row {
            tone,
            cells: cells.into(),
        });
    }

    /// The table, or none if it is empty. Rows beyond [`MAX_ROWS`] are counted in the note.
    fn non_empty(mut self) -> Option<Table> {
        if self.rows.is_empty() {
            return None;
        }
        let more = self.rows.len().saturating_sub(MAX_ROWS);
        if more > 0 {
            self.rows.truncate(MAX_ROWS);
            self = self.note(format_args!("{more} more are in the JSON."));
        }
        Some(self)
    }
}

/// The tables before the charts: thresholds and comparison.
pub(super) fn first(r: &TestResult, compared: Option<&Comparison>) -> Vec<Table> {
    [thresholds(r), compared.and_then(comparison_table)]
        .into_iter()
        .flatten()
        .collect()
}

/// The tables after the charts.
pub(super) fn rest(r: &TestResult) -> Vec<Table> {
    let tables = [
        times(r),
        totals(r),
        parts("steps", "Steps", &r.steps),
        parts("scenarios", "Scenarios", &r.scenarios).filter(|_| r.scenarios.len() > 1),
        parts("labels", "Labels", &r.labels),
        errors(r),
        nodes(r),
        coordinators(r),
        events(r),
        changes(r),
        data(r),
        environments(r),
    ];
    tables.into_iter().flatten().collect()
}

fn thresholds(r: &TestResult) -> Option<Table> {
    let mut table = Table::new(
        "thresholds",
        "Thresholds",
        &["Threshold", "#Value", "Result"],
    );
    for t in &r.thresholds {
        let (tone, outcome) = match t.passed {
            true => ("good", "passed"),
            false => ("bad", "failed"),
        };
        let cells = [t.threshold.clone(), format_measured(t), outcome.to_owned()];
        table.row(tone, cells);
    }
    table.non_empty()
}

fn comparison_table(of: &Comparison) -> Option<Table> {
    let head = [
        "Metric",
        "#Baseline",
        "#This test",
        "#Change",
        "#Between",
        "",
    ];
    let mut table = Table::new("comparison", "Comparison with the baseline", &head)
        .note(comparison::about(of))
        .note(
            of.warnings
                .iter()
                .map(|w| format!("Note: {w}."))
                .collect::<Vec<_>>()
                .join(" "),
        );
    for m in &of.metrics {
        let row = comparison::row(m);
        let tone = match m.judgement {
            Some(Judgement::Worse) => "bad",
            Some(Judgement::Better) => "good",
            _ => "",
        };
        table.row(
            tone,
            [
                m.metric.clone(),
                row.baseline,
                row.test,
                row.change,
                row.interval,
                row.judgement.to_owned(),
            ],
        );
    }
    table.non_empty()
}

fn times(r: &TestResult) -> Option<Table> {
    let head = [
        "", "#Count", "#Min", "#Mean", "#Stdev", "#p50", "#p75", "#p90", "#p95", "#p99", "#p99.9",
        "#Max",
    ];
    let mut table = Table::new("times", "Times", &head);
    for (name, stats) in [
        ("response time", &r.response_time_ms),
        ("service time", &r.service_time_ms),
        ("lag", &r.lag_ms),
    ] {
        let Some(s) = stats else { continue };
        let [min, mean, stdev] = [s.min, s.mean, s.stdev].map(units::time);
        let [p50, p75, p90, p95, p99, p999, max] =
            [s.p50, s.p75, s.p90, s.p95, s.p99, s.p999, s.max].map(units::time);
        table.row(
            "",
            [
                name.to_owned(),
                units::count(s.count),
                min,
                mean,
                stdev,
                p50,
                p75,
                p90,
                p95,
                p99,
                p999,
                max,
            ],
        );
    }
    table.non_empty()
}

fn totals(r: &TestResult) -> Option<Table> {
    let mut table = Table::new("totals", "Totals", &["", "#Count", "#Part"]);
    let t = &r.totals;
    let rows = [
        ("planned", t.planned, t.planned, ""),
        ("sent", t.sent, t.planned, ""),
        ("ok", t.ok, t.sent, ""),
        ("failed", t.failed, t.sent, "bad"),
        ("abandoned", t.abandoned, t.sent, "warn"),
        ("dropped", t.dropped, t.planned, "warn"),
        (
            "… the generator was too late",
            t.dropped_late,
            t.planned,
            "warn",
        ),
        ("… beyond max_in_flight", t.dropped_full, t.planned, "warn"),
        ("… without a lease", t.dropped_lease, t.planned, "warn"),
        ("unsent", t.unsent, t.planned, "warn"),
        ("warm-up", t.warm_up, t.sent, ""),
        (
            "checks passed",
            t.checks_passed,
            t.checks_passed + t.checks_failed,
            "",
        ),
        (
            "checks failed",
            t.checks_failed,
            t.checks_passed + t.checks_failed,
            "bad",
        ),
    ];
    for (i, (name, n, whole, tone)) in rows.into_iter().enumerate() {
        // The first four rows are always shown, the others only if they are not zero.
        if i < 4 || n > 0 {
            let part = format!("{:.2} %", units::percent(n, whole));
            let tone = if n > 0 { tone } else { "" };
            table.row(tone, [name.to_owned(), units::count(n), part]);
        }
    }
    for (code, n) in &r.status_codes {
        let part = format!("{:.2} %", units::percent(*n, t.sent));
        table.row("", [format!("status {code}"), units::count(*n), part]);
    }
    for (name, n) in [
        ("bytes received", t.bytes_received),
        ("bytes sent", t.bytes_sent),
    ] {
        table.row(
            "",
            [name.to_owned(), units::count(n), units::bytes(n as f64)],
        );
    }
    table.non_empty()
}

fn parts(id: &'static str, title: &str, parts: &[StepResult]) -> Option<Table> {
    let head = [
        "Name",
        "#Sent",
        "#Failed",
        "#Dropped",
        "#p50",
        "#p90",
        "#p99",
        "#p99.9",
        "#Max",
        "Most frequent error",
    ];
    let mut table = Table::new(id, title, &head);
    for part in parts {
        let time = |f: fn(&Stats) -> f64| match &part.response_time_ms {
            Some(stats) => units::time(f(stats)),
            None => "–".to_owned(),
        };
        let error = part.errors.first();
        let error = error.map(|e| format!("{}: {} ({})", e.kind, e.message, units::count(e.count)));
        table.row(
            "",
            [
                part.name.clone(),
                units::count(part.totals.sent),
                units::count(part.totals.failed),
                units::count(part.totals.dropped),
                time(|s| s.p50),
                time(|s| s.p90),
                time(|s| s.p99),
                time(|s| s.p999),
                time(|s| s.max),
                error.unwrap_or_default(),
            ],
        );
    }
    table.non_empty()
}

fn errors(r: &TestResult) -> Option<Table> {
    let mut table = Table::new("errors", "Errors", &["#Count", "Kind", "Message"]);
    for e in &r.errors {
        let message = match e.message.as_str() {
            "" => "all others of this kind",
            message => message,
        };
        table.row(
            "",
            [units::count(e.count), e.kind.clone(), message.to_owned()],
        );
    }
    table.non_empty()
}

/// The name of a node, or its peer id.
fn name(r: &TestResult, peer: &str) -> String {
    r.name_of(peer).to_owned()
}

fn seconds(ms: i64) -> String {
    format!("{:.1} s", ms as f64 / 1e3)
}

fn nodes(r: &TestResult) -> Option<Table> {
    let head = [
        "Node", "#Share", "#Sent", "#Ok", "#Failed", "#Dropped", "#Lag p99", "Lost",
    ];
    let mut table = Table::new("nodes", "Nodes", &head);
    for n in &r.nodes {
        let lost = n
            .lost_at_ms
            .map(|at| format!("at {:.1} s", at as f64 / 1e3));
        table.row(
            if lost.is_some() { "warn" } else { "" },
            [
                name(r, &n.peer),
                format!("{:.1} %", n.share * 100.0),
                units::count(n.sent),
                units::count(n.ok),
                units::count(n.failed),
                units::count(n.dropped),
                n.lag_p99_ms.map_or_else(|| "–".to_owned(), units::time),
                lost.unwrap_or_default(),
            ],
        );
    }
    table.non_empty()
}

fn coordinators(r: &TestResult) -> Option<Table> {
    let head = ["#Term", "Coordinator", "#From", "#To"];
    let mut table = Table::new("coordinators", "Coordinators", &head)
        .note("Times after the start of the profile, as seen by the answering node.");
    for c in &r.coordinators {
        let to = c.to_ms.map_or_else(|| "the end".to_owned(), seconds);
        table.row(
            "",
            [c.term.to_string(), name(r, &c.peer), seconds(c.from_ms), to],
        );
    }
    table.non_empty()
}

fn events(r: &TestResult) -> Option<Table> {
    let mut table = Table::new("events", "Events", &["#At", "Kind", "Node", "Text"]);
    for e in &r.events {
        let node = e.peer.as_deref().map(|p| name(r, p)).unwrap_or_default();
        let tone = match e.kind {
            EventKind::Lost
            | EventKind::Threshold
            | EventKind::SetupFailed
            | EventKind::TeardownFailed => "bad",
            EventKind::Overloaded | EventKind::Refused => "warn",
            _ => "",
        };
        table.row(
            tone,
            [seconds(e.at_ms), e.kind.to_string(), node, e.text.clone()],
        );
    }
    table.non_empty()
}

fn changes(r: &TestResult) -> Option<Table> {
    let mut table = Table::new(
        "changes",
        "Changes of the load",
        &["#At", "Kind", "#Full load"],
    );
    for c in &r.changes {
        let level = c.level.map(units::level).unwrap_or_default();
        table.row("", [format!("{:.1} s", c.at_s), c.kind.to_string(), level]);
    }
    table.non_empty()
}

fn data(r: &TestResult) -> Option<Table> {
    let head = [
        "Data",
        "Pick",
        "#Rows",
        "#Used",
        "#Unused",
        "#Remaining",
        "",
    ];
    let mut table = Table::new("data", "Data", &head);
    for d in &r.data {
        let of_unique = |n: Option<u64>| n.map_or_else(|| "–".to_owned(), units::count);
        let exact = if d.exact {
            ""
        } else {
            "used is a lower bound, unused an upper bound"
        };
        table.row(
            "",
            [
                d.name.clone(),
                d.pick.to_string(),
                units::count(d.rows),
                units::count(d.used),
                of_unique(d.unused),
                of_unique(d.remaining),
                exact.to_owned(),
            ],
        );
    }
    table.non_empty()
}

fn environments(r: &TestResult) -> Option<Table> {
    let head = ["Node", "Machine", "Peer", "#Incarnation"];
    let mut table = Table::new("environment", "Environment", &head);
    for n in &r.nodes {
        let incarnation = n.incarnation.to_string();
        table.row(
            "",
            [
                name(r, &n.peer),
                n.environment.clone(),
                n.peer.clone(),
                incarnation,
            ],
        );
    }
    table.non_empty()
}

//! The summary at the end of a test.

use unicode_width::UnicodeWidthStr as _;

use super::layout::{Align::*, MARGIN, fit, pad, plain, table, wrap};
use super::{WIDTH, bars};
use vajra_plan::Model;
use vajra_results::{
    EndKind, ErrorEntry, NodeResult, Stats, StepResult, TestResult, Totals, decode,
    format_measured, state_name, units,
};

/// Most errors that are listed; the JSON has all.
const MAX_ERRORS: usize = 10;
/// Most nodes that are listed; the JSON has all.
const MAX_NODES: usize = 50;
/// Most coordinators that are listed; the JSON has all.
const MAX_COORDINATORS: usize = 5;

/// The summary of a result: header, totals, times, errors, nodes, and the verdict last.
pub fn summary(r: &TestResult) -> String {
    let mut out = String::from("\n");
    header(&mut out, r);
    totals(&mut out, r);
    times(&mut out, r);
    parts(&mut out, "step", &r.steps);
    if r.scenarios.len() > 1 {
        parts(&mut out, "scenario", &r.scenarios);
    }
    parts(&mut out, "label", &r.labels);
    data(&mut out, r);
    errors(&mut out, &r.errors);
    thresholds(&mut out, r);
    nodes(&mut out, r);
    verdict(&mut out, r);
    out
}

/// A title with its text, wrapped.
fn field(out: &mut String, title: &str, text: &str) {
    out.push_str(&wrap(&format!("{MARGIN}{title:<12}"), text));
}

fn header(out: &mut String, r: &TestResult) {
    field(out, "test", &r.test_id);
    if let Some(name) = &r.name {
        field(out, "name", name);
    }
    if !r.tags.is_empty() {
        let tags: Vec<String> = r.tags.iter().map(|(k, v)| format!("{k}={v}")).collect();
        field(out, "tags", &tags.join("  "));
    }
    field(out, "target", &r.target);
    if let Some(at) = &r.started_at {
        field(out, "started", at);
    }
    field(out, "duration", &format!("{:.2} s", r.duration_s));
    let together = match (r.start_skew_ms, r.start_skew_within_ms) {
        (Some(skew), Some(within)) if r.nodes.len() > 1 => format!(
            ", started within {} of each other (clock offsets known to {})",
            units::time(skew),
            units::time(within)
        ),
        _ => String::new(),
    };
    field(out, "nodes", &format!("{}{together}", r.nodes.len()));
    if !r.coordinators.is_empty() {
        field(out, "coordinator", &coordinators(r));
    }
    out.push('\n');
}

/// The changes of the load.
fn changes(r: &TestResult) -> String {
    let each = r.changes.iter().map(|c| {
        let change = match (c.level, r.load.model) {
            (Some(level), Model::Open) => format!("to {}/s", units::level(level)),
            (Some(level), Model::Closed) => format!("to {} users", units::level(level)),
            (None, _) => c.kind.to_string(),
        };
        format!("{change} at {:.1} s", c.at_s)
    });
    each.collect::<Vec<_>>().join(", ")
}

/// The coordinators with their terms; the latest ones, if there were many.
fn coordinators(r: &TestResult) -> String {
    let name = |peer: &str| fit(r.name_of(peer), 60);
    let earlier = r.coordinators.len().saturating_sub(MAX_COORDINATORS);
    let each: Vec<String> = r.coordinators[earlier..]
        .iter()
        .map(|c| format!("{} (term {})", name(&c.peer), c.term))
        .collect();
    let none = match &r.no_coordinator {
        Some(none) => format!(", none since {:.1} s", none.since_ms as f64 / 1e3),
        None => String::new(),
    };
    match earlier {
        0 => each.join(", ") + &none,
        n => format!("{n} earlier ones, {}{none}", each.join(", ")),
    }
}

fn totals(out: &mut String, r: &TestResult) {
    let t = &r.totals;
    let (sent, planned) = (units::count(t.sent), units::count(t.planned));
    field(
        out,
        "requests",
        &format!("{sent} sent of {planned} planned"),
    );
    let optional = |n: u64| (n > 0).then_some(n);
    let unanswered = match r.end {
        None => "in flight",
        // In flight when a lost worker last reported.
        Some(_) => "unknown",
    };
    let rows = [
        ("ok", Some(t.ok), t.sent, String::new()),
        ("failed", Some(t.failed), t.sent, String::new()),
        ("abandoned", optional(t.abandoned), t.sent, String::new()),
        (unanswered, optional(t.unanswered()), t.sent, String::new()),
        ("warm-up", optional(t.warm_up), t.sent, String::new()),
        ("dropped", optional(t.dropped), t.planned, dropped(t)),
        ("unsent", optional(t.unsent), t.planned, String::new()),
    ];
    for (title, n, whole, why) in rows {
        if let Some(n) = n {
            let (shown, percent) = (units::count(n), units::percent(n, whole));
            out.push_str(&format!(
                "    {title:<10}{shown:>13}  {percent:>6.2} %{why}\n"
            ));
        }
    }
    let checks = t.checks_passed + t.checks_failed;
    if checks > 0 {
        let (passed, all) = (units::count(t.checks_passed), units::count(checks));
        let percent = units::percent(t.checks_passed, checks);
        field(
            out,
            "checks",
            &format!("{passed} of {all} passed ({percent:.2} %)"),
        );
    }
    let planned = match r.rate.planned {
        _ if r.load.model == Model::Closed => String::new(),
        planned if planned > 0.0 => format!(
            " achieved, {planned:.2}/s planned ({})",
            units::deviation(r.rate.achieved, planned)
        ),
        _ => String::new(),
    };
    field(out, "rate", &format!("{:.2}/s{planned}", r.rate.achieved));
    if !r.changes.is_empty() {
        field(out, "changed", &changes(r));
    }
    if !r.status_codes.is_empty() {
        let codes = r.status_codes.iter();
        let codes: Vec<String> = codes
            .map(|(code, n)| format!("{code}: {}", units::count(*n)))
            .collect();
        field(out, "status", &codes.join(", "));
    }
    if r.duration_s > 0.0 && t.bytes_received + t.bytes_sent > 0 {
        let per_second = |n: u64| units::bytes(n as f64 / r.duration_s);
        let (received, sent) = (per_second(t.bytes_received), per_second(t.bytes_sent));
        field(
            out,
            "traffic",
            &format!("{received}/s received, {sent}/s sent"),
        );
    }
}

/// The causes of dropped arrivals.
fn dropped(t: &Totals) -> String {
    let causes = [
        (t.dropped_late, "the generator was too late"),
        (t.dropped_full, "max_in_flight was reached"),
        (t.dropped_lease, "without a lease"),
    ];
    let causes: Vec<String> = causes
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, why)| match *n == t.dropped {
            true => (*why).to_owned(),
            false => format!("{}: {why}", units::count(*n)),
        })
        .collect();
    match causes.is_empty() {
        true => String::new(),
        false => format!("  {}", causes.join(", ")),
    }
}

fn times(out: &mut String, r: &TestResult) {
    let lag = format!(
        "lag, the error of the generator itself ({} pacing)",
        r.load.pacing
    );
    let response = r.histograms.response.as_deref().and_then(decode);
    for (title, stats, histogram) in [
        (
            "response time, from the instant a request was due",
            &r.response_time_ms,
            response,
        ),
        (
            "service time, from the actual send",
            &r.service_time_ms,
            None,
        ),
        (lag.as_str(), &r.lag_ms, None),
    ] {
        let Some(stats) = stats else {
            continue;
        };
        out.push_str(&format!("\n{MARGIN}{title}\n"));
        percentiles(out, stats);
        if let Some(histogram) = histogram {
            out.push('\n');
            out.push_str(&bars::bars(&histogram));
        }
    }
}

/// A line for each step, scenario or label: requests, failures and response times.
fn parts(out: &mut String, title: &str, parts: &[StepResult]) {
    if parts.is_empty() {
        return;
    }
    let longest = parts.iter().map(|s| s.name.width()).max();
    let width = longest.unwrap_or(0).clamp(title.len(), 50);
    out.push_str(&format!(
        "\n{MARGIN}{}  {:>10}  {:>8}  {:>10}  {:>10}  {:>10}\n",
        pad(title, width),
        "sent",
        "failed",
        "p50",
        "p99",
        "max"
    ));
    for step in parts {
        let time = |f: fn(&Stats) -> f64| match &step.response_time_ms {
            Some(stats) => units::time(f(stats)),
            None => "-".to_owned(),
        };
        out.push_str(&format!(
            "{MARGIN}{}  {:>10}  {:>8}  {:>10}  {:>10}  {:>10}\n",
            pad(&step.name, width),
            units::count(step.totals.sent),
            units::count(step.totals.failed),
            time(|s| s.p50),
            time(|s| s.p99),
            time(|s| s.max)
        ));
    }
}

/// Unique rows that were due but not used.
fn data(out: &mut String, r: &TestResult) {
    let unused = r.data.iter().filter(|d| d.unused.is_some_and(|n| n > 0));
    for (i, d) in unused.enumerate() {
        if i == 0 {
            out.push('\n');
        }
        let (at_least, at_most) = match d.exact {
            true => ("", ""),
            false => ("at least ", "at most "),
        };
        let text = format!(
            "{}: {at_least}{} of {} rows used; {at_most}{} unused: they were due, but their iterations \
             were not run; {} not due before the end",
            d.name,
            units::count(d.used),
            units::count(d.rows),
            units::count(d.unused.unwrap_or_default()),
            units::count(d.remaining.unwrap_or_default()),
        );
        field(out, "data", &text);
    }
}

/// The thresholds, and whether they passed.
fn thresholds(out: &mut String, r: &TestResult) {
    if r.thresholds.is_empty() {
        return;
    }
    out.push_str(&format!("\n{MARGIN}thresholds\n"));
    for t in &r.thresholds {
        let (value, threshold) = (format_measured(t), &t.threshold);
        let outcome = if t.passed { "passed" } else { "FAILED" };
        out.push_str(&format!("    {outcome}  {threshold}: {value}\n"));
    }
}

fn percentiles(out: &mut String, s: &Stats) {
    for (name, ms) in [
        ("p50", s.p50),
        ("p75", s.p75),
        ("p90", s.p90),
        ("p95", s.p95),
        ("p99", s.p99),
        ("p99.9", s.p999),
        ("max", s.max),
        ("mean", s.mean),
    ] {
        out.push_str(&format!("    {name:<6}{:>12}\n", units::time(ms)));
    }
}

fn errors(out: &mut String, errors: &[ErrorEntry]) {
    if errors.is_empty() {
        return;
    }
    out.push_str(&format!("\n{MARGIN}errors\n"));
    for e in errors.iter().take(MAX_ERRORS) {
        let message = match e.message.as_str() {
            "" => "all others of this kind",
            message => message,
        };
        let line = format!(
            "    {:>12}  {:<8}  {}",
            units::count(e.count),
            plain(&e.kind),
            plain(message)
        );
        out.push_str(&fit(&line, WIDTH));
        out.push('\n');
    }
    if errors.len() > MAX_ERRORS {
        let more = errors.len() - MAX_ERRORS;
        out.push_str(&format!("    and {more} more: --json lists them\n"));
    }
}

fn nodes(out: &mut String, r: &TestResult) {
    if r.nodes.is_empty() {
        return;
    }
    let mut shown: Vec<&NodeResult> = r.nodes.iter().collect();
    if shown.len() > MAX_NODES {
        // Lost nodes are always listed.
        shown.sort_by_key(|n| n.lost_at_ms.is_none());
        shown.truncate(MAX_NODES);
    }
    let rows: Vec<[String; 7]> = shown.iter().map(|n| node(n)).collect();
    let head = [
        ("node", Left),
        ("share", Right),
        ("sent", Right),
        ("failed", Right),
        ("dropped", Right),
        ("lag p99", Right),
        ("", Left),
    ];
    out.push('\n');
    out.push_str(&table(head, &rows));
    if r.nodes.len() > MAX_NODES {
        let more = r.nodes.len() - MAX_NODES;
        out.push_str(&format!("{MARGIN}and {more} more: --json lists them\n"));
    }
}

fn node(n: &NodeResult) -> [String; 7] {
    [
        fit(if n.name.is_empty() { &n.peer } else { &n.name }, 20),
        format!("{:.1} %", n.share * 100.0),
        units::count(n.sent),
        units::count(n.failed),
        units::count(n.dropped),
        n.lag_p99_ms.map_or_else(|| "–".to_owned(), units::time),
        n.lost_at_ms
            .map(|at| format!("lost at {:.1} s", at as f64 / 1e3))
            .unwrap_or_default(),
    ]
}

fn verdict(out: &mut String, r: &TestResult) {
    let verdict = match (r.verdict, r.end) {
        (Some(v), Some(EndKind::Stopped)) => format!("{v} (stopped before its end)"),
        (Some(v), _) => v.to_string(),
        (None, _) => format!("none yet: the test is {}", state_name(r.state)),
    };
    out.push('\n');
    field(out, "verdict", &verdict);
    for reason in &r.reasons {
        out.push_str(&wrap("    - ", reason));
    }
}

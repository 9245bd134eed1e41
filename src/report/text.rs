//! The result as people read it: the summary at the end of a test, tables of nodes and
//! tests, and the line of progress while a test runs.

use std::fmt::Write as _;

use super::result::*;

/// Width of the bars of the latency distribution.
const BAR: usize = 40;

/// A time in the unit that suits it.
pub fn show_ms(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => format!("{:.0} µs", ms * 1000.0),
        ms if ms < 1000.0 => format!("{ms:.2} ms"),
        ms => format!("{:.2} s", ms / 1000.0),
    }
}

/// A count with separators: 1,234,567.
pub fn show_count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(d);
    }
    out
}

fn show_bytes(n: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut n = n;
    let mut unit = 0;
    while n >= 1024.0 && unit + 1 < units.len() {
        n /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{n:.0} B"),
        _ => format!("{n:.2} {}", units[unit]),
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// Text, and nothing that a terminal would take for more than text.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// The summary at the end of a test.
pub fn summary(r: &TestResult) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_summary(&mut out, r);
    out
}

fn write_summary(out: &mut String, r: &TestResult) -> std::fmt::Result {
    writeln!(out)?;
    writeln!(out, "  test        {}", r.test_id)?;
    if let Some(name) = &r.name {
        writeln!(out, "  name        {}", plain(name))?;
    }
    writeln!(out, "  target      {}", plain(&r.target))?;
    write!(out, "  nodes       {}", r.nodes.len())?;
    match r.start_skew_ms {
        Some(skew) if r.nodes.len() > 1 => {
            writeln!(out, "  (started within {} of each other)", show_ms(skew))?
        }
        _ => writeln!(out)?,
    }
    writeln!(out, "  duration    {:.2} s", r.duration_s)?;
    writeln!(out)?;
    write_totals(out, r)?;
    if let Some(s) = &r.response_time_ms {
        writeln!(out, "\n  response time, from the instant a request was due")?;
        write_percentiles(out, s)?;
        write_distribution(out, r)?;
    }
    for (title, stats) in [
        ("service time, from the actual send", &r.service_time_ms),
        ("lag, the generator's own lateness", &r.lag_ms),
    ] {
        if let Some(s) = stats {
            writeln!(out, "\n  {title}")?;
            let cells = [
                ("p50", s.p50),
                ("p90", s.p90),
                ("p99", s.p99),
                ("p99.9", s.p999),
                ("max", s.max),
            ];
            let cells = cells.map(|(name, ms)| format!("{name} {}", show_ms(ms)));
            writeln!(out, "    {}", cells.join("   "))?;
        }
    }
    write_errors(out, r)?;
    write_nodes(out, r)?;
    write_verdict(out, r)
}

fn write_totals(out: &mut String, r: &TestResult) -> std::fmt::Result {
    let t = &r.totals;
    let count = |n: u64| format!("{:>12}", show_count(n));
    writeln!(
        out,
        "  requests    {} sent, of {} planned",
        count(t.sent).trim_start(),
        show_count(t.planned)
    )?;
    writeln!(
        out,
        "    ok        {}  ({:.2} %)",
        count(t.ok),
        percent(t.ok, t.sent)
    )?;
    writeln!(
        out,
        "    failed    {}  ({:.2} %)",
        count(t.failed),
        percent(t.failed, t.sent)
    )?;
    for (what, n) in [
        ("abandoned ", t.abandoned),
        ("dropped   ", t.dropped),
        ("short     ", t.short),
        ("warm-up   ", t.warm_up),
    ] {
        if n > 0 {
            writeln!(out, "    {what}{}", count(n))?;
        }
    }
    let error = match r.rate.asked {
        asked if asked > 0.0 => format!(
            ", asked {:.2}/s ({:+.2} %)",
            asked,
            (r.rate.achieved / asked - 1.0) * 100.0
        ),
        _ => String::new(),
    };
    writeln!(
        out,
        "  rate        {:.2}/s achieved{error}",
        r.rate.achieved
    )?;
    if r.duration_s > 0.0 && t.bytes_received + t.bytes_sent > 0 {
        writeln!(
            out,
            "  traffic     {}/s received, {}/s sent",
            show_bytes(t.bytes_received as f64 / r.duration_s),
            show_bytes(t.bytes_sent as f64 / r.duration_s),
        )?;
    }
    if !r.status_codes.is_empty() {
        let codes: Vec<String> = r
            .status_codes
            .iter()
            .map(|(code, n)| format!("{code}: {}", show_count(*n)))
            .collect();
        writeln!(out, "  status      {}", codes.join("   "))?;
    }
    Ok(())
}

fn write_percentiles(out: &mut String, s: &Stats) -> std::fmt::Result {
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
        writeln!(out, "    {name:<6}{:>12}", show_ms(ms))?;
    }
    Ok(())
}

/// Bars over ten ranges of response time, up to the 99.9th percentile and beyond.
fn write_distribution(out: &mut String, r: &TestResult) -> std::fmt::Result {
    let Some(h) = r
        .histograms
        .response
        .as_deref()
        .and_then(super::compose::decode)
    else {
        return Ok(());
    };
    let top = h.value_at_quantile(0.999).max(1);
    let step = top.div_ceil(10).max(1);
    let mut rows: Vec<(u64, u64)> = Vec::new();
    let mut from = 0;
    while from < top {
        let to = (from + step).min(top);
        rows.push((to, h.count_between(from + u64::from(from > 0), to)));
        from = to;
    }
    if h.max() > top {
        rows.push((h.max(), h.count_between(top + 1, h.max())));
    }
    let most = rows.iter().map(|(_, n)| *n).max().unwrap_or(1).max(1);
    writeln!(out)?;
    for (to, n) in rows {
        let bar = "▇".repeat((n as f64 / most as f64 * BAR as f64).round() as usize);
        let line = format!(
            "    ≤ {:>10}  {:>12}  {bar}",
            show_ms(to as f64 / 1000.0),
            show_count(n)
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn write_errors(out: &mut String, r: &TestResult) -> std::fmt::Result {
    if r.errors.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n  errors")?;
    for e in r.errors.iter().take(10) {
        writeln!(
            out,
            "    {:>12}  {:<8}  {}",
            show_count(e.count),
            e.kind,
            plain(&e.message)
        )?;
    }
    if r.errors.len() > 10 {
        writeln!(
            out,
            "    and {} more kinds: --json has them all",
            r.errors.len() - 10
        )?;
    }
    Ok(())
}

fn write_nodes(out: &mut String, r: &TestResult) -> std::fmt::Result {
    if r.nodes.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<String>> = r
        .nodes
        .iter()
        .map(|n| {
            let leads = r.coordinators.last().is_some_and(|c| c.peer == n.peer);
            vec![
                plain(&n.name),
                format!("{:.1} %", n.share * 100.0),
                show_count(n.sent),
                show_count(n.failed),
                show_count(n.dropped),
                n.lag_p99_ms.map_or_else(|| "–".into(), show_ms),
                match (n.lost_at_ms, leads) {
                    (Some(at), _) => format!("lost at {:.1} s", at as f64 / 1000.0),
                    (None, true) => "coordinator".into(),
                    (None, false) => String::new(),
                },
            ]
        })
        .collect();
    writeln!(out)?;
    out.push_str(&table(
        &["node", "share", "sent", "failed", "dropped", "lag p99", ""],
        &rows,
    ));
    Ok(())
}

fn write_verdict(out: &mut String, r: &TestResult) -> std::fmt::Result {
    let verdict = match (r.verdict.as_deref(), r.end.as_deref()) {
        (Some(v), Some("stopped")) => format!("{v} (stopped before its end)"),
        (Some(v), _) => v.to_owned(),
        (None, _) => format!("none yet: the test is {}", r.state),
    };
    writeln!(out, "\n  verdict     {verdict}")?;
    for reason in &r.reasons {
        writeln!(out, "    - {}", plain(reason))?;
    }
    Ok(())
}

/// A table: the first column to the left, numbers to the right.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |s: &str| s.chars().count();
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(i, h)| {
            rows.iter()
                .map(|r| width(&r[i]))
                .chain([width(h)])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let right = |i: usize| {
        rows.iter()
            .any(|r| r[i].starts_with(|c: char| c.is_ascii_digit()))
            && i > 0
            && !head[i].is_empty()
    };
    let mut out = String::new();
    let titles: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
    for row in std::iter::once(&titles).chain(rows) {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(i, cell)| {
                let pad = " ".repeat(widths[i] - width(cell));
                if right(i) {
                    format!("{pad}{cell}")
                } else {
                    format!("{cell}{pad}")
                }
            })
            .collect();
        out.push_str(format!("  {}", cells.join("   ")).trim_end());
        out.push('\n');
    }
    out
}

/// The table of nodes.
pub fn nodes(list: &NodeList) -> String {
    let rows: Vec<Vec<String>> = list
        .nodes
        .iter()
        .map(|n| {
            let labels: Vec<String> = n.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            vec![
                format!(
                    "{}{}",
                    plain(&n.name),
                    if n.is_self { " (this one)" } else { "" }
                ),
                n.health.clone(),
                n.status.clone(),
                n.capacity.to_string(),
                n.load.to_string(),
                plain(&labels.join(",")),
                plain(n.addresses.first().map_or("", String::as_str)),
                n.peer.clone(),
            ]
        })
        .collect();
    let head = [
        "name", "health", "status", "capacity", "load", "labels", "address", "peer",
    ];
    let p = &list.pool;
    format!(
        "{}\n  {} of {} nodes healthy, capacity {} tasks, {} running\n",
        table(&head, &rows),
        p.healthy,
        p.total,
        show_count(p.capacity),
        show_count(p.load),
    )
}

/// The table of tests.
pub fn tests(list: &TestList) -> String {
    if list.tests.is_empty() {
        return "  no tests yet; `vajra-node start-test URL --rate 100 --duration 10s` starts one\n".into();
    }
    let rows: Vec<Vec<String>> = list
        .tests
        .iter()
        .map(|t| {
            vec![
                t.test_id.clone(),
                plain(t.name.as_deref().unwrap_or("")),
                t.state.clone(),
                t.verdict.clone().unwrap_or_default(),
                t.started_at.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(&["test", "name", "state", "verdict", "started"], &rows)
}

/// The line of progress.
pub fn progress(p: &Progress) -> String {
    if p.elapsed_s <= 0.0 && p.sent == 0 {
        return match p.state.as_str() {
            "running" => format!("starting in {:.1} s", -p.elapsed_s),
            state => state.to_owned(),
        };
    }
    let ms = |ms: Option<f64>| ms.map_or_else(|| "–".into(), show_ms);
    let asked = match (p.asked, p.users) {
        (asked, _) if asked > 0.0 => format!(" of {asked:.0}"),
        (_, 0) => String::new(),
        (_, users) => format!("  users {users}"),
    };
    format!(
        "{:>5.1}/{:.0} s  {:.0}/s{asked}  p50 {}  p99 {}  errors {}  nodes {}{}",
        p.elapsed_s,
        p.duration_s,
        p.rate,
        ms(p.p50_ms),
        ms(p.p99_ms),
        show_count(p.failed),
        p.nodes,
        if p.state == "stopping" {
            "  stopping"
        } else {
            ""
        },
    )
}

//! Current values and totals, and the distribution of the response times.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::model::Model;
use super::palette::Palette;
use super::panel::{panel, title};
use super::scale;
use vajra_report::text::ranges;
use vajra_results::units;

/// Maximum number of rows.
pub const ROWS: u16 = 11;

/// Width of the column of current values: `1020 MiB/s`.
const NOW: usize = 10;
/// Width of the column of totals: `123,456 2.0 %`.
const TOTAL: usize = 13;
/// Width of both with the space between them.
const NUMBERS: usize = NOW + 1 + TOTAL;

/// A row. If there is not enough height, rows of high rank are omitted.
struct Row {
    rank: u8,
    name: &'static str,
    now: String,
    total: String,
    style: Style,
}

/// Draws current values and totals.
pub fn draw(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let inner = panel(
        frame,
        area,
        p,
        Line::default(),
        Line::styled(format!(" {:>NOW$} {:>TOTAL$}", "now", "total"), p.dim()),
    );
    if !m.started() {
        return;
    }
    let mut rows = rows(m, p);
    let height = usize::from(inner.height);
    let mut ranks: Vec<u8> = rows.iter().map(|r| r.rank).collect();
    ranks.sort_unstable();
    if let Some(most) = ranks.get(height.saturating_sub(1).min(ranks.len() - 1)) {
        rows.retain(|r| r.rank <= *most);
    }
    let width = usize::from(inner.width);
    let name = width.saturating_sub(NUMBERS).min(12);
    let line = |r: Row| {
        let space = width.saturating_sub(name + NUMBERS);
        Line::from(vec![
            Span::styled(format!("{:<name$}", r.name), p.dim()),
            Span::styled(
                format!("{:space$}{:>NOW$} {:>TOTAL$}", "", r.now, r.total),
                r.style,
            ),
        ])
    };
    let lines: Vec<Line> = rows.into_iter().map(line).collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

fn rows(m: &Model, p: &Palette) -> Vec<Row> {
    let none = || "–".to_owned();
    let time = |ms: Option<f64>| ms.map_or_else(none, units::time);
    let now = m.history.last();
    let point = m.point.as_ref().and_then(|p| p.response_time_ms.as_ref());
    let all = m.result.as_ref().and_then(|r| r.response_time_ms.as_ref());
    let totals = m.result.as_ref().map(|r| &r.totals);
    let progress = m.progress.as_ref();
    let sent = progress.map_or(0, |t| t.sent);
    let failed = progress.map_or(0, |t| t.failed);
    let alarm = |n: u64| match n {
        0 => Style::new(),
        _ => p.bad(),
    };
    let count = |n: Option<u64>| n.map_or_else(none, units::count);
    let row = |rank, name, now: String, total: String, style| Row {
        rank,
        name,
        now,
        total,
        style,
    };
    let not_sent = totals.map(|t| t.dropped + t.unsent);
    let lag = m.result.as_ref().and_then(|r| r.lag_ms.as_ref());
    vec![
        row(
            1,
            "p50",
            time(now.and_then(|s| s.p50)),
            time(all.map(|s| s.p50)),
            p.p50(),
        ),
        row(
            6,
            "p90",
            time(now.and_then(|s| s.p90)),
            time(all.map(|s| s.p90)),
            Style::new(),
        ),
        row(
            2,
            "p99",
            time(now.and_then(|s| s.p99)),
            time(all.map(|s| s.p99)),
            p.p99(),
        ),
        row(
            9,
            "p99.9",
            time(point.map(|s| s.p999)),
            time(all.map(|s| s.p999)),
            Style::new(),
        ),
        row(
            5,
            "max",
            time(now.and_then(|s| s.max)),
            time(all.map(|s| s.max)),
            Style::new(),
        ),
        row(
            3,
            "sent",
            now.map_or_else(none, |s| scale::rate(s.rate)),
            units::count(sent),
            p.achieved(),
        ),
        row(
            4,
            "failed",
            now.map_or_else(none, |s| scale::rate(s.failed)),
            match failed {
                0 => "0".to_owned(),
                n => {
                    let percent = units::percent(n, sent);
                    format!("{} {percent:.1} %", units::count(n))
                }
            },
            alarm(failed),
        ),
        row(
            8,
            "not sent",
            count(m.point.as_ref().map(|p| p.dropped)),
            count(not_sent),
            alarm(not_sent.unwrap_or(0)),
        ),
        row(
            7,
            "lag p99",
            time(now.and_then(|s| s.lag_p99)),
            time(lag.map(|s| s.p99)),
            Style::new(),
        ),
        row(
            10,
            "in flight",
            count(m.point.as_ref().map(|p| p.in_flight)),
            String::new(),
            Style::new(),
        ),
        row(
            11,
            "received",
            m.point.as_ref().map_or_else(none, |p| {
                let seconds = (p.to_s - p.from_s).max(f64::MIN_POSITIVE);
                format!("{}/s", scale::bytes(p.bytes_received as f64 / seconds))
            }),
            totals.map_or_else(none, |t| scale::bytes(t.bytes_received as f64)),
            Style::new(),
        ),
    ]
}

/// Draws the distribution of the response times as bars.
pub fn distribution(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let right = Line::styled("whole test", p.dim());
    let inner = panel(frame, area, p, title(p, "distribution"), right);
    let times = m.times.as_ref().filter(|h| !h.is_empty());
    let Some(times) = times else {
        return;
    };
    // The scale starts at the fastest responses: from zero, times around 2 s would share one row.
    // The last row is for longer ones.
    let low = times.value_at_quantile(0.001);
    let most = u64::from(inner.height.saturating_sub(1)).clamp(1, 20);
    let ranges = ranges(times, low, most);
    let largest = ranges.iter().map(|(_, n)| *n).max().unwrap_or(0).max(1);
    let width = usize::from(inner.width).saturating_sub(12 + 9);
    let line = |(bound, n): &(u64, u64)| {
        let share = units::percent(*n, times.len());
        Line::from(vec![
            Span::styled(
                format!("≤ {:>9} ", units::time(*bound as f64 / 1e3)),
                p.dim(),
            ),
            Span::styled(bar(*n as f64 / largest as f64, width), p.p50()),
            Span::raw(format!(" {share:>6.2} %")),
        ])
    };
    let lines: Vec<Line> = ranges.iter().map(line).collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

/// A bar in eighths of a cell, padded with spaces; a positive value has at least one eighth.
fn bar(part: f64, width: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (part.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let eighths = eighths.max(usize::from(part > 0.0));
    let mut bar = "█".repeat(eighths / 8);
    if eighths % 8 > 0 {
        bar.push(EIGHTHS[eighths % 8]);
    }
    format!("{bar:<width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_padded_and_shows_any_positive_value() {
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(0.5, 3), "█▌ ");
        assert_eq!(bar(1e-9, 3), "▏  ");
        assert_eq!(bar(0.0, 3), "   ");
    }
}

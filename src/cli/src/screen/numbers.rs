//! The numbers beside the charts, and the distribution of the response times.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::draw::{panel, title};
use super::model::Model;
use super::palette::Palette;
use super::scale;
use vajra_report::text::ranges;
use vajra_results::units;

/// Lines of the panel where all of them have room.
pub const ROWS: u16 = 11;

/// Width of the numbers of now: `1020 MiB/s`.
const NOW: usize = 10;
/// Width of those so far: `123,456 2.0 %`.
const SO_FAR: usize = 13;
/// Both, with the blank between them.
const NUMBERS: usize = NOW + 1 + SO_FAR;

/// A line: the fewer rows there are, the fewer ranks are shown.
struct Row {
    rank: u8,
    name: &'static str,
    now: String,
    so_far: String,
    style: Style,
}

/// Now, and so far.
pub fn draw(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let inner = panel(
        frame,
        area,
        p,
        Line::default(),
        Line::styled(format!(" {:>NOW$} {:>SO_FAR$}", "now", "so far"), p.dim()),
    );
    if !m.begun() {
        return;
    }
    let mut rows = rows(m, p);
    let room = usize::from(inner.height);
    let mut ranks: Vec<u8> = rows.iter().map(|r| r.rank).collect();
    ranks.sort_unstable();
    if let Some(most) = ranks.get(room.saturating_sub(1).min(ranks.len() - 1)) {
        rows.retain(|r| r.rank <= *most);
    }
    let width = usize::from(inner.width);
    let name = width.saturating_sub(NUMBERS).min(12);
    let line = |r: Row| {
        let space = width.saturating_sub(name + NUMBERS);
        Line::from(vec![
            Span::styled(format!("{:<name$}", r.name), p.dim()),
            Span::styled(
                format!("{:space$}{:>NOW$} {:>SO_FAR$}", "", r.now, r.so_far),
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
    let told = m.progress.as_ref();
    let sent = told.map_or(0, |t| t.sent);
    let failed = told.map_or(0, |t| t.failed);
    let alarm = |n: u64| match n {
        0 => Style::new(),
        _ => p.bad(),
    };
    let count = |n: Option<u64>| n.map_or_else(none, units::count);
    let row = |rank, name, now: String, so_far: String, style| Row {
        rank,
        name,
        now,
        so_far,
        style,
    };
    let dropped = totals.map(|t| t.dropped + t.unsent);
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
            count(dropped),
            alarm(dropped.unwrap_or(0)),
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
            "pending",
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

/// The response times so far as bars.
pub fn distribution(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let right = Line::styled("so far", p.dim());
    let inner = panel(frame, area, p, title(p, "distribution"), right);
    let times = m.times.as_ref().filter(|h| !h.is_empty());
    let Some(times) = times else {
        return;
    };
    // From where there is something on: of times around 2 s all would be in one row. The last
    // row is for what is beyond.
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

/// A bar of eighths of a cell, filled up with blanks; what there is, is seen.
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
    fn a_bar_has_its_width_and_shows_the_least_there_is() {
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(0.5, 3), "█▌ ");
        assert_eq!(bar(1e-9, 3), "▏  ");
        assert_eq!(bar(0.0, 3), "   ");
    }
}

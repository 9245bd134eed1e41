//! The view on small terminals: lines, the most important first.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::model::{Model, Role};
use super::nodes::Health;
use super::palette::Palette;
use super::{charts, head, scale};
use vajra_report::text::plain;
use vajra_results::units;

/// Draws as many lines as fit; the last row shows the keys.
pub fn draw(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let rows = usize::from(area.height);
    let mut lines = lines(m, p, usize::from(area.width));
    lines.truncate(rows.saturating_sub(1).max(1));
    lines.resize(rows.saturating_sub(1).max(1), Line::default());
    if rows > 1 {
        lines.push(foot(m, p));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn foot(m: &Model, p: &Palette) -> Line<'static> {
    match (head::stopping(m), m.role) {
        (Some(text), _) => Line::styled(text, p.alert()),
        (None, Role::Owner) => Line::styled("q stop  ? help", p.key()),
        (None, Role::Watcher) => Line::styled("q leave  ? help", p.key()),
    }
}

fn lines(m: &Model, p: &Palette, width: usize) -> Vec<Line<'static>> {
    if !m.started() {
        return vec![Line::styled(charts::startup_state(m), p.strong())];
    }
    let progress = m.progress.as_ref();
    let time = |ms: Option<f64>| ms.map_or_else(|| "–".to_owned(), units::time);
    let clock = format!(
        "{:.1}/{}",
        m.elapsed_s().max(0.0),
        scale::instant(m.duration_s())
    );
    let mut first = vec![ratatui::text::Span::styled(format!("{clock} "), p.strong())];
    first.extend(head::bar(
        m,
        p,
        width.saturating_sub(clock.chars().count() + 1),
    ));
    let rate = progress.map_or(0.0, |t| t.rate);
    let load = match progress {
        Some(t) if t.planned > 0.0 => {
            format!("{} of {}", scale::rate(rate), scale::rate(t.planned))
        }
        Some(t) if t.users > 0 => format!("{} by {} users", scale::rate(rate), t.users),
        _ => scale::rate(rate),
    };
    let times = format!(
        "p50 {}  p99 {}",
        time(progress.and_then(|t| t.p50_ms)),
        time(progress.and_then(|t| t.p99_ms))
    );
    let failed = progress.map_or(0, |t| t.failed);
    let rows = m.node_rows();
    let lost = rows.iter().filter(|m| m.health == Health::Lost).count();
    let nodes = progress.map_or(0, |t| t.nodes);
    let (counts, style) = match (failed, lost) {
        (0, 0) => (format!("errors 0  nodes {nodes}"), p.good()),
        (failed, 0) => (
            format!("errors {}  nodes {nodes}", units::count(failed)),
            p.bad(),
        ),
        (failed, lost) => (
            format!(
                "errors {}  nodes {nodes}, {lost} lost",
                units::count(failed)
            ),
            p.bad(),
        ),
    };
    let mut lines = vec![
        Line::from(first),
        Line::styled(load, p.achieved()),
        Line::raw(times),
        Line::styled(counts, style),
    ];
    if let Some(r) = &m.result {
        let verdict = r.reasons.first().map(|why| plain(why));
        lines.push(match verdict {
            Some(why) => Line::styled(why, p.warn()),
            None => Line::styled("valid so far", p.good()),
        });
        let errors = r.errors.iter().map(|e| {
            let text = format!("{} {} {}", units::count(e.count), e.kind, e.message);
            Line::styled(plain(&text), p.bad())
        });
        lines.extend(errors.take(3));
        let events = r.events.iter().rev().map(|e| {
            let text = format!("{:+.1} s {}: {}", e.at_ms as f64 / 1e3, e.kind, e.text);
            Line::raw(plain(&text))
        });
        lines.extend(events.take(5));
    }
    lines
}

//! The lists: nodes, thresholds, errors by kind, events.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::model::Model;
use super::nodes::{Health, NodeRow};
use super::palette::Palette;
use super::panel::{panel, title};
use super::scale;
use vajra_core::protocol::event_kind::EventKind;
use vajra_report::text::plain;
use vajra_results::units;
use vajra_results::{ErrorEntry, Event, TestResult};

/// Draws the nodes, lost ones first, as many as fit.
pub fn nodes(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let nodes = m.node_rows();
    let counted = |health| nodes.iter().filter(|m| m.health == health).count();
    let active = counted(Health::Working) + counted(Health::Late);
    let mut spans = vec![
        Span::styled("nodes", p.strong()),
        Span::raw(format!(" {active} ")),
    ];
    for (health, word, style) in [
        (Health::Lost, "lost", p.bad()),
        (Health::Idle, "idle", p.dim()),
    ] {
        if counted(health) > 0 {
            spans.push(Span::styled(format!("{} {word} ", counted(health)), style));
        }
    }
    let inner = panel(frame, area, p, Line::from(spans), Line::default());
    let height = usize::from(inner.height);
    // The header takes one row if there are three, and the number of omitted nodes another.
    let titles = usize::from(height >= 3);
    let most = match nodes.len() + titles > height {
        true => height.saturating_sub(titles + 1),
        false => nodes.len(),
    };
    let mut rows: Vec<Row> = nodes.iter().take(most).map(|m| row(m, p)).collect();
    if nodes.len() > most && height > titles {
        let more = format!("{} more", nodes.len() - most);
        rows.push(Row::new([Cell::new(""), Cell::new(more)]).style(p.dim()));
    }
    let widths = [
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(7),
        Constraint::Length(9),
        Constraint::Length(9),
    ];
    let mut table = Table::new(rows, widths).column_spacing(1);
    if titles == 1 {
        let right = |text: &'static str| Cell::new(Line::from(text).right_aligned());
        let head = [
            Cell::new(""),
            Cell::new("name"),
            right("share"),
            right("rate"),
            right("lag p99"),
        ];
        table = table.header(Row::new(head).style(p.dim()));
    }
    frame.render_widget(table, inner);
}

fn row(m: &NodeRow, p: &Palette) -> Row<'static> {
    // Nodes without a share have a word in its column.
    let (mark, style, word) = match m.health {
        Health::Lost => ("✗", p.bad(), "lost"),
        Health::Late => ("!", p.warn(), "late"),
        Health::Working => ("●", p.good(), ""),
        Health::Left => ("○", p.dim(), "left"),
        Health::Idle => ("○", p.dim(), "idle"),
    };
    let mut name = vec![Span::raw(plain(&m.name))];
    if m.is_self {
        name.push(Span::styled(" (here)", p.dim()));
    }
    if m.coordinates {
        name.push(Span::styled(" ★", p.key()));
    }
    let busy = ["overloaded", "draining", "leaving"].contains(&m.status.as_str());
    match m.health {
        Health::Late => name.push(Span::styled(" late", style)),
        Health::Working if busy => name.push(Span::styled(format!(" {}", m.status), p.warn())),
        _ => {}
    }
    let share = m.share.map(|s| format!("{:.1} %", s * 100.0));
    let right = |text: String| Cell::new(Line::from(text).right_aligned());
    let row = Row::new([
        Cell::new(Span::styled(mark, style)),
        Cell::new(Line::from(name)),
        right(share.unwrap_or_else(|| word.to_owned())),
        right(m.rate.map_or(String::new(), scale::rate)),
        right(m.lag_p99.map_or(String::new(), units::time)),
    ]);
    match m.health {
        Health::Lost => row.style(p.bad()),
        Health::Idle | Health::Left => row.style(p.dim()),
        _ => row,
    }
}

/// Height of the thresholds panel with its title; 0 without thresholds.
pub fn thresholds_height(m: &Model) -> u16 {
    match m.result.as_ref().map_or(0, |r| r.thresholds.len()) {
        0 => 0,
        n => (n as u16).saturating_add(2).min(10),
    }
}

/// Draws the thresholds, failed ones first.
pub fn thresholds(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let Some(r) = m.result.as_ref().filter(|_| area.height > 1) else {
        return;
    };
    let right = Line::styled("provisional", p.dim());
    let inner = panel(frame, area, p, title(p, "thresholds"), right);
    let mut sorted: Vec<_> = r.thresholds.iter().collect();
    sorted.sort_by_key(|t| t.passed);
    let line = |t: &&vajra_results::ThresholdResult| {
        let (mark, style) = match t.passed {
            true => ("✓", p.good()),
            false => ("✗", p.bad()),
        };
        let value = vajra_results::format_measured(t);
        Line::from(vec![
            Span::styled(format!("{mark} "), style),
            Span::raw(plain(&t.threshold)),
            Span::styled(format!("   {value}"), style),
        ])
    };
    let lines: Vec<Line> = sorted.iter().map(line).collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

/// Height of the errors panel with its title; 0 without errors.
pub fn errors_height(m: &Model) -> u16 {
    match m.result.as_ref().map_or(0, |r| r.errors.len()) {
        0 => 0,
        n => (n as u16).saturating_add(2),
    }
}

/// Draws the errors, most frequent first.
pub fn errors(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let Some(r) = m.result.as_ref().filter(|_| area.height > 1) else {
        return;
    };
    let inner = panel(frame, area, p, title(p, "errors"), Line::default());
    let lines: Vec<Line> = r.errors.iter().map(|e| error(e, p)).collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

fn error(e: &ErrorEntry, p: &Palette) -> Line<'static> {
    Line::from(vec![
        Span::styled(format!("{:>9}  ", units::count(e.count)), p.bad()),
        Span::styled(format!("{} ", plain(e.kind.as_str())), p.strong()),
        Span::raw(plain(&e.message)),
    ])
}

/// Draws the events, newest first.
pub fn events(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let right = Line::styled("newest first", p.dim());
    let inner = panel(frame, area, p, title(p, "events"), right);
    if let Some(r) = &m.result {
        let lines: Vec<Line> = newest(r).map(|e| event(e, p)).collect();
        frame.render_widget(Paragraph::new(lines), inner);
    }
}

fn newest(r: &TestResult) -> impl Iterator<Item = &Event> {
    r.events.iter().rev()
}

fn event(e: &Event, p: &Palette) -> Line<'static> {
    let style = match e.kind {
        EventKind::Lost
        | EventKind::Threshold
        | EventKind::SetupFailed
        | EventKind::TeardownFailed => p.bad(),
        EventKind::StopRequested | EventKind::Paused => p.warn(),
        _ => p.strong(),
    };
    let at = e.at_ms as f64 / 1e3;
    Line::from(vec![
        Span::styled(format!("{at:>8.1} s  "), p.dim()),
        Span::styled(format!("{} ", plain(e.kind.as_str())), style),
        Span::raw(plain(&e.text)),
    ])
}

/// Draws errors and events in one panel, where there is space for only one. At least half of it
/// is for events, if there are enough.
pub fn errors_and_events(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let failed = m.result.as_ref().map_or(0, |r| r.errors.len());
    let word = match failed {
        0 => "events",
        _ => "errors, events",
    };
    let inner = panel(frame, area, p, title(p, word), Line::default());
    let Some(r) = &m.result else {
        return;
    };
    let height = usize::from(inner.height);
    let events = r.events.len().min(height / 2);
    let errors = r.errors.iter().take(height - events).map(|e| error(e, p));
    let lines: Vec<Line> = errors.chain(newest(r).map(|e| event(e, p))).collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

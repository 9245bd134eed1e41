//! The lines above and below the panels: test, progress and verdict; keys.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::model::{Model, Role};
use super::palette::Palette;
use super::scale;
use vajra_report::text::plain;
use vajra_results::units;

/// Three lines: title and state, progress of the plan, provisional verdict.
pub fn draw(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let [first, second, third] = Layout::vertical([Constraint::Length(1); 3]).areas(area);
    let state = state(m, p);
    sides(frame, first, name(m, p), state);
    plan(frame, second, m, p);
    let (verdict, swarm) = (verdict(m, p), swarm(m, p));
    // A reason is shown only here, the swarm also by the nodes panel.
    match verdict.width() + swarm.width() < usize::from(third.width) {
        true => sides(frame, third, verdict, swarm),
        false => frame.render_widget(Paragraph::new(verdict), third),
    }
}

/// Two lines side by side; the left one is cut off to make space for the right one.
fn sides(frame: &mut Frame, area: Rect, left: Line, right: Line) {
    let needed = (right.width() as u16 + 1).min(area.width);
    let [a, b] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(needed)]).areas(area);
    frame.render_widget(Paragraph::new(left), a);
    frame.render_widget(Paragraph::new(right).alignment(Alignment::Right), b);
}

fn name(m: &Model, p: &Palette) -> Line<'static> {
    let mut spans = vec![Span::styled("vajra  ", p.key())];
    match &m.result {
        Some(r) => {
            if let Some(name) = &r.name {
                spans.push(Span::styled(format!("{}  ", plain(name)), p.strong()));
            }
            spans.push(Span::raw(plain(&r.target)));
        }
        None => spans.push(Span::raw(format!("test {}", m.id))),
    }
    Line::from(spans)
}

fn state(m: &Model, p: &Palette) -> Line<'static> {
    let paused = m
        .plan
        .as_ref()
        .is_some_and(|plan| m.started() && plan.paused_at(m.elapsed_s()));
    let is_absent = m
        .result
        .as_ref()
        .is_some_and(|r| r.no_coordinator.is_some());
    let (word, style) = match m.state() {
        "" => ("…", p.dim()),
        "running" | "stopping" if is_absent => ("no coordinator", p.bad()),
        "running" if paused => ("paused", p.warn()),
        "running" if !m.started() => ("starting", p.good()),
        "running" => ("running", p.good()),
        "stopping" => ("stopping", p.warn()),
        "electing" => ("electing", p.key()),
        "registering" => ("registering", p.key()),
        _ => ("ended", p.strong()),
    };
    let mut spans = vec![Span::styled(word, style)];
    if let Some(stale) = m.stale_for() {
        let text = format!("  no update for {} s", stale.as_secs());
        spans.push(Span::styled(text, p.bad()));
    }
    Line::from(spans)
}

/// A bar with marks at the starts of stages, and the current stage.
fn plan(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let clock = format!(
        "{:.1}/{} ",
        m.elapsed_s().max(0.0),
        scale::instant(m.duration_s())
    );
    let stage = stage(m);
    let available = usize::from(area.width);
    let used = clock.chars().count() + stage.chars().count() + 2;
    let width = available.saturating_sub(used);
    let mut spans = vec![Span::styled(format!("{clock} "), p.strong())];
    if width >= 8 {
        spans.extend(bar(m, p, width));
    }
    spans.push(Span::raw(format!(" {stage}")));
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

/// A bar of `width` cells.
pub(super) fn bar(m: &Model, p: &Palette, width: usize) -> Vec<Span<'static>> {
    let (done, bounds) = match &m.plan {
        Some(plan) => (done(m), plan.bounds()),
        None => (0.0, Vec::new()),
    };
    let filled = (done * width as f64).round() as usize;
    let cell = |i: usize| {
        let notch = bounds.iter().any(|at| (at * width as f64) as usize == i);
        match (i < filled, notch) {
            (true, true) => '┿',
            (true, false) => '━',
            (false, true) => '┼',
            (false, false) => '─',
        }
    };
    let cells = |from: usize, to: usize| (from..to).map(cell).collect::<String>();
    vec![
        Span::styled(cells(0, filled), p.achieved()),
        Span::styled(cells(filled, width), p.dim()),
    ]
}

/// Completed share of the plan, by time or by number of requests: 0 to 1.
fn done(m: &Model) -> f64 {
    let Some(plan) = &m.plan else { return 0.0 };
    if !m.started() {
        return 0.0;
    }
    let by_time = plan.done(m.elapsed_s());
    let sent = m.progress.as_ref().map_or(0, |p| p.sent);
    match plan.requests {
        Some(most) if most > 0 => by_time.max(sent as f64 / most as f64).min(1.0),
        _ => by_time,
    }
}

fn stage(m: &Model) -> String {
    let Some(plan) = m.plan.as_ref().filter(|_| m.started()) else {
        return String::new();
    };
    if m.state() == "stopping" {
        return "waiting for the last responses".to_owned();
    }
    let Some(now) = plan.now(m.elapsed_s()) else {
        return "waiting for the last responses".to_owned();
    };
    let number = match now.of {
        1 => String::new(),
        of => format!("{}/{of} ", now.number),
    };
    let left = scale::instant(now.remaining.as_secs_f64().ceil());
    match now.paused {
        true => format!("{number}{}, paused", now.name),
        false => format!("{number}{}, {left} left", now.name),
    }
}

fn verdict(m: &Model, p: &Palette) -> Line<'static> {
    let Some(r) = m.result.as_ref().filter(|_| m.started()) else {
        return Line::default();
    };
    let mut spans = Vec::new();
    let failed = r.thresholds.iter().filter(|t| !t.passed).count();
    if !r.thresholds.is_empty() {
        let (text, style) = match failed {
            0 => (
                format!("all {} thresholds passed", r.thresholds.len()),
                p.good(),
            ),
            n => (
                format!("{n} of {} thresholds failed", r.thresholds.len()),
                p.bad(),
            ),
        };
        spans.extend([Span::styled(text, style), Span::raw("  ")]);
    }
    spans.push(match r.reasons.first() {
        None => Span::styled("valid so far", p.good()),
        Some(why) => Span::styled(plain(why), p.warn()),
    });
    Line::from(spans)
}

fn swarm(m: &Model, p: &Palette) -> Line<'static> {
    let mut words = Vec::new();
    if let Some((name, term)) = m.coordinator() {
        words.push(format!("coordinator {}, term {term}", short(&name)));
    }
    if let Some(lag) = m.history.last().and_then(|s| s.lag_p99) {
        words.push(format!("lag p99 {}", units::time(lag)));
    }
    Line::styled(words.join("  "), p.dim())
}

/// A name, shortened to 20 characters.
fn short(name: &str) -> String {
    let name = plain(name);
    match name.chars().count() > 20 {
        true => format!("{}…", name.chars().take(19).collect::<String>()),
        false => name,
    }
}

/// The keys, or the state of stopping.
pub fn footer(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    if let Some(text) = stopping(m) {
        frame.render_widget(Paragraph::new(text).style(p.alert()), area);
        return;
    }
    let mut spans = Vec::new();
    let mut key = |key: &'static str, action: &'static str| {
        spans.push(Span::styled(key, p.key()));
        spans.push(Span::raw(format!(" {action}  ")));
    };
    match m.role {
        Role::Owner => {
            key("q", "stop");
            key("p", "pause");
            key("r", "resume");
        }
        Role::Watcher => key("q", "leave"),
    }
    key("z", "zoom");
    key("?", "help");
    let note = m.note().map(plain).unwrap_or_default();
    let keys = Line::from(spans);
    let needed = (keys.width() as u16).min(area.width);
    let [a, b] = Layout::horizontal([Constraint::Length(needed), Constraint::Fill(1)]).areas(area);
    frame.render_widget(Paragraph::new(keys), a);
    let note = Paragraph::new(note).style(note_style(p));
    frame.render_widget(note.alignment(Alignment::Right), b);
}

fn note_style(p: &Palette) -> Style {
    p.warn()
}

/// The effect of `q` and Ctrl-C so far, and of the next one.
pub(super) fn stopping(m: &Model) -> Option<&'static str> {
    match (m.role, m.stop_requests) {
        (_, 0) | (Role::Watcher, _) => None,
        (_, 1) => Some("stopping: waiting for requests in flight; Ctrl-C again stops at once"),
        (_, _) => Some("stopping at once; Ctrl-C again exits without waiting"),
    }
}

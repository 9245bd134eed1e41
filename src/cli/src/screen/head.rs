//! The lines above and below the panels: which test, how far, how it looks; and the keys.

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

/// Three lines: title and state, the plan's progress, the verdict so far.
pub fn draw(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let [first, second, third] = Layout::vertical([Constraint::Length(1); 3]).areas(area);
    let state = state(m, p);
    sides(frame, first, name(m, p), state);
    plan(frame, second, m, p);
    let (verdict, swarm) = (verdict(m, p), swarm(m, p));
    // Both are told by the nodes, too; a reason is told here only.
    match verdict.width() + swarm.width() < usize::from(third.width) {
        true => sides(frame, third, verdict, swarm),
        false => frame.render_widget(Paragraph::new(verdict), third),
    }
}

/// A line on the left, as far as the one on the right leaves room.
fn sides(frame: &mut Frame, area: Rect, left: Line, right: Line) {
    let wanted = (right.width() as u16 + 1).min(area.width);
    let [a, b] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(wanted)]).areas(area);
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
        .is_some_and(|plan| m.begun() && plan.paused_at(m.elapsed_s()));
    let (word, style) = match m.state() {
        "" => ("…", p.dim()),
        "running" if paused => ("paused", p.warn()),
        "running" if !m.begun() => ("about to start", p.good()),
        "running" => ("running", p.good()),
        "stopping" => ("stopping", p.warn()),
        "electing" => ("electing", p.key()),
        "registering" => ("registering", p.key()),
        _ => ("ended", p.strong()),
    };
    let mut spans = vec![Span::styled(word, style)];
    if let Some(silence) = m.silence() {
        let text = format!("  no news for {} s", silence.as_secs());
        spans.push(Span::styled(text, p.bad()));
    }
    Line::from(spans)
}

/// A bar with a notch where a stage begins, and what is on.
fn plan(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let clock = format!(
        "{:.1}/{} ",
        m.elapsed_s().max(0.0),
        scale::instant(m.duration_s())
    );
    let stage = stage(m);
    let room = usize::from(area.width);
    let taken = clock.chars().count() + stage.chars().count() + 2;
    let width = room.saturating_sub(taken);
    let mut spans = vec![Span::styled(format!("{clock} "), p.strong())];
    if width >= 8 {
        spans.extend(bar(m, p, width));
    }
    spans.push(Span::raw(format!(" {stage}")));
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

/// The bar: so many cells.
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

/// How much of the plan is done, by its time or by its number of requests: 0 to 1.
fn done(m: &Model) -> f64 {
    let Some(plan) = &m.plan else { return 0.0 };
    if !m.begun() {
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
    let Some(plan) = m.plan.as_ref().filter(|_| m.begun()) else {
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
    let left = scale::instant(now.left.as_secs_f64().ceil());
    match now.paused {
        true => format!("{number}{}, paused", now.name),
        false => format!("{number}{}, {left} left", now.name),
    }
}

fn verdict(m: &Model, p: &Palette) -> Line<'static> {
    let Some(r) = m.result.as_ref().filter(|_| m.begun()) else {
        return Line::default();
    };
    let mut spans = Vec::new();
    let broken = r.thresholds.iter().filter(|t| !t.passed).count();
    if !r.thresholds.is_empty() {
        let (text, style) = match broken {
            0 => (
                format!("thresholds hold ({})", r.thresholds.len()),
                p.good(),
            ),
            n => (
                format!("{n} of {} thresholds broken", r.thresholds.len()),
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

/// A name that leaves room for what else is on its line.
fn short(name: &str) -> String {
    let name = plain(name);
    match name.chars().count() > 20 {
        true => format!("{}…", name.chars().take(19).collect::<String>()),
        false => name,
    }
}

/// The keys, or what the end waits for.
pub fn footer(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    if let Some(text) = stopping(m) {
        frame.render_widget(Paragraph::new(text).style(p.alert()), area);
        return;
    }
    let mut spans = Vec::new();
    let mut key = |key: &'static str, does: &'static str| {
        spans.push(Span::styled(key, p.key()));
        spans.push(Span::raw(format!(" {does}  ")));
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
    let wanted = (keys.width() as u16).min(area.width);
    let [a, b] = Layout::horizontal([Constraint::Length(wanted), Constraint::Fill(1)]).areas(area);
    frame.render_widget(Paragraph::new(keys), a);
    let note = Paragraph::new(note).style(note_style(p));
    frame.render_widget(note.alignment(Alignment::Right), b);
}

fn note_style(p: &Palette) -> Style {
    p.warn()
}

/// What was asked for by `q` and Ctrl-C, and what they do next.
pub(super) fn stopping(m: &Model) -> Option<&'static str> {
    match (m.role, m.asked_to_stop) {
        (_, 0) | (Role::Watcher, _) => None,
        (_, 1) => Some("stopping: waiting for requests in flight; Ctrl-C again stops at once"),
        (_, _) => Some("stopping at once; Ctrl-C again gives up on the test"),
    }
}

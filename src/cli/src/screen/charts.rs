//! The two charts over time, one above the other on the same time axis: actual and planned rate,
//! and response times.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Paragraph};

use super::history::Sample;
use super::model::{Model, Span as Over};
use super::palette::Palette;
use super::panel::panel;
use super::scale;
use vajra_plan as plan;
use vajra_results::units;

/// Tests up to this length in seconds are shown completely by default.
const SHORT_S: f64 = 600.0;
/// Latest part of a longer test, in seconds.
const RECENT_S: f64 = 300.0;
/// Latest part of a short test, in seconds.
const RECENT_OF_SHORT_S: f64 = 30.0;
/// Label width of both vertical axes, so that the charts are aligned.
const LABEL: usize = 7;

type Dots = Vec<(f64, f64)>;
/// The value of a sample that a curve shows.
type Value = fn(&Sample) -> Option<f64>;

/// Time range of the charts, in seconds after the start.
pub(super) fn window(m: &Model) -> (f64, f64) {
    let (elapsed, duration) = (m.elapsed_s().max(0.0), m.duration_s());
    let whole = (0.0, duration.max(elapsed).max(1.0));
    let long = duration > SHORT_S;
    let length = match (m.span, long) {
        (Some(Over::Whole), _) | (None, false) => return whole,
        (Some(Over::Recent) | None, true) => RECENT_S,
        (Some(Over::Recent), false) => RECENT_OF_SHORT_S,
    };
    let to = elapsed.max(length).min(whole.1.max(length));
    (to - length, to)
}

/// The span that is not shown now.
pub fn other_span(m: &Model) -> Over {
    match window(m).0 > 0.0 || m.span == Some(Over::Recent) {
        true => Over::Whole,
        false if m.span.is_none() && m.duration_s() > SHORT_S => Over::Whole,
        false => Over::Recent,
    }
}

/// Draws the rate chart.
pub fn rates(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let title = fitting(rate_title(m, p), area.width);
    let inner = panel(frame, area, p, title, Line::default());
    if !m.started() {
        return waiting(frame, inner, m, p);
    }
    let (from, to) = window(m);
    let samples = m.history.since(from);
    // The planned curve comes from the plan, as it also shows the future.
    let planned: Dots = match m.plan.as_ref().filter(|_| has_planned_rate(m)) {
        Some(plan) => {
            // Only the left one of the two dots of each cell, so that the line is dotted.
            let cells = u32::from(inner.width)
                .saturating_sub(LABEL as u32 + 1)
                .max(1);
            let dots = f64::from(2 * cells - 1);
            let at = |cell: u32| from + (to - from) * (f64::from(2 * cell) + 0.01) / dots;
            (0..cells).map(at).map(|s| (s, plan.level_at(s))).collect()
        }
        None => Vec::new(),
    };
    let sent = middles(samples, |s| Some(s.rate)).concat();
    let failed = match samples.iter().any(|s| s.failed > 0.0) {
        true => middles(samples, |s| Some(s.failed)).concat(),
        false => Vec::new(),
    };
    let highest = planned
        .iter()
        .chain(&sent)
        .map(|(_, y)| *y)
        .fold(0.0, f64::max);
    let top = scale::ceiling(highest);
    let sets = vec![
        line(&planned, p.planned(), p).graph_type(GraphType::Scatter),
        line(&failed, p.bad(), p),
        line(&sent, p.achieved(), p),
    ];
    let axes = Axes {
        x: (from, to),
        y: (0.0, top),
        labels: [0.0, top / 2.0, top].map(scale::number),
        instants: false,
    };
    chart(frame, inner, p, sets, axes);
}

/// Removes the last parts of a title until it fits.
fn fitting(mut title: Line<'static>, width: u16) -> Line<'static> {
    while title.width() > usize::from(width) && title.spans.len() > 1 {
        title.spans.pop();
    }
    title
}

fn rate_title(m: &Model, p: &Palette) -> Line<'static> {
    let mut spans = vec![Span::styled("rate", p.strong()), Span::raw(" ")];
    let Some(progress) = m.progress.as_ref().filter(|_| m.started()) else {
        return Line::from(spans);
    };
    let now = m.history.last().map_or(progress.rate, |s| s.rate);
    spans.push(Span::styled(
        format!("━ {} ", scale::rate(now)),
        p.achieved(),
    ));
    if progress.planned > 0.0 {
        let text = format!("planned {} ", scale::rate(progress.planned));
        spans.push(Span::styled(text, p.dim()));
    }
    if progress.users > 0 {
        let text = format!("by {} users ", units::count(progress.users.into()));
        spans.push(Span::styled(text, p.dim()));
    }
    match m.history.last() {
        Some(s) if s.failed > 0.0 => {
            let text = format!("━ failed {} ", scale::rate(s.failed));
            spans.push(Span::styled(text, p.bad()));
        }
        _ => {}
    }
    Line::from(spans)
}

/// Whether the plan defines requests per second, and not users or iterations of a scenario.
fn has_planned_rate(m: &Model) -> bool {
    let open = m
        .plan
        .as_ref()
        .is_some_and(|p| p.model == plan::Model::Open);
    open && m.result.as_ref().is_some_and(|r| r.steps.is_empty())
}

/// Draws the response time chart. Its axis is logarithmic, so that usual times remain visible during
/// a stall.
pub fn times(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let (from, to) = window(m);
    let samples = m.history.since(from);
    let last = samples.last().copied().unwrap_or_default();
    let mut spans = vec![Span::styled("response time", p.strong()), Span::raw(" ")];
    let curves: [(&str, Value, Style); 3] = [
        ("max", |s| s.max, p.max()),
        ("p99", |s| s.p99, p.p99()),
        ("p50", |s| s.p50, p.p50()),
    ];
    for (name, of, style) in curves.iter().rev() {
        if let Some(ms) = of(&last).filter(|_| m.started()) {
            let text = format!("━ {name} {} ", units::time(ms));
            spans.push(Span::styled(text, *style));
        }
    }
    let title = fitting(Line::from(spans), area.width);
    let inner = panel(frame, area, p, title, Line::default());
    let all = || {
        let each = samples.iter().flat_map(|s| [s.p50, s.p99, s.max]);
        each.flatten().filter(|ms| *ms > 0.0)
    };
    let (low, high) = (
        scale::round_down(all().fold(f64::INFINITY, f64::min)),
        scale::round_up(all().fold(0.0, f64::max)),
    );
    if all().next().is_none() || !m.started() {
        return;
    }
    let high = high.max(low * 2.0);
    let runs = |of: Value| {
        middles(samples, move |s| {
            of(s).filter(|ms| *ms > 0.0).map(f64::log10)
        })
    };
    let curves: Vec<(Vec<Dots>, Style)> = curves
        .into_iter()
        .map(|(_, of, style)| (runs(of), style))
        .collect();
    let sets = curves.iter().flat_map(|(runs, style)| {
        let each = runs.iter().filter(|run| !run.is_empty());
        each.map(|run| line(run, *style, p))
    });
    let axes = Axes {
        x: (from, to),
        y: (low.log10(), high.log10()),
        labels: [low, (low * high).sqrt(), high].map(scale::time),
        instants: true,
    };
    chart(frame, inner, p, sets.collect(), axes);
}

/// Points at the middle of each sample. Samples without a value separate the runs.
fn middles(samples: &[Sample], of: impl Fn(&Sample) -> Option<f64>) -> Vec<Dots> {
    let mut runs: Vec<Dots> = vec![Vec::new()];
    for s in samples {
        match (of(s), runs.last_mut()) {
            (Some(y), Some(run)) => run.push(((s.from_s + s.to_s) / 2.0, y)),
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs
}

fn line<'a>(dots: &'a [(f64, f64)], style: Style, p: &Palette) -> Dataset<'a> {
    Dataset::default()
        .data(dots)
        .marker(p.marker)
        .graph_type(match dots.len() {
            1 => GraphType::Scatter,
            _ => GraphType::Line,
        })
        .style(style)
}

/// Axes of a chart.
struct Axes {
    /// Time range, in seconds after the start.
    x: (f64, f64),
    y: (f64, f64),
    /// Labels of the vertical axis: bottom, middle, top.
    labels: [String; 3],
    /// Whether the time axis has labels.
    instants: bool,
}

fn chart(frame: &mut Frame, area: Rect, p: &Palette, sets: Vec<Dataset>, axes: Axes) {
    let ((from, to), labels) = (axes.x, axes.labels);
    let label = |text: &String| Line::from(format!("{text:>LABEL$}"));
    // Three labels with a row between them need five rows.
    let labels: Vec<Line> = match area.height >= 5 {
        true => labels.iter().map(label).collect(),
        false => vec![label(&labels[0]), label(&labels[2])],
    };
    let mut x = Axis::default().bounds([from, to]).style(p.dim());
    if axes.instants {
        let instants = [from, (from + to) / 2.0, to].map(scale::instant);
        x = x.labels(instants);
    }
    let y = Axis::default()
        .bounds([axes.y.0, axes.y.1])
        .labels(labels)
        .style(p.dim());
    let chart = Chart::new(sets).x_axis(x).y_axis(y).legend_position(None);
    frame.render_widget(chart, area);
}

/// Shows the start-up state in the middle of the rate chart.
fn waiting(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let [_, middle, _] = Layout::vertical([
        Constraint::Fill(1),
        Constraint::Length(1),
        Constraint::Fill(1),
    ])
    .areas(area);
    let text = Paragraph::new(startup_state(m)).style(p.strong());
    frame.render_widget(text.alignment(Alignment::Center), middle);
}

/// What the test waits for before its load starts.
pub(super) fn startup_state(m: &Model) -> String {
    let nodes = match m.nodes.healthy() {
        0 => "the nodes".to_owned(),
        1 => "one node".to_owned(),
        n => format!("{n} nodes"),
    };
    match m.state() {
        "" => "waiting for the first update".to_owned(),
        "electing" => format!("electing a coordinator among {nodes}"),
        "registering" => match m.coordinator() {
            Some((name, _)) => format!("coordinator {name} is waiting for {nodes} to register"),
            None => format!("waiting for {nodes} to register"),
        },
        "running" | "stopping" => {
            let elapsed = m.elapsed_s();
            match elapsed < 0.0 {
                true => format!("starting in {:.1} s", -elapsed),
                false => "assigning shares; starting".to_owned(),
            }
        }
        _ => "the test has ended; fetching the result".to_owned(),
    }
}

//! Layout of the view for all terminal sizes. Pure functions of the model.
//!
//! | size | layout |
//! |---|---|
//! | below 50×14 | lines, the most important first |
//! | below 150×36 | charts on the left, numbers on the right, three rows |
//! | above | charts on the left at full height, five panels on the right |

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Margin, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::model::{Model, Role};
use super::palette::Palette;
use super::{charts, compact, head, lists, numbers};

/// Draws the view.
pub fn draw(frame: &mut Frame, m: &Model, p: &Palette) {
    let area = frame.area();
    if area.is_empty() {
        return;
    }
    if area.width < 50 || area.height < 14 {
        compact::draw(frame, area, m, p);
    } else {
        let [top, body, foot] = Layout::vertical([
            Constraint::Length(3),
            Constraint::Fill(1),
            Constraint::Length(1),
        ])
        .areas(area.inner(Margin::new(1, 0)));
        head::draw(frame, top, m, p);
        match area.width >= 150 && area.height >= 36 {
            true => large(frame, body, m, p),
            false => normal(frame, body, m, p),
        }
        head::footer(frame, foot, m, p);
    }
    if m.help {
        help(frame, area, m, p);
    }
}

fn columns(area: Rect, left: u16) -> [Rect; 2] {
    let [left, _, right] = Layout::horizontal([
        Constraint::Percentage(left),
        Constraint::Length(2),
        Constraint::Fill(1),
    ])
    .areas(area);
    [left, right]
}

fn normal(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    // The lists take the height that they need, up to a third.
    let nodes = m.node_rows().len() as u16;
    let third = area.height / 3;
    let bottom = (nodes + 2).clamp(4.min(third), third.max(1));
    let [rates, times, bottom] = Layout::vertical([
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Length(bottom),
    ])
    .areas(area);
    let [left, right] = columns(rates, 58);
    charts::rates(frame, left, m, p);
    numbers::draw(frame, right, m, p);
    let [left, right] = columns(times, 58);
    charts::times(frame, left, m, p);
    numbers::distribution(frame, right, m, p);
    let [left, right] = columns(bottom, 58);
    lists::nodes(frame, left, m, p);
    lists::errors_and_events(frame, right, m, p);
}

fn large(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let [left, right] = columns(area, 56);
    let [rates, times] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(left);
    charts::rates(frame, rates, m, p);
    charts::times(frame, times, m, p);

    let thresholds = lists::thresholds_height(m);
    let nodes = m.node_rows().len() as u16;
    let [top, nodes, criteria, errors, events] = Layout::vertical([
        Constraint::Length(numbers::ROWS + 3),
        Constraint::Length((nodes + 3).min(area.height / 3)),
        Constraint::Length(thresholds),
        Constraint::Length(lists::errors_height(m).min(area.height / 4)),
        Constraint::Fill(1),
    ])
    .areas(right);
    let [figures, distribution] = columns(top, 46);
    numbers::draw(frame, figures, m, p);
    numbers::distribution(frame, distribution, m, p);
    lists::nodes(frame, nodes, m, p);
    lists::thresholds(frame, criteria, m, p);
    lists::errors(frame, errors, m, p);
    lists::events(frame, events, m, p);
}

fn help(frame: &mut Frame, area: Rect, m: &Model, p: &Palette) {
    let ends = match m.role {
        Role::Owner => "stop after the requests in flight; again: at once; third time: exit",
        Role::Watcher => "leave; the test continues",
    };
    let mut keys = vec![("q, Ctrl-C", ends)];
    if m.role == Role::Owner {
        keys.push(("p", "pause the load and the plan's clock"));
        keys.push(("r", "resume"));
    }
    keys.extend([
        ("z", "zoom: charts of the whole test, or of its latest part"),
        ("Ctrl-L", "redraw the screen"),
        ("Ctrl-Z", "suspend; `fg` continues"),
        ("?", "this help; any key closes it"),
    ]);
    let mut lines: Vec<Line> = keys
        .into_iter()
        .map(|(key, does)| {
            Line::from(vec![
                Span::styled(format!("{key:<10} "), p.key()),
                Span::raw(does),
            ])
        })
        .collect();
    lines.push(Line::default());
    lines.extend(
        [
            "Response times count from the instant a request was due, so they include stalls of \
             the target. Lag is the generator's own delay.",
            "Totals and nodes are updated every two seconds, all other values every second.",
        ]
        .map(Line::from),
    );
    let width = area.width.min(78);
    let text_width = usize::from(width.saturating_sub(4).max(1));
    let rows: usize = lines
        .iter()
        .map(|l| l.width().div_ceil(text_width).max(1))
        .sum();
    let height = (rows as u16 + 3).min(area.height);
    let at = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, at);
    let block = Block::bordered()
        .title(Span::styled(" keys ", p.strong()))
        .padding(ratatui::widgets::Padding::horizontal(1));
    let text = Paragraph::new(lines).wrap(Wrap { trim: true }).block(block);
    frame.render_widget(text, at);
}

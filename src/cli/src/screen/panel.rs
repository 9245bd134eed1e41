//! Panels: a rule with a title, and an area below it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders};

use super::palette::Palette;

/// Draws the rule of a panel with a title on the left and on the right. Returns the area below it.
pub fn panel(frame: &mut Frame, area: Rect, p: &Palette, title: Line, right: Line) -> Rect {
    let block = Block::new()
        .borders(Borders::TOP)
        .border_style(p.dim())
        .title_style(p.undimmed())
        .title_top(title)
        .title_top(right.right_aligned());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

/// A title in bold.
pub fn title<'a>(p: &Palette, word: &'a str) -> Line<'a> {
    Line::from(vec![Span::styled(word, p.strong()), Span::raw(" ")])
}

//! Lays text out: cut, wrapped, or in columns. Widths are columns of the terminal, of which CJK
//! characters and emoji take two.

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Indentation of all text.
pub(super) const MARGIN: &str = "  ";

/// Widest line of wrapped text, in columns: the width of every terminal. Tables are wider.
const LINE: usize = 80;

/// Gap between two columns of a table.
const GAP: &str = "  ";

/// Replaces the characters that a terminal does not print as text, control characters and changes
/// of the text direction, by U+FFFD.
pub fn plain(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| match c.is_control() || turns(c) {
            true => '\u{fffd}',
            false => c,
        })
        .collect()
}

/// [`plain`] text of at most `most` columns; if it is cut, it ends with `…`.
pub(super) fn fit(text: &str, most: usize) -> String {
    let text = plain(text);
    if text.width() <= most {
        return text;
    }
    let mut width = 0;
    let kept: String = text
        .chars()
        .take_while(|c| {
            width += c.width().unwrap_or(0);
            width < most
        })
        .collect();
    format!("{}…", kept.trim_end())
}

/// [`plain`] text at the left of a field of `width` columns; longer text is cut.
pub(super) fn pad(text: &str, width: usize) -> String {
    let text = fit(text, width);
    let gap = width.saturating_sub(text.width());
    text + &" ".repeat(gap)
}

/// [`plain`] text after `first`, wrapped between words and indented by the width of `first`.
pub(super) fn wrap(first: &str, text: &str) -> String {
    let indent = " ".repeat(first.width());
    let words: Vec<String> = text.split_whitespace().map(plain).collect();
    let options = Options::new(LINE.max(indent.len() + 2))
        .initial_indent(&indent)
        .subsequent_indent(&indent)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    let wrapped = textwrap::fill(&words.join(" "), options);
    format!(
        "{first}{}\n",
        wrapped.get(indent.len()..).unwrap_or_default()
    )
}

/// Alignment of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// A table with column titles.
pub(super) fn table<const N: usize>(head: [(&str, Align); N], rows: &[[String; N]]) -> String {
    let titles = head.map(|(title, _)| title.to_owned());
    let widths: [usize; N] = std::array::from_fn(|i| {
        let cells = rows.iter().map(|r| r[i].width());
        cells.chain([titles[i].width()]).max().unwrap_or(0)
    });
    let mut out = String::new();
    for row in std::iter::once(&titles).chain(rows) {
        let mut line = MARGIN.to_owned();
        for (i, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[i] - cell.width());
            match head[i].1 {
                Align::Left => line.extend([cell.as_str(), &pad, GAP]),
                Align::Right => line.extend([pad.as_str(), cell, GAP]),
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_and_ends_with_an_ellipsis() {
        assert_eq!(fit("checkout", 8), "checkout");
        assert_eq!(fit("checkouts", 8), "checkou…");
        assert_eq!(fit("ünïcödé…s", 8), "ünïcödé…");
    }

    #[test]
    fn cjk_and_emoji_are_cut_by_their_width() {
        assert_eq!(fit("負荷試験", 8), "負荷試験");
        assert_eq!(fit("負荷試験s", 8), "負荷試…");
        assert_eq!(fit("🚀🚀🚀", 5), "🚀🚀…");
        assert_eq!(pad("負荷", 6), "負荷  ");
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(
            plain("a\u{1b}[2Jb\u{202e}c\n"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}"
        );
    }

    #[test]
    fn long_text_is_wrapped_between_words_and_indented() {
        let words = "word ".repeat(30);
        let wrapped = wrap("    - ", &words);
        let lines: Vec<&str> = wrapped.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("    - word") && lines[1].starts_with("      word"));
        assert!(lines.iter().all(|l| l.width() <= LINE), "{wrapped}");
        assert_eq!(wrapped.split_whitespace().count(), 31);
    }

    #[test]
    fn a_word_wider_than_the_line_is_broken() {
        let wrapped = wrap("  ", &format!("x {}", "y".repeat(250)));
        assert!(wrapped.lines().all(|l| l.width() <= LINE), "{wrapped}");
        assert_eq!(wrapped.matches('y').count(), 250);
    }

    #[test]
    fn wide_characters_are_wrapped_by_their_width() {
        let wrapped = wrap("  名前  ", &"試験🚀".repeat(40));
        assert!(wrapped.lines().all(|l| l.width() <= LINE), "{wrapped}");
        assert!(wrapped.lines().count() >= 4, "{wrapped}");
        assert_eq!(wrapped.matches('🚀').count(), 40);
    }

    #[test]
    fn columns_are_aligned_under_their_titles() {
        let rows = [["a".into(), "1".into()], ["bcd".into(), "12,345".into()]];
        assert_eq!(
            table([("name", Align::Left), ("sent", Align::Right)], &rows),
            "  name    sent\n  a          1\n  bcd   12,345\n"
        );
    }

    #[test]
    fn columns_with_cjk_and_emoji_are_aligned() {
        let rows = [
            ["東京".into(), "1".into()],
            ["node 🚀".into(), "12,345".into()],
            ["n".into(), "7".into()],
        ];
        assert_eq!(
            table([("name", Align::Left), ("sent", Align::Right)], &rows),
            "  name       sent\n  東京          1\n  node 🚀  12,345\n  n             7\n"
        );
    }
}

//! Text within the page: cut, wrapped, in columns.

/// Indentation of everything.
pub(super) const MARGIN: &str = "  ";

/// Longest line of text that is wrapped: what every terminal has. Tables are wider.
const LINE: usize = 80;

/// Between two columns.
const GAP: &str = "  ";

/// Text, and nothing that a terminal would take for more than text: control characters, and
/// those that turn the direction of what follows, are shown as unknown ones.
pub fn plain(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| match c.is_control() || turns(c) {
            true => '\u{fffd}',
            false => c,
        })
        .collect()
}

/// [`plain`] text of at most `most` characters; where some are left out, it ends with `…`.
pub(super) fn fit(text: &str, most: usize) -> String {
    let text = plain(text);
    if text.chars().count() <= most {
        return text;
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// [`plain`] text broken between words so that no line is wider than the page; lines after
/// the first are indented as far as `first` is long.
pub(super) fn wrap(first: &str, text: &str) -> String {
    let indent = first.chars().count();
    let room = LINE.saturating_sub(indent).max(1);
    let mut out = first.to_owned();
    let mut used = 0;
    for word in plain(text).split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + word.len() > room {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        while word.len() > room {
            out.extend(word.drain(..room));
            out.push('\n');
            out.push_str(&" ".repeat(indent));
        }
        used += word.len();
        out.extend(word);
    }
    out.push('\n');
    out
}

/// To which side a column is aligned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// A table under its titles; every row has a cell for each.
pub(super) fn table<const N: usize>(head: [(&str, Align); N], rows: &[[String; N]]) -> String {
    let titles = head.map(|(title, _)| title.to_owned());
    let width = |s: &str| s.chars().count();
    let widths: [usize; N] = std::array::from_fn(|i| {
        let cells = rows.iter().map(|r| width(&r[i]));
        cells.chain([width(&titles[i])]).max().unwrap_or(0)
    });
    let mut out = String::new();
    for row in std::iter::once(&titles).chain(rows) {
        let mut line = MARGIN.to_owned();
        for (i, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[i] - width(cell));
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
    fn what_does_not_fit_is_cut_and_says_so() {
        assert_eq!(fit("checkout", 8), "checkout");
        assert_eq!(fit("checkouts", 8), "checkou…");
        assert_eq!(fit("ünïcödé…s", 8), "ünïcödé…");
    }

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        assert_eq!(
            plain("a\u{1b}[2Jb\u{202e}c\n"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}"
        );
    }

    #[test]
    fn long_text_is_wrapped_between_words_under_its_beginning() {
        let words = "word ".repeat(30);
        let wrapped = wrap("    - ", &words);
        let lines: Vec<&str> = wrapped.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("    - word") && lines[1].starts_with("      word"));
        assert!(lines.iter().all(|l| l.chars().count() <= LINE), "{wrapped}");
        assert_eq!(wrapped.split_whitespace().count(), 31);
    }

    #[test]
    fn a_word_wider_than_the_page_is_broken() {
        let wrapped = wrap("  ", &format!("x {}", "y".repeat(250)));
        assert!(
            wrapped.lines().all(|l| l.chars().count() <= LINE),
            "{wrapped}"
        );
        assert_eq!(wrapped.matches('y').count(), 250);
    }

    #[test]
    fn columns_are_aligned_under_their_titles() {
        let rows = [["a".into(), "1".into()], ["bcd".into(), "12,345".into()]];
        assert_eq!(
            table([("name", Align::Left), ("sent", Align::Right)], &rows),
            "  name    sent\n  a          1\n  bcd   12,345\n"
        );
    }
}

//! What looks otherwise on a terminal: the progress line, rewritten in place there and one a
//! second elsewhere; findings in colour; and a question, where there is somebody to answer.

use std::io::{self, IsTerminal};

use super::output::{note, note_raw};

/// Begins the line and clears it: carriage return, erase in line (ECMA-48).
const REWRITE: &str = "\r\x1b[K";

/// Goes a line up: cursor up (ECMA-48).
const UP: &str = "\x1b[A";

/// Lines of several tests at the same time: rewritten in place on a terminal, one after the
/// other elsewhere.
#[derive(Debug)]
pub struct ProgressLines {
    terminal: bool,
    shown: bool,
    lines: Vec<String>,
}

impl ProgressLines {
    /// On stderr, for so many tests.
    pub fn on_stderr(tests: usize) -> ProgressLines {
        ProgressLines {
            terminal: io::stderr().is_terminal(),
            shown: false,
            lines: vec![String::new(); tests],
        }
    }

    /// Shows a test's line in place of its one before.
    pub fn show(&mut self, test: usize, text: String) {
        if !self.terminal {
            return note(&text);
        }
        if let Some(line) = self.lines.get_mut(test) {
            *line = text;
        }
        let up = match self.shown {
            true => UP.repeat(self.lines.len()),
            false => String::new(),
        };
        let lines = self.lines.iter().map(|line| format!("{REWRITE}{line}\n"));
        note_raw(&format!("{up}{}", lines.collect::<String>()));
        self.shown = true;
    }
}

/// Where progress is shown.
#[derive(Debug)]
pub struct ProgressLine {
    terminal: bool,
    open: bool,
}

impl ProgressLine {
    /// On stderr, so that stdout carries results only.
    pub fn on_stderr() -> ProgressLine {
        ProgressLine {
            terminal: io::stderr().is_terminal(),
            open: false,
        }
    }

    /// Shows a line in place of the one before.
    pub fn show(&mut self, text: &str) {
        if self.terminal {
            note_raw(&format!("{REWRITE}{text}"));
            self.open = true;
        } else {
            note(text);
        }
    }

    /// Ends the line, so that what follows begins on one of its own.
    pub fn close(&mut self) {
        if self.open {
            note_raw("\n");
            self.open = false;
        }
    }
}

/// Words at the beginning of a line, and their colours (ECMA-48: green, yellow, red).
const COLOURS: [(&str, &str); 3] = [("PASS", "32"), ("WARN", "33"), ("FAIL", "31")];

/// Findings in colour, if they go to a terminal that has some.
pub fn coloured(text: &str, to: &impl IsTerminal) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    match to.is_terminal() && !plain {
        true => colour(text),
        false => text.to_owned(),
    }
}

fn colour(text: &str) -> String {
    let paint = |line: &str| {
        let found = COLOURS.iter().find_map(|(word, colour)| {
            let (indent, rest) = line.split_once(word)?;
            let first = indent.chars().all(char::is_whitespace);
            first.then(|| format!("{indent}\x1b[{colour}m{word}\x1b[0m{rest}"))
        });
        found.unwrap_or_else(|| line.to_owned())
    };
    text.split_inclusive('\n').map(paint).collect()
}

/// Asks on the terminal; no is what anything but a yes means. `None` if nobody is there.
pub async fn ask(question: &str) -> Option<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return None;
    }
    note_raw(&format!("{question} [y/N] "));
    let read = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer)
    });
    let answer = read.await.ok()?.unwrap_or_default();
    Some(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_finding_at_the_beginning_of_a_line_is_coloured() {
        assert_eq!(
            colour("  PASS  all PASS\n          n1: FAIL\n"),
            "  \x1b[32mPASS\x1b[0m  all PASS\n          n1: FAIL\n"
        );
    }
}

//! Output that differs on a terminal: progress lines, which are rewritten in place, coloured
//! findings, and a confirmation prompt.

use std::io::{self, IsTerminal};

use super::output::{note, note_raw};

/// Returns to the start of the line and clears it: carriage return, erase in line (ECMA-48).
const REWRITE: &str = "\r\x1b[K";

/// Moves up by a line: cursor up (ECMA-48).
const UP: &str = "\x1b[A";

/// Progress lines of concurrent tests: rewritten in place on a terminal, else appended.
#[derive(Debug)]
pub struct ProgressLines {
    terminal: bool,
    shown: bool,
    lines: Vec<String>,
}

impl ProgressLines {
    /// On stderr, for a number of tests.
    pub fn on_stderr(tests: usize) -> ProgressLines {
        ProgressLines {
            terminal: io::stderr().is_terminal(),
            shown: false,
            lines: vec![String::new(); tests],
        }
    }

    /// Replaces the line of a test.
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

/// The progress line of a test.
#[derive(Debug)]
pub struct ProgressLine {
    terminal: bool,
    open: bool,
}

impl ProgressLine {
    /// On stderr, so that stdout contains only results.
    pub fn on_stderr() -> ProgressLine {
        ProgressLine {
            terminal: io::stderr().is_terminal(),
            open: false,
        }
    }

    /// Replaces the line.
    pub fn show(&mut self, text: &str) {
        if self.terminal {
            note_raw(&format!("{REWRITE}{text}"));
            self.open = true;
        } else {
            note(text);
        }
    }

    /// Ends the line, so that the next output starts on a new one.
    pub fn close(&mut self) {
        if self.open {
            note_raw("\n");
            self.open = false;
        }
    }
}

/// Findings at the start of a line, and their colours (ECMA-48: green, yellow, red).
const COLOURS: [(&str, &str); 3] = [("PASS", "32"), ("WARN", "33"), ("FAIL", "31")];

/// Colours findings if the output is a terminal and `NO_COLOR` is not set.
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

/// Asks for confirmation; anything but yes means no. `None` without a terminal.
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
    fn only_a_finding_at_the_start_of_a_line_is_coloured() {
        assert_eq!(
            colour("  PASS  all PASS\n          n1: FAIL\n"),
            "  \x1b[32mPASS\x1b[0m  all PASS\n          n1: FAIL\n"
        );
    }
}

//! The progress line: rewritten in place on a terminal, one a second elsewhere.

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

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.close();
    }
}

//! The progress line: rewritten in place on a terminal, one a second elsewhere.

use std::io::{self, IsTerminal};

use super::output::{note, note_raw};

/// Begins the line and clears it: carriage return, erase in line (ECMA-48).
const REWRITE: &str = "\r\x1b[K";

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

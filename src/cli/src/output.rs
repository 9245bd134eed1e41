//! Printing that survives a closed pipe.
//!
//! `print!` and `eprintln!` panic once nobody reads any more (`vajra-node nodes | head -1`).
//! Everything that a command prints goes through here: a reader that has gone away is no
//! error, and what it did not want to read is dropped.
//!
//! While the full-screen view has the terminal, lines for stderr (the log's, too) would land
//! in the middle of it. They are [held](hold) then, shown by the view, and printed once the
//! terminal is a page again. This is the one state that a process has only one of, as it has
//! only one stderr.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::exit::Failure;

/// Most lines held: what fits on a few pages. Older ones are counted, and dropped.
pub const MAX_HELD: usize = 200;

/// Lines that wait for the terminal.
#[derive(Debug, Default)]
struct Held {
    lines: VecDeque<String>,
    dropped: usize,
}

static HELD: Mutex<Option<Held>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<Held>> {
    // What a panic left behind is a list of lines all the same.
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on what is for stderr waits for [`release`].
pub fn hold() {
    held().get_or_insert_default();
}

/// The newest of the lines that wait, without control sequences.
pub fn last_held() -> Option<String> {
    held()
        .as_ref()?
        .lines
        .back()
        .map(|line| without_escapes(line))
}

/// Prints the lines that waited; from now on nothing waits any more.
pub fn release() {
    let Some(Held { lines, dropped }) = held().take() else {
        return;
    };
    if dropped > 0 {
        note(&format!("({dropped} earlier lines are left out)"));
    }
    lines.iter().for_each(|line| note(line));
}

/// Stderr for a log: waits like everything else while lines are held.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let hold = |held: &mut Held| held.push(&String::from_utf8_lossy(bytes));
        // Nobody waits for stderr with the list locked: whoever has stderr may wait for the list.
        let waits = held().as_mut().map(hold).is_some();
        if !waits {
            io::stderr().lock().write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let waits = held().is_some();
        match waits {
            // A frame that is being written is no business of a line that waits.
            true => Ok(()),
            false => io::stderr().flush(),
        }
    }
}

impl Held {
    fn push(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if self.lines.len() == MAX_HELD {
                self.lines.pop_front();
                self.dropped += 1;
            }
            self.lines.push_back(line.to_owned());
        }
    }
}

/// A line without the control sequences that colour it (ECMA-48: ESC, `[`, up to a letter).
fn without_escapes(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| {
        let end = part.find(|c: char| c.is_ascii_alphabetic());
        end.map_or(part, |end| &part[end + 1..])
    });
    std::iter::once(first).chain(rest).collect()
}

/// Prints to stdout and flushes, so that a reader of lines sees each at once.
///
/// # Errors
/// If stdout can't be written for another reason than a closed pipe, a full disk say.
pub fn out(text: &str) -> Result<(), Failure> {
    write_all(&mut io::stdout().lock(), text)
        .map_err(|e| Failure::run(format_args!("cannot write to stdout: {e}")))
}

/// As [`out`], with a line break at the end.
///
/// # Errors
/// As [`out`].
pub fn line(text: &str) -> Result<(), Failure> {
    out(&format!("{text}\n"))
}

/// Prints a line to stderr, if anybody reads it: there is nowhere left to say that nobody does.
pub fn note(text: &str) {
    note_raw(&format!("{text}\n"));
}

/// Prints to stderr as it is, without a line break.
pub fn note_raw(text: &str) {
    let _ = write_all(&mut Stderr, text);
}

fn write_all(to: &mut impl Write, text: &str) -> io::Result<()> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn of_the_lines_that_wait_the_newest_are_kept() {
        let mut held = Held::default();
        (0..MAX_HELD + 3).for_each(|i| held.push(&format!("line {i}\n\n")));
        assert_eq!((held.lines.len(), held.dropped), (MAX_HELD, 3));
        assert_eq!(held.lines[0], "line 3");
    }

    #[test]
    fn a_line_that_waits_does_not_wait_for_stderr() {
        hold();
        let stderr = io::stderr().lock();
        let (done, logged) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let written = Stderr.write_all(b"held\n").and_then(|()| Stderr.flush());
            let _ = done.send(written.is_ok());
        });
        let waited = logged.recv_timeout(std::time::Duration::from_secs(10));
        drop(stderr);
        release();
        assert_eq!(waited, Ok(true));
    }

    #[test]
    fn a_coloured_line_is_shown_without_its_colours() {
        assert_eq!(
            without_escapes("\x1b[2m12:00\x1b[0m \x1b[33m WARN\x1b[0m late"),
            "12:00  WARN late"
        );
        assert_eq!(without_escapes("plain"), "plain");
    }

    #[test]
    fn a_closed_pipe_is_no_error_but_a_full_disk_is() {
        assert!(write_all(&mut Broken(ErrorKind::BrokenPipe), "x").is_ok());
        assert!(write_all(&mut Broken(ErrorKind::StorageFull), "x").is_err());
    }
}

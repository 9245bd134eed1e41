//! Printing to stdout and stderr, which tolerates a closed pipe.
//!
//! `print!` and `eprintln!` panic if the reader has closed the pipe (`vajra-node nodes | head -1`).
//! All output of commands goes through this module, where a closed pipe is not an error.
//!
//! While the full-screen view has the terminal, lines to stderr (including the log) would disturb
//! it. They are [buffered](start_buffering), the view shows the newest, and all are printed when
//! the view closes. The buffer is global, as a process has one stderr.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::exit::Failure;

/// Maximum number of buffered lines: a few pages. Older lines are dropped and counted.
pub const MAX_BUFFERED: usize = 200;

/// Lines for stderr while the full-screen view is shown.
#[derive(Debug, Default)]
struct Buffer {
    lines: VecDeque<String>,
    dropped: usize,
}

static BUFFER: Mutex<Option<Buffer>> = Mutex::new(None);

fn buffer() -> MutexGuard<'static, Option<Buffer>> {
    // A list of lines is consistent even after a panic.
    BUFFER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Buffers output to stderr until [`flush_buffered`].
pub fn start_buffering() {
    buffer().get_or_insert_default();
}

/// The newest buffered line, without control sequences.
pub fn last_buffered() -> Option<String> {
    buffer()
        .as_ref()?
        .lines
        .back()
        .map(|line| without_escapes(line))
}

/// Prints the buffered lines and stops buffering.
pub fn flush_buffered() {
    let Some(Buffer { lines, dropped }) = buffer().take() else {
        return;
    };
    if dropped > 0 {
        note(&format!("({dropped} earlier lines omitted)"));
    }
    lines.iter().for_each(|line| note(line));
}

/// Stderr for the log, subject to buffering like all other output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let push = |buffer: &mut Buffer| buffer.push(&String::from_utf8_lossy(bytes));
        // The buffer must not be locked while waiting for stderr: the holder of stderr may wait for
        // the buffer.
        let buffered = buffer().as_mut().map(push).is_some();
        if !buffered {
            io::stderr().lock().write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let buffered = buffer().is_some();
        match buffered {
            // Waiting for stderr would wait for a frame that is being written.
            true => Ok(()),
            false => io::stderr().flush(),
        }
    }
}

impl Buffer {
    fn push(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if self.lines.len() == MAX_BUFFERED {
                self.lines.pop_front();
                self.dropped += 1;
            }
            self.lines.push_back(line.to_owned());
        }
    }
}

/// Removes colour control sequences (ECMA-48: ESC, `[`, up to a letter).
fn without_escapes(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| {
        let end = part.find(|c: char| c.is_ascii_alphabetic());
        end.map_or(part, |end| &part[end + 1..])
    });
    std::iter::once(first).chain(rest).collect()
}

/// Prints to stdout and flushes, so that a reader receives each line at once.
///
/// # Errors
/// Stdout cannot be written, for example because the disk is full. A closed pipe is not an error.
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

/// Prints a line to stderr. A failure is ignored, as it cannot be reported.
pub fn note(text: &str) {
    note_raw(&format!("{text}\n"));
}

/// Prints to stderr without a line break.
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
    fn only_the_newest_lines_are_buffered() {
        let mut buffer = Buffer::default();
        (0..MAX_BUFFERED + 3).for_each(|i| buffer.push(&format!("line {i}\n\n")));
        assert_eq!((buffer.lines.len(), buffer.dropped), (MAX_BUFFERED, 3));
        assert_eq!(buffer.lines[0], "line 3");
    }

    #[test]
    fn a_buffered_line_does_not_wait_for_stderr() {
        start_buffering();
        let stderr = io::stderr().lock();
        // One slot for one message: sending never waits.
        let (done, logged) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let written = Stderr
                .write_all(b"buffered\n")
                .and_then(|()| Stderr.flush());
            let _ = done.send(written.is_ok());
        });
        let waited = logged.recv_timeout(std::time::Duration::from_secs(10));
        drop(stderr);
        flush_buffered();
        assert_eq!(waited, Ok(true));
    }

    #[test]
    fn colour_sequences_are_removed() {
        assert_eq!(
            without_escapes("\x1b[2m12:00\x1b[0m \x1b[33m WARN\x1b[0m late"),
            "12:00  WARN late"
        );
        assert_eq!(without_escapes("plain"), "plain");
    }

    #[test]
    fn a_closed_pipe_is_not_an_error_but_a_full_disk_is() {
        assert!(write_all(&mut Broken(ErrorKind::BrokenPipe), "x").is_ok());
        assert!(write_all(&mut Broken(ErrorKind::StorageFull), "x").is_err());
    }
}

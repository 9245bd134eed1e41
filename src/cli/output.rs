//! Printing that survives a closed pipe.
//!
//! `print!` and `eprintln!` panic once nobody reads any more (`vajra-node nodes | head -1`).
//! Everything that a command prints goes through here: a reader that has gone away is no
//! error, and what it did not want to read is dropped.

use std::io::{self, ErrorKind, Write};

use super::exit::Failure;

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
    let _ = write_all(&mut io::stderr().lock(), &format!("{text}\n"));
}

/// Prints to stderr as it is, without a line break.
pub fn note_raw(text: &str) {
    let _ = write_all(&mut io::stderr().lock(), text);
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
    fn a_closed_pipe_is_no_error_but_a_full_disk_is() {
        assert!(write_all(&mut Broken(ErrorKind::BrokenPipe), "x").is_ok());
        assert!(write_all(&mut Broken(ErrorKind::StorageFull), "x").is_err());
    }
}

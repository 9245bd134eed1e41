//! Reading of files up to a maximum size. All errors have one form: `cannot read FILE: CAUSE`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::exit::Failure;

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened or read.
    #[error("{}", without_code(.0))]
    Io(#[from] io::Error),
    /// It is not UTF-8.
    #[error("it is not a text file in UTF-8")]
    NotText,
    /// It is larger than allowed.
    #[error("it has more than {0} bytes, the maximum")]
    TooLarge(u64),
}

impl ReadError {
    /// The error of a command: `cannot read FILE: CAUSE; HINT`.
    pub fn failure(&self, path: &Path, hint: impl std::fmt::Display) -> Failure {
        let path = path.display();
        Failure::input(format_args!("cannot read {path}: {self}; {hint}"))
    }
}

/// Reads a text file with at most `most` bytes.
///
/// # Errors
/// It cannot be read, is larger, or is not UTF-8.
pub fn text(path: &Path, most: u64) -> Result<String, ReadError> {
    utf8(bytes(path, most)?)
}

/// Like [`text`]; `-` is stdin.
///
/// # Errors
/// As [`text`].
pub fn text_or_stdin(path: &Path, most: u64) -> Result<String, ReadError> {
    match path == Path::new("-") {
        true => utf8(at_most(io::stdin().lock(), most)?),
        false => text(path, most),
    }
}

/// Reads a file with at most `most` bytes.
///
/// # Errors
/// It cannot be read, or is larger.
pub fn bytes(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    at_most(File::open(path)?, most)
}

fn utf8(bytes: Vec<u8>) -> Result<String, ReadError> {
    String::from_utf8(bytes).map_err(|_| ReadError::NotText)
}

fn at_most(from: impl Read, most: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    from.take(most + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(ReadError::TooLarge(most)),
        false => Ok(bytes),
    }
}

/// The text of an error without its number: `No such file or directory`.
fn without_code(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" (os error").unwrap_or(text.len());
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_error_names_the_file_the_cause_and_the_hint() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.toml");
        let error = |most| {
            let failure = text(&path, most)
                .unwrap_err()
                .failure(&path, "give another");
            let prefix = format!("cannot read {}: ", path.display());
            let message = failure.message.strip_prefix(&prefix).unwrap();
            message.to_owned()
        };
        assert_eq!(error(9), "No such file or directory; give another");
        std::fs::write(&path, "0123456789").unwrap();
        assert_eq!(
            error(9),
            "it has more than 9 bytes, the maximum; give another"
        );
        assert_eq!(text(&path, 10).unwrap(), "0123456789");
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(error(9), "it is not a text file in UTF-8; give another");
        assert_eq!(bytes(&path, 1).unwrap(), b"\xff");
    }
}

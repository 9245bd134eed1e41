//! A file that a result goes to, or stdout.
//!
//! It is opened before a test starts: afterwards would be late to find that it can't be. Until
//! there is something to write it stays as it was. What was in it may be the baseline that the
//! test is held against, and a run that fails must not cost it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::exit::Failure;
use super::output::out;

/// A place to write to, once.
#[derive(Debug)]
pub struct OutFile {
    /// The option that named it, without its dashes.
    option: &'static str,
    to: To,
}

#[derive(Debug)]
enum To {
    Stdout,
    File(Waiting),
}

/// A file that can be written, and is not yet.
#[derive(Debug)]
struct Waiting {
    file: File,
    path: PathBuf,
    /// It was not there before, and has nothing in it: it goes again if nothing comes.
    new: bool,
}

impl OutFile {
    /// Opens what an option names; `-` is stdout.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn open(option: &'static str, path: &Path) -> Result<OutFile, Failure> {
        let to = match path == Path::new("-") {
            true => To::Stdout,
            false => {
                let opened = Waiting::open(path);
                To::File(opened.map_err(|e| unwritable(option, path, &e))?)
            }
        };
        Ok(OutFile { option, to })
    }

    /// Writes all there is, in the place of what was there.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn write(self, text: &str) -> Result<(), Failure> {
        match self.to {
            To::Stdout => out(text),
            To::File(mut file) => {
                let written = file.write(text);
                written.map_err(|e| unwritable(self.option, &file.path, &e))
            }
        }
    }

    /// Writes a value as JSON.
    ///
    /// # Errors
    /// As [`OutFile::write`].
    pub fn write_json(self, value: &impl serde::Serialize) -> Result<(), Failure> {
        self.write(&json(value)?)
    }

    /// Whether it is stdout, which then carries nothing else.
    pub fn is_stdout(&self) -> bool {
        matches!(self.to, To::Stdout)
    }
}

impl Waiting {
    fn open(path: &Path) -> io::Result<Waiting> {
        let (file, new) = match File::create_new(path) {
            Ok(file) => (file, true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                // A link to nothing is there, and its file is not.
                let mut how = OpenOptions::new();
                let how = how.write(true).create(true).truncate(false);
                (how.open(path)?, false)
            }
            Err(e) => return Err(e),
        };
        Ok(Waiting {
            file,
            path: path.to_owned(),
            new,
        })
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.new = false;
        // A pipe or a terminal has nothing in it to be dropped.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(text.as_bytes())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.new {
            // An empty file is left then, which harms nobody.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Prints a value as JSON to stdout.
///
/// # Errors
/// Stdout can't be written.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    out(&json(value)?)
}

fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::run)?;
    Ok(text + "\n")
}

fn unwritable(option: &str, path: &Path, why: &io::Error) -> Failure {
    Failure::run(format_args!(
        "cannot write --{option} {}: {why}",
        path.display()
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_a_file_stays_until_something_takes_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("result.json");
        fs::write(&path, "a baseline, longer than what follows").unwrap();
        drop(OutFile::open("json", &path).unwrap());
        assert!(fs::read_to_string(&path).unwrap().starts_with("a base"));

        let file = OutFile::open("json", &path).unwrap();
        file.write_json(&1).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "1\n");
    }

    #[test]
    fn a_file_that_nothing_came_to_is_not_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("result.csv");
        let file = OutFile::open("csv", &path).unwrap();
        assert!(path.exists());
        drop(file);
        assert!(!path.exists());

        OutFile::open("csv", &path).unwrap().write("").unwrap();
        assert!(path.exists());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_with_its_option() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing").join("result.csv");
        let told = OutFile::open("csv", &path).unwrap_err().message;
        assert!(told.starts_with("cannot write --csv "), "{told}");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_takes_what_is_written() {
        let null = OutFile::open("html", Path::new("/dev/null")).unwrap();
        null.write("text").unwrap();
    }
}

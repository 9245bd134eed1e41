//! An output file of a result, or stdout.
//!
//! The file is opened before a test starts, so that an unwritable path fails before the test. Its
//! contents stay unchanged until the result is written: they may be the baseline of this very test,
//! and must survive if it fails.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::exit::Failure;
use super::output::out;

/// An open output, written once.
#[derive(Debug)]
pub struct OutFile {
    /// Name of its option, without dashes.
    option: &'static str,
    output: Output,
}

#[derive(Debug)]
enum Output {
    Stdout,
    File(PendingFile),
}

/// A file that is open for writing and still has its old contents.
#[derive(Debug)]
struct PendingFile {
    file: File,
    path: PathBuf,
    /// Whether it was created, so that it is removed if nothing is written.
    created: bool,
}

impl OutFile {
    /// Opens the path of an option; `-` is stdout.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(option: &'static str, path: &Path) -> Result<OutFile, Failure> {
        let output = match path == Path::new("-") {
            true => Output::Stdout,
            false => {
                let opened = PendingFile::open(path);
                Output::File(opened.map_err(|e| unwritable(option, path, &e))?)
            }
        };
        Ok(OutFile { option, output })
    }

    /// Replaces the contents.
    ///
    /// # Errors
    /// Writing failed, for example because the disk is full.
    pub fn write(self, text: &str) -> Result<(), Failure> {
        match self.output {
            Output::Stdout => out(text),
            Output::File(mut file) => {
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

    /// Whether it is stdout, where nothing else is then printed.
    pub fn is_stdout(&self) -> bool {
        matches!(self.output, Output::Stdout)
    }
}

impl PendingFile {
    fn open(path: &Path) -> io::Result<PendingFile> {
        let (file, created) = match File::create_new(path) {
            Ok(file) => (file, true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                // `create`, as it may be a symbolic link to a missing file.
                let mut options = OpenOptions::new();
                let options = options.write(true).create(true).truncate(false);
                (options.open(path)?, false)
            }
            Err(e) => return Err(e),
        };
        Ok(PendingFile {
            file,
            path: path.to_owned(),
            created,
        })
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.created = false;
        // Pipes and terminals cannot be truncated.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(text.as_bytes())
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if self.created {
            // On an error an empty file remains, which is harmless.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Prints a value as JSON to stdout.
///
/// # Errors
/// Stdout cannot be written.
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
    fn the_old_contents_stay_until_new_ones_are_written() {
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
    fn a_created_file_without_contents_is_removed() {
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
    fn an_unwritable_path_is_reported_with_its_option() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing").join("result.csv");
        let error = OutFile::open("csv", &path).unwrap_err().message;
        assert!(error.starts_with("cannot write --csv "), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_can_be_written() {
        let null = OutFile::open("html", Path::new("/dev/null")).unwrap();
        null.write("text").unwrap();
    }
}

//! Results of earlier tests, read from files, and comparisons with them.

use std::path::Path;

use super::exit::{Exit, Failure};
use super::output::out;
use super::read_file;
use vajra_report::text;
use vajra_results::compare::Comparison;
use vajra_results::result_file::ResultFile;

/// Maximum size of a result file in bytes: one with a full timeline of thousands of nodes is smaller.
const MAX_FILE: u64 = 256 << 20;

/// Reads a result written by `--json`. `option` is the option in errors, and `hint` what to do if
/// the file cannot be read.
///
/// # Errors
/// The file cannot be read, or is not a result.
pub fn read(option: &str, path: &Path, hint: &str) -> Result<ResultFile, Failure> {
    let bytes = read_file::bytes(path, MAX_FILE).map_err(|e| e.failure(path, hint))?;
    let file = ResultFile::read(&bytes);
    file.map_err(|e| Failure::input(format_args!("{option} {}: {e}", path.display())))
}

/// Prints a comparison unless `quiet` (stdout has other contents), and the regressions beyond its
/// limit in any case. Returns the exit code.
///
/// # Errors
/// Stdout cannot be written.
pub fn show(comparison: &Comparison, quiet: bool) -> Result<Exit, Failure> {
    if !quiet {
        out(&text::comparison(comparison))?;
    }
    let Some(limit) = comparison.limit else {
        return Ok(Exit::Success);
    };
    let regressions = text::regressions(comparison, limit);
    match quiet {
        // Regressions explain the exit code, so they are always printed.
        true => super::output::note(regressions.trim_end()),
        false => out(&regressions)?,
    }
    match comparison.failures().next() {
        Some(_) => Ok(Exit::Thresholds),
        None => Ok(Exit::Success),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_result_file_is_reported_with_its_option() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("base.json");
        let read = || read("--baseline", &path, "give --baseline a result");
        let failure = read().unwrap_err();
        assert_eq!(failure.exit, Exit::BadInput);
        let shown = path.display();
        assert_eq!(
            failure.message,
            format!("cannot read {shown}: No such file or directory; give --baseline a result")
        );
        std::fs::write(&path, "[]").unwrap();
        let failure = read().unwrap_err().message;
        let expected = format!("--baseline {shown}: it is not a result as written by --json");
        assert!(failure.starts_with(&expected), "{failure}");
    }
}

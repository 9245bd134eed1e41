//! Results of earlier tests, read from files, and comparisons with them.

use std::path::Path;

use super::exit::{Exit, Failure};
use super::output::out;
use vajra_report::text;
use vajra_results::compare::Comparison;
use vajra_results::result_file::ResultFile;

/// Maximum size of a result file in bytes: one with a full timeline of thousands of nodes is smaller.
const MAX_FILE: u64 = 256 << 20;

/// Reads a result written by `--json`. `option` is the option in errors.
///
/// # Errors
/// The file cannot be read, or is not a result.
pub fn read(option: &str, path: &Path) -> Result<ResultFile, Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::input(format_args!("{option} {}: {why}", path.display()))
    };
    let size = std::fs::metadata(path).map_err(|e| failed(&e))?.len();
    if size > MAX_FILE {
        return Err(failed(&format_args!(
            "the file has {size} bytes (at most {MAX_FILE})"
        )));
    }
    let bytes = std::fs::read(path).map_err(|e| failed(&e))?;
    ResultFile::read(&bytes).map_err(|e| failed(&e))
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
        let failure = read("--baseline", &path).unwrap_err();
        assert_eq!(failure.exit, Exit::BadInput);
        assert!(
            failure.message.starts_with("--baseline "),
            "{}",
            failure.message
        );
        std::fs::write(&path, "[]").unwrap();
        let failure = read("--baseline", &path).unwrap_err().message;
        assert!(
            failure.contains("not a result as written by --json"),
            "{failure}"
        );
    }
}

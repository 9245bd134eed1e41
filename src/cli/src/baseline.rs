//! Results of earlier tests: read from files, and held against what a new one should be.

use std::path::Path;

use super::exit::{Exit, Failure};
use super::output::out;
use vajra_report::text;
use vajra_results::compare::Comparison;
use vajra_results::result_file::ResultFile;

/// Largest result file: one of thousands of nodes with a whole timeline.
const MAX_FILE: u64 = 256 << 20;

/// Highest limit: a hundred times as much.
const MAX_LIMIT: f64 = 100.0;

/// Reads a result as `--json` wrote it.
///
/// # Errors
/// There is no such file, or it is no result; `option` is what named it.
pub fn read(option: &str, path: &Path) -> Result<ResultFile, Failure> {
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::input(format_args!("{option} {}: {why}", path.display()))
    };
    let size = std::fs::metadata(path).map_err(|e| wrong(&e))?.len();
    if size > MAX_FILE {
        return Err(wrong(&format_args!(
            "it has {size} bytes, and no result has more than {MAX_FILE}"
        )));
    }
    let bytes = std::fs::read(path).map_err(|e| wrong(&e))?;
    ResultFile::read(&bytes).map_err(|e| wrong(&e))
}

/// `10%`, or `0.1`: by how much something may be worse. Beyond 100 % is fine.
///
/// # Errors
/// What it should look like.
pub fn parse_limit(text: &str) -> Result<f64, String> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(number) => (number.trim(), 100.0),
        None => (text, 1.0),
    };
    match number.parse::<f64>() {
        // `10` rather means 10 % than a thousand.
        Ok(n) if n >= 0.0 && (whole > 1.0 || n <= 1.0) && n / whole <= MAX_LIMIT => Ok(n / whole),
        _ => Err(format!(
            "{text:?} is no limit; write one such as 10% or 0.1, from 0% to {}%",
            MAX_LIMIT * 100.0
        )),
    }
}

/// Shows a comparison, unless stdout is taken, and says how it counts.
///
/// # Errors
/// Stdout can't be written.
pub fn show(compared: &Comparison, quiet: bool) -> Result<Exit, Failure> {
    if !quiet {
        out(&text::comparison(compared))?;
    }
    let Some(limit) = compared.limit else {
        return Ok(Exit::Success);
    };
    let regressions = text::regressions(compared, limit);
    match quiet {
        // Why a command fails is told wherever stdout goes.
        true => super::output::note(regressions.trim_end()),
        false => out(&regressions)?,
    }
    match compared.failures().next() {
        Some(_) => Ok(Exit::Thresholds),
        None => Ok(Exit::Success),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_share_and_ten_alone_is_none() {
        assert_eq!(parse_limit("10%"), Ok(0.1));
        assert_eq!(parse_limit("0.05"), Ok(0.05));
        assert_eq!(parse_limit("150 %"), Ok(1.5));
        for wrong in ["10", "-1%", "ten", "inf%", "nan", "1e99%", ""] {
            assert!(
                parse_limit(wrong).unwrap_err().contains("10% or 0.1"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_is_no_result_says_which_option_named_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("base.json");
        let told = read("--baseline", &path).unwrap_err();
        assert_eq!(told.exit, Exit::BadInput);
        assert!(told.message.starts_with("--baseline "), "{}", told.message);
        std::fs::write(&path, "[]").unwrap();
        let told = read("--baseline", &path).unwrap_err().message;
        assert!(told.contains("not a result as written by --json"), "{told}");
    }
}

//! Reading plan files and the files that they name.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::value_parsers::Pair;
use vajra_plan::parse_plan_with;
use vajra_plan::{
    FileError, MAX_DATA_FILE, MAX_PLAN_BYTES, PlanError, PlanFile, PlanInputs, Scalar, Values,
};

/// URL of a local target in checks and previews, while the target is not yet started.
pub const STAND_IN_URL: &str = "http://127.0.0.1:8080/";
/// Maximum size of a plan or a request body in bytes.
const MAX_FILE: u64 = MAX_PLAN_BYTES as u64;

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened or read, or is not UTF-8.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is larger than allowed.
    #[error("the file has more than {0} bytes, the maximum")]
    TooLarge(u64),
}

/// Reads a plan or a request body; `-` is stdin.
///
/// # Errors
/// It cannot be read, or is larger than [`MAX_PLAN_BYTES`].
pub fn read_limited(path: &Path) -> Result<String, ReadError> {
    read_at_most(path, MAX_FILE)
}

/// Reads a file that a plan names, relative to the plan.
///
/// # Errors
/// It cannot be read, or is larger than [`MAX_DATA_FILE`].
pub fn read_data(plan: &Path, name: &str) -> Result<String, ReadError> {
    let directory = plan.parent().unwrap_or(Path::new(""));
    read_at_most(&directory.join(name), MAX_DATA_FILE)
}

fn read_at_most(path: &Path, most: u64) -> Result<String, ReadError> {
    let mut text = String::new();
    let limit = most + 1;
    let length = if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_string(&mut text)?
    } else {
        File::open(path)?.take(limit).read_to_string(&mut text)?
    };
    match length as u64 > most {
        true => Err(ReadError::TooLarge(most)),
        false => Ok(text),
    }
}

/// Parses the text of a plan file, with the constants of `--var`.
///
/// # Errors
/// The plan is invalid.
pub fn parse(path: &Path, text: &str, vars: Values) -> Result<PlanFile, PlanError> {
    let read = |name: &str| read_data(path, name).map_err(|e| FileError(e.to_string()));
    let given = PlanInputs {
        vars,
        ..PlanInputs::default()
    };
    parse_plan_with(text, is_json(path), &read, &given)
}

/// Whether a plan file is JSON, by its extension; otherwise it is TOML.
pub fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "json")
}

/// The constants of `--var`.
pub fn vars(pairs: &[Pair]) -> Values {
    let typed = pairs
        .iter()
        .map(|Pair(name, value)| (name.clone(), Scalar::typed(value)));
    typed.collect()
}

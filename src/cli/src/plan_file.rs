//! Reading plan files and the files that they name.

use std::path::Path;

use super::read_file::{self, ReadError};
use super::value_parsers::Pair;
use vajra_plan::parse_plan_with;
use vajra_plan::{
    FileError, MAX_DATA_FILE, MAX_PLAN_BYTES, PlanError, PlanFile, PlanInputs, Scalar, Values,
};

/// URL of a local target in checks and previews, while the target is not yet started.
pub const STAND_IN_URL: &str = "http://127.0.0.1:8080/";
/// Maximum size of a plan or a request body in bytes.
const MAX_FILE: u64 = MAX_PLAN_BYTES as u64;

/// Reads a plan or a request body; `-` is stdin.
///
/// # Errors
/// It cannot be read, or is larger than [`MAX_PLAN_BYTES`].
pub fn read_limited(path: &Path) -> Result<String, ReadError> {
    read_file::text_or_stdin(path, MAX_FILE)
}

/// Reads a file that a plan or suite names, relative to it.
///
/// # Errors
/// It cannot be read, or is larger than [`MAX_DATA_FILE`].
pub fn read_data(plan: &Path, name: &str) -> Result<String, FileError> {
    let directory = plan.parent().unwrap_or(Path::new(""));
    read_file::text(&directory.join(name), MAX_DATA_FILE).map_err(|e| {
        FileError(format!(
            "{e}; give a path relative to the file that names it"
        ))
    })
}

/// Parses the text of a plan file, with the constants of `--var`.
///
/// # Errors
/// The plan is invalid.
pub fn parse(path: &Path, text: &str, vars: Values) -> Result<PlanFile, PlanError> {
    let read = |name: &str| read_data(path, name);
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

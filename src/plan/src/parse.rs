//! From text to a plan.

use serde::Deserialize;

use super::error::PlanError;
use super::limits::MAX_PLAN_BYTES;
use super::model::Plan;
use super::path::Path;
use super::plan_file::{FileError, PlanFile, PlanInputs, ReadFile};
use super::raw::RawFile;
use super::schema;
use super::source::{self, Node};

/// Reads a plan file that names no other files.
///
/// # Errors
/// One line with the place and the problem.
pub fn parse_toml(text: &str) -> Result<PlanFile, PlanError> {
    let no_files = |_: &str| Err(FileError("files of a plan are not available here".into()));
    parse_plan(text, false, &no_files)
}

/// Reads a plan file, TOML or JSON; `read` returns the text of a file that it names.
///
/// # Errors
/// One line with the place and the problem.
pub fn parse_plan(text: &str, json: bool, read: &ReadFile<'_>) -> Result<PlanFile, PlanError> {
    parse_plan_with(text, json, read, &PlanInputs::default())
}

/// [`parse_plan`] with values that the plan gets in addition to its file.
///
/// # Errors
/// As [`parse_plan`]; also if a plan without scenarios gets `vars` outside of a suite.
pub fn parse_plan_with(
    text: &str,
    json: bool,
    read: &ReadFile<'_>,
    given: &PlanInputs,
) -> Result<PlanFile, PlanError> {
    if text.len() > MAX_PLAN_BYTES {
        return Err(PlanError::TooLarge(text.len()));
    }
    let tree = match json {
        true => source::json(text)?,
        false => source::toml(text)?,
    };
    let raw: RawFile = read_from(&tree, text)?;
    raw.into_file(read, given)
}

/// Reads a plan from JSON, as the HTTP API and other nodes send it.
///
/// # Errors
/// One line with the place and the problem.
pub fn parse_json(bytes: &[u8]) -> Result<Plan, PlanError> {
    if bytes.len() > MAX_PLAN_BYTES {
        return Err(PlanError::TooLarge(bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let at = e.valid_up_to()..e.valid_up_to();
        let text = String::from_utf8_lossy(bytes);
        PlanError::syntax(&text, at, Path::default(), "is not UTF-8")
    })?;
    let plan: Plan = read_from(&source::json(text)?, text)?;
    plan.validate()?;
    Ok(plan)
}

fn read_from<'de, T: Deserialize<'de>>(tree: &'de Node, text: &str) -> Result<T, PlanError> {
    T::deserialize(tree).map_err(|e| {
        let Some(key) = e.unknown_key() else {
            return e.in_text(text);
        };
        let places = schema::places_of(key).join(" or ");
        let help = (!places.is_empty()).then(|| format!("`{key}` belongs {places}"));
        e.with_help(help).in_text(text)
    })
}

impl Plan {
    /// Reads and checks a plan from another node.
    ///
    /// # Errors
    /// As [`parse_json`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Plan, PlanError> {
        parse_json(bytes)
    }
}

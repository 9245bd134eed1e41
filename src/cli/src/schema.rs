//! `schema`: what a plan file may say, for editors and for people.

use super::args::SchemaArgs;
use super::exit::{Exit, Failure};
use super::output::line;
use vajra_plan::{markdown, schema};

/// Prints the JSON Schema of plan files, or the reference made from it.
///
/// # Errors
/// Nobody reads it.
pub fn run(args: &SchemaArgs) -> Result<Exit, Failure> {
    let text = match args.markdown {
        true => markdown(),
        false => serde_json::to_string_pretty(&schema()).map_err(Failure::run)?,
    };
    line(text.trim_end())?;
    Ok(Exit::Success)
}

//! `schema`: the JSON Schema of plan files, for editors, and the reference.

use super::args::SchemaArgs;
use super::exit::{Exit, Failure};
use super::output::line;
use vajra_plan::{markdown, schema};

/// Prints the JSON Schema, or the Markdown reference generated from it.
///
/// # Errors
/// Stdout cannot be written.
pub fn run(args: &SchemaArgs) -> Result<Exit, Failure> {
    let text = match args.markdown {
        true => markdown(),
        false => serde_json::to_string_pretty(&schema()).map_err(Failure::run)?,
    };
    line(text.trim_end())?;
    Ok(Exit::Success)
}

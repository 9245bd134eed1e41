//! What shells and manuals need, made from the command line's own definition.

use std::fs;

use super::args::{CompletionsArgs, ManArgs, command};
use super::exit::{Exit, Failure};
use super::output::{line, out};
use super::product::Product;

/// Prints a shell's completions.
///
/// # Errors
/// If stdout can't be written.
pub fn completions(args: &CompletionsArgs, product: &Product) -> Result<Exit, Failure> {
    let mut command = command(product);
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    out(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}

/// Prints the manual page of the whole, or writes a page for every command into a directory.
///
/// # Errors
/// If it can't be written.
pub fn man(args: &ManArgs, product: &Product) -> Result<Exit, Failure> {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        let man = clap_mangen::Man::new(command(product));
        man.render(&mut page).map_err(Failure::run)?;
        out(&String::from_utf8_lossy(&page))?;
        return Ok(Exit::Success);
    };
    let written = fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(command(product), dir))
        .map_err(|e| {
            Failure::run(format_args!(
                "cannot write manual pages to {}: {e}; name a directory that can be written",
                dir.display()
            ))
        });
    written?;
    line(&format!("written to {}", dir.display()))?;
    Ok(Exit::Success)
}

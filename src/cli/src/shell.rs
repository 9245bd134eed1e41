//! Shell completions and manual pages, generated from the definition of the command line.

use std::fs;

use super::args::{CompletionsArgs, ManArgs, command};
use super::exit::{Exit, Failure};
use super::output::{line, out};
use super::product::Product;

/// Prints the completion script of a shell.
///
/// # Errors
/// Stdout cannot be written.
pub fn completions(args: &CompletionsArgs, product: &Product) -> Result<Exit, Failure> {
    let mut command = command(product);
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    out(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}

/// Prints the main manual page, or writes the pages of all commands into a directory.
///
/// # Errors
/// They cannot be written.
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
                "cannot write manual pages to {}: {e}; give a writable directory with --dir",
                dir.display()
            ))
        });
    written?;
    line(&format!("manual pages written to {}", dir.display()))?;
    Ok(Exit::Success)
}

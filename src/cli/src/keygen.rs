//! The command `keygen`.

use super::args::KeygenArgs;
use super::exit::{Exit, Failure};
use super::output::{line, out};
use vajra_network::SwarmKey;

/// Makes a new swarm key: in a file that nobody else can read, or on stdout.
///
/// # Errors
/// If the file exists already or can't be written.
pub fn run(args: &KeygenArgs) -> Result<Exit, Failure> {
    let key = SwarmKey::generate().map_err(Failure::run)?;
    match &args.file {
        Some(path) => {
            key.write_new(path).map_err(Failure::run)?;
            line(&format!(
                "{}  fingerprint {}",
                path.display(),
                key.fingerprint()
            ))?;
        }
        None => out(&key.to_file())?,
    }
    Ok(Exit::Success)
}

//! `keygen`.

use super::args::KeygenArgs;
use super::exit::{Exit, Failure};
use super::output::{line, out};
use vajra_network::SwarmKey;

/// Generates a swarm key and writes it to a new file that only its owner can read, or to stdout.
///
/// # Errors
/// The file exists or cannot be written.
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

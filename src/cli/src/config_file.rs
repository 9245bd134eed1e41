//! Configuration files and built-in profiles.

use std::ops::Range;
use std::path::Path;

use super::exit::Failure;
use super::layer::Layer;
use super::product::Profiles;
use super::read_file;

/// Maximum size of a configuration file in bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// Loads the value of `--config`: a profile, or else a file.
///
/// # Errors
/// The file cannot be read, or is invalid; names file, line and key.
pub fn load(name: &str, profiles: &Profiles) -> Result<Layer, Failure> {
    if let Some((profile, text)) = profiles.iter().find(|(profile, _)| *profile == name) {
        return parse(text, &format!("profile {profile}"));
    }
    let path = Path::new(name);
    let text = read_file::text(path, MAX_CONFIG).map_err(|e| {
        let profiles = profiles.map(|(profile, _)| profile).join(", ");
        let hint = format_args!("give --config a readable file or a profile ({profiles})");
        e.failure(path, hint)
    })?;
    let directory = path.parent().unwrap_or(Path::new(""));
    Ok(parse(&text, name)?.relative_to(directory))
}

/// Parses a configuration; errors call it `name`.
///
/// # Errors
/// As [`load`].
fn parse(text: &str, name: &str) -> Result<Layer, Failure> {
    toml::from_str(text).map_err(|e| {
        let message = e.message();
        match e.span().map(|span| locate(text, span)) {
            Some((line, Some(field))) => {
                Failure::input(format_args!("{name}:{line}: {field}: {message}"))
            }
            Some((line, None)) => Failure::input(format_args!("{name}:{line}: {message}")),
            None => Failure::input(format_args!("{name}: {message}")),
        }
    })
}

/// The line (from 1) of a span, and its key: the nearest one at or above the line, since a list can
/// span several lines.
fn locate(text: &str, span: Range<usize>) -> (usize, Option<&str>) {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count();
    let key = text
        .lines()
        .take(line + 1)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .find_map(|line| {
            let (key, _) = line.split_once('=')?;
            let key = key.trim();
            let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            (!key.is_empty() && key.chars().all(bare)).then_some(key)
        });
    (line + 1, key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::product::test_profiles::PROFILES;

    #[test]
    fn every_profile_is_valid() {
        for (name, _) in PROFILES {
            load(name, &PROFILES).unwrap();
        }
        assert_eq!(load("private", &PROFILES).unwrap().mdns, Some(false));
        assert_eq!(load("lan", &PROFILES).unwrap().mdns, Some(true));
    }

    #[test]
    fn an_error_names_file_line_and_field() {
        let of = |text: &str| parse(text, "a.toml").unwrap_err().message;
        let unknown = of("mdns = true\n\nbootstraps = []\n");
        assert!(
            unknown.starts_with("a.toml:3: bootstraps: unknown field"),
            "{unknown}"
        );
        let wrong = of("mdns = 3\n");
        assert!(wrong.starts_with("a.toml:1: mdns: invalid type"), "{wrong}");
        let inner = of("bootstrap = [\n  \"/ip4/10.0.0.1/tcp/7400\",\n  \"nonsense\",\n]\n");
        assert!(inner.starts_with("a.toml:"), "{inner}");
        assert!(
            inner.contains(": bootstrap: \"nonsense\" is not a multiaddress"),
            "{inner}"
        );
        assert!(!inner.contains('\n'));
    }

    #[test]
    fn a_missing_file_is_bad_input_and_lists_the_profiles() {
        let failure = load("no/such.toml", &PROFILES).unwrap_err();
        assert_eq!(failure.exit, super::super::exit::Exit::BadInput);
        assert!(failure.message.contains("lan, wan, private"), "{failure}");
    }

    #[test]
    fn paths_in_a_file_are_relative_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("node.toml");
        std::fs::write(
            &file,
            "swarm_key = \"swarm.key\"\ndata_dir = \"/var/lib/vajra\"\n",
        )
        .unwrap();
        let layer = load(file.to_str().unwrap(), &PROFILES).unwrap();
        assert_eq!(layer.swarm_key.unwrap(), directory.path().join("swarm.key"));
        assert_eq!(layer.data_dir.unwrap(), Path::new("/var/lib/vajra"));
    }
}

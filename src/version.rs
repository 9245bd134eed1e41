//! Which build this is.

/// The version, as in `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The first twelve digits of the commit that it was built from; none if it was not built in a
/// repository.
pub const COMMIT: Option<&str> = option_env!("VAJRA_BUILT_FROM");

/// Both, for people: `0.1.0 (0123456789ab)`.
pub const SHOWN: &str = env!("VAJRA_BUILD");

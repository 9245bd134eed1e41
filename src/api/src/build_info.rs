//! The build that serves the API. The binary passes it in.

/// Version and commit of the running program.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct BuildInfo {
    /// Version, as in `Cargo.toml`.
    pub version: &'static str,
    /// First twelve digits of the commit; none if built outside a repository.
    pub commit: Option<&'static str>,
    /// Version and commit for display: `0.1.0 (0123456789ab)`.
    pub full: &'static str,
}

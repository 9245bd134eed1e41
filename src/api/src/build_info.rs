//! Which build of the program serves the API. The binary knows it and passes it in.

/// Version and commit of the running program.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct BuildInfo {
    /// Version, as in `Cargo.toml`.
    pub version: &'static str,
    /// The first twelve digits of the commit; none if built outside a repository.
    pub commit: Option<&'static str>,
    /// Both for people: `0.1.0 (0123456789ab)`.
    pub full: &'static str,
}

//! The build and the embedded files, which the binary passes in.

use vajra_api::BuildInfo;

/// Names and contents of the embedded configuration profiles.
pub type Profiles = [(&'static str, &'static str); 3];

/// The running program.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Version and commit.
    pub build: BuildInfo,
    /// The profiles that `--config` accepts by name.
    pub profiles: Profiles,
}

#[cfg(test)]
pub(crate) mod test_profiles {
    //! The profiles that the binary embeds.

    use super::Profiles;

    pub const PROFILES: Profiles = [
        ("lan", include_str!("../../../swarm-config/lan.toml")),
        ("wan", include_str!("../../../swarm-config/wan.toml")),
        (
            "private",
            include_str!("../../../swarm-config/private.toml"),
        ),
    ];
}

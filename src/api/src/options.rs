//! Options of the API.

use std::net::IpAddr;

use super::build_info::BuildInfo;

/// How the API is served.
#[derive(Clone, Debug, Default)]
pub struct ApiOptions {
    /// Token that clients must send as `Authorization: Bearer TOKEN`. Optional on loopback only.
    pub token: Option<String>,
    /// Build of the running program.
    pub build: BuildInfo,
}

/// The API would be open to the network without a token.
#[derive(Debug, thiserror::Error)]
#[error(
    "an API on {0} can be reached from other machines and needs a token: set VAJRA_API_TOKEN, or use --api 127.0.0.1:7401"
)]
pub struct TokenNeeded(pub IpAddr);

impl ApiOptions {
    /// Checks that the API may be served on this address.
    ///
    /// # Errors
    /// The address is not loopback and no token is set.
    pub fn check(&self, ip: IpAddr) -> Result<(), TokenNeeded> {
        match ip.is_loopback() || self.token.is_some() {
            true => Ok(()),
            false => Err(TokenNeeded(ip)),
        }
    }
}

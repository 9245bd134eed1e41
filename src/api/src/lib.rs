//! The HTTP API: what a node can be asked, from scripts and from the command line.
//!
//! It listens on loopback; any other address needs a token. Host and Origin are checked and
//! bodies must be `application/json` (data files `application/octet-stream`), so that no web page can start a test through a
//! visitor's browser. Errors are problem JSON (RFC 9457). `docs/api.md` describes it.

mod answers;
mod blobs;
mod build_info;
pub mod client;
mod dashboard;
mod extract;
mod find;
mod guard;
mod listen;
mod metrics;
mod openapi;
mod page;
mod plans;
mod problem;
mod reports;
mod routes;
mod serve;
mod swarm;

use std::net::IpAddr;
use std::sync::Arc;

use vajra_runtime::handle::NodeHandle;

pub use build_info::BuildInfo;
pub use client::{ApiClient, ClientError, Events};
pub use listen::{ApiListen, BindError, RunningApi, bind, start};
pub use serve::serve;

/// Most event streams at once; a browser opens a few, a mistake opens thousands.
const MAX_STREAMS: usize = 64;
/// Most tests, or events, in one answer.
const MAX_PAGE: usize = 200;

/// How the API is served.
#[derive(Clone, Debug, Default)]
pub struct ApiOptions {
    /// Token that callers must send as `Authorization: Bearer TOKEN`; none on loopback.
    pub token: Option<String>,
    /// The program that serves.
    pub build: BuildInfo,
}

/// The API would be open to the network.
#[derive(Debug, thiserror::Error)]
#[error(
    "an API on {0} can be reached from other machines and needs a token: set VAJRA_API_TOKEN, or use --api 127.0.0.1:7401"
)]
pub struct TokenNeeded(pub IpAddr);

impl ApiOptions {
    /// Whether the API may be served on this address.
    ///
    /// # Errors
    /// When it is no loopback address and no token is set.
    pub fn check(&self, ip: IpAddr) -> Result<(), TokenNeeded> {
        match ip.is_loopback() || self.token.is_some() {
            true => Ok(()),
            false => Err(TokenNeeded(ip)),
        }
    }
}

/// What every route has at hand.
#[derive(Clone)]
struct Shared {
    node: NodeHandle,
    token: Option<Arc<str>>,
    streams: Arc<tokio::sync::Semaphore>,
    reports: Arc<tokio::sync::Semaphore>,
    last_line: swarm::LastLine,
    metrics: metrics::LastPage,
    build: BuildInfo,
}

#[cfg(test)]
mod tests;

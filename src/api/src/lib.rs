//! The HTTP API of a node, for scripts, the command line and the dashboard.
//!
//! It listens on loopback; any other address needs a token. Host and Origin are checked, and bodies
//! must be `application/json` (data files: `application/octet-stream`), so that no web page can start
//! a test through its visitor's browser. Errors are problem details (RFC 9457). `docs/api.md` is the
//! reference.
//!
//! | module | contents |
//! |---|---|
//! | `listen`, `serve` | the listener, the thread and the accept loop |
//! | `routes` | which handler serves which path |
//! | `access` | the checks before every handler |
//! | `nodes`, `swarm`, `test_runs`, `load`, `test_events`, `reports`, `plans`, `blobs`, `health` | handlers |
//! | `metrics` | `/metrics` |
//! | `dashboard` | the dashboard's files |
//! | `openapi`, `docs_page` | the OpenAPI document and its page |
//! | `types`, `problem`, `extract`, `find` | parameters, bodies, errors, and how ids are resolved |
//! | `state`, `cache`, `blocking`, `event_stream`, `paths` | what handlers share |
//! | `client` | a client of this API |

mod access;
mod blobs;
mod blocking;
mod build_info;
mod cache;
pub mod client;
mod dashboard;
mod docs_page;
mod event_stream;
mod extract;
mod find;
mod health;
mod listen;
mod load;
mod metrics;
mod nodes;
mod openapi;
mod options;
mod paths;
mod plans;
mod problem;
mod reports;
mod routes;
mod serve;
mod state;
mod swarm;
mod test_events;
mod test_runs;
mod types;

pub use build_info::BuildInfo;
pub use client::{ApiClient, ClientError, Events};
pub use listen::{ApiListen, BindError, RunningApi, bind, start};
pub use options::{ApiOptions, TokenNeeded};
pub use serve::serve;

#[cfg(test)]
mod tests;

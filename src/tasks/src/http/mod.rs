//! HTTP requests over connections that are kept alive.
//!
//! A request is built once, before the start: as bytes for HTTP/1.1 ([`http1`]), as a head and a
//! body for HTTP/2 ([`http2`]). Redirects are not followed. A response with status 400 or above
//! is a failure of kind `status`. A request is sent a second time, on a new connection, only if
//! the first connection was kept from earlier and either nothing was written to it or the server
//! reports that it has not processed the request.

mod client;
mod dial;
mod failures;
mod http1;
mod http2;
mod message;
mod pool;
mod prepared;
mod probe;
mod reader;
mod stream;
mod thread;
mod timeout;
mod tls;

pub use client::{HttpClient, HttpSession};
pub use failures::error_status;
pub use message::Message;
pub use prepared::{HttpPrepared, USER_AGENT};
pub use probe::{Probe, Reached};

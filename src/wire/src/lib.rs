//! The wire format: encodes protocol values, and decodes and checks bytes from other nodes.
//!
//! Only this crate parses bytes from the network. A decoded value is within all [`limits`];
//! otherwise decoding fails with a [`WireError`] that names the field. A decoded value is well
//! formed, but not necessarily true. The receiver must check that its author was allowed to send it
//! (see [`TestMessage::author`]).
//!
//! Encoding never fails. Display texts (names, messages, labels) and display lists are cut to their
//! limits, and control characters are replaced, so that no message is refused because of a long
//! text.
//!
//! The messages are defined in `proto/`. Fields 1 to 19 of the WorkerService messages are a fixed
//! set for compatibility. They are filled, with integers rounded and saturated, but the exact fields
//! from 20 are decoded instead.
//!
//! | module | contents |
//! |---|---|
//! | `gossip`, `advert`, `test_message`, `announcement`, `beat`, `log_entry`, `ended` | gossip |
//! | `envelope`, `registration`, `heartbeat`, `assignment`, `preflight`, `record` | requests and replies |
//! | `snapshot`, `snapshot_*`, `histogram` | metrics |
//! | `limits`, `encode`, `decode`, `common`, `size_guard`, `error` | shared parts |
//!
//! [`TestMessage::author`]: vajra_core::protocol::messages::TestMessage::author

use vajra_proto as pb;

mod advert;
mod allocation;
mod announcement;
mod assignment;
mod beat;
mod common;
mod decode;
mod encode;
mod ended;
mod envelope;
mod error;
mod gossip;
mod heartbeat;
mod histogram;
pub mod limits;
mod log_entry;
mod preflight;
mod record;
mod registration;
mod size_guard;
mod snapshot;
mod snapshot_page;
mod snapshot_split;
mod snapshot_summary;
mod test_message;

#[cfg(test)]
mod tests;

pub use envelope::{decode_reply, decode_request, encode_reply, encode_request};
pub use error::WireError;
pub use gossip::{Topic, decode_gossip, encode_gossip};
pub use histogram::check_histogram;
pub use limits::{MAX_BULK, MAX_CONTROL, MAX_GOSSIP};
pub use snapshot_split::split_snapshot;

/// Conversion between a protocol value and its protobuf message.
trait Wire: Sized {
    /// The generated message.
    type Message;

    /// Converts to a message.
    fn to_wire(&self) -> Self::Message;

    /// Converts from a message, and checks all limits.
    fn from_wire(message: Self::Message) -> Result<Self, WireError>;
}

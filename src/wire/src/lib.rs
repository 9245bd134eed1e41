//! The wire format: protocol values to bytes, and bytes from outside to protocol values.
//!
//! This is the one place where bytes of others are looked at. What a `decode_` function
//! returns keeps every limit of [`limits`]; what breaks one is refused with a [`WireError`]
//! that names the field. What comes out is well formed, not necessarily true, and whether
//! its author may say it is for the receiver to judge ([`TestMessage::author`] helps).
//!
//! Encoding never fails. Texts for people (names, messages, labels) are cut to their limit
//! and lose control characters on the way out, and lists for people are cut; so a node
//! never sends what its peers would refuse because a text was long.
//!
//! The messages are those of `proto/`. Fields 1 to 19 of the WorkerService set are filled for
//! whoever knows only them; whole numbers among them are rounded and saturated, and their
//! exact counterparts from 20 up are what is read here.
//!
//! [`TestMessage::author`]: vajra_core::protocol::messages::TestMessage::author

use vajra_proto as pb;

mod announcement;
mod assignment;
mod common;
mod decision;
mod decode;
mod election;
mod encode;
mod ended;
mod envelope;
mod error;
mod gossip;
mod heartbeat;
mod histogram;
pub mod limits;
mod nodes;
mod page;
mod preflight;
mod record;
mod registration;
mod size_guard;
mod snapshot;
mod split;
mod summary;

#[cfg(test)]
mod tests;

pub use envelope::{decode_reply, decode_request, encode_reply, encode_request};
pub use error::WireError;
pub use gossip::{Topic, decode_gossip, encode_gossip};
pub use histogram::check_histogram;
pub use limits::{MAX_BULK, MAX_CONTROL, MAX_GOSSIP};
pub use split::split_snapshot;

/// A protocol value and its message.
trait Wire: Sized {
    /// The generated message.
    type Message;

    /// The message that says this.
    fn to_wire(&self) -> Self::Message;

    /// What a message says, if it keeps every limit.
    fn from_wire(message: Self::Message) -> Result<Self, WireError>;
}

//! The pure core.
pub mod id;
pub mod messages;
pub mod metrics;
pub mod time;

pub use id::{Digest, Incarnation, NodeId, Peer, TestId};
pub use time::{RemoteTime, Time};

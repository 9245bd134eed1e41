//! The swarm over libp2p: who we are, whom we find, what we hear and say.
//!
//! [`spawn`] starts the network as a task on the current runtime and gives two ends of
//! bounded channels: a cloneable [`NetworkHandle`] for commands and a receiver of
//! [`NetworkEvent`]s. Bytes are decoded and checked here (by `wire`); who uses this room sees
//! protocol values only.
//!
//! What it promises:
//! - It keeps looking for the swarm as long as it runs: bootstrap addresses, peers known from
//!   disk and peers that mDNS shows are dialled again with exponential back-off. Peers found
//!   through others are dialled too, so that a swarm of up to fifty nodes is fully connected
//!   and survives the loss of whoever introduced them.
//! - Only peers that identify with our swarm's name are reported; others are closed and left
//!   alone for ten minutes. With a swarm key no other byte is even understood.
//! - Gossip is signed and its author authenticated. Malformed messages are rejected here and
//!   never reach the driver.
//! - Its loop never waits for the driver. When the driver is behind, gossip and requests are
//!   dropped and counted ([`NetworkStats`]); replies and peers' comings and goings are kept.
//! - Every queue, table and message has a limit, named and explained where it is set.
//!
//! What it refuses: to know what a message means. Verdicts on gossip and answers to requests
//! are the driver's.

mod address;
mod backoff;
mod behaviour;
mod bootstrap;
mod codec;
mod config;
mod connections;
mod discovery;
mod event_loop;
mod gossip;
mod handle;
mod identity;
mod keep_alive;
mod key;
mod known_peers;
mod name;
mod outbox;
mod peers;
mod requests;
mod stats;
#[cfg(test)]
mod tests;

pub use address::{
    AddressError, MAX_RESOLVED, check_bootstrap, check_listen, parse_peer, show_peer,
};
pub use config::{NetworkConfig, NetworkError};
pub use event_loop::{Running, spawn};
pub use handle::{
    Acceptance, COMMAND_QUEUE, EVENT_QUEUE, GossipTicket, LinkSeen, NetworkEvent, NetworkHandle,
    RequestFailed, RequestTicket,
};
pub use identity::{DataDir, DataDirError, Identity};
pub use key::{SwarmKey, SwarmKeyError};
pub use known_peers::{KnownPeers, MAX_KNOWN};
pub use libp2p::Multiaddr;
pub use libp2p::identity::Keypair;
pub use name::{BadSwarmName, SwarmName};
pub use stats::{MAX_OFFENDERS, NetworkStats, Offences};
